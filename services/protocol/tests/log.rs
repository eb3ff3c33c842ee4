//! The log: what it says about a delivery, and what it says about entries that should not be there.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;

use kit::{NOW, at, attempt_secret, invalid, push, released, world};
use waybill_protocol::{
    Author, CAPACITY, CaKey, Event, Fact, Gate, Hash, Invalid, Kind, Log, Order, PersonName, Phase, RESERVED, Refusal,
    ScanOutcome, SignError, SignedEvent, Signer, Stage, StatementError, Trust, UnixMillis, Verdict,
    fact::reason::{DeclaredFact, DeliveredTo, ErasedScope, EvidenceKind, HoldReason, Incident, Media},
    version,
};

#[test]
fn d_37_to_d_42_a_plain_delivery_walks_through_its_phases() {
    let world = world();
    let expected = [
        (Phase::Accepted, None, 1),
        (Phase::Accepted, None, 1),
        (Phase::PickedUp, None, 1),
        (Phase::PickedUp, Some(Stage::Country), 1),
        (Phase::InTransit, Some(Stage::Country), 1),
        (Phase::InTransit, Some(Stage::PostalCode), 1),
        (Phase::InTransit, Some(Stage::PostalCode), 1),
        (Phase::OutForDelivery, Some(Stage::Door), 1),
        (Phase::Delivered, None, 1),
    ];
    assert_eq!(at(&world.log()), (Phase::Pending, None, 0));
    for (events, expected) in (1..).zip(expected) {
        assert_eq!(at(&world.plain(events)), expected, "after {events} events");
    }
}

#[test]
fn what_a_log_says_depends_on_its_bytes_alone() {
    let world = world();
    let log = world.plain(9);
    let bytes: Vec<&[u8]> = log.entries().iter().map(|entry| entry.bytes()).collect();
    let again = Log::read(world.subject.clone(), &world.trust(), bytes);
    assert_eq!(again.state(), log.state());
    assert!(again.entries().iter().all(|entry| entry.verdict().counts()));
}

#[test]
fn a_memory_spares_work_and_believes_nothing_more() {
    let world = world();
    let honest: Vec<Vec<u8>> = world.plain(9).entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    let memory = Trust::remembering(world.trust().cas(), 4);
    for trust in [&memory, &memory, &world.trust()] {
        let log = Log::read(world.subject.clone(), trust, honest.iter().map(Vec::as_slice));
        assert!(log.entries().iter().all(|entry| entry.verdict().counts()));
    }
    let memory = Trust::remembering(world.trust().cas(), 1000);
    Log::read(world.subject.clone(), &memory, honest.iter().map(Vec::as_slice));
    for (index, event) in honest.iter().enumerate() {
        for at in (0..event.len()).step_by(7) {
            let mut bent = honest.clone();
            bent[index][at] ^= 1;
            let read = |trust| Log::read(world.subject.clone(), trust, bent.iter().map(Vec::as_slice));
            let (with, without) = (read(&memory), read(&world.trust()));
            let verdicts = |log: &Log| log.entries().iter().map(|entry| entry.verdict().clone()).collect::<Vec<_>>();
            assert_eq!(verdicts(&with), verdicts(&without), "entry {index}, byte {at}");
        }
    }
    let foreign = Trust::remembering(kit::World::new(2).trust().cas(), 1000);
    let log = Log::read(world.subject.clone(), &foreign, honest.iter().map(Vec::as_slice));
    assert!(log.entries().iter().all(|entry| !entry.verdict().is_genuine()), "a memory belongs to its CAs");
}

/// An authority leaves when none of its leafs lives; what it vouched for in a log stays as good as it was.
#[test]
fn a_former_authority_counts_where_it_stands_in_a_log_and_nowhere_else() {
    let world = world();
    let honest: Vec<Vec<u8>> = world.plain(9).entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    let read = |trust: &Trust| Log::read(world.subject.clone(), trust, honest.iter().map(Vec::as_slice));
    let now = vec![CaKey::new(b"the certificate after it", &kit::World::new(2).ca_point()).unwrap()];
    let alone = Trust::remembering(now.clone(), 1000);
    assert!(read(&alone).entries().iter().all(|entry| !entry.verdict().is_genuine()));
    for trust in [alone.with_former(world.trust().cas()), Trust::new(now).with_former(world.trust().cas())] {
        let log = read(&trust);
        assert!(log.entries().iter().all(|entry| entry.verdict().counts()));
        // Its memory now knows the statement, as one of a log.
        let bytes = &world.seller.signer.statement_bytes().0;
        assert!(matches!(trust.statement(bytes), Err(StatementError::UnknownCa(_))));
        assert!(Signer::new(bytes, &trust, &[10; 32]).is_err());
        for entry in log.entries() {
            let event = entry.event().unwrap();
            let leans = event.event().statement.is_some();
            assert_eq!(log.check_new(event).is_err(), leans, "{:?}", event.event().kind());
        }
    }
    assert!(world.log().check_new(world.plain(9).entries()[0].event().unwrap()).is_ok());
}

#[test]
fn events_fit_their_place() {
    let world = world();
    for entry in world.plain(9).entries() {
        assert!(entry.bytes().len() < 900, "{} bytes", entry.bytes().len());
    }
}

#[test]
fn nothing_is_signed_that_would_not_count() {
    let world = world();
    let log = world.plain(5);
    let refused = |fact| match log.sign(&world.seller.signer, fact, NOW) {
        Err(SignError::Refused(refusal)) => refusal,
        other => panic!("{other:?}"),
    };
    assert_eq!(
        refused(released(Stage::Door)),
        Refusal::StageNotDue { stage: Stage::Door, due: Some(Stage::PostalCode) }
    );
    assert_eq!(refused(Fact::PickedUp), Refusal::NotByThisAuthor { kind: Kind::PickedUp, author: Author::Seller });
    assert_eq!(
        refused(Fact::ReturnReceived),
        Refusal::OutOfPlace { kind: Kind::ReturnReceived, phase: Phase::InTransit }
    );
    let stranger = world.another_carrier("truck-8", 40);
    let error = log.sign(&stranger.signer, world.posted(Stage::PostalCode), NOW).unwrap_err();
    assert!(matches!(error, SignError::Refused(Refusal::NotTheCarrier { .. })), "{error:?}");
}

#[test]
fn an_event_of_another_delivery_has_no_place() {
    let world = world();
    let mut elsewhere = world.subject.clone();
    elsewhere.delivery = kit::uid("dddddddd-0000-4000-8000-000000000002");
    let mut log = Log::new(elsewhere, &world.trust());
    let verdict = log.push(world.plain(1).entries()[0].bytes()).clone();
    assert_eq!(*invalid(&verdict), Invalid::AnotherDelivery { got: world.subject.delivery.clone() });
    assert_eq!(log.phase(), Phase::Pending);
}

#[test]
fn a_statement_of_another_ca_namespace_role_or_uid_counts_for_nothing() {
    let world = world();
    let first = world.plain(1).entries()[0].bytes().to_vec();

    let mut foreign_ca = Log::new(world.subject.clone(), &kit::World::new(2).trust());
    assert!(matches!(invalid(foreign_ca.push(&first)), Invalid::Statement(_)));

    let mut subject = world.subject.clone();
    subject.namespace = kit::name("other");
    let mut foreign_namespace = Log::new(subject, &world.trust());
    assert_eq!(*invalid(foreign_namespace.push(&first)), Invalid::ForeignStatement("namespace"));

    for (bend, what) in [
        ((|event| event.uid = kit::uid("someone-else")) as fn(&mut Event), "uid"),
        (|event| event.author = Author::Person, "role"),
    ] {
        let signed = SignedEvent::read(&first).unwrap();
        let mut event = signed.event().clone();
        bend(&mut event);
        let key = ed25519_dalek::SigningKey::from_bytes(&[20; 32]);
        let bent = SignedEvent::sign(event, &key).unwrap();
        assert_eq!(*invalid(world.log().push(bent.bytes())), Invalid::ForeignStatement(what));
    }
}

#[test]
fn an_event_signed_by_another_key_is_not_its_authors() {
    let world = world();
    let log = world.plain(2);
    let honest = log.sign(&world.carrier.signer, Fact::PickedUp, NOW).unwrap();
    let thief = ed25519_dalek::SigningKey::from_bytes(&[99; 32]);
    let forged = SignedEvent::sign(honest.event().clone(), &thief).unwrap();
    assert_eq!(forged.id(), honest.id(), "the id names what is said, not the signature");
    let mut attacked = log.clone();
    assert_eq!(*invalid(attacked.push(forged.bytes())), Invalid::BadSignature);
    assert!(attacked.push(honest.bytes()).counts(), "the honest event still has its place");
}

#[test]
fn dropped_repeated_reordered_and_swapped_events_are_noticed() {
    let world = world();
    let full = world.plain(9);
    let bytes: Vec<&[u8]> = full.entries().iter().map(|entry| entry.bytes()).collect();
    let read =
        |order: &[usize]| Log::read(world.subject.clone(), &world.trust(), order.iter().map(|index| bytes[*index]));

    let dropped = read(&[0, 1, 2, 3, 5, 6, 7, 8]);
    assert_eq!(at(&dropped), (Phase::PickedUp, Some(Stage::Country), 1));
    assert_eq!(*invalid(dropped.entries()[4].verdict()), Invalid::UnknownSeen);
    assert_eq!(*invalid(dropped.entries()[5].verdict()), Invalid::Gap { expected: 2, got: 3 });

    let repeated = read(&[0, 1, 2, 2, 1, 0, 3]);
    assert_eq!(at(&repeated), (Phase::PickedUp, Some(Stage::Country), 1));
    for (entry, first) in [(3, 2), (4, 1), (5, 0)] {
        assert_eq!(*invalid(repeated.entries()[entry].verdict()), Invalid::Repeated { first });
    }

    let reordered = read(&[0, 2, 1, 2, 3]);
    assert_eq!(*invalid(reordered.entries()[1].verdict()), Invalid::UnknownSeen);
    assert_eq!(at(&reordered), (Phase::PickedUp, Some(Stage::Country), 1), "it counts when its turn comes");
}

#[test]
fn of_two_events_with_one_number_the_first_logged_counts_and_the_other_shows_as_a_fork() {
    let world = world();
    let log = world.plain(8);
    let note = Some(Hash::of(b"a note"));
    let to = DeliveredTo::Recipient;
    let one = log.sign(&world.carrier.signer, Fact::Delivered { to, note: None }, NOW).unwrap();
    let other = log.sign(&world.carrier.signer, Fact::Delivered { to, note }, NOW).unwrap();
    let mut log = log;
    assert!(log.push(one.bytes()).counts());
    assert_eq!(*invalid(log.push(other.bytes())), Invalid::Fork { first: 8 });
    assert_eq!(log.forks().map(|(index, _)| index).collect::<Vec<_>>(), [9]);
}

#[test]
fn what_builds_on_a_lost_fork_builds_on_nothing() {
    let world = world();
    let log = world.plain(8);
    let to = DeliveredTo::Neighbour;
    let mut theirs = log.clone();
    push(&mut theirs, &world.carrier, Fact::Delivered { to, note: None });
    let on_top = push(&mut theirs, &world.carrier, Fact::Erased { scope: ErasedScope::Attempt });
    let mut ours = world.plain(9);
    assert_eq!(*invalid(ours.push(on_top.bytes())), Invalid::BrokenChain);
}

#[test]
fn a_refused_event_stays_in_its_chain_and_the_next_one_counts() {
    let world = world();
    // The agent posts while, unknown to it, the seller changes the address.
    let log = world.plain(4);
    let stale = log.sign(&world.carrier.signer, world.posted(Stage::Country), NOW).unwrap();
    let mut log = log;
    let moved = Order { country: "France".into(), ..kit::order() };
    push(&mut log, &world.seller, Fact::AddressChanged { commitments: world.commitments(&moved) });
    let verdict = log.push(stale.bytes()).clone();
    assert!(matches!(verdict, Verdict::Counts(effect) if effect.late && effect.from == effect.to), "{verdict:?}");
    assert_eq!(at(&log), (Phase::PickedUp, None, 1), "what was posted is not this address");

    push(&mut log, &world.seller, released(Stage::Country));
    let commitment = world.commitments(&moved).country;
    push(&mut log, &world.carrier, Fact::Posted { stage: Stage::Country, commitment });
    assert_eq!(at(&log), (Phase::InTransit, Some(Stage::Country), 1));
}

#[test]
fn a_rotation_is_signed_by_the_old_key_and_from_then_on_only_the_new_one_counts() {
    let world = world();
    let mut log = world.plain(5);
    let next = world.rotated(&world.seller, 50);
    assert_eq!(log.sign(&next.signer, released(Stage::PostalCode), NOW), Err(SignError::KeyNotCurrent));
    let by_old_key = log.sign(&world.seller.signer, released(Stage::PostalCode), NOW).unwrap();

    let rotation = log.rotate(&world.seller.signer, &next.signer, NOW).unwrap();
    assert!(log.push(rotation.bytes()).counts());
    assert_eq!(log.key_of(Author::Seller, world.seller.uid()), Some(&next.key()));
    assert!(matches!(invalid(log.push(by_old_key.bytes())), Invalid::Fork { .. }));
    assert_eq!(log.sign(&world.seller.signer, released(Stage::PostalCode), NOW), Err(SignError::KeyNotCurrent));
    push(&mut log, &next, released(Stage::PostalCode));
    assert_eq!(log.rotate(&next.signer, &world.seller.signer, NOW), Err(SignError::NotARotation), "no way back");
}

#[test]
fn a_statement_stands_where_it_belongs_and_nowhere_else() {
    let world = world();
    let log = world.plain(2);
    let honest = log.sign(&world.carrier.signer, Fact::PickedUp, NOW).unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[20; 32]);
    let mut with = honest.event().clone();
    with.statement = Some(world.carrier.signer.statement_bytes().clone());
    let mut attacked = log.clone();
    let bent = SignedEvent::sign(with, &key).unwrap();
    assert_eq!(*invalid(attacked.push(bent.bytes())), Invalid::StatementUnexpected);

    let mut without = SignedEvent::read(log.entries()[0].bytes()).unwrap().event().clone();
    without.statement = None;
    let bent = SignedEvent::sign(without, &key).unwrap();
    assert_eq!(*invalid(world.log().push(bent.bytes())), Invalid::StatementMissing);
}

#[test]
fn what_an_author_has_seen_only_grows_and_stands_before_it() {
    let world = world();
    let log = world.plain(6);
    let honest = log.sign(&world.carrier.signer, world.posted(Stage::PostalCode), NOW).unwrap();
    let key = ed25519_dalek::SigningKey::from_bytes(&[20; 32]);
    let bend = |seen| {
        let mut event = honest.event().clone();
        event.seen = seen;
        let mut attacked = log.clone();
        attacked.push(SignedEvent::sign(event, &key).unwrap().bytes()).clone()
    };
    let seller_events = [log.entries()[1].event().unwrap().id(), log.entries()[3].event().unwrap().id()];
    let own_event = log.entries()[0].event().unwrap().id();
    assert_eq!(*invalid(&bend(None)), Invalid::SeenGoesBack);
    assert_eq!(*invalid(&bend(Some(seller_events[0]))), Invalid::SeenGoesBack);
    assert_eq!(*invalid(&bend(Some(own_event))), Invalid::UnknownSeen, "the other side's, not one's own");
    assert_eq!(*invalid(&bend(Some(Hash::of(b"nothing")))), Invalid::UnknownSeen);
    assert!(bend(Some(seller_events[1])).is_genuine(), "less than all is an honest answer");
}

#[test]
fn the_last_places_are_kept_for_endings() {
    let world = world();
    let mut log = world.plain(8);
    while log.entries().len() < CAPACITY - RESERVED {
        log.push(b"junk");
    }
    let error = log.sign(&world.carrier.signer, Fact::Scanned { outcome: ScanOutcome::Unreadable, tries: 1 }, NOW);
    assert_eq!(error, Err(SignError::NoPlace(Kind::Scanned)));
    let scan =
        world.plain(8).sign(&world.carrier.signer, Fact::Scanned { outcome: ScanOutcome::Unreadable, tries: 1 }, NOW);
    assert_eq!(*invalid(log.push(scan.unwrap().bytes())), Invalid::Reserved);
    let to = DeliveredTo::Recipient;
    push(&mut log, &world.carrier, Fact::Delivered { to, note: None });
    while log.entries().len() < CAPACITY {
        log.push(b"junk");
    }
    let late = world.plain(9).sign(&world.carrier.signer, Fact::Erased { scope: ErasedScope::Attempt }, NOW);
    assert_eq!(*invalid(log.push(late.unwrap().bytes())), Invalid::Full);
    assert_eq!(log.phase(), Phase::Delivered);
}

#[test]
fn an_event_from_the_future_is_shown_and_nothing_builds_on_it() {
    let world = world();
    let log = world.plain(2);
    let mut event = log.sign(&world.carrier.signer, Fact::PickedUp, NOW).unwrap().event().clone();
    event.version = version::CURRENT + 1;
    let key = ed25519_dalek::SigningKey::from_bytes(&[20; 32]);
    let mut log = log;
    let verdict = log.push(SignedEvent::sign(event, &key).unwrap().bytes()).clone();
    assert!(verdict.is_from_the_future(), "{verdict:?}");
    assert_eq!(at(&log), (Phase::Accepted, None, 1));
}

#[test]
fn a_revoked_carriers_word_ends_with_what_the_seller_had_seen() {
    let world = world();
    let log = world.plain(5);
    let late =
        log.sign(&world.carrier.signer, Fact::IncidentReported { incident: Incident::Delay, note: None }, NOW).unwrap();
    let mut log = log;
    let hold = push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::CarrierRevoked, note: None });
    assert_eq!(at(&log), (Phase::OnHold, None, 1));
    assert_eq!(*invalid(log.push(late.bytes())), Invalid::CutOff { by: hold.id() });
    let resumed = log.sign(&world.seller.signer, Fact::Resumed, NOW);
    assert!(matches!(resumed, Err(SignError::Refused(Refusal::NotYourHold { .. }))), "only another carrier can go on");
}

#[test]
fn no_order_of_the_entries_brings_a_revoked_carriers_word_back() {
    let world = world();
    let log = world.plain(8);
    let to = DeliveredTo::Recipient;
    let thief = log.sign(&world.carrier.signer, Fact::Delivered { to, note: None }, NOW).unwrap();
    let mut honest = log.clone();
    let hold = push(&mut honest, &world.seller, Fact::OnHold { reason: HoldReason::CarrierRevoked, note: None });
    // Someone moves what was signed after the revocation before it.
    let mut forged = log.clone();
    assert!(forged.push(thief.bytes()).counts());
    assert_eq!(forged.phase(), Phase::Delivered);
    forged.push(hold.bytes());
    assert_eq!(*invalid(forged.entries()[8].verdict()), Invalid::CutOff { by: hold.id() });
    assert_eq!(forged.phase(), Phase::OnHold);
    assert_eq!(forged.state(), honest.state());
}

#[test]
fn the_job_goes_to_another_carrier_and_can_come_back() {
    let world = world();
    let mut log = world.plain(5);
    let second = world.another_carrier("truck-8", 40);
    push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::SellerRequest, note: None });
    push(&mut log, &world.seller, Fact::CarrierAssigned { carrier: second.uid().clone() });
    assert_eq!(at(&log), (Phase::Rescheduled, None, 1));
    let stays_out = log.sign(&world.carrier.signer, world.accepted(2), NOW).unwrap_err();
    assert!(matches!(stays_out, SignError::Refused(Refusal::NotAssigned { .. })), "{stays_out:?}");

    push(&mut log, &second, world.accepted(2));
    let former = log.sign(&world.seller.signer, Fact::HandedOver { terms: world.terms() }, NOW);
    assert!(matches!(former, Err(SignError::Refused(Refusal::NotAcceptedBy { .. }))), "{former:?}");
    push(&mut log, &world.seller, Fact::HandedOver { terms: world.terms_for(second.uid()) });
    push(&mut log, &second, Fact::PickedUp);
    assert_eq!(at(&log), (Phase::PickedUp, None, 2));
    assert_eq!(log.state().carrier(), Some(second.uid()));
    assert_eq!(log.state().attempts_spent(), 0, "a change of carrier spends no attempt");

    push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::SellerRequest, note: None });
    push(&mut log, &world.seller, Fact::CarrierAssigned { carrier: world.carrier.uid().clone() });
    push(&mut log, &world.carrier, world.accepted(3));
    assert_eq!(at(&log), (Phase::Accepted, None, 3));
    assert_eq!(log.state().carrier(), Some(world.carrier.uid()));
}

#[test]
fn every_attempt_has_a_key_of_its_own_and_none_once_it_is_over() {
    let world = world();
    let mut log = world.plain(8);
    let key = |log: &Log| log.state().attempt_key(world.carrier.uid());
    assert_eq!(key(&log), Some(attempt_secret(1).public()));
    push(&mut log, &world.carrier, Fact::AvailableForPickup { note: None });
    assert_eq!(key(&log), None);
    push(&mut log, &world.seller, Fact::Rescheduled { window: None });
    assert_eq!((key(&log), log.state().attempt_to_accept()), (None, Some(2)));
    push(&mut log, &world.carrier, world.accepted(2));
    assert_eq!((key(&log), log.state().attempt_to_accept()), (Some(attempt_secret(2).public()), None));
}

#[test]
fn an_uninvited_acceptance_does_not_keep_the_right_carrier_out() {
    let world = world();
    let mut log = world.log();
    let intruder = world.another_carrier("truck-9", 60);
    push(&mut log, &intruder, world.accepted(1));
    push(&mut log, &world.carrier, world.accepted(1));
    push(&mut log, &world.seller, Fact::HandedOver { terms: world.terms() });
    assert_eq!(log.state().carrier(), Some(world.carrier.uid()));
    let refused = log.sign(&intruder.signer, Fact::PickedUp, NOW).unwrap_err();
    assert!(matches!(refused, SignError::Refused(Refusal::NotTheCarrier { .. })), "{refused:?}");
}

#[test]
fn a_declaration_releases_nothing_and_counts_once_the_seller_countersigns() {
    let world = world();
    let mut log = world.plain(7);
    let by = PersonName::new("dispatcher@shop").unwrap();
    let declared = push(&mut log, &world.api, Fact::Declared { fact: DeclaredFact::Delivered, by, note: None });
    assert_eq!(at(&log), (Phase::InTransit, Some(Stage::PostalCode), 1));
    let alone = log.sign(&world.api.signer, Fact::Delivered { to: DeliveredTo::Recipient, note: None }, NOW);
    assert!(matches!(alone, Err(SignError::Refused(Refusal::NotByThisAuthor { .. }))), "{alone:?}");
    push(&mut log, &world.seller, Fact::Countersigned { event: declared.id() });
    assert_eq!(at(&log), (Phase::Delivered, None, 1));
}

#[test]
fn a_wrong_tap_is_taken_back_by_its_author_alone_and_only_while_it_is_the_last_step() {
    let world = world();
    let mut log = world.plain(9);
    let delivered = log.entries()[8].event().unwrap().id();
    let by_seller = log.sign(&world.seller.signer, Fact::Corrected { event: delivered, note: None }, NOW);
    assert_eq!(by_seller, Err(SignError::Refused(Refusal::NotCorrectable { event: delivered })));
    let sha256 = Hash::of(b"photo");
    let (kind, media) = (EvidenceKind::Photo, Media::Jpeg);
    push(&mut log, &world.carrier, Fact::ProofAttached { kind, media, sha256 });
    push(&mut log, &world.carrier, Fact::Corrected { event: delivered, note: None });
    assert_eq!(at(&log), (Phase::OutForDelivery, Some(Stage::Door), 1));
    assert_eq!(log.state().proofs().len(), 1, "a fact stays a fact");

    let mut log = world.plain(3);
    let picked_up = log.entries()[2].event().unwrap().id();
    push(&mut log, &world.seller, released(Stage::Country));
    let disclosed = log.sign(&world.carrier.signer, Fact::Corrected { event: picked_up, note: None }, NOW);
    assert_eq!(disclosed, Err(SignError::Refused(Refusal::NotCorrectable { event: picked_up })));
}

#[test]
fn a_lost_journal_is_read_back_from_the_log_and_goes_on() {
    let world = world();
    let log = world.plain(6);
    let mut again = Log::read(world.subject.clone(), &world.trust(), log.entries().iter().map(|entry| entry.bytes()));
    assert_eq!(again.expected(Author::Transport, world.carrier.uid()).0, 3);
    let attempt_key = attempt_secret(9).public();
    push(&mut again, &world.carrier, Fact::Rekeyed { attempt_key, nonce: world.nonce(1) });
    assert_eq!(again.state().attempt_key(world.carrier.uid()), Some(attempt_key));
    push(&mut again, &world.carrier, world.posted(Stage::PostalCode));
}

#[test]
fn news_for_a_carrier_are_what_it_has_not_seen_and_not_its_own() {
    let world = world();
    let log = world.plain(6);
    let kinds = |log: &Log, budget| -> Vec<Kind> {
        let news = log.news_for(world.carrier.uid(), budget);
        news.iter().map(|bytes| SignedEvent::read(&bytes.0).unwrap().event().kind()).collect()
    };
    assert_eq!(kinds(&log, usize::MAX), [Kind::Released]);
    assert_eq!(kinds(&log, 10), [], "a budget is kept");
    assert_eq!(kinds(&world.plain(2), usize::MAX), [Kind::HandedOver]);
    let newcomer = world.another_carrier("truck-8", 40);
    assert_eq!(log.news_for(newcomer.uid(), usize::MAX).len(), 6, "who is new gets all");
}

#[test]
fn the_clock_of_an_author_decides_nothing() {
    let world = world();
    let mut log = world.plain(2);
    for (author, fact) in world.plain_facts().into_iter().skip(2) {
        let signed = log.sign(&author.signer, fact, UnixMillis(0)).unwrap();
        assert!(log.push(signed.bytes()).counts());
    }
    assert_eq!(log.phase(), Phase::Delivered);
}

#[test]
fn a_gate_is_for_the_door_alone() {
    let world = world();
    let fact = Fact::Released { stage: Stage::Country, gate: Some(Gate::NotAsked) };
    let refused = world.plain(3).sign(&world.seller.signer, fact, NOW);
    assert!(matches!(refused, Err(SignError::Refused(Refusal::Gate(_)))), "{refused:?}");
}
