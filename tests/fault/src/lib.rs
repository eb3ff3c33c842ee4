//! What must hold when things break: every plan is a delivery and a fault, drawn from a seed that is printed, and can be run
//! again alone. Services are processes of the one binary, the API server and the broker are real; what is checked is read
//! from the custody log by the protocol's own rules, never from what a service says about itself.
//!
//! - [`hostile`]: a broker that lies.
//! - [`world`]: everything around and in one run, and a hand on each part of it.
//! - [`parcel`] × [`fault`] = [`plan`]: what is drawn. `round`: one fault played. [`end`]: what a log may and must come to.
//! - `run`, `report`: all of it.

// A harness that unwraps fails where its assumption does.
#![allow(clippy::unwrap_used, reason = "a harness that unwraps fails where it should")]

#[path = "../../../services/cluster/tests/server/domain.rs"]
mod domain;
pub(crate) mod end;
pub(crate) mod fault;
#[allow(dead_code, reason = "for tests")]
pub(crate) mod hostile;
#[path = "../../../services/broker/tests/broker/mosquitto.rs"]
#[allow(dead_code, reason = "shared with the broker's tests")]
mod mosquitto;
pub(crate) mod parcel;
pub(crate) mod plan;
mod report;
mod round;
mod run;
#[allow(dead_code, reason = "what plans do not use, tests of single services do")]
pub(crate) mod world;

pub use run::{Args, run};
