//! The machine under any sequence of events: what the promises say holds whatever is thrown at it.

#[path = "kit/world.rs"]
mod kit;

use std::collections::BTreeSet;

use kit::{World, attempt_secret, order, uid, world};
use proptest::prelude::*;
use waybill_protocol::{
    Author, Commitments, Fact, Gate, Hash, Kind, Log, Mac, Order, PersonName, Phase, Reason, Refusal, ScanOutcome,
    Stage, Terms, Uid, Verdict,
    fact::reason::*,
    machine::{Effect, Input, Machine, Need, State, TABLE, To, followers},
    receipt_code,
};

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn no_sequence_of_events_opens_a_part_before_the_one_before_it_was_posted(moves in moves()) {
        let mut table = Table::new();
        for one in moves {
            let before = table.machine.clone();
            let (fact, outcome) = table.play(one);
            check_step(&before, &table.machine, &fact, &outcome)?;
        }
    }

}

proptest! {
    #![proptest_config(ProptestConfig { cases: 100, ..ProptestConfig::default() })]

    #[test]
    fn what_a_log_said_of_an_entry_it_says_for_ever(moves in moves(), shuffle in any::<u64>()) {
        let (world, bytes) = signed_moves(moves, shuffle);
        let mut log = world.log();
        let mut said: Vec<Verdict> = Vec::new();
        for entry in &bytes {
            log.push(entry);
            for (index, verdict) in said.iter().enumerate() {
                let now = log.entries()[index].verdict();
                let cut = matches!(now, Verdict::Invalid(waybill_protocol::Invalid::CutOff { .. }));
                let cut_somewhere = log.entries().iter().any(|entry| {
                    matches!(entry.verdict(), Verdict::Invalid(waybill_protocol::Invalid::CutOff { .. }))
                });
                prop_assert!(now == verdict || cut || cut_somewhere, "entry {index}: {verdict:?} became {now:?}");
            }
            said = log.entries().iter().map(|entry| entry.verdict().clone()).collect();
        }
        let again = Log::read(world.subject.clone(), world.trusted(), bytes.iter().map(Vec::as_slice));
        prop_assert_eq!(again.state(), log.state());
    }
}

#[test]
fn every_kind_stands_in_the_table_and_every_need_is_needed() {
    let kinds: BTreeSet<Kind> = TABLE.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, Kind::ALL.iter().copied().collect());
    for need in Need::ALL {
        assert!(TABLE.iter().any(|row| row.needs.contains(&need)), "{need:?}");
    }
    assert!(
        TABLE.iter().all(|row| !row.by.is_empty() && !row.from.is_empty() && !row.from.contains(&Phase::OnHold)
            || row.from.len() == 16)
    );
}

#[test]
fn exactly_the_terminal_phases_lead_nowhere_and_every_other_can_end() {
    for phase in Phase::ALL {
        let next = followers(phase);
        assert_eq!(next.is_empty(), phase.is_terminal(), "{phase}");
        assert!(!next.contains(&Phase::Pending), "nothing leads back to Pending");
        let mut reached = next.clone();
        for _ in 0..Phase::ALL.len() {
            reached = reached.iter().flat_map(|phase| followers(*phase)).chain(reached.clone()).collect();
        }
        assert!(phase.is_terminal() || reached.iter().any(|phase| phase.is_terminal()), "{phase}");
    }
}

#[test]
fn only_the_seller_opens_and_only_a_device_or_a_countersignature_delivers() {
    for row in TABLE {
        if row.kind == Kind::Released {
            assert_eq!(row.by, [Author::Seller]);
        }
        if row.to == To::Phase(Phase::Delivered) {
            assert!(row.by == [Author::Transport] || row.kind == Kind::Countersigned);
        }
        if row.by.contains(&Author::Person) {
            assert!(row.to == To::Stays, "a person's word alone changes no phase");
        }
    }
}

#[test]
fn a_parcel_goes_wrong_in_every_way_and_the_phases_say_so() {
    let reason = Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note: None };
    let ways: [(&str, Vec<Fact>, Phase); 8] = [
        ("recipient absent", vec![Fact::AttemptFailed { reason }], Phase::AttemptFailed),
        ("tried again", vec![Fact::AttemptFailed { reason }, Fact::Rescheduled { window: None }], Phase::Rescheduled),
        (
            "refused, back",
            vec![Fact::Refused { reason }, back(), Fact::GivenBack, Fact::ReturnReceived],
            Phase::Returned,
        ),
        ("damaged, back", vec![Fact::Damaged { reason }, back(), Fact::ReturnReceived], Phase::Returned),
        ("lost and found", vec![Fact::Lost { reason }, Fact::Found { note: None }], Phase::Lost),
        ("fetched", vec![Fact::AvailableForPickup { note: None }, delivered()], Phase::Delivered),
        ("held", vec![Fact::OnHold { reason: HoldReason::Customs, note: None }], Phase::OnHold),
        ("called off", vec![Fact::Cancelled { reason: CancelReason::RecipientRequest }], Phase::ReturnToSender),
    ];
    for (way, facts, expected) in ways {
        let world = world();
        let mut log = world.plain(8);
        for fact in facts {
            let by_seller = TABLE.iter().any(|row| row.kind == fact.kind() && row.by == [Author::Seller]);
            kit::push(&mut log, if by_seller { &world.seller } else { &world.carrier }, fact);
            assert_eq!(log.stage(), None, "{way}");
        }
        assert_eq!(log.phase(), expected, "{way}");
    }
}

#[test]
fn cancelled_before_the_hand_over_is_the_end_and_after_it_the_way_back() {
    let world = world();
    let cancelled = Fact::Cancelled { reason: CancelReason::SellerRequest };
    for (events, expected) in
        [(0, Phase::Cancelled), (1, Phase::Cancelled), (2, Phase::ReturnToSender), (5, Phase::ReturnToSender)]
    {
        let mut log = world.plain(events);
        kit::push(&mut log, &world.seller, cancelled.clone());
        assert_eq!(log.phase(), expected, "after {events} events");
    }
}

#[test]
fn attempts_end_when_the_terms_say_so() {
    let world = world();
    let reason = Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note: None };
    let mut log = world.plain(8);
    for attempt in 1..=3 {
        kit::push(&mut log, &world.carrier, Fact::AttemptFailed { reason });
        assert_eq!(log.state().attempts_spent(), attempt);
        if attempt == 3 {
            break;
        }
        kit::push(&mut log, &world.seller, Fact::Rescheduled { window: None });
        kit::push(&mut log, &world.carrier, world.accepted(attempt + 1));
        kit::push(&mut log, &world.seller, Fact::HandedOver { terms: world.terms() });
        kit::push(&mut log, &world.carrier, Fact::PickedUp);
        kit::push(&mut log, &world.seller, kit::released(Stage::Country));
        assert_eq!(kit::at(&log), (Phase::PickedUp, Some(Stage::Country), attempt + 1), "stages are counted anew");
    }
    assert_eq!(
        log.allows(Author::Seller, world.seller.uid(), &Fact::Rescheduled { window: None }),
        Err(Refusal::NoAttemptsLeft { max: 3 })
    );
    kit::push(&mut log, &world.seller, back());
    assert_eq!(log.phase(), Phase::ReturnToSender);
}

#[test]
fn a_delivery_nobody_could_call_back_in_time_is_delivered() {
    let world = world();
    let log = world.plain(8);
    let offline = log.sign(&world.carrier.signer, delivered(), kit::NOW).unwrap();
    let mut log = log;
    kit::push(&mut log, &world.seller, Fact::Cancelled { reason: CancelReason::SellerRequest });
    assert_eq!(log.phase(), Phase::ReturnToSender);
    let verdict = log.push(offline.bytes()).clone();
    assert_eq!(verdict, Verdict::Counts(Effect { from: Phase::ReturnToSender, to: Phase::Delivered, late: true }));
}

#[test]
fn who_has_seen_the_cancellation_can_not_deliver_any_more() {
    let world = world();
    let mut log = world.plain(8);
    kit::push(&mut log, &world.seller, Fact::Cancelled { reason: CancelReason::SellerRequest });
    let refused = log.sign(&world.carrier.signer, delivered(), kit::NOW).unwrap_err();
    let expected = Refusal::OutOfPlace { kind: Kind::Delivered, phase: Phase::ReturnToSender };
    assert_eq!(refused, waybill_protocol::SignError::Refused(expected));
}

#[test]
fn while_on_hold_nothing_opens_and_what_happens_happens() {
    let world = world();
    let mut log = world.plain(8);
    kit::push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::AddressUnclear, note: None });
    assert_eq!(kit::at(&log), (Phase::OnHold, None, 1));
    let mut resumed = log.clone();
    kit::push(&mut resumed, &world.seller, Fact::Resumed);
    assert_eq!(kit::at(&resumed), (Phase::OutForDelivery, Some(Stage::Door), 1));
    kit::push(&mut log, &world.carrier, delivered());
    assert_eq!(log.phase(), Phase::Delivered);
}

#[test]
fn a_changed_address_closes_what_was_open_of_it() {
    let world = world();
    let moved = |change: fn(&mut Order)| {
        let mut order = order();
        change(&mut order);
        Fact::AddressChanged { commitments: world.commitments(&order) }
    };
    let cases: [(usize, Fact, (Phase, Option<Stage>)); 4] = [
        (7, moved(|order| order.door_number = "9".into()), (Phase::InTransit, Some(Stage::PostalCode))),
        (8, moved(|order| order.door_number = "9".into()), (Phase::InTransit, Some(Stage::PostalCode))),
        (8, moved(|order| order.postal_code = "00119".into()), (Phase::InTransit, Some(Stage::Country))),
        (8, moved(|order| order.city = "Milano".into()), (Phase::InTransit, None)),
    ];
    for (events, fact, (phase, stage)) in cases {
        let mut log = world.plain(events);
        kit::push(&mut log, &world.seller, fact);
        assert_eq!((log.phase(), log.stage()), (phase, stage));
        let due = stage.map_or(Some(Stage::Country), Stage::next);
        assert_eq!(log.state().due(), due, "and is due again");
    }
}

#[test]
fn repeated_scans_are_told_together_so_the_log_stays_short() {
    let world = world();
    let mut terms = world.terms();
    terms.scan = true;
    let mut log = world.plain(1);
    kit::push(&mut log, &world.seller, Fact::HandedOver { terms });
    kit::push(&mut log, &world.carrier, Fact::PickedUp);
    let mut told = 0;
    for tries in 1..=10_000 {
        let fact = Fact::Scanned { outcome: ScanOutcome::WrongParcel, tries };
        if log.allows(Author::Transport, world.carrier.uid(), &fact).is_ok() {
            kit::push(&mut log, &world.carrier, fact);
            told += 1;
        }
    }
    assert_eq!(told, 14, "ten thousand tries");
    let read = Fact::Scanned { outcome: ScanOutcome::Read { mac: Mac([1; 32]) }, tries: 10_001 };
    kit::push(&mut log, &world.carrier, read);
}

// === what must hold at every step ===

fn check_step(
    before: &Machine,
    after: &Machine,
    fact: &Fact,
    outcome: &Result<Effect, Refusal>,
) -> Result<(), TestCaseError> {
    let (old, new) = (before.state(), after.state());
    let Ok(effect) = outcome else {
        prop_assert_eq!(before, after, "a refusal changes nothing");
        return Ok(());
    };
    prop_assert_eq!((effect.from, effect.to), (old.phase(), new.phase()));
    let corrected = fact.kind() == Kind::Corrected;
    if effect.from != effect.to && !corrected {
        let late = effect.late && effect.to == Phase::Delivered;
        prop_assert!(
            late || followers(effect.from).contains(&effect.to),
            "{} to {} by {}",
            effect.from,
            effect.to,
            fact.kind()
        );
        prop_assert!(!effect.from.is_terminal(), "{} is left by {}", effect.from, fact.kind());
    }
    prop_assert!(new.attempt() >= old.attempt() && new.attempt() <= old.attempt() + 1);
    prop_assert!(new.attempts_spent() <= new.attempt());
    prop_assert!(new.phase() != Phase::OnHold || new.stage().is_none());
    prop_assert!(new.phase() != Phase::Cancelled || !new.is_away());
    prop_assert!(!new.phase().is_terminal() || (new.stage().is_none() && new.due().is_none()));
    check_stage(old, new, fact, corrected)
}

fn check_stage(old: &State, new: &State, fact: &Fact, corrected: bool) -> Result<(), TestCaseError> {
    let resumed = matches!(fact, Fact::Resumed);
    if new.stage() <= old.stage() || corrected || resumed {
        return Ok(());
    }
    let Fact::Released { stage, gate } = fact else {
        return Err(TestCaseError::fail(format!("{} opened {:?}", fact.kind(), new.stage())));
    };
    prop_assert_eq!(new.stage(), Some(*stage));
    prop_assert_eq!(old.posted(), stage.previous(), "the part before was posted, in this attempt");
    prop_assert_eq!(old.stage(), stage.previous());
    if *stage == Stage::Door && new.terms().is_some_and(|terms| terms.scan) {
        let open = match gate {
            Some(Gate::Scan { scan }) => new.scans().iter().any(|known| known.event == *scan && !known.refused),
            Some(Gate::Incident { .. }) => true,
            _ => false,
        };
        prop_assert!(open, "the door opened without a scan: {gate:?}");
    }
    Ok(())
}

// === random play ===

/// One random move: which fact, by whom, and how honest.
#[derive(Debug, Clone, Copy)]
struct Move {
    kind: usize,
    author: usize,
    choice: u8,
    honest: bool,
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (0..60_usize, 0..4_usize, any::<u8>(), prop::bool::weighted(0.8));
    prop::collection::vec(one.prop_map(|(kind, author, choice, honest)| Move { kind, author, choice, honest }), 1..60)
}

/// A machine and what a player needs to know to make moves that are not all refused.
struct Table {
    machine: Machine,
    world: World,
    carriers: [Uid; 2],
    seqs: [u32; 4],
    events: Vec<(Hash, Kind)>,
}

impl Table {
    fn new() -> Self {
        let world = world();
        let carriers = [world.carrier.uid().clone(), uid("truck-8")];
        Self { machine: Machine::new(), world, carriers, seqs: [0; 4], events: Vec::new() }
    }

    fn play(&mut self, one: Move) -> (Fact, Result<Effect, Refusal>) {
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
            9 => Fact::IncidentReported { incident: Incident::Other, note: None },
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

/// A log of events that were all signed honestly, each on what its author knew, and then mixed up by someone.
fn signed_moves(moves: Vec<Move>, shuffle: u64) -> (World, Vec<Vec<u8>>) {
    let mut table = Table::new();
    let world = world();
    let second = world.another_carrier("truck-8", 40);
    table.carriers[1] = second.uid().clone();
    let mut log = world.log();
    for one in moves.into_iter().take(25) {
        // The player only proposes; what counts is what the log lets be signed.
        table.machine = log.machine().clone();
        table.events = log
            .entries()
            .iter()
            .filter_map(|entry| entry.event())
            .map(|signed| (signed.id(), signed.event().kind()))
            .collect();
        let (_, who, fact) = table.choose(one);
        let signer = [&world.seller, &world.carrier, &second, &world.api][who];
        if let Ok(signed) = log.sign(&signer.signer, fact, kit::NOW) {
            log.push(signed.bytes());
        }
    }
    let mut bytes: Vec<Vec<u8>> = log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    let mut seed = shuffle;
    for index in (1..bytes.len()).rev() {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        if seed >> 62 == 0 {
            bytes.swap(index, (seed >> 33) as usize % (index + 1));
        }
    }
    let again = bytes.clone();
    bytes.extend(again);
    (world, bytes)
}

fn delivered() -> Fact {
    Fact::Delivered { to: DeliveredTo::Recipient, note: None }
}

fn back() -> Fact {
    Fact::ReturnRequested { reason: ReturnReason::SellerRequest }
}
