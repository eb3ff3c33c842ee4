//! What the log says so far: the value the machine carries from event to event.

use std::collections::BTreeMap;

use crate::{
    commitment::Commitments,
    event::Author,
    fact::{
        ScanOutcome, Terms,
        reason::{DeclaredFact, EvidenceKind, Guarantee, HoldReason},
    },
    id::{EventId, Hash, Mac, Uid},
    key::X25519Key,
    phase::{Phase, Stage},
};

/// Everything that follows from the events that count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    pub(super) standing: Standing,
    pub(super) acceptances: Vec<Acceptance>,
    pub(super) scans: Vec<Scan>,
    /// Those that stand for a scan: none that was reported before a mismatch was known.
    pub(super) incidents: Vec<EventId>,
    /// The `seq` of the last `ScanRefused` of this attempt.
    pub(super) refusal: Option<u32>,
    pub(super) declarations: BTreeMap<EventId, DeclaredFact>,
    pub(super) proofs: Vec<Proof>,
    pub(super) receipt_proved: bool,
    pub(super) forgotten: Option<Guarantee>,
}

/// The part of it that a correction takes back.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Standing {
    /// The phase beneath a hold.
    pub(super) base: Phase,
    pub(super) hold: Option<Hold>,
    pub(super) attempt: u32,
    pub(super) running: bool,
    pub(super) assigned: Option<Uid>,
    pub(super) carrier: Option<Uid>,
    /// The `seq` of this attempt's `HandedOver` in the seller's chain.
    pub(super) handed_over: Option<u32>,
    /// Whether the parcel has left the seller.
    pub(super) away: bool,
    pub(super) given_back: bool,
    pub(super) terms: Option<Terms>,
    pub(super) commitments: Option<Commitments>,
    pub(super) released: Option<Stage>,
    pub(super) posted: Option<Stage>,
    /// The last `Released`.
    pub(super) released_by: Option<EventId>,
    /// How many attempts ended without delivery, and the last that did.
    pub(super) spent: u32,
    pub(super) last_spent: u32,
}

/// A carrier's word that it takes the job.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Acceptance {
    pub carrier: Uid,
    /// The `Accepted` event.
    pub event: EventId,
    /// The key of the attempt: that of the last `Rekeyed`, if there was one.
    pub attempt_key: X25519Key,
    /// The nonce that came with that key.
    pub nonce: Mac,
    pub protocol: u16,
}

/// Why the parcel waits, and who says so.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    pub by: Author,
    pub reason: HoldReason,
}

/// A scan of the running attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Scan {
    pub event: EventId,
    pub outcome: ScanOutcome,
    pub tries: u32,
    pub refused: bool,
}

/// A piece of evidence the log names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    pub event: EventId,
    pub kind: EvidenceKind,
    pub sha256: Hash,
}

/// What the door part waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DoorGate {
    /// Nothing: the terms ask for no scan.
    NotAsked,
    /// A scan, or a reported incident that excuses it.
    AwaitsScan,
    /// The seller has to check this MAC: [`LabelSecret::check`](crate::LabelSecret::check).
    CheckScan { scan: EventId, mac: Mac },
    /// No scan to check, but an incident that excuses it was reported, by someone who knew of every refusal: going on is the seller's
    /// decision.
    Incident { incident: EventId },
}

impl State {
    pub(super) fn new() -> Self {
        Self {
            standing: Standing {
                base: Phase::Pending,
                hold: None,
                attempt: 0,
                running: false,
                assigned: None,
                carrier: None,
                handed_over: None,
                away: false,
                given_back: false,
                terms: None,
                commitments: None,
                released: None,
                posted: None,
                released_by: None,
                spent: 0,
                last_spent: 0,
            },
            acceptances: Vec::new(),
            scans: Vec::new(),
            incidents: Vec::new(),
            refusal: None,
            declarations: BTreeMap::new(),
            proofs: Vec::new(),
            receipt_proved: false,
            forgotten: None,
        }
    }

    /// The phase as it is shown: `OnHold` while a hold lies over it.
    pub fn phase(&self) -> Phase {
        if self.standing.hold.is_some() { Phase::OnHold } else { self.standing.base }
    }

    /// The phase beneath a hold.
    pub fn phase_beneath(&self) -> Phase {
        self.standing.base
    }

    pub fn hold(&self) -> Option<Hold> {
        self.standing.hold
    }

    /// The part of the address that is open now. None while no attempt runs and while the parcel is on hold.
    pub fn stage(&self) -> Option<Stage> {
        if self.is_open() { self.standing.released } else { None }
    }

    /// The last part the carrier posted in the attempt that runs.
    pub fn posted(&self) -> Option<Stage> {
        if self.is_open() { self.standing.posted } else { None }
    }

    /// The part that is open and not posted, and the event that released it: what a seller sends until it is answered. The door part
    /// is answered by the attempt's end.
    pub fn unanswered(&self) -> Option<(Stage, EventId)> {
        let stage = self.stage().filter(|stage| Some(*stage) > self.standing.posted)?;
        Some((stage, self.standing.released_by?))
    }

    /// The part the log allows to be released next. For the door part see [`State::door_gate`] too.
    pub fn due(&self) -> Option<Stage> {
        let due = self.due_regardless_of_gate()?;
        let waits = due == Stage::Door && self.door_gate() == DoorGate::AwaitsScan;
        if waits { None } else { Some(due) }
    }

    pub(super) fn due_regardless_of_gate(&self) -> Option<Stage> {
        if !self.is_open() || !matches!(self.standing.base, Phase::PickedUp | Phase::InTransit) {
            return None;
        }
        match (self.standing.released, self.standing.posted) {
            (None, _) => Some(Stage::Country),
            (Some(released), Some(posted)) if released == posted => released.next(),
            _ => None,
        }
    }

    fn is_open(&self) -> bool {
        self.standing.running && self.standing.hold.is_none()
    }

    /// What the door part waits for in this attempt.
    pub fn door_gate(&self) -> DoorGate {
        if !self.standing.terms.as_ref().is_some_and(|terms| terms.scan) {
            return DoorGate::NotAsked;
        }
        let to_check = self.scans.iter().rev().find_map(|scan| match scan.outcome {
            ScanOutcome::Read { mac } if !scan.refused => Some(DoorGate::CheckScan { scan: scan.event, mac }),
            _ => None,
        });
        let incident = || self.incidents.last().map(|incident| DoorGate::Incident { incident: *incident });
        to_check.or_else(incident).unwrap_or(DoorGate::AwaitsScan)
    }

    /// The attempt that runs or ran last; 0 before the first.
    pub fn attempt(&self) -> u32 {
        self.standing.attempt
    }

    /// The attempt a carrier can accept now, if any: what a hello is for.
    pub fn attempt_to_accept(&self) -> Option<u32> {
        match (self.standing.hold, self.standing.base) {
            (None, Phase::Pending | Phase::Rescheduled) => Some(self.standing.attempt + 1),
            _ => None,
        }
    }

    /// The carrier of this delivery: the first that accepted, until a hand-over names one.
    pub fn carrier(&self) -> Option<&Uid> {
        self.standing.carrier.as_ref().or_else(|| self.acceptances.first().map(|acceptance| &acceptance.carrier))
    }

    /// The carrier the seller assigned, until a hand-over.
    pub fn assigned(&self) -> Option<&Uid> {
        self.standing.assigned.as_ref()
    }

    pub(super) fn is_carrier(&self, uid: &Uid) -> bool {
        match &self.standing.carrier {
            Some(carrier) => carrier == uid,
            None => self.acceptance_of(uid).is_some(),
        }
    }

    /// Who accepted this attempt. More than one only if someone accepted who was not asked.
    pub fn acceptances(&self) -> &[Acceptance] {
        &self.acceptances
    }

    /// How that carrier accepted this attempt.
    pub fn acceptance_of(&self, carrier: &Uid) -> Option<&Acceptance> {
        self.acceptances.iter().find(|acceptance| &acceptance.carrier == carrier)
    }

    /// What is sealed to the attempt goes to this key; None once the attempt has ended.
    pub fn attempt_key(&self, carrier: &Uid) -> Option<X25519Key> {
        let alive = self.standing.running || self.standing.base == Phase::Accepted;
        self.acceptance_of(carrier).filter(|_| alive).map(|acceptance| acceptance.attempt_key)
    }

    /// Whether the seller has signed the hand-over of this attempt.
    pub fn is_handed_over(&self) -> bool {
        self.standing.handed_over.is_some()
    }

    /// Whether the parcel has left the seller.
    pub fn is_away(&self) -> bool {
        self.standing.away
    }

    /// Whether the carrier gave it back, or is declared to have, since it was last handed over.
    pub fn is_given_back(&self) -> bool {
        self.standing.given_back
    }

    pub fn terms(&self) -> Option<&Terms> {
        self.standing.terms.as_ref()
    }

    /// What the address is committed to be now.
    pub fn commitments(&self) -> Option<&Commitments> {
        self.standing.commitments.as_ref()
    }

    /// How many attempts ended without delivery.
    pub fn attempts_spent(&self) -> u32 {
        self.standing.spent
    }

    /// Whether the terms allow another attempt.
    pub fn attempts_left(&self) -> bool {
        self.standing.terms.as_ref().is_none_or(|terms| self.standing.spent < terms.max_attempts)
    }

    /// The scans of this attempt.
    pub fn scans(&self) -> &[Scan] {
        &self.scans
    }

    pub fn proofs(&self) -> &[Proof] {
        &self.proofs
    }

    /// Whether the recipient's code was shown.
    pub fn receipt_proved(&self) -> bool {
        self.receipt_proved
    }

    pub fn declared(&self, event: &EventId) -> Option<DeclaredFact> {
        self.declarations.get(event).copied()
    }

    /// Whether the order was erased, and how strong that is.
    pub fn forgotten(&self) -> Option<Guarantee> {
        self.forgotten
    }
}
