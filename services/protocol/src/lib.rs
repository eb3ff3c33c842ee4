//! The wire of Waybill: what is signed, sealed and said between seller, carrier and everyone who checks them.
//!
//! Pure: no I/O, no clock (`now` is an argument), no randomness of its own (the caller brings it). Every room that speaks, stores, shows
//! or verifies a delivery shares this one crate, so there is one truth about what bytes mean. `docs/proof-format.md` specifies them.
//!
//! Rooms: [`statement`] (whose keys), [`fact`] (what can be said), `event` (said and signed), [`machine`] (what follows: one table), `log`
//! (chains and verdicts), `message` and `seal` (what crosses the broker), [`topic`], `commitment`, `part`, `label`, `attempt`,
//! `trust` (which CAs count), [`published`] (what the operator tells everybody).
//!
//! # As a seller
//! 1. [`Log::read`] the custody of the Delivery, with a [`Trust`] that remembers; [`Log::state`] says what is due. Every time anew:
//!    nothing else has to be kept.
//! 2. [`State::attempt_to_accept`]: seal a `Hello` to the carrier's statement key. Its answer brings `Accepted`; check its nonce against
//!    [`hello_nonce`] and its carrier against the one in the spec.
//! 3. [`Log::sign`] the next fact (`HandedOver`, `Released`, …), write it into the custody, then [`Log::push`] it, then send.
//! 4. [`State::unanswered`]: seal that `Part` to [`State::attempt_key`], with [`Log::news_for`] the carrier, until it is posted.
//! 5. [`State::due`] and [`State::door_gate`] say what comes next; a scan is checked by [`LabelSecret::check`].
//!
//! # As a carrier's agent
//! 1. Keep a [`Log`] as the journal: [`Frame::read`], [`Conversation::open_down`], push the events that came, act.
//! 2. [`Log::check_part`] before a part is believed; [`Log::sign`] what happened, keep it durably, push it, then post it.
//! 3. [`Log::expected`] and [`Log::events_of`] tell what to send again after a conflict or a time without a network.
//!
//! # As anyone else
//! [`Log::read`] and the verdicts of [`Log::entries`]. A `409` answers with [`Log::expected`].

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
pub mod published;
mod renewal;
mod seal;
pub mod seller_to_carrier;
mod signer;
pub mod statement;
pub mod topic;
mod trust;
pub mod version;

pub use attempt::{AttemptSecret, Challenge, Digits, MAX_CHALLENGE, sign_courier_check, verify_courier_check};
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
pub use phase::{Phase, Stage, UnknownName};
pub use renewal::{MAX_RENEWAL, RenewalRequest};
pub use seal::{Frame, MAX_FRAME, SealedTo};
pub use signer::{Signer, SignerError};
pub use statement::{CaKey, Custody, KeyStatement, Role, StatementError, ToBeSigned};
pub use topic::{Direction, Topic, TopicError, TopicFilter};
pub use trust::Trust;
