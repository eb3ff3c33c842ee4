//! The one table: which fact, by whom, in which phase, leads where, and which part of the address is open after it.
//!
//! A row reads: *kind* (of which), *by* whom, *from* these phases, *to* that one, if all *needs* hold. What no row allows is refused.
//! `docs/proof-format.md` shows the same table; a test keeps the two equal.

use std::collections::BTreeSet;

use crate::{
    event::Author,
    fact::{Kind, reason::DeclaredFact},
    machine::need::Need,
    phase::{Phase, Stage},
};

/// One line of the table.
#[derive(Debug, Clone, Copy)]
pub struct Row {
    pub kind: Kind,
    /// Which facts of this kind it is about.
    pub of: Of,
    pub by: &'static [Author],
    /// Phases beneath a hold: a hold lies over a phase and does not replace it.
    pub from: &'static [Phase],
    pub to: To,
    /// All must hold.
    pub needs: &'static [Need],
    /// What is open of the address afterwards.
    pub stage: StageAfter,
    /// What a hold does to it, and it to a hold.
    pub on_hold: OnHold,
    /// What becomes of it when its author could not know that the seller had moved on.
    pub late: Late,
    /// Whether its author can take it back while nothing followed.
    pub correctable: bool,
}

/// Which facts of a kind a row is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Of {
    All,
    /// Those about this part of the address.
    Stage(Stage),
    /// Those that countersign this.
    Declared(DeclaredFact),
}

/// Where a row leads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum To {
    Phase(Phase),
    Stays,
    /// A hold lies over the phase from now on.
    Hold,
    /// The phase beneath the hold shows again.
    Resume,
    /// To where the corrected event came from.
    Before,
}

/// What is open of the address after a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StageAfter {
    /// What was open before it.
    Stays,
    /// Nothing: no attempt runs.
    Closed,
    /// Nothing yet: an attempt begins to run.
    Begins,
    /// The part the event names.
    Opens,
    /// Nothing from the first changed part on.
    Narrows,
    /// What was open before the corrected event.
    Before,
}

/// A row and a hold.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OnHold {
    /// Refused while the parcel waits.
    Refused,
    /// Allowed; the parcel still waits.
    Stays,
    /// Allowed; the wait is over.
    Ends,
}

/// A carrier's fact that came after a step of the seller its author had not seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Late {
    /// It stands in the log and changes nothing.
    Noted,
    /// It counts as if it had come in time, unless the delivery is over.
    Counts,
}

const S: &[Author] = &[Author::Seller];
const T: &[Author] = &[Author::Transport];
const ST: &[Author] = &[Author::Seller, Author::Transport];
const P: &[Author] = &[Author::Person];
const ANYONE: &[Author] = &Author::ALL;

const ANY_PHASE: &[Phase] = &Phase::ALL;
/// The carrier has the parcel and the attempt runs.
const RUNNING: &[Phase] = &[Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery];
/// The parcel is out there and nothing is decided.
const UNDER_WAY: &[Phase] = &[
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::AttemptFailed,
    Phase::Rescheduled,
];
/// The parcel is out there.
const AWAY: &[Phase] = &[
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::AttemptFailed,
    Phase::Rescheduled,
    Phase::Refused,
    Phase::Damaged,
    Phase::ReturnToSender,
];
/// As [`AWAY`], where sending it back is still a decision.
const RETURNABLE: &[Phase] = &[
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::AttemptFailed,
    Phase::Rescheduled,
    Phase::Refused,
    Phase::Damaged,
];
/// What a hold can lie over.
const HOLDABLE: &[Phase] = &[
    Phase::Accepted,
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::AttemptFailed,
    Phase::Rescheduled,
    Phase::Refused,
    Phase::Damaged,
    Phase::ReturnToSender,
];
/// Where another carrier takes over only while the parcel is on hold.
const ON_HOLD_ONLY: &[Phase] = &[
    Phase::Accepted,
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::Refused,
    Phase::Damaged,
    Phase::ReturnToSender,
];
const CANCELLABLE_AWAY: &[Phase] = &[
    Phase::Accepted,
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::AttemptFailed,
    Phase::Rescheduled,
    Phase::Refused,
    Phase::Damaged,
];
/// Everything a photo or an erasure can follow.
const AFTER_PICK_UP: &[Phase] = &[
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::Delivered,
    Phase::AttemptFailed,
    Phase::Rescheduled,
    Phase::Refused,
    Phase::Damaged,
    Phase::Lost,
    Phase::ReturnToSender,
    Phase::Returned,
];
const AFTER_PENDING: &[Phase] = &[
    Phase::Accepted,
    Phase::PickedUp,
    Phase::InTransit,
    Phase::OutForDelivery,
    Phase::AvailableForPickup,
    Phase::Delivered,
    Phase::AttemptFailed,
    Phase::Rescheduled,
    Phase::Refused,
    Phase::Damaged,
    Phase::Lost,
    Phase::ReturnToSender,
    Phase::Returned,
    Phase::Cancelled,
];
const TERMINAL: &[Phase] = &[Phase::Delivered, Phase::Returned, Phase::Lost, Phase::Cancelled];

/// The state machine. Nothing else decides a phase or opens a part of the address.
#[rustfmt::skip]
pub const TABLE: &[Row] = &[
    // The job is taken and the parcel handed over.
    row(Kind::Accepted, T, &[Phase::Pending, Phase::Rescheduled]).to(Phase::Accepted).needs(&[Need::NextAttempt, Need::Assigned]).closes().refused_on_hold(),
    row(Kind::Accepted, T, &[Phase::Accepted]).needs(&[Need::NotHandedOver, Need::NewCandidate, Need::Assigned]).refused_on_hold(),
    row(Kind::Rekeyed, T, &[Phase::Accepted, Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery]),
    row(Kind::KeyRotated, ANYONE, ANY_PHASE),
    row(Kind::HandedOver, S, &[Phase::Accepted]).needs(&[Need::NotHandedOver, Need::TermsFit]).refused_on_hold(),
    row(Kind::PickedUp, T, &[Phase::Accepted]).to(Phase::PickedUp).needs(&[Need::SeenHandOver]).begins(),
    // The three parts of the address.
    row(Kind::Released, S, &[Phase::PickedUp, Phase::InTransit]).of(Stage::Country).needs(&[Need::StageDue]).opens().refused_on_hold(),
    row(Kind::Posted, T, &[Phase::PickedUp, Phase::InTransit]).of(Stage::Country).to(Phase::InTransit).needs(&[Need::StageReleased, Need::CurrentAddress]),
    row(Kind::Released, S, &[Phase::InTransit]).of(Stage::PostalCode).needs(&[Need::StageDue]).opens().refused_on_hold(),
    row(Kind::Posted, T, &[Phase::InTransit]).of(Stage::PostalCode).needs(&[Need::StageReleased, Need::CurrentAddress]),
    row(Kind::Scanned, T, RUNNING).needs(&[Need::Coalesced]),
    row(Kind::ScanRefused, S, RUNNING).needs(&[Need::KnownScan]),
    row(Kind::Released, S, &[Phase::InTransit]).of(Stage::Door).to(Phase::OutForDelivery).needs(&[Need::StageDue, Need::GateOpen]).opens().refused_on_hold(),
    row(Kind::AddressChanged, S, &[Phase::Accepted, Phase::PickedUp, Phase::InTransit, Phase::AvailableForPickup, Phase::AttemptFailed, Phase::Rescheduled]).needs(&[Need::NewAddress]).narrows(),
    row(Kind::AddressChanged, S, &[Phase::OutForDelivery]).to(Phase::InTransit).needs(&[Need::NewAddress]).narrows(),
    // Arrival and its proofs.
    row(Kind::Delivered, T, &[Phase::OutForDelivery, Phase::AvailableForPickup]).to(Phase::Delivered).closes().ends_hold().counts_late().correctable(),
    row(Kind::ProofAttached, T, AFTER_PICK_UP),
    row(Kind::ReceiptProved, T, &[Phase::OutForDelivery, Phase::AvailableForPickup, Phase::Delivered]).needs(&[Need::ReceiptFits]),
    // What goes wrong.
    row(Kind::IncidentReported, T, AWAY),
    row(Kind::AttemptFailed, T, &[Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery, Phase::AvailableForPickup]).to(Phase::AttemptFailed).closes().correctable(),
    row(Kind::Rescheduled, S, &[Phase::AttemptFailed, Phase::AvailableForPickup, Phase::Refused, Phase::Damaged]).to(Phase::Rescheduled).needs(&[Need::AttemptsLeft]).closes().refused_on_hold(),
    row(Kind::AvailableForPickup, T, &[Phase::InTransit, Phase::OutForDelivery, Phase::AttemptFailed, Phase::Rescheduled]).to(Phase::AvailableForPickup).closes().correctable(),
    row(Kind::Refused, T, UNDER_WAY).to(Phase::Refused).closes().correctable(),
    row(Kind::Damaged, T, &[Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery, Phase::AvailableForPickup, Phase::AttemptFailed, Phase::Rescheduled, Phase::Refused, Phase::ReturnToSender]).to(Phase::Damaged).closes().correctable(),
    row(Kind::Lost, ST, AWAY).to(Phase::Lost).closes().ends_hold().correctable(),
    row(Kind::Lost, S, &[Phase::Accepted]).to(Phase::Lost).needs(&[Need::Away]).closes().ends_hold().correctable(),
    row(Kind::Found, ST, &[Phase::Lost]),
    // Waiting.
    row(Kind::OnHold, ST, HOLDABLE).to_hold().needs(&[Need::MayHold]),
    row(Kind::Resumed, ST, HOLDABLE).resumes().needs(&[Need::MayResume]),
    // Back to the seller.
    row(Kind::Cancelled, S, &[Phase::Pending, Phase::Accepted, Phase::Rescheduled]).to(Phase::Cancelled).needs(&[Need::NotAway]).closes().ends_hold(),
    row(Kind::Cancelled, S, CANCELLABLE_AWAY).to(Phase::ReturnToSender).needs(&[Need::Away]).closes().ends_hold(),
    row(Kind::ReturnRequested, S, RETURNABLE).to(Phase::ReturnToSender).needs(&[Need::Away]).closes().ends_hold(),
    row(Kind::GivenBack, T, &[Phase::ReturnToSender]).needs(&[Need::NotGivenBack]).correctable(),
    row(Kind::ReturnReceived, S, &[Phase::ReturnToSender]).to(Phase::Returned).closes().ends_hold().correctable(),
    // To another carrier.
    row(Kind::CarrierAssigned, S, &[Phase::AttemptFailed, Phase::Rescheduled]).to(Phase::Rescheduled).needs(&[Need::OtherCarrier]).closes().ends_hold(),
    row(Kind::CarrierAssigned, S, ON_HOLD_ONLY).to(Phase::Rescheduled).needs(&[Need::Held, Need::OtherCarrier]).closes().ends_hold(),
    // The word of a person, and what the seller lets it mean.
    row(Kind::Declared, P, AFTER_PENDING),
    row(Kind::Countersigned, S, AWAY).of_declared(DeclaredFact::Delivered).to(Phase::Delivered).closes().ends_hold().correctable(),
    row(Kind::Countersigned, S, &[Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery, Phase::AvailableForPickup]).of_declared(DeclaredFact::AttemptFailed).to(Phase::AttemptFailed).closes().correctable(),
    row(Kind::Countersigned, S, UNDER_WAY).of_declared(DeclaredFact::Refused).to(Phase::Refused).closes().correctable(),
    row(Kind::Countersigned, S, &[Phase::PickedUp, Phase::InTransit, Phase::OutForDelivery, Phase::AvailableForPickup, Phase::AttemptFailed, Phase::Rescheduled, Phase::Refused, Phase::ReturnToSender]).of_declared(DeclaredFact::Damaged).to(Phase::Damaged).closes().correctable(),
    row(Kind::Countersigned, S, AWAY).of_declared(DeclaredFact::Lost).to(Phase::Lost).closes().ends_hold().correctable(),
    row(Kind::Countersigned, S, &[Phase::Lost]).of_declared(DeclaredFact::Found),
    row(Kind::Countersigned, S, &[Phase::ReturnToSender]).of_declared(DeclaredFact::GivenBack).needs(&[Need::NotGivenBack]).correctable(),
    row(Kind::Countersigned, S, AWAY).of_declared(DeclaredFact::Incident),
    // Mending and forgetting.
    row(Kind::Corrected, ST, ANY_PHASE).before().needs(&[Need::OwnLastStep]),
    row(Kind::Erased, T, AFTER_PENDING),
    row(Kind::Forgotten, S, TERMINAL),
];

/// The phases that can directly follow, as they are shown. What is not here is reached only by a `Corrected` event.
pub fn followers(shown: Phase) -> BTreeSet<Phase> {
    TABLE.iter().flat_map(|row| row.leads(shown)).copied().filter(|to| *to != shown).collect()
}

const fn row(kind: Kind, by: &'static [Author], from: &'static [Phase]) -> Row {
    Row {
        kind,
        of: Of::All,
        by,
        from,
        to: To::Stays,
        needs: &[],
        stage: StageAfter::Stays,
        on_hold: OnHold::Stays,
        late: Late::Noted,
        correctable: false,
    }
}

impl Row {
    /// Where it leads from a phase as it is shown.
    fn leads(&self, shown: Phase) -> &[Phase] {
        let possible = match shown {
            Phase::OnHold => self.on_hold == OnHold::Ends,
            _ => self.from.contains(&shown) && !self.needs.contains(&Need::Held),
        };
        match (&self.to, shown) {
            (To::Phase(to), _) if possible => core::slice::from_ref(to),
            (To::Hold, _) if possible => &[Phase::OnHold],
            (To::Resume, Phase::OnHold) => self.from,
            _ => &[],
        }
    }

    const fn of(self, stage: Stage) -> Self {
        Self { of: Of::Stage(stage), ..self }
    }

    const fn of_declared(self, fact: DeclaredFact) -> Self {
        Self { of: Of::Declared(fact), ..self }
    }

    const fn to(self, phase: Phase) -> Self {
        Self { to: To::Phase(phase), ..self }
    }

    const fn before(self) -> Self {
        Self { to: To::Before, stage: StageAfter::Before, ..self }
    }

    const fn needs(self, needs: &'static [Need]) -> Self {
        Self { needs, ..self }
    }

    const fn closes(self) -> Self {
        Self { stage: StageAfter::Closed, ..self }
    }

    const fn begins(self) -> Self {
        Self { stage: StageAfter::Begins, ..self }
    }

    const fn opens(self) -> Self {
        Self { stage: StageAfter::Opens, ..self }
    }

    const fn narrows(self) -> Self {
        Self { stage: StageAfter::Narrows, ..self }
    }

    const fn refused_on_hold(self) -> Self {
        Self { on_hold: OnHold::Refused, ..self }
    }

    const fn ends_hold(self) -> Self {
        Self { on_hold: OnHold::Ends, ..self }
    }

    const fn to_hold(self) -> Self {
        Self { to: To::Hold, ..self }
    }

    const fn resumes(self) -> Self {
        Self { to: To::Resume, on_hold: OnHold::Ends, ..self }
    }

    const fn counts_late(self) -> Self {
        Self { late: Late::Counts, ..self }
    }

    const fn correctable(self) -> Self {
        Self { correctable: true, ..self }
    }
}
