//! What the schema lets pass and what it refuses, asked of a real API server.
//!
//! Every rule has a case that passes and cases that are refused with the message a user reads. The cluster is found by
//! `WAYBILL_KUBECONFIG`; each test works in a namespace of its own.

// A test that unwraps fails where its assumption does; clippy grants that to `#[test]` functions, not to their helpers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod carrier;
mod custody;
mod definitions;
mod delivery;
mod phases;
mod room;
mod seller;
mod status;
