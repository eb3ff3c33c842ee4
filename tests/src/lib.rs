//! What every end-to-end test stands on: a client to the real cluster, a namespace of its own, waiting with a deadline,
//! and the people around a delivery as they come from outside.
//!
//! Tests see Waybill from outside: the custom resources, the API server, the network. No crate of the product but the
//! types in `waybill-crds` is linked here.

pub mod agent;
pub mod cluster;
pub mod enrol;
pub mod http;
pub mod ledger;
pub mod namespace;
pub mod node;
pub mod objects;
pub mod operator;
pub mod outsider;
pub mod process;
pub mod quiet;
pub mod snapshot;
pub mod wait;

pub use cluster::Cluster;
pub use namespace::{Namespace, in_namespace};
pub use wait::eventually;
