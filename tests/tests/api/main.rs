//! The HTTP APIs held against their committed descriptions: who gets in where, and whether every answer is one that is described.

// A test that unwraps fails where its assumption does.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

mod cast;
mod contract;
mod matrix;
mod people;
mod tokens;
