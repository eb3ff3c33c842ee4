//! What a seller says to a carrier's agent, on `down`. Everything is sent again until its answer is there; nothing is precious.

use minicbor::{Decode, Encode};

use crate::{
    commitment::Salt,
    fact::{Window, reason::Media},
    id::{Bytes, Mac, Text, UnixMillis, Upc},
};

/// One message, as it is signed and sealed.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Message {
    /// First contact of an attempt, and again after either side's keys changed. Sealed to the carrier's statement key.
    /// Answered by `Answer` or `Declined`.
    #[n(0)]
    Hello {
        /// The seller's key statement: what the agent checks before anything else.
        #[n(0)]
        statement: Bytes,
        /// Only this seller can make it; it comes back in `Accepted`.
        #[n(1)]
        nonce: Mac,
        /// The protocol versions the seller speaks.
        #[n(2)]
        min: u16,
        #[n(3)]
        current: u16,
        #[n(4)]
        offer: Offer,
    },
    /// The parcel is handed over; `HandedOver` is among the events. Answered by `News` with `PickedUp`.
    #[n(1)]
    HandOver {
        /// A picture of the parcel's label, for an agent without a parcel in its hands. Only to a managed agent.
        #[n(0)]
        label: Option<Picture>,
    },
    /// A part of the address; about its `Released`. Sealed to the attempt key. Answered by `Received`, then by `News` with `Posted`.
    #[n(2)]
    Part {
        /// The encoded [`Part`](crate::Part).
        #[n(0)]
        part: Bytes,
        #[n(1)]
        salt: Salt,
        /// The seller's JWT of audience *link* for this delivery and stage; the agent checks it with the seller's statement key.
        #[n(2)]
        token: Token,
    },
    /// Events the agent may not know. Answered by `Received`.
    #[n(3)]
    News {},
    /// The recipient asks whether this is the courier. Answered by `CourierAnswer`.
    #[n(4)]
    Challenge {
        #[n(0)]
        challenge: Bytes,
        #[n(1)]
        expires_at: UnixMillis,
    },
    /// The order is to be forgotten: the agent wipes what it holds. Answered by `News` with `Erased`.
    #[n(5)]
    Erase {},
}

/// A JWT in its compact form.
pub type Token = Text<2048>;

/// What the job is, before it is accepted: nothing of the recipient.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Offer {
    #[n(0)]
    pub upc: Upc,
    /// Whether a photo will be asked for.
    #[n(1)]
    pub photo: bool,
    /// Whether a scan of the label will be asked for.
    #[n(2)]
    pub scan: bool,
    #[n(3)]
    pub window: Option<Window>,
}

/// A picture inside a message.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Picture {
    #[n(0)]
    pub media: Media,
    #[n(1)]
    pub bytes: Bytes,
}
