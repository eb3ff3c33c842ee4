//! The sidecar beside a real mosquitto with the chart's own configuration: what a participant, a revoked one and a kubelet
//! see. Needs `mosquitto` on the machine; each test starts its own, on free ports and a folder of its own.

// Helpers of tests are tests: a failed unwrap is a failed test. (The lint knows `#[test]` functions only.)
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod access;
mod client;
mod intruder;
mod life;
mod limits;
mod mosquitto;
mod pki;
mod revocation;
mod rotation;
mod world;
