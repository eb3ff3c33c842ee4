//! What a log says about each of its entries.

use crate::{
    codec::WireError,
    id::{EventId, Uid},
    machine::{Effect, Refusal},
    statement::StatementError,
};

/// What becomes of an entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It is genuine and the state machine took it.
    Counts(Effect),
    /// It is genuine, it stands in its author's chain, and it changes nothing.
    Refused(Refusal),
    /// It is not what it claims to be, or has no place here: nothing builds on it.
    Invalid(Invalid),
}

/// Why an entry has no place in the log.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Invalid {
    #[error("failed to read event: {0}")]
    Unreadable(#[source] WireError),
    #[error("the log is full")]
    Full,
    #[error("the last places of the log are kept for endings")]
    Reserved,
    #[error("the event is of delivery {got}")]
    AnotherDelivery { got: Uid },
    #[error("the seller of this delivery is {expected}, not {got}")]
    AnotherSeller { expected: Uid, got: Uid },
    #[error("the event should carry its author's key statement and does not")]
    StatementMissing,
    #[error("the event carries a key statement it should not carry")]
    StatementUnexpected,
    #[error("failed to verify key statement: {0}")]
    Statement(#[source] StatementError),
    #[error("the key statement is of another {0}")]
    ForeignStatement(&'static str),
    #[error("the signature is not its author's")]
    BadSignature,
    #[error("the event is in the log already, at {first}")]
    Repeated { first: usize },
    #[error("its author signed another event with this number, at {first}")]
    Fork { first: usize },
    #[error("the author's next event has number {expected}, this has {got}")]
    Gap { expected: u32, got: u32 },
    #[error("the event does not follow its author's last one")]
    BrokenChain,
    #[error("the event its author has seen is none of the other side before it in the log")]
    UnknownSeen,
    #[error("the author had seen more before")]
    SeenGoesBack,
    #[error("the carrier's word ended with event {by}")]
    CutOff { by: EventId },
}

impl Invalid {
    /// All names there are.
    pub const CODES: &'static [&'static str] = &[
        "Unreadable",
        "Full",
        "Reserved",
        "AnotherDelivery",
        "AnotherSeller",
        "StatementMissing",
        "StatementUnexpected",
        "Statement",
        "ForeignStatement",
        "BadSignature",
        "Repeated",
        "Fork",
        "Gap",
        "BrokenChain",
        "UnknownSeen",
        "SeenGoesBack",
        "CutOff",
    ];

    /// Its name: stable, for metrics and for comparing verifiers.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::Unreadable(_) => "Unreadable",
            Self::Full => "Full",
            Self::Reserved => "Reserved",
            Self::AnotherDelivery { .. } => "AnotherDelivery",
            Self::AnotherSeller { .. } => "AnotherSeller",
            Self::StatementMissing => "StatementMissing",
            Self::StatementUnexpected => "StatementUnexpected",
            Self::Statement(_) => "Statement",
            Self::ForeignStatement(_) => "ForeignStatement",
            Self::BadSignature => "BadSignature",
            Self::Repeated { .. } => "Repeated",
            Self::Fork { .. } => "Fork",
            Self::Gap { .. } => "Gap",
            Self::BrokenChain => "BrokenChain",
            Self::UnknownSeen => "UnknownSeen",
            Self::SeenGoesBack => "SeenGoesBack",
            Self::CutOff { .. } => "CutOff",
        }
    }
}

impl Verdict {
    pub fn counts(&self) -> bool {
        matches!(self, Self::Counts(_))
    }

    /// Whether it stands in its author's chain.
    pub fn is_genuine(&self) -> bool {
        !matches!(self, Self::Invalid(_))
    }

    /// Written by a newer program: what it says is not known here, and nothing is released on its word.
    pub fn is_from_the_future(&self) -> bool {
        matches!(self, Self::Invalid(Invalid::Unreadable(WireError::FromTheFuture { .. })))
    }
}
