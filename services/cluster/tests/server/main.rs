//! What services do with Kubernetes, against a real API server that serves our definitions.

// A test that unwraps fails where its assumption does; clippy grants that to `#[test]` functions, not to their helpers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod custody;
mod domain;
mod lease;
mod room;
mod watching;
