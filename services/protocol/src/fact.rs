//! What can be said about a parcel: the closed list of facts an event can state. Who may state which, and what follows, is the table in
//! [`machine`](crate::machine). Numbers are for ever (see [`version`](crate::version)).

use core::fmt;

use minicbor::{Decode, Encode};

use crate::{
    commitment::Commitments,
    id::{EventId, Hash, Mac, ReceiptCode, Text, Uid, UnixMillis, Upc},
    key::X25519Key,
    phase::Stage,
};

pub mod reason;

use reason::{
    CancelReason, Cause, DeclaredFact, DeliveredTo, ErasedScope, EvidenceKind, Guarantee, Happening, HoldReason,
    Incident, Media, ReturnReason,
};

/// The name of a person as the cluster's authentication knows it.
pub type PersonName = Text<256>;

macro_rules! facts {
    ($($(#[$doc:meta])* $number:literal $kind:ident $({ $($(#[$field_doc:meta])* $index:literal $field:ident: $type:ty,)* })?;)+) => {
        /// One fact, as an event states it.
        #[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
        #[cbor(map)]
        pub enum Fact {
            $($(#[$doc])* #[n($number)] $kind $({ $($(#[$field_doc])* #[n($index)] $field: $type,)* })?,)+
        }

        /// The kinds of facts: one word each, the `event` of the custom resource.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Kind {
            $($(#[$doc])* $kind,)+
        }

        impl Kind {
            pub const ALL: &'static [Self] = &[$(Self::$kind),+];

            /// In PascalCase, as it stands in the custom resource.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$kind => stringify!($kind)),+ }
            }

            /// Its number in the encoding of an event.
            pub const fn number(self) -> u32 {
                match self { $(Self::$kind => $number),+ }
            }
        }

        impl Fact {
            pub const fn kind(&self) -> Kind {
                match self { $(Self::$kind { .. } => Kind::$kind),+ }
            }
        }
    };
}

facts! {
    /// The carrier takes the job and makes a fresh key for this attempt.
    0 Accepted {
        /// Everything of this attempt is sealed to it.
        0 attempt_key: X25519Key,
        /// The nonce of the seller's hello: only this seller could have made it.
        1 nonce: Mac,
        /// The protocol version both sides speak from here on.
        2 protocol: u16,
    };
    /// The carrier lost its journal, or its seller's key changed: a fresh key for the attempt that runs.
    1 Rekeyed {
        0 attempt_key: X25519Key,
        1 nonce: Mac,
    };
    /// The author's next statement, carried by this event, signed by the key of the last one.
    2 KeyRotated;
    /// The seller gives the parcel away, on these terms.
    3 HandedOver {
        0 terms: Terms,
    };
    /// The carrier has the parcel, on the terms it has seen.
    4 PickedUp;
    /// The seller opens a part of the address. In the log before the part is sent.
    5 Released {
        0 stage: Stage,
        /// What lets the door part open; absent for the other parts.
        1 gate: Option<Gate>,
    };
    /// The carrier has the part and made its status public.
    6 Posted {
        0 stage: Stage,
        /// The commitment the part it received matches.
        1 commitment: Hash,
    };
    /// The carrier tried to read the parcel's label.
    7 Scanned {
        0 outcome: ScanOutcome,
        /// How many tries of this attempt this event stands for, all earlier ones included.
        1 tries: u32,
    };
    /// The seller checked a scan: it is not this parcel's label.
    8 ScanRefused {
        0 scan: EventId,
    };
    /// Something happened on the way that is not an end.
    9 IncidentReported {
        0 incident: Incident,
        1 note: Option<Hash>,
    };
    /// The parcel arrived.
    10 Delivered {
        0 to: DeliveredTo,
        1 note: Option<Hash>,
    };
    /// A picture or document exists; this is its hash.
    11 ProofAttached {
        0 kind: EvidenceKind,
        1 media: Media,
        2 sha256: Hash,
    };
    /// The recipient showed the code that only the recipient was given.
    12 ReceiptProved {
        0 code: ReceiptCode,
    };
    /// The attempt ended without delivery.
    13 AttemptFailed {
        0 reason: Reason,
    };
    /// The seller asks for another attempt.
    14 Rescheduled {
        0 window: Option<Window>,
    };
    /// The parcel lies where the recipient can fetch it.
    15 AvailableForPickup {
        0 note: Option<Hash>,
    };
    /// The parcel waits; nothing is released.
    16 OnHold {
        0 reason: HoldReason,
        1 note: Option<Hash>,
    };
    /// The wait is over.
    17 Resumed;
    /// The recipient does not want it.
    18 Refused {
        0 reason: Reason,
    };
    19 Damaged {
        0 reason: Reason,
    };
    20 Lost {
        0 reason: Reason,
    };
    /// A lost parcel is there again.
    21 Found {
        0 note: Option<Hash>,
    };
    /// The seller calls the delivery off.
    22 Cancelled {
        0 reason: CancelReason,
    };
    /// The seller wants the parcel back.
    23 ReturnRequested {
        0 reason: ReturnReason,
    };
    /// The carrier gave the parcel back.
    24 GivenBack;
    /// The seller has the parcel again.
    25 ReturnReceived;
    /// Another address: what was committed to changes.
    26 AddressChanged {
        0 commitments: Commitments,
    };
    /// The seller gives the job to another carrier; the former one's later events are void.
    27 CarrierAssigned {
        0 carrier: Uid,
    };
    /// A named, authorised person says so, without the device that should.
    28 Declared {
        0 fact: DeclaredFact,
        1 by: PersonName,
        2 note: Option<Hash>,
    };
    /// The seller lets a declaration count.
    29 Countersigned {
        0 event: EventId,
    };
    /// The author takes its last step back: a wrong tap.
    30 Corrected {
        0 event: EventId,
        1 note: Option<Hash>,
    };
    /// The carrier's agent wiped what it held.
    31 Erased {
        0 scope: ErasedScope,
    };
    /// The order is gone from every live store.
    32 Forgotten {
        0 guarantee: Guarantee,
    };
}

/// What seller and carrier agree on: the seller signs it, the carrier signs that it has seen it.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Terms {
    #[n(0)]
    pub upc: Upc,
    /// Who carries it.
    #[n(1)]
    pub carrier: Uid,
    #[n(2)]
    pub max_attempts: u32,
    /// Whether a photo is asked for.
    #[n(3)]
    pub photo: bool,
    /// Whether the label has to be scanned before the door part opens.
    #[n(4)]
    pub scan: bool,
    #[n(5)]
    pub window: Option<Window>,
    /// What the three parts of the address are, without saying it.
    #[n(6)]
    pub commitments: Commitments,
    /// SHA-256 of the recipient's code, see [`ReceiptCode`].
    #[n(7)]
    pub receipt: Option<Hash>,
}

/// When the recipient expects the parcel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Window {
    #[n(0)]
    pub from: UnixMillis,
    #[n(1)]
    pub to: UnixMillis,
}

/// What lets the door part open.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Gate {
    /// The terms ask for no scan.
    #[n(0)]
    NotAsked,
    /// The seller checked this scan: it is this parcel's label.
    #[n(1)]
    Scan {
        #[n(0)]
        scan: EventId,
    },
    /// No scan succeeded; the seller goes on because of this reported incident.
    #[n(2)]
    Incident {
        #[n(0)]
        incident: EventId,
    },
}

/// What came of reading a label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum ScanOutcome {
    /// A label of this delivery was read; the seller can check whether its secret is right.
    #[n(0)]
    Read {
        #[n(0)]
        mac: Mac,
    },
    /// The label of another delivery.
    #[n(1)]
    WrongParcel,
    #[n(2)]
    Unreadable,
}

/// Why something failed, on its two axes, with a note kept elsewhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Reason {
    #[n(0)]
    pub cause: Cause,
    #[n(1)]
    pub what: Happening,
    #[n(2)]
    pub note: Option<Hash>,
}

impl Kind {
    /// Whether the last places of a log are kept for it: what ends an attempt, a delivery or a proof.
    pub const fn is_ending(self) -> bool {
        use Kind as K;
        matches!(
            self,
            K::Delivered
                | K::ProofAttached
                | K::ReceiptProved
                | K::AttemptFailed
                | K::OnHold
                | K::Refused
                | K::Damaged
                | K::Lost
                | K::Found
                | K::Cancelled
                | K::ReturnRequested
                | K::GivenBack
                | K::ReturnReceived
                | K::Countersigned
                | K::Corrected
                | K::Erased
                | K::Forgotten
        )
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
