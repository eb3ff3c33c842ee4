//! One event of the custody log: a fact, who states it, and its place among all others.
//!
//! Each author has a chain of its own: `seq` counts, `prev` is the id of its previous event, `seen` that of the last event it knew of the
//! other side. The first event of a chain carries its author's [`KeyStatement`](crate::KeyStatement) and a `KeyRotated` the next one, so a
//! log explains itself to whoever trusts the CA.

use core::fmt;
use std::sync::Arc;

use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};

use crate::{
    codec::{self, WireError},
    cose::{self, Domain, Sign1},
    fact::{Fact, Kind},
    id::{Bytes, EventId, Hash, Uid, UnixMillis},
    key::Ed25519Key,
    statement::Role,
};

/// The largest event that is written or read.
pub const MAX_EVENT: usize = 4096;
const WHAT: &str = "event";

/// Who signs events. The words are those of the custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Author {
    #[n(0)]
    Seller,
    /// The carrier's agent.
    #[n(1)]
    Transport,
    /// A named person, for whom the Carrier API signs.
    #[n(2)]
    Person,
}

/// An event as it is signed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Event {
    #[n(0)]
    pub version: u16,
    /// The uid of the Delivery.
    #[n(1)]
    pub delivery: Uid,
    #[n(2)]
    pub author: Author,
    /// The uid of the Seller, of the Carrier, or of the Carrier API that signs for a person.
    #[n(3)]
    pub uid: Uid,
    /// Its number in its author's chain, from 0.
    #[n(4)]
    pub seq: u32,
    /// The author's previous event; absent in the first.
    #[n(5)]
    pub prev: Option<EventId>,
    /// The last event of the other side that its author knew: for a seller a carrier's, for everyone else the seller's.
    #[n(6)]
    pub seen: Option<EventId>,
    /// When, by the author's clock. Evidence of what the author says, never a reason to decide.
    #[n(7)]
    pub at: UnixMillis,
    /// The attempt it belongs to; 0 before the first.
    #[n(8)]
    pub attempt: u32,
    #[n(9)]
    pub fact: Fact,
    /// The author's statement, in the first event of its chain and in every `KeyRotated`.
    #[n(10)]
    pub statement: Option<Bytes>,
}

/// An event in its envelope. Reading one verifies nothing but its form: [`SignedEvent::verify`] takes the key.
///
/// Never changes, so a copy costs nothing: a log is copied wherever something is decided on it.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedEvent(Arc<Signed>);

#[derive(PartialEq, Eq)]
struct Signed {
    event: Event,
    id: EventId,
    bytes: Vec<u8>,
}

impl Author {
    pub const ALL: [Self; 3] = [Self::Seller, Self::Transport, Self::Person];

    /// As it stands in the custom resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Seller => "Seller",
            Self::Transport => "Transport",
            Self::Person => "Person",
        }
    }

    /// The role its signer's statement must have.
    pub const fn role(self) -> Role {
        match self {
            Self::Seller => Role::Seller,
            Self::Transport => Role::Carrier,
            Self::Person => Role::CarrierApi,
        }
    }
}

impl fmt::Display for Author {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl Event {
    pub fn kind(&self) -> Kind {
        self.fact.kind()
    }
}

impl SignedEvent {
    /// Signs an event. Refuses one that is too large to be kept.
    pub fn sign(event: Event, key: &SigningKey) -> Result<Self, WireError> {
        let payload = codec::encode(&event);
        let bytes = cose::sign_eddsa(Domain::Event, key, &payload);
        if bytes.len() > MAX_EVENT {
            return Err(WireError::TooLarge { what: WHAT, size: bytes.len(), limit: MAX_EVENT });
        }
        Ok(Self(Arc::new(Signed { event, id: Hash(cose::eddsa_id(Domain::Event, &payload)), bytes })))
    }

    /// Reads an event and refuses every form but the canonical one.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_EVENT {
            return Err(WireError::TooLarge { what: WHAT, size: bytes.len(), limit: MAX_EVENT });
        }
        let envelope = Sign1::read_eddsa(Domain::Event, bytes)?;
        let event = codec::decode_versioned(WHAT, envelope.payload)?;
        Ok(Self(Arc::new(Signed { event, id: Hash(envelope.id(Domain::Event)), bytes: bytes.to_vec() })))
    }

    /// Checks the signature, strictly.
    pub fn verify(&self, key: &Ed25519Key) -> Result<(), WireError> {
        Sign1::read_eddsa(Domain::Event, &self.0.bytes)?.verify_eddsa(Domain::Event, key)
    }

    pub fn event(&self) -> &Event {
        &self.0.event
    }

    /// SHA-256 of the Sig_structure: the event's name, whatever signature it carries.
    pub fn id(&self) -> EventId {
        self.0.id
    }

    /// What stands in the log.
    pub fn bytes(&self) -> &[u8] {
        &self.0.bytes
    }
}

impl fmt::Debug for SignedEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("SignedEvent").field(&self.0.id).field(&self.0.event).finish()
    }
}
