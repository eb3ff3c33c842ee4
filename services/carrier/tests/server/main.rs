//! The Carrier API from outside: over TLS with real certificates, against a real API server under its own account's rights.
//!
//! The operator is played: its objects (key statements, the published trust, topics) are made by a CA of the test. The cluster
//! is found by `WAYBILL_KUBECONFIG`; each test works in a namespace of its own.

// A test that unwraps fails where its assumption does; clippy grants that to `#[test]` functions, not to their helpers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod bucket;
mod bundles;
mod client;
mod declaring;
mod domain;
mod photos;
mod renewal;
mod reporting;
mod room;
mod stage;
mod tokens;
mod viewing;
