//! What every program of the house needs and none should write twice: logs, probes, metrics, shutdown, TLS that reloads,
//! who the peer is, who is revoked, how much one caller may ask, tokens, one shape for errors, APIs with their descriptions, one way to serve.
//!
//! Contract: no word of the domain in here. Nothing in this crate knows what a parcel is; a service that needs a rule
//! keeps it. Each module stands alone and says what it trusts.

pub mod api;
pub mod etag;
pub mod files;
pub mod idempotency;
pub mod jwt;
pub mod limit;
pub mod metrics;
pub mod peer;
pub mod probes;
pub mod problem;
pub mod process;
pub mod revocation;
pub mod server;
pub mod shutdown;
pub mod telemetry;
pub mod tls;
pub mod trust;
