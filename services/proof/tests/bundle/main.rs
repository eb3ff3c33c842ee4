//! Bundles as their users meet them: written, opened by other tools, checked, tampered with.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod epcis;
mod tampered;
mod told;
mod world;
