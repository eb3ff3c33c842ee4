//! What a Delivery's status says because its log does: a pure function, the same for every writer.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use waybill_crds::condition::{self, ConditionType as Type, Reason, Status, Wanted};
use waybill_crds::delivery::ProofStatus;
use waybill_crds::{Delivery, Phase, Stage};
use waybill_protocol as protocol;
use waybill_protocol::fact::reason::{EvidenceKind, ReturnReason};
use waybill_protocol::{Fact, Gate, Kind, Log};

/// The most photos `status.proof` lists; the log has them all.
const MAX_PHOTOS: usize = 8;

/// Everything in status that follows from the log.
#[derive(Clone, Debug, PartialEq)]
pub struct Fields {
    pub phase: Phase,
    pub stage: Stage,
    pub attempt: i32,
    /// Who accepted the job, until it is given to somebody else.
    pub carrier_uid: Option<String>,
    pub proof: Option<ProofStatus>,
    pub finished_at: Option<Time>,
    /// The whole list: the log's four conditions, the others as they were.
    pub conditions: Vec<Condition>,
}

/// What the status of `delivery` should say when this is its log. What did not change keeps its time.
pub fn derive(log: &Log, delivery: &Delivery, now: Timestamp) -> Fields {
    let status = delivery.status.clone().unwrap_or_default();
    let state = log.state();
    let phase = phase(state.phase());
    let ended = status.finished_at.filter(|_| status.phase.terminal());
    // Whole seconds, as Kubernetes keeps them.
    let this_second = Timestamp::from_second(now.as_second()).unwrap_or(now);
    let mut conditions = status.conditions;
    for (type_, status, reason, message) in words(log) {
        let observed_generation = delivery.metadata.generation;
        let wanted = Wanted { type_, status, reason, message: message.into(), observed_generation };
        condition::set(&mut conditions, wanted, this_second);
    }
    Fields {
        phase,
        stage: stage(state.stage()),
        attempt: i32::try_from(state.attempt()).unwrap_or(i32::MAX),
        carrier_uid: state.carrier().map(ToString::to_string),
        proof: proof(log),
        finished_at: phase.terminal().then(|| ended.unwrap_or(Time(this_second))),
        conditions,
    }
}

/// The phase of the custom resource; the words are the same, a test in `crds` sees to it.
fn phase(phase: protocol::Phase) -> Phase {
    Phase::ALL.into_iter().find(|known| known.as_str() == phase.as_str()).unwrap_or_default()
}

fn stage(stage: Option<protocol::Stage>) -> Stage {
    match stage {
        None => Stage::None,
        Some(protocol::Stage::Country) => Stage::Country,
        Some(protocol::Stage::PostalCode) => Stage::PostalCode,
        Some(protocol::Stage::Door) => Stage::Door,
    }
}

fn proof(log: &Log) -> Option<ProofStatus> {
    let state = log.state();
    let photos = state.proofs().iter().filter(|proof| proof.kind == EvidenceKind::Photo);
    let photo_hashes: Vec<String> = photos.take(MAX_PHOTOS).map(|proof| proof.sha256.to_string()).collect();
    let scan_asked = state.terms().is_some_and(|terms| terms.scan);
    let said = ProofStatus {
        photo_hash: photo_hashes.first().cloned(),
        photo_hashes,
        scanned: scan_asked.then(|| scanned(log)),
        received: state.receipt_proved().then_some(true),
    };
    (said != ProofStatus::default()).then_some(said)
}

/// Whether the door part of the attempt that runs or ran last opened by a scan.
fn scanned(log: &Log) -> bool {
    let attempt = log.state().attempt();
    counted(log).any(|event| {
        let opened = matches!(event.fact, Fact::Released { gate: Some(Gate::Scan { .. }), .. });
        opened && event.attempt == attempt
    })
}

fn counted(log: &Log) -> impl Iterator<Item = &protocol::Event> {
    let counts = log.entries().iter().filter(|entry| entry.verdict().counts());
    counts.filter_map(|entry| Some(entry.event()?.event()))
}

type Word = (Type, Status, Reason, &'static str);

fn words(log: &Log) -> [Word; 4] {
    [accepted(log), picked_up(log), delivered(log), proven(log)]
}

fn accepted(log: &Log) -> Word {
    let awaited = matches!(log.state().phase_beneath(), protocol::Phase::Pending | protocol::Phase::Rescheduled);
    match (awaited, log.state().attempt()) {
        (true, 0) => (Type::Accepted, Status::False, Reason::AwaitingAcceptance, "no carrier's agent has accepted yet"),
        (true, _) => {
            (Type::Accepted, Status::False, Reason::AwaitingAcceptance, "the next attempt is not accepted yet")
        }
        (false, _) => (Type::Accepted, Status::True, Reason::Accepted, "a carrier's agent has accepted the job"),
    }
}

fn picked_up(log: &Log) -> Word {
    if counted(log).any(|event| event.kind() == Kind::PickedUp) {
        return (Type::PickedUp, Status::True, Reason::PickedUp, "both sides signed the hand-over");
    }
    match log.state().acceptances() {
        [] => (Type::PickedUp, Status::False, Reason::AwaitingAcceptance, "no carrier's agent has accepted yet"),
        _ => (Type::PickedUp, Status::False, Reason::AwaitingHandOver, "the parcel is not handed over yet"),
    }
}

fn delivered(log: &Log) -> Word {
    use protocol::Phase as P;
    let (status, reason, message) = match log.phase() {
        P::Delivered => (Status::True, Reason::Delivered, "the parcel was delivered"),
        P::Returned => (Status::False, Reason::Returned, "the parcel is back with the seller"),
        P::ReturnToSender if is_not_collected(log) => {
            (Status::False, Reason::NotCollected, "nobody fetched the parcel in time: it is on its way back")
        }
        P::ReturnToSender => (Status::False, Reason::ReturnToSender, "the parcel is on its way back"),
        P::Lost => (Status::False, Reason::Lost, "the parcel was reported lost"),
        P::Cancelled => (Status::False, Reason::Cancelled, "the delivery was called off"),
        P::AttemptFailed if !log.state().attempts_left() => {
            (Status::Unknown, Reason::AttemptsExhausted, "as many attempts as allowed have failed")
        }
        P::AttemptFailed => (Status::Unknown, Reason::AttemptFailed, "the last attempt failed"),
        P::OnHold => (Status::Unknown, Reason::OnHold, "the parcel waits"),
        P::Refused => (Status::Unknown, Reason::Refused, "the recipient did not take the parcel"),
        P::Damaged => (Status::Unknown, Reason::Damaged, "the parcel was reported damaged"),
        P::Pending => (Status::Unknown, Reason::AwaitingAcceptance, "the parcel is not on its way yet"),
        P::Accepted => (Status::Unknown, Reason::AwaitingHandOver, "the parcel is not on its way yet"),
        _ => (Status::Unknown, Reason::UnderWay, "the parcel is on its way"),
    };
    (Type::Delivered, status, reason, message)
}

fn is_not_collected(log: &Log) -> bool {
    let asked = counted(log).filter_map(|event| match event.fact {
        Fact::ReturnRequested { reason } => Some(reason),
        _ => None,
    });
    asked.last() == Some(ReturnReason::NotCollected)
}

fn proven(log: &Log) -> Word {
    let state = log.state();
    let asked = state.terms().is_some_and(|terms| terms.photo);
    let photo = state.proofs().iter().any(|proof| proof.kind == EvidenceKind::Photo);
    match (log.phase() == protocol::Phase::Delivered, asked, photo) {
        (true, _, true) => (Type::Proven, Status::True, Reason::ProofAttached, "the photo is in the log"),
        (true, false, false) => (Type::Proven, Status::True, Reason::Delivered, "no more than the log was asked for"),
        (true, true, false) => (Type::Proven, Status::False, Reason::AwaitingProof, "the photo is not in the log yet"),
        (false, ..) => (Type::Proven, Status::False, Reason::AwaitingProof, "the parcel was not delivered yet"),
    }
}
