//! The wire of Waybill: what is signed, sealed and said between seller, carrier and everyone who checks them.
//!
//! Pure: no I/O, no clock (`now` is an argument), no randomness of its own (the caller brings it). Every room that speaks, stores, shows
//! or verifies a delivery shares this one crate, so there is one truth about what bytes mean. `docs/proof-format.md` specifies them.
//!
//! - [`statement`]: the CA's word on which keys belong to whom.

mod codec;
mod cose;
mod id;
mod key;
pub mod statement;
pub mod version;

pub use codec::WireError;
pub use id::{EventId, Hash, Name, NameError, Uid, UnixMillis, Upc};
pub use key::{AgreementSecret, Ed25519Key, KeyError, X25519Key};
pub use statement::{CaKey, Custody, KeyStatement, Role, StatementError, ToBeSigned};
