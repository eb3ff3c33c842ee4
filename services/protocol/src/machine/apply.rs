//! What an event that counts leaves behind: phase, hold and stage as its row says, and the marks of the fact itself.

use super::{
    Input, Of, OnHold, Row, StageAfter, To,
    state::{Acceptance, Hold, Proof, Scan, Standing, State},
};
use crate::{
    commitment::Commitments,
    fact::{Fact, ScanOutcome, Terms, reason::DeclaredFact},
    phase::{Phase, Stage},
};

pub(super) fn apply(state: &mut State, row: &Row, input: &Input<'_>) {
    forget_former_attempt(state, input);
    let standing = &mut state.standing;
    if row.on_hold == OnHold::Ends {
        standing.hold = None;
    }
    if row.stage == StageAfter::Closed {
        close(standing, row.to);
    }
    if let To::Phase(phase) = row.to {
        standing.base = phase;
    }
    if row.stage == StageAfter::Begins {
        standing.running = true;
    }
    mark_standing(standing, row, input);
    mark_records(state, input);
}

/// What was said about an attempt counts in that attempt only.
fn forget_former_attempt(state: &mut State, input: &Input<'_>) {
    let another = matches!(input.fact, Fact::Accepted { .. }) && input.attempt != state.standing.attempt;
    if another {
        state.scans.clear();
        state.incidents.clear();
        state.refusal = None;
    }
    if another || matches!(input.fact, Fact::CarrierAssigned { .. }) {
        state.acceptances.clear();
    }
}

/// An attempt that ends is over for good: what was open closes, and if it ended without delivery it is spent.
fn close(standing: &mut Standing, to: To) {
    standing.running = false;
    standing.released = None;
    standing.posted = None;
    standing.released_by = None;
    let spends =
        matches!(to, To::Phase(Phase::AttemptFailed | Phase::AvailableForPickup | Phase::Refused | Phase::Damaged));
    if spends && standing.last_spent != standing.attempt {
        standing.last_spent = standing.attempt;
        standing.spent += 1;
    }
}

fn mark_standing(standing: &mut Standing, row: &Row, input: &Input<'_>) {
    match input.fact {
        Fact::Accepted { .. } => {
            standing.attempt = input.attempt;
            standing.handed_over = None;
        }
        Fact::HandedOver { terms } => hand_over(standing, terms, input.seq),
        Fact::Released { stage, .. } => (standing.released, standing.released_by) = (Some(*stage), Some(input.id)),
        Fact::Posted { stage, .. } => standing.posted = Some(*stage),
        Fact::OnHold { reason, .. } => standing.hold = Some(Hold { by: input.author, reason: *reason }),
        Fact::GivenBack => standing.given_back = true,
        Fact::Countersigned { .. } if row.of == Of::Declared(DeclaredFact::GivenBack) => standing.given_back = true,
        Fact::ReturnReceived => standing.away = false,
        Fact::AddressChanged { commitments } => change_address(standing, commitments),
        Fact::CarrierAssigned { carrier } => {
            standing.assigned = Some(carrier.clone());
            standing.carrier = None;
            standing.handed_over = None;
        }
        _ => {}
    }
}

fn hand_over(standing: &mut Standing, terms: &Terms, seq: u32) {
    standing.handed_over = Some(seq);
    standing.carrier = Some(terms.carrier.clone());
    standing.assigned = None;
    standing.commitments = Some(terms.commitments);
    standing.terms = Some(terms.clone());
    standing.away = true;
    standing.given_back = false;
}

/// Whatever was released of the part that changed, or after it, has to be released and posted again.
fn change_address(standing: &mut Standing, commitments: &Commitments) {
    let before = standing.commitments.replace(*commitments);
    if let Some(changed) = before.and_then(|before| before.first_difference(commitments)) {
        let kept = changed.previous();
        let narrow = |open: Option<Stage>| open.min(kept);
        standing.released = narrow(standing.released);
        standing.posted = narrow(standing.posted);
    }
    if let Some(terms) = &mut standing.terms {
        terms.commitments = *commitments;
    }
}

/// Whether its author had seen every refusal of this attempt.
fn knows_of_refusal(state: &State, input: &Input<'_>) -> bool {
    state.refusal.is_none_or(|refusal| input.seen.is_some_and(|seen| seen >= refusal))
}

fn mark_records(state: &mut State, input: &Input<'_>) {
    let event = input.id;
    match *input.fact {
        Fact::Accepted { attempt_key, nonce, protocol } => {
            state.acceptances.push(Acceptance { carrier: input.uid.clone(), event, attempt_key, nonce, protocol });
        }
        Fact::Rekeyed { attempt_key, nonce } => {
            let own = state.acceptances.iter_mut().find(|acceptance| acceptance.carrier == *input.uid);
            if let Some(acceptance) = own {
                (acceptance.attempt_key, acceptance.nonce) = (attempt_key, nonce);
            }
        }
        Fact::Scanned { outcome, tries } => {
            state.scans.push(Scan { event, outcome, tries, refused: false });
            if outcome == ScanOutcome::WrongParcel {
                state.incidents.clear();
            }
        }
        Fact::ScanRefused { scan } => {
            state.scans.iter_mut().filter(|known| known.event == scan).for_each(|known| known.refused = true);
            // What was said before nobody meant as an answer to this.
            state.incidents.clear();
            state.refusal = Some(input.seq);
        }
        Fact::IncidentReported { incident, .. } if incident.excuses_the_scan() && knows_of_refusal(state, input) => {
            state.incidents.push(event);
        }
        Fact::Countersigned { event } if state.declared(&event) == Some(DeclaredFact::Incident) => {
            state.incidents.push(event);
        }
        Fact::Declared { fact, .. } => {
            state.declarations.insert(event, fact);
        }
        Fact::ProofAttached { kind, sha256, .. } => state.proofs.push(Proof { event, kind, sha256 }),
        Fact::ReceiptProved { .. } => state.receipt_proved = true,
        Fact::Forgotten { guarantee } => state.forgotten = Some(guarantee),
        _ => {}
    }
}
