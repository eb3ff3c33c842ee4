//! The checks of a proof bundle, for a browser: bytes in, a report as JSON out. Nothing is imported: this code has no network, no clock
//! and no storage, only what the page hands it.
//!
//! The page asks for `room(length)`, writes the bundle there, calls `check` and reads as many bytes at `report`. A page has one thread.

#![allow(unsafe_code, reason = "a name that JavaScript can call is an unsafe attribute; there is no unsafe block")]

use std::sync::{Mutex, PoisonError};

use waybill_protocol::Hash;

static BUNDLE: Mutex<Vec<u8>> = Mutex::new(Vec::new());
static ROOT: Mutex<[u8; 32]> = Mutex::new([0; 32]);
static REPORT: Mutex<Vec<u8>> = Mutex::new(Vec::new());

/// How many bytes the largest bundle has.
#[unsafe(no_mangle)]
pub extern "C" fn largest() -> usize {
    waybill_proof::MAX_BUNDLE
}

/// Where the bundle is to be written; null where it is larger than any bundle.
#[unsafe(no_mangle)]
pub extern "C" fn room(length: usize) -> *mut u8 {
    let mut bundle = BUNDLE.lock().unwrap_or_else(PoisonError::into_inner);
    if length > largest() {
        return std::ptr::null_mut();
    }
    *bundle = vec![0; length];
    bundle.as_mut_ptr()
}

/// Where the 32 bytes of the root's fingerprint are to be written, if there is one.
#[unsafe(no_mangle)]
pub extern "C" fn root() -> *mut u8 {
    ROOT.lock().unwrap_or_else(PoisonError::into_inner).as_mut_ptr()
}

/// Checks what was written, against the root if there is one (not zero); the length of the report.
#[unsafe(no_mangle)]
pub extern "C" fn check(with_root: u32) -> usize {
    let bundle = std::mem::take(&mut *BUNDLE.lock().unwrap_or_else(PoisonError::into_inner));
    let root = (with_root != 0).then(|| Hash(*ROOT.lock().unwrap_or_else(PoisonError::into_inner)));
    let found = waybill_proof::check(&bundle, root);
    let mut report = REPORT.lock().unwrap_or_else(PoisonError::into_inner);
    *report = serde_json::to_vec(&found).expect("a report is plain data");
    report.len()
}

/// Where the report is.
#[unsafe(no_mangle)]
pub extern "C" fn report() -> *const u8 {
    REPORT.lock().unwrap_or_else(PoisonError::into_inner).as_ptr()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_bundle_is_told_as_broken_and_what_is_too_large_is_not_taken() {
        assert!(room(largest() + 1).is_null());
        assert!(!room(3).is_null());
        let length = check(0);
        let told = REPORT.lock().unwrap().clone();
        assert_eq!(told.len(), length);
        let told: serde_json::Value = serde_json::from_slice(&told).unwrap();
        assert_eq!((&told["answer"], &told["lines"][0]["outcome"]), (&"broken".into(), &"fails".into()));
    }
}
