//! Why the state machine does not let an event count. The event stays in its author's chain: it was said, and it changes nothing.

use crate::{
    event::Author,
    fact::{Kind, reason::HoldReason},
    id::{EventId, Uid},
    phase::{Phase, Stage},
};

/// The reason, with what was expected and what came.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("{kind} can not be stated by {author}")]
    NotByThisAuthor { kind: Kind, author: Author },
    #[error("{kind} does not follow {phase}")]
    OutOfPlace { kind: Kind, phase: Phase },
    #[error("{kind} is refused while the parcel is on hold")]
    Held { kind: Kind },
    #[error("the event is of attempt {got}, this is attempt {expected}")]
    WrongAttempt { expected: u32, got: u32 },
    #[error("the carrier of this delivery is {expected:?}, not {got}")]
    NotTheCarrier { expected: Option<Uid>, got: Uid },
    #[error("the job is assigned to {expected}, not to {got}")]
    NotAssigned { expected: Uid, got: Uid },
    #[error("this carrier has accepted this attempt already")]
    AlreadyAccepted,
    #[error("the parcel was handed over already")]
    AlreadyHandedOver,
    #[error("the parcel is not handed over yet")]
    NotHandedOver,
    #[error("the parcel is with the seller")]
    NotAway,
    #[error("the parcel has left the seller")]
    Away,
    #[error("carrier {carrier} has not accepted this attempt")]
    NotAcceptedBy { carrier: Uid },
    #[error("the terms' {field} changed after the first hand-over")]
    TermsChanged { field: &'static str },
    #[error("the {stage} part is not due: {}", due_text(*.due))]
    StageNotDue { stage: Stage, due: Option<Stage> },
    #[error("the {stage} part is not released")]
    StageNotReleased { stage: Stage },
    #[error("the {stage} part is posted already")]
    AlreadyPosted { stage: Stage },
    #[error("what was posted for the {stage} part is not the address committed to now")]
    StaleAddress { stage: Stage },
    #[error("the door part stays closed: {0}")]
    Gate(GateRefusal),
    #[error(
        "repeated scans are told together: the next one with this outcome after {at_least} tries, this has {tries}"
    )]
    NotCoalesced { tries: u32, at_least: u32 },
    #[error("event {event} is not what this event takes it for")]
    UnknownReference { event: EventId },
    #[error("the code is not the recipient's")]
    WrongReceiptCode,
    #[error("all {max} attempts are used")]
    NoAttemptsLeft { max: u32 },
    #[error("the parcel is not on hold")]
    NotHeld,
    #[error("a hold by the {by} for {reason} is not ended this way")]
    NotYourHold { by: Author, reason: HoldReason },
    #[error("the job is this carrier's already")]
    SameCarrier,
    #[error("the address is the same as before")]
    SameAddress,
    #[error("the parcel was given back already")]
    AlreadyGivenBack,
    #[error("event {event} is not its author's own last step, or can not be taken back")]
    NotCorrectable { event: EventId },
}

impl Refusal {
    /// All names there are.
    pub const CODES: &'static [&'static str] = &[
        "NotByThisAuthor",
        "OutOfPlace",
        "Held",
        "WrongAttempt",
        "NotTheCarrier",
        "NotAssigned",
        "AlreadyAccepted",
        "AlreadyHandedOver",
        "NotHandedOver",
        "NotAway",
        "Away",
        "NotAcceptedBy",
        "TermsChanged",
        "StageNotDue",
        "StageNotReleased",
        "AlreadyPosted",
        "StaleAddress",
        "Gate",
        "NotCoalesced",
        "UnknownReference",
        "WrongReceiptCode",
        "NoAttemptsLeft",
        "NotHeld",
        "NotYourHold",
        "SameCarrier",
        "SameAddress",
        "AlreadyGivenBack",
        "NotCorrectable",
    ];

    /// Its name: stable, for metrics and for comparing verifiers.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::NotByThisAuthor { .. } => "NotByThisAuthor",
            Self::OutOfPlace { .. } => "OutOfPlace",
            Self::Held { .. } => "Held",
            Self::WrongAttempt { .. } => "WrongAttempt",
            Self::NotTheCarrier { .. } => "NotTheCarrier",
            Self::NotAssigned { .. } => "NotAssigned",
            Self::AlreadyAccepted => "AlreadyAccepted",
            Self::AlreadyHandedOver => "AlreadyHandedOver",
            Self::NotHandedOver => "NotHandedOver",
            Self::NotAway => "NotAway",
            Self::Away => "Away",
            Self::NotAcceptedBy { .. } => "NotAcceptedBy",
            Self::TermsChanged { .. } => "TermsChanged",
            Self::StageNotDue { .. } => "StageNotDue",
            Self::StageNotReleased { .. } => "StageNotReleased",
            Self::AlreadyPosted { .. } => "AlreadyPosted",
            Self::StaleAddress { .. } => "StaleAddress",
            Self::Gate(_) => "Gate",
            Self::NotCoalesced { .. } => "NotCoalesced",
            Self::UnknownReference { .. } => "UnknownReference",
            Self::WrongReceiptCode => "WrongReceiptCode",
            Self::NoAttemptsLeft { .. } => "NoAttemptsLeft",
            Self::NotHeld => "NotHeld",
            Self::NotYourHold { .. } => "NotYourHold",
            Self::SameCarrier => "SameCarrier",
            Self::SameAddress => "SameAddress",
            Self::AlreadyGivenBack => "AlreadyGivenBack",
            Self::NotCorrectable { .. } => "NotCorrectable",
        }
    }
}

/// Why the door part stays closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum GateRefusal {
    #[error("only the door part has a gate, and it has one")]
    Misplaced,
    #[error("the terms ask for a scan of the label")]
    ScanAsked,
    #[error("event {0} is no successful scan of this attempt")]
    UnknownScan(EventId),
    #[error("scan {0} was refused")]
    ScanRefused(EventId),
    #[error("event {0} is no incident of this attempt that was reported in the knowledge of every mismatch")]
    UnknownIncident(EventId),
}

fn due_text(due: Option<Stage>) -> String {
    due.map_or_else(|| "no part is due".to_owned(), |stage| format!("the {stage} part is"))
}
