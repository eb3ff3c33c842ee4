//! One log for every reason there is: an honest beginning, and at its end the entry that is not taken. The name says why.

use ed25519_dalek::SigningKey;
use waybill_protocol::{
    Author, CAPACITY, Event, Fact, Gate, Hash, Log, Mac, RESERVED, ReceiptCode, ScanOutcome, SignedEvent, Stage,
    fact::reason::*, version,
};

use crate::{
    kit::{self, NOW, Participant, World, order, push, released, world},
    play::{back, delivered},
    scenes::{Scene, absent, resigned, scene, with_scan},
};

pub(crate) fn all() -> Vec<Scene> {
    let world = world();
    let mut scenes = by_phase(&world);
    scenes.extend(by_carrier(&world));
    scenes.extend(by_stage(&world));
    scenes.extend(by_scan(&world));
    scenes.extend(by_hold(&world));
    scenes.extend(by_attempt(&world));
    scenes.extend(by_place(&world));
    scenes
}

fn by_phase(world: &World) -> Vec<Scene> {
    let (seller, carrier) = (&world.seller, &world.carrier);
    let code = ReceiptCode([0; 16]);
    let lost = Fact::Lost { reason: absent() };
    let mut given_back = world.plain(8);
    push(&mut given_back, seller, back());
    push(&mut given_back, carrier, Fact::GivenBack);
    let mut lost_twice = world.plain(8);
    let first = push(&mut lost_twice, carrier, lost.clone()).id();
    push(&mut lost_twice, carrier, Fact::Corrected { event: first, note: None });
    vec![
        end("a seller says it delivered: refused NotByThisAuthor", world, &world.plain(8), seller, delivered()),
        end("delivered before the door was open: refused OutOfPlace", world, &world.plain(7), carrier, delivered()),
        end("lost before it left: refused NotAway", world, &world.plain(1), seller, lost),
        end(
            "another code than the recipient's: refused WrongReceiptCode",
            world,
            &world.plain(9),
            carrier,
            Fact::ReceiptProved { code },
        ),
        end("given back twice: refused AlreadyGivenBack", world, &given_back, carrier, Fact::GivenBack),
        end(
            "a correction of what was corrected: refused NotCorrectable",
            world,
            &lost_twice,
            carrier,
            Fact::Corrected { event: first, note: None },
        ),
        end(
            "a countersignature of nothing: refused UnknownReference",
            world,
            &world.plain(8),
            seller,
            Fact::Countersigned { event: Hash([9; 32]) },
        ),
        end("the door after the delivery: refused OutOfPlace", world, &world.plain(9), seller, released(Stage::Door)),
    ]
}

fn by_carrier(world: &World) -> Vec<Scene> {
    let (seller, carrier) = (&world.seller, &world.carrier);
    let second = world.another_carrier("truck-8", 40);
    let mut assigned = world.plain(5);
    push(&mut assigned, seller, Fact::OnHold { reason: HoldReason::SellerRequest, note: None });
    push(&mut assigned, seller, Fact::CarrierAssigned { carrier: second.uid().clone() });
    let third = world.another_carrier("truck-9", 60);
    let mut taken_over = assigned.clone();
    push(&mut taken_over, &second, world.accepted(2));
    let mut changed = world.terms();
    changed.max_attempts = 9;
    let mut moved = world.terms();
    moved.commitments = world.commitments(&waybill_protocol::Order { city: "Milano".into(), ..order() });
    let again = second_attempt(world);
    vec![
        end("a stranger posts: refused NotTheCarrier", world, &world.plain(4), &second, world.posted(Stage::Country)),
        end("a carrier that was not asked accepts: refused NotAssigned", world, &assigned, &third, world.accepted(2)),
        end("accepted twice: refused AlreadyAccepted", world, &world.plain(1), carrier, world.accepted(1)),
        end(
            "the same carrier assigned: refused SameCarrier",
            world,
            &failed(world),
            seller,
            Fact::CarrierAssigned { carrier: carrier.uid().clone() },
        ),
        end(
            "handed to who has not accepted: refused NotAcceptedBy",
            world,
            &world.plain(1),
            seller,
            Fact::HandedOver { terms: world.terms_for(second.uid()) },
        ),
        end(
            "handed to the former carrier: refused NotAcceptedBy",
            world,
            &taken_over,
            seller,
            Fact::HandedOver { terms: world.terms() },
        ),
        end(
            "handed over twice: refused AlreadyHandedOver",
            world,
            &world.plain(2),
            seller,
            Fact::HandedOver { terms: world.terms() },
        ),
        end(
            "other terms for the second attempt: refused TermsChanged",
            world,
            &again,
            seller,
            Fact::HandedOver { terms: changed },
        ),
        end(
            "another address by the back door: refused TermsChanged",
            world,
            &again,
            seller,
            Fact::HandedOver { terms: moved },
        ),
        end(
            "picked up before it was handed over: refused NotHandedOver",
            world,
            &world.plain(1),
            carrier,
            Fact::PickedUp,
        ),
        end(
            "carrier changed on the way: refused NotHeld",
            world,
            &world.plain(5),
            seller,
            Fact::CarrierAssigned { carrier: second.uid().clone() },
        ),
    ]
}

fn by_stage(world: &World) -> Vec<Scene> {
    let (seller, carrier) = (&world.seller, &world.carrier);
    let gated = Fact::Released { stage: Stage::PostalCode, gate: Some(Gate::NotAsked) };
    let mut moved = world.plain(6);
    let other = world.commitments(&waybill_protocol::Order { postal_code: "00119".into(), ..order() });
    push(&mut moved, seller, Fact::AddressChanged { commitments: other });
    push(&mut moved, seller, released(Stage::PostalCode));
    vec![
        end(
            "the door before the postal code: refused StageNotDue",
            world,
            &world.plain(5),
            seller,
            released(Stage::Door),
        ),
        end("the postal code twice: refused StageNotDue", world, &world.plain(6), seller, released(Stage::PostalCode)),
        end("a gate where none is: refused Gate", world, &world.plain(5), seller, gated),
        end(
            "posted before it was released: refused StageNotReleased",
            world,
            &world.plain(5),
            carrier,
            world.posted(Stage::PostalCode),
        ),
        end("posted twice: refused AlreadyPosted", world, &world.plain(5), carrier, world.posted(Stage::Country)),
        end("the old address posted: refused StaleAddress", world, &moved, carrier, world.posted(Stage::PostalCode)),
        end(
            "the address as it was: refused SameAddress",
            world,
            &world.plain(5),
            seller,
            Fact::AddressChanged { commitments: world.terms().commitments },
        ),
        end(
            "an address before any: refused NotHandedOver",
            world,
            &world.plain(1),
            seller,
            Fact::AddressChanged { commitments: other },
        ),
    ]
}

fn by_scan(world: &World) -> Vec<Scene> {
    let (seller, carrier) = (&world.seller, &world.carrier);
    let read = |tries| Fact::Scanned { outcome: ScanOutcome::Read { mac: Mac([7; 32]) }, tries };
    let wrong = |tries| Fact::Scanned { outcome: ScanOutcome::WrongParcel, tries };
    let mut refused = with_scan(world);
    let scan = push(&mut refused, carrier, read(2)).id();
    push(&mut refused, seller, Fact::ScanRefused { scan });
    push(&mut refused, carrier, world.posted(Stage::PostalCode));
    let mut late = refused.clone();
    let delay = push(&mut late, carrier, Fact::IncidentReported { incident: Incident::Delay, note: None }).id();
    let torn = Fact::IncidentReported { incident: Incident::LabelUnreadable, note: None };
    let mut early = with_scan(world);
    let before = push(&mut early, carrier, torn.clone()).id();
    let scan_after = push(&mut early, carrier, read(1)).id();
    let unaware = early.sign(&carrier.signer, torn.clone(), NOW).unwrap();
    push(&mut early, seller, Fact::ScanRefused { scan: scan_after });
    early.push(unaware.bytes());
    push(&mut early, carrier, world.posted(Stage::PostalCode));
    let mut mistaken = with_scan(world);
    let excuse = push(&mut mistaken, carrier, torn).id();
    push(&mut mistaken, carrier, wrong(1));
    push(&mut mistaken, carrier, world.posted(Stage::PostalCode));
    let mut told = with_scan(world);
    push(&mut told, carrier, wrong(3));
    let mut next = with_scan(world);
    let old = push(&mut next, carrier, read(1)).id();
    push(&mut next, carrier, Fact::AttemptFailed { reason: absent() });
    push(&mut next, seller, Fact::Rescheduled { window: None });
    push(&mut next, carrier, world.accepted(2));
    let mut terms = world.terms();
    (terms.scan, terms.photo) = (true, true);
    push(&mut next, seller, Fact::HandedOver { terms });
    push(&mut next, carrier, Fact::PickedUp);
    for stage in [Stage::Country, Stage::PostalCode] {
        push(&mut next, seller, released(stage));
        push(&mut next, carrier, world.posted(stage));
    }
    let door = |gate| Fact::Released { stage: Stage::Door, gate: Some(gate) };
    vec![
        end("the door without the scan it asks for: refused Gate", world, &refused, seller, door(Gate::NotAsked)),
        end("the door by a refused scan: refused Gate", world, &refused, seller, door(Gate::Scan { scan })),
        end("the door by no incident: refused Gate", world, &refused, seller, door(Gate::Incident { incident: scan })),
        end(
            "the door by an incident of the road: refused Gate",
            world,
            &late,
            seller,
            door(Gate::Incident { incident: delay }),
        ),
        end(
            "the door by an incident of before the refusal: refused Gate",
            world,
            &early,
            seller,
            door(Gate::Incident { incident: before }),
        ),
        end(
            "the door by an incident whose author did not know of the refusal: refused Gate",
            world,
            &early,
            seller,
            door(Gate::Incident { incident: unaware.id() }),
        ),
        end(
            "the door by an incident of before the wrong parcel: refused Gate",
            world,
            &mistaken,
            seller,
            door(Gate::Incident { incident: excuse }),
        ),
        end("the door by the last attempt's scan: refused Gate", world, &next, seller, door(Gate::Scan { scan: old })),
        end("a scan refused twice: refused UnknownReference", world, &refused, seller, Fact::ScanRefused { scan }),
        end("the same label read again: refused NotCoalesced", world, &refused, carrier, read(9)),
        end("every single try told: refused NotCoalesced", world, &told, carrier, wrong(4)),
    ]
}

fn by_hold(world: &World) -> Vec<Scene> {
    let (seller, carrier) = (&world.seller, &world.carrier);
    let hold = |mut log: Log, author: &Participant, reason| {
        push(&mut log, author, Fact::OnHold { reason, note: None });
        log
    };
    let by_seller = hold(world.plain(5), seller, HoldReason::Customs);
    let revoked = hold(world.plain(5), seller, HoldReason::CarrierRevoked);
    let accepted = hold(world.plain(1), seller, HoldReason::SellerRequest);
    let ended = hold(failed(world), seller, HoldReason::SellerRequest);
    vec![
        end("released while on hold: refused Held", world, &by_seller, seller, released(Stage::PostalCode)),
        end(
            "handed over while on hold: refused Held",
            world,
            &accepted,
            seller,
            Fact::HandedOver { terms: world.terms() },
        ),
        end("rescheduled while on hold: refused Held", world, &ended, seller, Fact::Rescheduled { window: None }),
        end("the carrier ends the seller's hold: refused NotYourHold", world, &by_seller, carrier, Fact::Resumed),
        end(
            "the carrier holds what is held: refused NotYourHold",
            world,
            &by_seller,
            carrier,
            Fact::OnHold { reason: HoldReason::Weather, note: None },
        ),
        end("on with a revoked carrier: refused NotYourHold", world, &revoked, seller, Fact::Resumed),
        end("resumed though nothing waits: refused NotHeld", world, &world.plain(5), seller, Fact::Resumed),
    ]
}

fn by_attempt(world: &World) -> Vec<Scene> {
    let (seller, carrier) = (&world.seller, &world.carrier);
    let mut spent = world.plain(8);
    for attempt in 2..=4 {
        push(&mut spent, carrier, Fact::AttemptFailed { reason: absent() });
        if attempt < 4 {
            push(&mut spent, seller, Fact::Rescheduled { window: None });
            push(&mut spent, carrier, world.accepted(attempt));
            push(&mut spent, seller, Fact::HandedOver { terms: world.terms() });
            push(&mut spent, carrier, Fact::PickedUp);
        }
    }
    let mut wrong = scene("an event of another attempt: refused WrongAttempt", world, &world.plain(2));
    let honest = world.plain(2).sign(&carrier.signer, Fact::PickedUp, NOW).unwrap();
    wrong.entries.push(resigned(honest.bytes(), 20, |event| event.attempt = 2));
    vec![
        end(
            "a fourth of three attempts: refused NoAttemptsLeft",
            world,
            &spent,
            seller,
            Fact::Rescheduled { window: None },
        ),
        wrong,
    ]
}

/// Entries that are not even genuine, where no scene of tampering shows the reason.
fn by_place(world: &World) -> Vec<Scene> {
    let junk = |count: usize| vec![vec![0]; count];
    let at = |count: usize, name: &str, fact: Fact| {
        let mut log = world.plain(8);
        junk(count - 8).iter().for_each(|bytes| {
            log.push(bytes);
        });
        end(name, world, &log, &world.carrier, fact)
    };
    let foreign = World::new(2);
    let mut other_ca = scene("a statement of another CA: invalid Statement", world, &world.log());
    other_ca.entries.push(foreign.plain(1).entries()[0].bytes().to_vec());
    let mut other_seller = scene("another seller's event: invalid AnotherSeller", world, &world.plain(1));
    let honest = world.plain(2).entries()[1].bytes().to_vec();
    other_seller.entries.push(resigned(&honest, 10, |event| event.uid = kit::uid("another")));
    let mut other_role = scene("a carrier's statement for a person: invalid ForeignStatement", world, &world.log());
    let first = world.plain(1).entries()[0].bytes().to_vec();
    other_role.entries.push(resigned(&first, 20, |event| event.author = Author::Person));
    let mut old_epoch = scene("a rotation back to an old statement: invalid ForeignStatement", world, &rotated(world));
    let back = unchecked(&rotated(world), &world.carrier, Fact::KeyRotated);
    let back = Event { statement: Some(world.carrier.signer.statement_bytes().clone()), ..back };
    old_epoch.entries.push(SignedEvent::sign(back, &SigningKey::from_bytes(&[60; 32])).unwrap().bytes().to_vec());
    vec![
        at(
            CAPACITY - RESERVED,
            "no ending in the last places: invalid Reserved",
            Fact::Scanned { outcome: ScanOutcome::Unreadable, tries: 1 },
        ),
        at(CAPACITY, "an ending behind the last place: invalid Full", delivered()),
        other_ca,
        other_seller,
        other_role,
        old_epoch,
    ]
}

/// That log, and at its end this fact, signed in its place whatever the machine may say.
fn end(name: &str, world: &World, log: &Log, author: &Participant, fact: Fact) -> Scene {
    let seed = author.signer.uid().as_str()[..8].to_owned();
    let seed = u8::from_str_radix(&seed, 16).unwrap();
    let mut scene = scene(name, world, log);
    let event = unchecked(log, author, fact);
    scene.entries.push(SignedEvent::sign(event, &SigningKey::from_bytes(&[seed; 32])).unwrap().bytes().to_vec());
    scene
}

fn unchecked(log: &Log, author: &Participant, fact: Fact) -> Event {
    let kind = author.signer.author();
    let (seq, prev) = log.expected(kind, author.uid());
    let others = |signed: &&SignedEvent| (signed.event().author == Author::Transport) == (kind == Author::Seller);
    let state = log.state();
    Event {
        version: version::CURRENT,
        delivery: log.subject().delivery.clone(),
        author: kind,
        uid: author.uid().clone(),
        seq,
        prev,
        seen: log.entries().iter().rev().filter_map(|entry| entry.event()).find(others).map(SignedEvent::id),
        at: NOW,
        attempt: match fact {
            Fact::Accepted { .. } => state.attempt_to_accept().unwrap_or(state.attempt()),
            _ => state.attempt(),
        },
        fact,
        statement: (seq == 0).then(|| author.signer.statement_bytes().clone()),
    }
}

fn failed(world: &World) -> Log {
    let mut log = world.plain(8);
    push(&mut log, &world.carrier, Fact::AttemptFailed { reason: absent() });
    log
}

fn second_attempt(world: &World) -> Log {
    let mut log = failed(world);
    push(&mut log, &world.seller, Fact::Rescheduled { window: None });
    push(&mut log, &world.carrier, world.accepted(2));
    log
}

fn rotated(world: &World) -> Log {
    let mut log = world.plain(5);
    let next = world.rotated(&world.carrier, 60);
    let rotation = log.rotate(&world.carrier.signer, &next.signer, NOW).unwrap();
    assert!(log.push(rotation.bytes()).counts());
    log
}
