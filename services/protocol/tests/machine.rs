//! The machine under any sequence of events: what the promises say holds whatever is thrown at it.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;
#[path = "kit/play.rs"]
mod play;

use std::collections::BTreeSet;

use kit::{order, world};
use play::{Table, back, delivered, moves, signed_moves};
use proptest::prelude::*;
use waybill_protocol::{
    Author, Fact, Gate, Kind, Log, Mac, Order, Phase, Reason, Refusal, ScanOutcome, Stage, Verdict,
    fact::reason::*,
    machine::{Effect, Machine, Need, State, TABLE, To, followers},
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
        let again = Log::read(world.subject.clone(), &world.trust(), bytes.iter().map(Vec::as_slice));
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
fn a_delivery_that_comes_after_the_end_is_noted_and_only_a_correction_reopens() {
    let world = world();
    let log = world.plain(8);
    let offline = log.sign(&world.carrier.signer, delivered(), kit::NOW).unwrap();
    let mut log = log;
    let reason = Reason { cause: Cause::Unknown, what: Happening::ParcelLost, note: None };
    let lost = kit::push(&mut log, &world.seller, Fact::Lost { reason });
    let verdict = log.push(offline.bytes()).clone();
    assert_eq!(verdict, Verdict::Counts(Effect { from: Phase::Lost, to: Phase::Lost, late: true }));
    kit::push(&mut log, &world.seller, Fact::Corrected { event: lost.id(), note: None });
    assert_eq!(log.phase(), Phase::OutForDelivery);
    kit::push(&mut log, &world.carrier, delivered());
    assert_eq!(log.phase(), Phase::Delivered);
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
