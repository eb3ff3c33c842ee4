//! The whole seller against a real API server and a real mosquitto with the chart's own configuration. The carrier is played
//! here, by the protocol and the link alone: at that seam nothing else counts.

// A test that unwraps fails where its assumption does; clippy grants that to `#[test]` functions, not to their helpers.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod agent;
mod api;
#[path = "../../../cluster/tests/server/domain.rs"]
mod domain;
mod door;
mod failures;
mod files;
#[path = "../../../broker/tests/broker/mosquitto.rs"]
#[allow(dead_code, reason = "shared with the broker's tests, which stop and signal it too")]
mod mosquitto;
mod notify;
mod orders;
mod people;
mod stage;
mod thread;
