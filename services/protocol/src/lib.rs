//! The wire of Waybill: what is signed, sealed and said between seller, carrier and everyone who checks them.
//!
//! Pure: no I/O, no clock (`now` is an argument), no randomness of its own (the caller brings it). Every room that speaks, stores, shows
//! or verifies a delivery shares this one crate, so there is one truth about what bytes mean. `docs/proof-format.md` specifies them.
//!
//! - [`statement`]: the CA's word on which keys belong to whom.

mod attempt;
pub mod carrier_to_seller;
mod codec;
mod commitment;
mod cose;
mod event;
pub mod fact;
mod id;
mod key;
mod label;
mod log;
pub mod machine;
mod message;
mod part;
mod phase;
mod seal;
pub mod seller_to_carrier;
mod signer;
pub mod statement;
pub mod topic;
pub mod version;

pub use attempt::{AttemptSecret, Digits, MAX_CHALLENGE, sign_courier_check, verify_courier_check};
pub use codec::WireError;
pub use commitment::{Commitments, Salt, SaltKey, commitment, hello_nonce};
pub use event::{Author, Event, MAX_EVENT, SignedEvent};
pub use fact::{Fact, Gate, Kind, PersonName, Reason, ScanOutcome, Terms, Window};
pub use id::{Bytes, EventId, Hash, Mac, Name, NameError, ReceiptCode, Text, Uid, UnixMillis, Upc};
pub use key::{AgreementSecret, Ed25519Key, KeyError, X25519Key};
pub use label::{ForeignCode, LabelCode, LabelSecret, ReceiptText, receipt_code, receipt_hash};
pub use log::{CAPACITY, Entry, Invalid, Log, PartError, RESERVED, SignError, Subject, Verdict, has_place};
pub use machine::{DoorGate, Effect, Refusal, State};
pub use message::{Body, Conversation, Incoming, OpenError, Outgoing, Recipient, Replays, SealError, SellerTrust};
pub use part::{FieldTooLong, MAX_FIELD, Order, Part};
pub use phase::{Phase, Stage};
pub use seal::{Frame, MAX_FRAME, SealedTo};
pub use signer::{Signer, SignerError};
pub use statement::{CaKey, Custody, KeyStatement, Role, StatementError, ToBeSigned};
pub use topic::{Direction, Topic, TopicError, TopicFilter};
