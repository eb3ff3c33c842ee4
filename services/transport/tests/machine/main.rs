//! The agent's state machine against a seller played by the protocol crate, its journal on a real disk.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod desk;
mod erasure;
mod hostile;
#[path = "../kit/kit.rs"]
mod kit;
mod outcomes;
mod plain;
mod rotation;
mod taps;
