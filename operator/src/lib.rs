//! The operator: provisions Sellers, Carriers and Deliveries, and is not in the way of any of them.
//!
//! - [`args`], [`context`]: settings and what everyone shares. `leader`: who may write. `cache`, `queue`, `controller`: what is
//!   known, what waits, how one object is worked on. [`apply`], [`events`], [`metrics`]: how it writes and tells.
//! - `seller`, `carrier`, `carrier_api`, `delivery`: one reconciler each, in five steps, `dereference → validate → build → apply →
//!   update_status`; the middle three have no client and no clock.
//! - `identity`: the CA, certificates, key statements, revocation. The reconcilers call it, it calls none of them.

pub mod apply;
pub mod args;
pub mod context;
pub mod events;
pub mod metrics;

mod cache;
mod controller;
mod discovery;
#[cfg(test)]
mod fixtures;
mod leader;
mod queue;

pub use args::Args;
