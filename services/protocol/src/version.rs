//! Versions of everything signed or sealed, and how they grow.
//!
//! - The version is the first field (key 0) of every statement, event, frame and message, so a reader knows it before it reads on.
//! - Append only. A released number, field or variant is never reordered, reused, retyped or removed. Anything new, be it an optional
//!   field or a variant, comes with the next [`CURRENT`] and a file `tests/wire/vNN.rs` that pins its bytes.
//! - A writer says everything in the lowest version that can say it, so an old reader is lost only where it must be.
//! - A reader that meets a version above its [`CURRENT`] answers [`WireError::FromTheFuture`](crate::WireError::FromTheFuture): the
//!   caller counts it and drops it. In a log such an event is shown, nothing builds on it, and nothing is released on its word.
//! - [`MIN`] rises only when no proof of that age is kept any more.

/// The oldest version this crate reads.
pub const MIN: u16 = 1;
/// The newest version this crate reads, and the one it writes.
pub const CURRENT: u16 = 1;
