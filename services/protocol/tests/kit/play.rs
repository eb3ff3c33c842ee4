//! A player that makes random moves: mostly such as help a delivery along, some of any kind, some dishonest.
#![allow(dead_code, reason = "every test file takes what it needs of the shared kit")]

use ed25519_dalek::SigningKey;
use proptest::prelude::*;
use waybill_protocol::{
    Author, Commitments, Event, Fact, Gate, Hash, Kind, Log, Mac, Order, PersonName, Phase, Reason, Refusal,
    ScanOutcome, SignedEvent, Stage, Terms, Uid,
    fact::reason::*,
    machine::{Effect, Input, Machine, State, TABLE},
    receipt_code, version,
};

use crate::kit::{self, Participant, World, attempt_secret, order, uid, world};

/// One random move: which fact, by whom, and how honest.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Move {
    pub(crate) kind: usize,
    pub(crate) author: usize,
    pub(crate) choice: u8,
    pub(crate) honest: bool,
}

pub(crate) fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0..60_usize, 0..4_usize, any::<u8>(), prop::bool::weighted(0.8));
    prop::collection::vec(one.prop_map(|(kind, author, choice, honest)| Move { kind, author, choice, honest }), 1..60)
}

/// A machine and what a player needs to know to make moves that are not all refused.
pub(crate) struct Table {
    pub(crate) machine: Machine,
    world: World,
    carriers: [Uid; 2],
    seqs: [u32; 4],
    events: Vec<(Hash, Kind)>,
}

impl Table {
    pub(crate) fn new() -> Self {
        let world = world();
        let carriers = [world.carrier.uid().clone(), uid("truck-8")];
        Self { machine: Machine::new(), world, carriers, seqs: [0; 4], events: Vec::new() }
    }

    pub(crate) fn play(&mut self, one: Move) -> (Fact, Result<Effect, Refusal>) {
        let (author, who, fact) = self.choose(one);
        let id = Hash::of(&(self.events.len() as u64).to_be_bytes());
        let begins = matches!(fact, Fact::Accepted { .. }) && self.machine.state().phase_beneath() != Phase::Accepted;
        let attempt =
            self.machine.state().attempt() + u32::from(begins) + u32::from(!one.honest && one.choice.is_multiple_of(7));
        let uid = match who {
            0 => self.world.seller.uid().clone(),
            3 => self.world.api.uid().clone(),
            carrier => self.carriers[carrier - 1].clone(),
        };
        let last = self.seqs[0].checked_sub(1);
        let seen = if one.honest { last } else { last.map(|last| last / (1 + u32::from(one.choice % 3))) };
        let input = Input {
            id,
            delivery: &self.world.subject.delivery.clone(),
            author,
            uid: &uid,
            seq: self.seqs[who],
            seen,
            attempt,
            fact: &fact,
        };
        let outcome = self.machine.on(&input);
        self.seqs[who] += 1;
        self.events.push((id, fact.kind()));
        (fact, outcome)
    }

    /// Mostly what helps a delivery along, else anything.
    fn choose(&self, one: Move) -> (Author, usize, Fact) {
        let state = self.machine.state();
        let fact = match one.kind {
            0..30 => self.next_step(state, one.choice),
            kind => self.any_fact(kind - 30, one.choice),
        };
        let by: &[Author] = TABLE.iter().find(|row| row.kind == fact.kind()).map_or(&[], |row| row.by);
        let author = if one.honest { by[one.author % by.len()] } else { Author::ALL[one.author % 3] };
        let who = match author {
            Author::Seller => 0,
            Author::Person => 3,
            Author::Transport => self.carrier_to_play(state, one),
        };
        (author, who, fact)
    }

    fn carrier_to_play(&self, state: &State, one: Move) -> usize {
        let current = state.assigned().or(state.carrier());
        let index = self.carriers.iter().position(|carrier| Some(carrier) == current).unwrap_or(0);
        if one.honest { 1 + index } else { 1 + one.author % 2 }
    }

    fn next_step(&self, state: &State, choice: u8) -> Fact {
        match state.phase() {
            Phase::Pending | Phase::Rescheduled => self.accepted(),
            Phase::Accepted if state.is_handed_over() => Fact::PickedUp,
            Phase::Accepted => Fact::HandedOver { terms: self.terms(state) },
            Phase::OnHold => Fact::Resumed,
            Phase::AttemptFailed => Fact::Rescheduled { window: None },
            Phase::OutForDelivery => delivered(),
            _ => match (state.unanswered(), state.due()) {
                (Some((stage, _)), _) => self.posted(state, stage),
                (None, Some(stage)) => self.released(state, stage),
                (None, None) => self.scanned(choice),
            },
        }
    }

    fn any_fact(&self, kind: usize, choice: u8) -> Fact {
        let reason = Reason { cause: Cause::Unknown, what: Happening::Other, note: None };
        let stage = Stage::ALL[usize::from(choice) % 3];
        let event = self.some_event(choice);
        let state = self.machine.state();
        match kind {
            0 => self.accepted(),
            1 => Fact::Rekeyed { attempt_key: attempt_secret(2).public(), nonce: Mac([0; 32]) },
            2 => Fact::KeyRotated,
            3 => Fact::HandedOver { terms: self.terms(state) },
            4 => Fact::PickedUp,
            5 => self.released(state, stage),
            6 => self.posted(state, stage),
            7 => self.scanned(choice),
            8 => Fact::ScanRefused { scan: event },
            9 => {
                let of = [Incident::LabelUnreadable, Incident::Other];
                Fact::IncidentReported { incident: of[usize::from(choice) % 2], note: None }
            }
            10 => delivered(),
            11 => Fact::ProofAttached { kind: EvidenceKind::Photo, media: Media::Jpeg, sha256: event },
            12 => Fact::ReceiptProved { code: receipt_code(&kit::LABEL_KEY, &self.world.subject.delivery) },
            13 => Fact::AttemptFailed { reason },
            14 => Fact::Rescheduled { window: None },
            15 => Fact::AvailableForPickup { note: None },
            16 => Fact::OnHold { reason: HoldReason::ALL[usize::from(choice) % HoldReason::ALL.len()], note: None },
            17 => Fact::Resumed,
            18 => Fact::Refused { reason },
            19 => Fact::Damaged { reason },
            20 => Fact::Lost { reason },
            21 => Fact::Found { note: None },
            22 => Fact::Cancelled { reason: CancelReason::Other },
            23 => back(),
            24 => {
                if choice.is_multiple_of(2) {
                    Fact::GivenBack
                } else {
                    Fact::ReturnReceived
                }
            }
            25 => Fact::AddressChanged { commitments: self.changed(choice) },
            26 => Fact::CarrierAssigned { carrier: self.carriers[usize::from(choice) % 2].clone() },
            27 => self.declared(choice),
            28 => Fact::Countersigned { event: self.last_of(Kind::Declared).unwrap_or(event) },
            _ => Fact::Corrected { event: self.events.last().map_or(event, |(id, _)| *id), note: None },
        }
    }

    fn accepted(&self) -> Fact {
        Fact::Accepted { attempt_key: attempt_secret(1).public(), nonce: Mac([0; 32]), protocol: 1 }
    }

    fn terms(&self, state: &State) -> Terms {
        let carrier = state.acceptances().last().map_or(&self.carriers[0], |acceptance| &acceptance.carrier);
        let commitments = state.commitments().copied().unwrap_or(self.world.terms().commitments);
        Terms { scan: true, commitments, ..self.world.terms_for(carrier) }
    }

    fn released(&self, state: &State, stage: Stage) -> Fact {
        let scan = state.scans().iter().rev().find(|scan| matches!(scan.outcome, ScanOutcome::Read { .. }));
        let gate = match (scan, self.last_of(Kind::IncidentReported)) {
            (Some(scan), _) => Gate::Scan { scan: scan.event },
            (None, Some(incident)) => Gate::Incident { incident },
            (None, None) => Gate::NotAsked,
        };
        Fact::Released { stage, gate: (stage == Stage::Door).then_some(gate) }
    }

    fn posted(&self, state: &State, stage: Stage) -> Fact {
        let commitment = state.commitments().map_or(Hash::NONE, |commitments| commitments.of(stage));
        Fact::Posted { stage, commitment }
    }

    fn scanned(&self, choice: u8) -> Fact {
        let tries =
            self.machine.state().scans().iter().map(|scan| scan.tries).max().unwrap_or(0) + 1 + u32::from(choice / 2);
        let outcome = if choice.is_multiple_of(2) {
            ScanOutcome::WrongParcel
        } else {
            ScanOutcome::Read { mac: Mac([choice; 32]) }
        };
        Fact::Scanned { outcome, tries }
    }

    fn changed(&self, choice: u8) -> Commitments {
        self.world.commitments(&Order { door_number: format!("{choice}"), ..order() })
    }

    fn declared(&self, choice: u8) -> Fact {
        let fact = DeclaredFact::ALL[usize::from(choice) % DeclaredFact::ALL.len()];
        Fact::Declared { fact, by: PersonName::new("jane@shop").unwrap(), note: None }
    }

    fn some_event(&self, choice: u8) -> Hash {
        let scan = self.last_of(Kind::Scanned).filter(|_| choice.is_multiple_of(2));
        scan.or(self.events.get(usize::from(choice)).map(|(id, _)| *id)).unwrap_or(Hash::NONE)
    }

    fn last_of(&self, kind: Kind) -> Option<Hash> {
        self.events.iter().rev().find(|(_, known)| *known == kind).map(|(id, _)| *id)
    }
}

/// A log of random moves, genuine for the most part and refused for a good part of that, with a few entries swapped and repeated.
pub(crate) fn signed_moves(moves: Vec<Move>, mix: u64) -> (World, Vec<Vec<u8>>) {
    let mut table = Table::new();
    let world = world();
    let second = world.another_carrier("truck-8", 40);
    table.carriers[1] = second.uid().clone();
    let mut log = world.log();
    for one in moves {
        let genuine =
            log.entries().iter().filter(|entry| entry.verdict().is_genuine()).filter_map(|entry| entry.event());
        table.events = genuine.map(|signed| (signed.id(), signed.event().kind())).collect();
        table.machine = log.machine().clone();
        let (author, who, fact) = table.choose(one);
        let (signer, seed) = [(&world.seller, 10), (&world.carrier, 20), (&second, 40), (&world.api, 30)][who];
        let event = unchecked(&log, signer, author, fact, one);
        log.push(SignedEvent::sign(event, &SigningKey::from_bytes(&[seed; 32])).unwrap().bytes());
    }
    let mut bytes: Vec<Vec<u8>> = log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    let mut draw = mix;
    for index in 1..bytes.len() {
        draw = draw.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        match draw >> 58 {
            0 => bytes.swap(index, index - 1),
            1 => bytes.push(bytes[index].clone()),
            _ => {}
        }
    }
    (world, bytes)
}

/// An event in its place, whatever the state machine may say to it; its author is sometimes behind, or a little off.
fn unchecked(log: &Log, signer: &Participant, author: Author, fact: Fact, one: Move) -> Event {
    let (seq, prev) = log.expected(author, signer.uid());
    let state = log.state();
    let begins = matches!(fact, Fact::Accepted { .. }) && state.phase_beneath() != Phase::Accepted;
    let others = |signed: &&SignedEvent| match author {
        Author::Seller => signed.event().author == Author::Transport,
        _ => signed.event().author == Author::Seller,
    };
    let behind = if one.choice.is_multiple_of(5) { usize::from(one.choice % 3) } else { 0 };
    let genuine = log.entries().iter().filter(|entry| entry.verdict().is_genuine()).filter_map(|entry| entry.event());
    let seen = genuine.rev().filter(others).nth(behind).map(SignedEvent::id);
    Event {
        version: version::CURRENT,
        delivery: log.subject().delivery.clone(),
        author,
        uid: signer.uid().clone(),
        seq: seq + u32::from(!one.honest && one.choice.is_multiple_of(31)),
        prev,
        seen,
        at: kit::NOW,
        attempt: state.attempt() + u32::from(begins) + u32::from(!one.honest && one.choice.is_multiple_of(7)),
        fact,
        statement: (seq == 0).then(|| signer.signer.statement_bytes().clone()),
    }
}

pub(crate) fn delivered() -> Fact {
    Fact::Delivered { to: DeliveredTo::Recipient, note: None }
}

pub(crate) fn back() -> Fact {
    Fact::ReturnRequested { reason: ReturnReason::SellerRequest }
}
