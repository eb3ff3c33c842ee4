//! The chassis from outside: real sockets on port 0, real handshakes, certificates made for the occasion.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where its assumption does")]

mod authority;
mod clients;
mod drain;
mod limits;
mod problems;
mod reload;
mod signals;
mod wire;
