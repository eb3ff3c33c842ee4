//! The board from outside: over TLS, as a browser and as a program, against a real API server under its own account's rights.
//!
//! The cluster is found by `WAYBILL_KUBECONFIG`; each test works in a namespace of its own.

// A test that unwraps fails where its assumption does; clippy grants that to `#[test]` functions, not to their helpers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod issuer;
mod live;
mod login;
mod oidc;
mod pages;
mod room;
mod track;
