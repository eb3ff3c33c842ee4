//! The proof bundle: one file that shows, with no network and no Waybill at hand, what became of a delivery.
//!
//! Pure, as the wire crate: bytes in, bytes and words out. The same code writes bundles in the services, checks them in the command line
//! tool and, compiled to WebAssembly, in a browser. `docs/bundle-format.md` specifies the file.
//!
//! Rooms: `archive` (the container), `bundle` (what it holds), `authority` (X.509), [`report`] and `check` (is it true?), [`words`]
//! (events in plain words), `page` (the bundle's own page), [`epcis`] (the same events for GS1 systems).
//!
//! Nothing in a bundle is believed because it stands in it. What counts is the root's fingerprint that the checker brings; without one
//! the best answer is "consistent, root unknown".

mod archive;
mod authority;
mod bundle;
mod check;
pub mod epcis;
mod page;
pub mod report;
pub mod words;

pub use archive::{ArchiveError, MAX_BUNDLE};
pub use authority::CertificateError;
pub use bundle::{About, Contents, Photo, ReadError, WriteError};
pub use check::{check, pictures};
