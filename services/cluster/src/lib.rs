//! What a service of Waybill does with Kubernetes, and nothing of what it does for a parcel.
//!
//! - [`follow`]: one object by name, kept current. [`objects`]: all objects of a kind in a namespace.
//! - [`trust`]: ConfigMap `waybill-trust`: files for TLS and revocations, the CAs that sign key statements.
//! - [`deliveries`]: every Delivery, by uid and by UPC, and a queue of those that changed.
//! - [`participants`]: Sellers and Carriers, with their verified key statements.
//! - [`custody`]: a Delivery's log, read and appended to.
//! - [`permission`]: what the bearer of a Kubernetes token may do.
//! - [`logs`]: logs as they were read last.
//! - [`lease`]: who of several replicas acts.
//!
//! Nothing here is a fence but `custody`: every append carries the resource version it was decided on.

pub mod custody;
pub mod deliveries;
pub mod follow;
pub mod lease;
pub mod logs;
pub mod objects;
pub mod participants;
pub mod permission;
pub mod trust;
