//! What the seller signs next. Pure: facts, a log and an order in, at most one fact out.
//!
//! [`next`] is asked again after each fact, with the log as it then is, so several steps can go into one write. Nothing here
//! opens a part of the address that the protocol's own machine does not find due.

use waybill_crds::delivery;
use waybill_protocol::fact::reason::{CancelReason, Guarantee, HoldReason, ReturnReason};
use waybill_protocol::machine::Acceptance;
use waybill_protocol::{
    Author, Commitments, DoorGate, EventId, Fact, Gate, Kind, LabelSecret, Log, Phase, Refusal, Terms, UnixMillis, Upc,
    Window, receipt_code, receipt_hash,
};

use super::facts::{CarrierFacts, Facts, Lost, OrderData};

/// Changes of the address in one attempt: a log has few places, and an order that changes for ever is no order.
const MAX_CHANGES: usize = 3;

/// What a decision looks at.
#[derive(Clone, Copy)]
pub(crate) struct View<'a> {
    pub(crate) facts: &'a Facts,
    /// The log with everything that goes into this write.
    pub(crate) log: &'a Log,
    pub(crate) order: Option<&'a OrderData>,
    /// Whether nothing goes into this write yet.
    pub(crate) first: bool,
    pub(crate) now: UnixMillis,
    /// What became of the carrier that accepted, where that is certain.
    pub(crate) lost: Option<Lost>,
    /// The order is gone from where the Seller has it.
    pub(crate) erased: Option<Guarantee>,
}

/// The next fact, if one is due.
pub(crate) fn next(view: &View<'_>) -> Option<Fact> {
    let state = view.log.state();
    let candidates = match state.phase().is_terminal() {
        true => [countersign(view), forget(view), None, None, None],
        false => [hold(view), countersign(view), assign(view), cancel(view), step(view)],
    };
    let seller = &view.log.subject().seller;
    candidates.into_iter().flatten().find(|fact| view.log.allows(Author::Seller, seller, fact).is_ok())
}

/// A carrier whose identity ended: whatever it signs from here on is void.
fn hold(view: &View<'_>) -> Option<Fact> {
    let known = view.log.state().hold().is_some_and(|hold| hold.reason.cuts_carrier());
    view.log.state().carrier()?;
    let reason = match view.lost.filter(|_| !known)? {
        Lost::Revoked => HoldReason::CarrierRevoked,
        Lost::Replaced => HoldReason::CarrierReplaced,
        Lost::Missing => return None,
    };
    Some(Fact::OnHold { reason, note: None })
}

/// A person's word that the seller's people confirm.
fn countersign(view: &View<'_>) -> Option<Fact> {
    let facts = awaiting(view.facts, view.log).filter_map(|id| declaration(view.log, id));
    let mut allowed = facts.map(|event| Fact::Countersigned { event }).filter(|fact| allows(view.log, fact).is_ok());
    allowed.next()
}

fn allows(log: &Log, fact: &Fact) -> Result<(), Refusal> {
    log.allows(Author::Seller, &log.subject().seller, fact)
}

/// What the user confirms and the log does not say yet.
fn awaiting<'f>(facts: &'f Facts, log: &'f Log) -> impl Iterator<Item = &'f str> {
    let signed = |id: &str| {
        log.entries()
            .iter()
            .filter_map(|entry| entry.event())
            .any(|signed| matches!(signed.event().fact, Fact::Countersigned { event } if event.to_string() == id))
    };
    facts.delivery.spec.countersigned.iter().map(String::as_str).filter(move |id| !signed(id))
}

/// The declaration with this id, where there is one that counts.
fn declaration(log: &Log, id: &str) -> Option<EventId> {
    let events = log.entries().iter().filter_map(|entry| Some(entry.event()?.id()));
    events.into_iter().find(|event| log.state().declared(event).is_some() && event.to_string() == id)
}

/// The first id on the user's list that the seller does not countersign, and why.
pub(crate) fn not_countersigned(facts: &Facts) -> Option<(&str, String)> {
    awaiting(facts, &facts.log).find_map(|id| {
        let Some(event) = declaration(&facts.log, id) else {
            return Some((id, "no declaration in the log has this id".to_owned()));
        };
        let refused = allows(&facts.log, &Fact::Countersigned { event }).err()?;
        Some((id, refused.to_string()))
    })
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
        Phase::AvailableForPickup => not_collected(view),
        Phase::ReturnToSender if state.is_given_back() => return_received(view),
        _ => None,
    }
}

/// Nobody came for it.
fn not_collected(view: &View<'_>) -> Option<Fact> {
    let due = collect_by(view.facts, view.log, view.now).is_some_and(|end| view.now >= end);
    due.then_some(Fact::ReturnRequested { reason: ReturnReason::NotCollected })
}

/// Until when a parcel lies where it can be fetched. A device's clock may be wrong: it does not count where it is ahead, and
/// never says that the parcel lay there before the seller's own last step.
pub(crate) fn collect_by(facts: &Facts, log: &Log, now: UnixMillis) -> Option<UnixMillis> {
    if log.state().phase() != Phase::AvailableForPickup {
        return None;
    }
    let counted: Vec<_> =
        log.entries().iter().filter(|entry| entry.verdict().counts()).filter_map(|entry| entry.event()).collect();
    let told = counted.iter().rposition(|signed| signed.event().kind() == Kind::AvailableForPickup)?;
    let own = counted[..told].iter().rev().find(|signed| signed.event().author == Author::Seller)?.event().at;
    let since = if counted[told].event().at > now { own } else { own.max(counted[told].event().at) };
    let within = u64::try_from(facts.seller.collect_within.as_millis()).unwrap_or(u64::MAX);
    Some(UnixMillis(since.0.saturating_add(within)))
}

/// With a manual hand-over the carrier's word is not enough.
fn return_received(view: &View<'_>) -> Option<Fact> {
    let Facts { delivery, seller, .. } = view.facts;
    (!seller.manual || delivery.spec.return_received == Some(true)).then_some(Fact::ReturnReceived)
}

/// The order is gone, and so is what stands here of it.
fn forget(view: &View<'_>) -> Option<Fact> {
    let asked = view.facts.is_to_be_forgotten() && view.log.state().forgotten().is_none();
    view.erased.filter(|_| asked).map(|guarantee| Fact::Forgotten { guarantee })
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
    let may = !view.facts.seller.suspended && changes(view.log) < MAX_CHANGES;
    may.then_some(Fact::AddressChanged { commitments })
}

/// How often the address changed in the attempt that runs.
fn changes(log: &Log) -> usize {
    let attempt = log.state().attempt();
    let events = log.entries().iter().filter_map(|entry| Some(entry.event()?.event()));
    events.filter(|event| event.kind() == Kind::AddressChanged && event.attempt == attempt).count()
}

/// Another address than the one committed to, after as many changes as an attempt may see.
pub(crate) fn is_changed_too_often(facts: &Facts, log: &Log, order: &OrderData) -> bool {
    let other = |before: &Commitments| order.commit(&facts.keys, facts.uid()) != *before;
    changes(log) >= MAX_CHANGES && log.state().commitments().is_some_and(other)
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
    if commitments(view).as_ref() != state.commitments() {
        return None;
    }
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
