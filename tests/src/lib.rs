//! What every end-to-end test stands on: a client to the real cluster, a namespace of its own, waiting with a deadline.
//!
//! Tests see Waybill from outside: the custom resources, the API server, the network. No crate of the product but the
//! types in `waybill-crds` is linked here.

pub mod cluster;
pub mod namespace;
pub mod wait;

pub use cluster::Cluster;
pub use namespace::{Namespace, in_namespace};
pub use wait::eventually;
