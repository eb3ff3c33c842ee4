//! The link against a fake broker on loopback: what a broker may do wrong, and what must not come of it.

// Helpers of tests are tests: a failed unwrap is a failed test. (The lint knows `#[test]` functions only.)
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod fake;
mod loss;
mod owner;
mod session;
