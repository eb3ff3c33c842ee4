//! What a journal holds, one record a thing. Numbers are never used twice.

use std::fmt;

use minicbor::{Decode, Encode};
use waybill_protocol::fact::reason::Media;
use waybill_protocol::seller_to_carrier::Picture;
use waybill_protocol::{AgreementSecret, Bytes, EventId, Uid, Upc, X25519Key};

/// One thing the agent must not forget, or must remember having forgotten.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Record {
    /// Whose parcel this is. The first record of every journal.
    #[n(0)]
    Seller {
        #[n(0)]
        seller: Uid,
    },
    /// What the parcel is called.
    #[n(1)]
    Upc {
        #[n(0)]
        upc: Upc,
    },
    /// The seller's key statement, as a hello or the Carrier API brought it; verified before it was kept.
    #[n(2)]
    Statement {
        #[n(0)]
        bytes: Bytes,
    },
    /// An event of the log, whoever signed it, in the order in which the agent takes them.
    #[n(3)]
    Event {
        #[n(0)]
        bytes: Bytes,
    },
    /// The secret of an attempt. Erased with the attempt.
    #[n(4)]
    Key {
        #[n(0)]
        key: HeldKey,
    },
    /// A part of the address. Erased with the attempt.
    #[n(5)]
    Part {
        #[n(0)]
        released: EventId,
        #[n(1)]
        part: Bytes,
    },
    /// A picture of the label, for an agent without a parcel in its hands. Erased with the attempt.
    #[n(6)]
    Label {
        #[n(0)]
        picture: Picture,
    },
    /// A proof picture on its way to the Carrier API. Dropped once it is there and its event is signed.
    #[n(7)]
    Photo {
        #[n(0)]
        media: Media,
        #[n(1)]
        bytes: Bytes,
    },
    /// The picture is where it should be.
    #[n(8)]
    PhotoStored,
    /// Nothing is left to do or to send.
    #[n(9)]
    Closed,
    /// The order is forgotten: only the agent's own signed events are left.
    #[n(10)]
    Forgotten,
}

/// The secret key of one attempt, and whose statement it was made for.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct HeldKey {
    #[n(0)]
    pub attempt: u32,
    #[cbor(n(1), with = "minicbor::bytes")]
    pub secret: [u8; 32],
    #[n(2)]
    pub seller: X25519Key,
}

impl HeldKey {
    pub fn secret(&self) -> AgreementSecret {
        AgreementSecret::from_bytes(self.secret)
    }
}

impl Drop for HeldKey {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.secret);
    }
}

impl Record {
    /// Its kind, for people.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Seller { .. } => "Seller",
            Self::Upc { .. } => "Upc",
            Self::Statement { .. } => "Statement",
            Self::Event { .. } => "Event",
            Self::Key { .. } => "Key",
            Self::Part { .. } => "Part",
            Self::Label { .. } => "Label",
            Self::Photo { .. } => "Photo",
            Self::PhotoStored => "PhotoStored",
            Self::Closed => "Closed",
            Self::Forgotten => "Forgotten",
        }
    }
}

// Keys and addresses stand in records: only the kind is ever shown.
impl fmt::Debug for Record {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind())
    }
}

impl fmt::Debug for HeldKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HeldKey(attempt {})", self.attempt)
    }
}
