//! What the seller signs next. Pure: facts, a log and an order in, at most one fact out.
//!
//! [`next`] is asked again after each fact, with the log as it then is, so several steps can go into one write. Nothing here
//! opens a part of the address that the protocol's own machine does not find due.

use waybill_crds::delivery;
use waybill_protocol::fact::reason::{CancelReason, HoldReason, ReturnReason};
use waybill_protocol::machine::Acceptance;
use waybill_protocol::{
    Author, Commitments, DoorGate, Fact, Gate, Kind, LabelSecret, Log, Phase, Terms, UnixMillis, Upc, Window,
    receipt_code, receipt_hash,
};

use super::facts::{CarrierFacts, Facts, Lost, OrderData};

/// What a decision looks at.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) facts: &'a Facts,
    /// The log with everything that goes into this write.
    pub(crate) log: &'a Log,
    pub(crate) order: Option<&'a OrderData>,
    /// Whether nothing goes into this write yet.
    pub(crate) first: bool,
}

/// The next fact, if one is due.
pub(crate) fn next(view: &View<'_>) -> Option<Fact> {
    let state = view.log.state();
    if state.phase().is_terminal() {
        return None;
    }
    let candidates = [hold(view), assign(view), cancel(view), step(view)];
    let seller = &view.log.subject().seller;
    candidates.into_iter().flatten().find(|fact| view.log.allows(Author::Seller, seller, fact).is_ok())
}

/// A carrier whose identity ended: whatever it signs from here on is void.
fn hold(view: &View<'_>) -> Option<Fact> {
    let known = view.log.state().hold().is_some_and(|hold| hold.reason.cuts_carrier());
    view.log.state().carrier()?;
    let reason = match view.facts.lost.filter(|_| !known)? {
        Lost::Revoked => HoldReason::CarrierRevoked,
        Lost::Replaced => HoldReason::CarrierReplaced,
    };
    Some(Fact::OnHold { reason, note: None })
}

/// The user named another carrier. Alone in its write: the schema lets the pinned carrier go only from certain phases.
fn assign(view: &View<'_>) -> Option<Fact> {
    let carrier = view.facts.carrier.as_ref().filter(|carrier| view.first && !carrier.revoked)?;
    let state = view.log.state();
    let current = state.assigned().or(state.carrier()).filter(|current| **current != carrier.uid)?;
    // Who comes under the name of the one that accepted is not the one the user meant.
    let statement = view.log.statement_of(Author::Transport, current);
    let same_name = statement.is_some_and(|statement| statement.name.as_str() == carrier.name);
    (!same_name).then(|| Fact::CarrierAssigned { carrier: carrier.uid.clone() })
}

fn cancel(view: &View<'_>) -> Option<Fact> {
    let cancelled = view.facts.delivery.spec.cancelled?;
    // Before anything is signed the operator ends it.
    (!view.log.entries().is_empty()).then(|| Fact::Cancelled { reason: cancel_reason(cancelled.reason) })
}

fn step(view: &View<'_>) -> Option<Fact> {
    let state = view.log.state();
    if state.hold().is_some() {
        return None;
    }
    match state.phase_beneath() {
        Phase::Accepted if !state.is_handed_over() => stranger(view).or_else(|| hand_over(view)),
        Phase::PickedUp | Phase::InTransit | Phase::OutForDelivery => {
            address_changed(view).or_else(|| scan_refused(view)).or_else(|| released(view))
        }
        Phase::AttemptFailed if state.attempts_left() => Some(Fact::Rescheduled { window: window(view) }),
        Phase::AttemptFailed => Some(Fact::ReturnRequested { reason: ReturnReason::AttemptsExhausted }),
        Phase::Refused => Some(Fact::ReturnRequested { reason: ReturnReason::Refused }),
        Phase::Damaged => Some(Fact::ReturnRequested { reason: ReturnReason::Damaged }),
        Phase::ReturnToSender if is_given_back(view.log) => Some(Fact::ReturnReceived),
        _ => None,
    }
}

/// Somebody accepted who never heard our hello, or whom nobody named. It gets nothing; a person decides.
fn stranger(view: &View<'_>) -> Option<Fact> {
    let carrier = view.facts.carrier.as_ref()?;
    let ours = acceptance(view.facts, view.log, &carrier.uid).is_some();
    (!ours).then_some(Fact::OnHold { reason: HoldReason::Investigation, note: None })
}

fn hand_over(view: &View<'_>) -> Option<Fact> {
    let Facts { delivery, seller, .. } = view.facts;
    let carrier = view.facts.carrier.as_ref().filter(|carrier| !carrier.revoked)?;
    acceptance(view.facts, view.log, &carrier.uid)?;
    let asked = !seller.manual || delivery.spec.handed_over == Some(true);
    if seller.suspended || !asked {
        return None;
    }
    if let Some(changed) = address_changed(view) {
        return Some(changed);
    }
    Some(Fact::HandedOver { terms: terms(view, carrier)? })
}

/// How this carrier accepted the attempt: only in answer to our own hello.
pub(crate) fn acceptance<'l>(facts: &Facts, log: &'l Log, carrier: &waybill_protocol::Uid) -> Option<&'l Acceptance> {
    let state = log.state();
    state.acceptance_of(carrier).filter(|acceptance| acceptance.nonce == facts.nonce(state.attempt()))
}

fn terms(view: &View<'_>, carrier: &CarrierFacts) -> Option<Terms> {
    let Facts { delivery, keys, .. } = view.facts;
    let uid = view.facts.uid();
    let before = view.log.state().terms();
    let kept = before.filter(|terms| terms.carrier == carrier.uid);
    let proof = delivery.spec.proof.unwrap_or_default();
    Some(Terms {
        upc: Upc::new(delivery.spec.upc.clone()).ok()?,
        carrier: carrier.uid.clone(),
        max_attempts: before.map_or(delivery.spec.max_attempts.unsigned_abs(), |terms| terms.max_attempts),
        photo: kept.map_or(proof.photo.unwrap_or(carrier.camera), |terms| terms.photo),
        scan: kept.map_or(proof.scan.unwrap_or(carrier.camera), |terms| terms.scan),
        window: window(view),
        commitments: commitments(view)?,
        receipt: Some(receipt_hash(uid, &receipt_code(&keys.label, uid))),
    })
}

fn commitments(view: &View<'_>) -> Option<Commitments> {
    Some(view.order?.commit(&view.facts.keys, view.facts.uid()))
}

/// The order says something else than what was committed to.
fn address_changed(view: &View<'_>) -> Option<Fact> {
    let before = view.log.state().commitments()?;
    let commitments = commitments(view).filter(|now| now != before)?;
    (!view.facts.seller.suspended).then_some(Fact::AddressChanged { commitments })
}

fn scan_refused(view: &View<'_>) -> Option<Fact> {
    match view.log.state().door_gate() {
        DoorGate::CheckScan { scan, .. } if !is_our_label(view) => Some(Fact::ScanRefused { scan }),
        _ => None,
    }
}

/// D-53: the seller checks the scan, not the device that made it.
fn is_our_label(view: &View<'_>) -> bool {
    let (uid, state) = (view.facts.uid(), view.log.state());
    let DoorGate::CheckScan { mac, .. } = state.door_gate() else { return false };
    LabelSecret::new(&view.facts.keys.label, uid).check(uid, state.attempt(), &mac)
}

fn released(view: &View<'_>) -> Option<Fact> {
    let state = view.log.state();
    let stage = state.due().filter(|_| !view.facts.seller.suspended)?;
    // Nobody but who answered our hello gets a part, whatever stands in the log.
    acceptance(view.facts, view.log, state.carrier()?)?;
    // What could not be sent is not said to be open.
    view.order?;
    let gate = match (stage, state.door_gate()) {
        (waybill_protocol::Stage::Door, gate) => Some(match gate {
            DoorGate::NotAsked => Gate::NotAsked,
            DoorGate::CheckScan { scan, .. } if is_our_label(view) => Gate::Scan { scan },
            DoorGate::Incident { incident } => Gate::Incident { incident },
            DoorGate::CheckScan { .. } | DoorGate::AwaitsScan => return None,
        }),
        _ => None,
    };
    Some(Fact::Released { stage, gate })
}

/// Whether the carrier gave the parcel back since it was last handed over.
fn is_given_back(log: &Log) -> bool {
    let counted = log.entries().iter().rev().filter(|entry| entry.verdict().counts());
    let kinds = counted.filter_map(|entry| Some(entry.event()?.event().kind()));
    kinds.take_while(|kind| *kind != Kind::HandedOver).any(|kind| kind == Kind::GivenBack)
}

fn window(view: &View<'_>) -> Option<Window> {
    let window = view.facts.delivery.spec.window.as_ref()?;
    let millis = |at: k8s_openapi::jiff::Timestamp| UnixMillis(u64::try_from(at.as_millisecond()).unwrap_or_default());
    Some(Window { from: millis(window.from.0), to: millis(window.to.0) })
}

fn cancel_reason(reason: delivery::CancelReason) -> CancelReason {
    use delivery::CancelReason as C;
    match reason {
        C::RecipientRequest => CancelReason::RecipientRequest,
        C::SellerRequest => CancelReason::SellerRequest,
        C::OutOfStock => CancelReason::OutOfStock,
        C::AddressInvalid => CancelReason::AddressInvalid,
        C::Duplicate => CancelReason::Duplicate,
        C::Fraud => CancelReason::Fraud,
        C::Other => CancelReason::Other,
    }
}
