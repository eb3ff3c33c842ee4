//! The exact bytes of every version. One file a version; a version once released is never changed, only followed.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "../kit/world.rs"]
mod kit;
mod v01;

use std::fmt::Write as _;

/// Compares bytes with what is pinned; says which ones differ, and how they look now.
fn assert_pinned(actual: &[(&str, Vec<u8>)], pinned: &[(&str, &str)]) {
    let mut table = String::new();
    for (name, bytes) in actual {
        writeln!(table, "    (\"{name}\", \"{}\"),", hex::encode(bytes)).unwrap();
    }
    let same = actual.len() == pinned.len()
        && actual.iter().zip(pinned).all(|(actual, pinned)| actual.0 == pinned.0 && hex::encode(&actual.1) == pinned.1);
    assert!(same, "the wire has changed. Don't change this test: append a version. Now it is:\n{table}");
}
