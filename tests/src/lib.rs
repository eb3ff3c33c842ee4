//! What every end-to-end test stands on: a client to the real cluster, a namespace of its own, waiting with a deadline,
//! and the people around a delivery as they come from outside.
//!
//! Tests see Waybill from outside: the custom resources, the API server, the network. No crate of the product but the
//! types in `waybill-crds` is linked here.

pub mod agent;
pub mod authority;
pub mod cluster;
pub mod disk;
pub mod elsewhere;
pub mod enrol;
pub mod handshakes;
pub mod helm;
pub mod http;
pub mod ledger;
pub mod live;
pub mod namespace;
pub mod node;
pub mod objects;
pub mod openssl;
pub mod operator;
pub mod outsider;
pub mod process;
pub mod quiet;
pub mod rights;
pub mod snapshot;
pub mod verifier;
pub mod wait;

pub use cluster::Cluster;
pub use namespace::{Namespace, in_namespace};
pub use wait::eventually;
