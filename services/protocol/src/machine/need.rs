//! What a row of the table asks for besides author and phase. Each need looks at the state and the event and nothing else.

use crate::{
    event::Author,
    fact::{Fact, Gate, ScanOutcome, Terms},
    id::Hash,
    label::receipt_hash,
    machine::{
        Input, Step,
        refusal::{GateRefusal, Refusal},
        state::State,
    },
    phase::Stage,
};

/// One condition of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Need {
    NextAttempt,
    Assigned,
    NewCandidate,
    NotHandedOver,
    TermsFit,
    SeenHandOver,
    StageDue,
    GateOpen,
    StageReleased,
    CurrentAddress,
    NewAddress,
    Coalesced,
    KnownScan,
    ReceiptFits,
    AttemptsLeft,
    Away,
    NotAway,
    NotGivenBack,
    Held,
    MayHold,
    MayResume,
    OtherCarrier,
    OwnLastStep,
}

impl Need {
    pub const ALL: [Self; 23] = [
        Self::NextAttempt,
        Self::Assigned,
        Self::NewCandidate,
        Self::NotHandedOver,
        Self::TermsFit,
        Self::SeenHandOver,
        Self::StageDue,
        Self::GateOpen,
        Self::StageReleased,
        Self::CurrentAddress,
        Self::NewAddress,
        Self::Coalesced,
        Self::KnownScan,
        Self::ReceiptFits,
        Self::AttemptsLeft,
        Self::Away,
        Self::NotAway,
        Self::NotGivenBack,
        Self::Held,
        Self::MayHold,
        Self::MayResume,
        Self::OtherCarrier,
        Self::OwnLastStep,
    ];

    pub(super) fn check(self, state: &State, steps: &[Step], input: &Input<'_>) -> Result<(), Refusal> {
        let ok = |held: bool, refusal: Refusal| if held { Ok(()) } else { Err(refusal) };
        let standing = &state.standing;
        match self {
            // Compared with the attempt before every row: see `Machine::step`.
            Self::NextAttempt => Ok(()),
            Self::Assigned => assigned(state, input),
            Self::NewCandidate => ok(state.acceptance_of(input.uid).is_none(), Refusal::AlreadyAccepted),
            Self::NotHandedOver => ok(standing.handed_over.is_none(), Refusal::AlreadyHandedOver),
            Self::TermsFit => terms_fit(state, input),
            Self::SeenHandOver => {
                let seen = standing.handed_over.is_some_and(|seq| input.seen.is_some_and(|seen| seen >= seq));
                ok(seen, Refusal::NotHandedOver)
            }
            Self::StageDue => stage_due(state, input),
            Self::GateOpen => gate_open(state, input),
            Self::StageReleased => stage_released(state, input),
            Self::CurrentAddress => current_address(state, input),
            Self::NewAddress => new_address(state, input),
            Self::Coalesced => coalesced(state, input),
            Self::KnownScan => known_scan(state, input),
            Self::ReceiptFits => receipt_fits(state, input),
            Self::AttemptsLeft => {
                let max = standing.terms.as_ref().map_or(0, |terms| terms.max_attempts);
                ok(state.attempts_left(), Refusal::NoAttemptsLeft { max })
            }
            Self::Away => ok(standing.away, Refusal::NotAway),
            Self::NotAway => ok(!standing.away, Refusal::Away),
            Self::NotGivenBack => ok(!standing.given_back, Refusal::AlreadyGivenBack),
            Self::Held => ok(standing.hold.is_some(), Refusal::NotHeld),
            Self::MayHold => may_hold(state, input),
            Self::MayResume => may_resume(state, input),
            Self::OtherCarrier => other_carrier(state, input),
            Self::OwnLastStep => own_last_step(steps, input),
        }
    }

    /// What it asks for, in the words of `docs/proof-format.md`.
    pub const fn says(self) -> &'static str {
        match self {
            Self::NextAttempt => "the event's attempt is `attempt` plus 1",
            Self::Assigned => "the author's uid is `assigned`, or `carrier` if that is none; anyone's if both are none",
            Self::NewCandidate => "the author's uid is not among the acceptances",
            Self::NotHandedOver => "`handed_over` is none",
            Self::TermsFit => {
                "terms.carrier is among the acceptances (NotAcceptedBy); if there are `terms`, upc, max_attempts and commitments are the same as there, and photo and scan too if the carrier is"
            }
            Self::SeenHandOver => {
                "there is a `handed_over`, and the event's seen names an event of the Seller with that seq or a larger one"
            }
            Self::StageDue => {
                "the part is Country if `released` is none, else `posted` is `released` and the part is the one after it (StageNotDue); gate is present for Door and absent otherwise (Gate)"
            }
            Self::GateOpen => {
                "gate is NotAsked and the terms ask for no scan; or it is Scan and names one of `scans` with outcome Read that is not refused; or it is Incident and names one of `incidents`"
            }
            Self::StageReleased => {
                "`posted` is neither the part nor a later one (AlreadyPosted), and `released` is the part (StageNotReleased)"
            }
            Self::CurrentAddress => "commitment is that of the part in `commitments`",
            Self::NewAddress => "there are `commitments` (NotHandedOver) and the new ones differ (SameAddress)",
            Self::Coalesced => {
                "tries is larger than that of each of `scans`; if the outcome is Read, none of `scans` has the same mac; else tries is at least twice that of the last of `scans` with the same outcome"
            }
            Self::KnownScan => "scan names one of `scans` with outcome Read that is not refused",
            Self::ReceiptFits => "the terms have a receipt, and it is the receipt hash of the code",
            Self::AttemptsLeft => "`spent` is below the terms' max_attempts, or there are no terms",
            Self::Away => "`away`",
            Self::NotAway => "not `away`",
            Self::NotGivenBack => "not `given_back`",
            Self::Held => "there is a hold",
            Self::MayHold => "there is no hold, or the author is Seller",
            Self::MayResume => {
                "there is a hold (NotHeld), its reason ends no carrier's word, and the author is Seller or the hold's author (NotYourHold)"
            }
            Self::OtherCarrier => "carrier is not `assigned`, or `carrier` if that is none",
            Self::OwnLastStep => {
                "the event named is the last step, is of the same author and uid, and its row is correctable"
            }
        }
    }

    /// The code of the refusal where it does not hold, several where it can fail in several ways.
    pub const fn refusal(self) -> &'static str {
        match self {
            Self::NextAttempt => "WrongAttempt",
            Self::Assigned => "NotAssigned",
            Self::NewCandidate => "AlreadyAccepted",
            Self::NotHandedOver => "AlreadyHandedOver",
            Self::TermsFit => "NotAcceptedBy, TermsChanged",
            Self::SeenHandOver => "NotHandedOver",
            Self::StageDue => "StageNotDue, Gate",
            Self::GateOpen => "Gate",
            Self::StageReleased => "AlreadyPosted, StageNotReleased",
            Self::CurrentAddress => "StaleAddress",
            Self::NewAddress => "NotHandedOver, SameAddress",
            Self::Coalesced => "NotCoalesced",
            Self::KnownScan => "UnknownReference",
            Self::ReceiptFits => "WrongReceiptCode",
            Self::AttemptsLeft => "NoAttemptsLeft",
            Self::Away => "NotAway",
            Self::NotAway => "Away",
            Self::NotGivenBack => "AlreadyGivenBack",
            Self::Held => "NotHeld",
            Self::MayHold => "NotYourHold",
            Self::MayResume => "NotHeld, NotYourHold",
            Self::OtherCarrier => "SameCarrier",
            Self::OwnLastStep => "NotCorrectable",
        }
    }
}

fn assigned(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    match state.standing.assigned.as_ref().or(state.standing.carrier.as_ref()) {
        Some(expected) if expected != input.uid => {
            Err(Refusal::NotAssigned { expected: expected.clone(), got: input.uid.clone() })
        }
        _ => Ok(()),
    }
}

fn terms_fit(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::HandedOver { terms } = input.fact else { return Ok(()) };
    if state.acceptance_of(&terms.carrier).is_none() {
        return Err(Refusal::NotAcceptedBy { carrier: terms.carrier.clone() });
    }
    match &state.standing.terms {
        Some(before) => terms_kept(before, terms),
        None => Ok(()),
    }
}

fn terms_kept(before: &Terms, now: &Terms) -> Result<(), Refusal> {
    let same_carrier = before.carrier == now.carrier;
    let kept = [
        ("upc", before.upc == now.upc),
        ("max_attempts", before.max_attempts == now.max_attempts),
        ("photo", !same_carrier || before.photo == now.photo),
        ("scan", !same_carrier || before.scan == now.scan),
        // Another address is said by AddressChanged and by nothing else.
        ("commitments", before.commitments == now.commitments),
    ];
    match kept.into_iter().find(|(_, kept)| !kept) {
        Some((field, _)) => Err(Refusal::TermsChanged { field }),
        None => Ok(()),
    }
}

fn stage_due(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::Released { stage, gate } = input.fact else { return Ok(()) };
    let due = state.due_regardless_of_gate();
    if due != Some(*stage) {
        return Err(Refusal::StageNotDue { stage: *stage, due });
    }
    if gate.is_some() != (*stage == Stage::Door) {
        return Err(Refusal::Gate(GateRefusal::Misplaced));
    }
    Ok(())
}

fn gate_open(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::Released { gate: Some(gate), .. } = input.fact else { return Ok(()) };
    let asked = state.standing.terms.as_ref().is_some_and(|terms| terms.scan);
    let refused = match gate {
        Gate::NotAsked if asked => GateRefusal::ScanAsked,
        Gate::Scan { scan } => match readable_scan(state, scan) {
            Some(false) => return Ok(()),
            Some(true) => GateRefusal::ScanRefused(*scan),
            None => GateRefusal::UnknownScan(*scan),
        },
        Gate::Incident { incident } if !state.incidents.contains(incident) => GateRefusal::UnknownIncident(*incident),
        Gate::NotAsked | Gate::Incident { .. } => return Ok(()),
    };
    Err(Refusal::Gate(refused))
}

/// Whether a scan that read a label was refused; None if there is no such scan in this attempt.
fn readable_scan(state: &State, event: &Hash) -> Option<bool> {
    let scan = state.scans.iter().find(|scan| scan.event == *event)?;
    matches!(scan.outcome, ScanOutcome::Read { .. }).then_some(scan.refused)
}

fn stage_released(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::Posted { stage, .. } = *input.fact else { return Ok(()) };
    if state.standing.posted.is_some_and(|posted| posted >= stage) {
        return Err(Refusal::AlreadyPosted { stage });
    }
    if state.standing.released == Some(stage) { Ok(()) } else { Err(Refusal::StageNotReleased { stage }) }
}

fn current_address(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::Posted { stage, commitment } = *input.fact else { return Ok(()) };
    let current = state.standing.commitments.as_ref().map(|commitments| commitments.of(stage));
    if current == Some(commitment) { Ok(()) } else { Err(Refusal::StaleAddress { stage }) }
}

fn new_address(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::AddressChanged { commitments } = input.fact else { return Ok(()) };
    let before = state.standing.commitments.as_ref().ok_or(Refusal::NotHandedOver)?;
    before.first_difference(commitments).map(|_| ()).ok_or(Refusal::SameAddress)
}

fn coalesced(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::Scanned { outcome, tries } = *input.fact else { return Ok(()) };
    let all = state.scans.iter().map(|scan| scan.tries + 1).max().unwrap_or(1);
    let same = state.scans.iter().rev().find(|scan| scan.outcome == outcome);
    let at_least = match (outcome, same) {
        // The seller has this answer already; no number of tries makes it another one.
        (ScanOutcome::Read { .. }, Some(_)) => u32::MAX,
        (_, Some(scan)) => all.max(scan.tries.saturating_mul(2)),
        (_, None) => all,
    };
    if tries >= at_least && at_least != u32::MAX { Ok(()) } else { Err(Refusal::NotCoalesced { tries, at_least }) }
}

fn known_scan(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::ScanRefused { scan } = input.fact else { return Ok(()) };
    match readable_scan(state, scan) {
        Some(false) => Ok(()),
        _ => Err(Refusal::UnknownReference { event: *scan }),
    }
}

fn receipt_fits(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::ReceiptProved { code } = input.fact else { return Ok(()) };
    let expected = state.standing.terms.as_ref().and_then(|terms| terms.receipt);
    let fits = expected.is_some_and(|expected| receipt_hash(input.delivery, code) == expected);
    if fits { Ok(()) } else { Err(Refusal::WrongReceiptCode) }
}

fn may_hold(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    match state.standing.hold {
        Some(hold) if input.author != Author::Seller => Err(Refusal::NotYourHold { by: hold.by, reason: hold.reason }),
        _ => Ok(()),
    }
}

fn may_resume(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let hold = state.standing.hold.ok_or(Refusal::NotHeld)?;
    let own = input.author == Author::Seller || input.author == hold.by;
    if own && !hold.reason.cuts_carrier() {
        return Ok(());
    }
    Err(Refusal::NotYourHold { by: hold.by, reason: hold.reason })
}

fn other_carrier(state: &State, input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::CarrierAssigned { carrier } = input.fact else { return Ok(()) };
    let current = state.standing.assigned.as_ref().or(state.standing.carrier.as_ref());
    if current == Some(carrier) { Err(Refusal::SameCarrier) } else { Ok(()) }
}

fn own_last_step(steps: &[Step], input: &Input<'_>) -> Result<(), Refusal> {
    let Fact::Corrected { event, .. } = input.fact else { return Ok(()) };
    let own = steps.last().is_some_and(|step| {
        step.event == *event && step.correctable && step.author == input.author && step.uid == *input.uid
    });
    if own { Ok(()) } else { Err(Refusal::NotCorrectable { event: *event }) }
}
