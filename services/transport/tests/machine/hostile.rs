//! What a hostile broker, a stranger and a wrong answer can do: nothing.

use waybill_crds::delivery::LocationSharing;
use waybill_protocol::seller_to_carrier::{Message, Offer};
use waybill_protocol::{Bytes, Mac, Outgoing, Phase, Recipient, Role, Upc};
use waybill_transport::job::{Effect, Input, Job, LogRead, Time};

use crate::desk::{NOW, own};
use crate::kit::shop::Wishes;
use crate::kit::world::{Ca, DELIVERY, World, statement, uid};
use crate::plain::desk;

fn hello(world: &World, by: &crate::kit::world::Participant) -> Vec<u8> {
    let upc = Upc::new("UPC_1").unwrap();
    let body = Message::Hello {
        statement: by.signer.statement_bytes().clone(),
        nonce: Mac([7; 32]),
        min: 1,
        current: 1,
        offer: Offer { upc, photo: false, scan: false, window: None },
    };
    let to = Recipient::Statement(world.carrier.signer.statement().x25519.unwrap());
    let message = Outgoing { attempt: 1, about: waybill_protocol::Hash::NONE, events: vec![], body };
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(3);
    world.conversation(DELIVERY).seal(&message, &by.signer, to, &mut rng).unwrap()
}

fn fresh(world: &World) -> Job {
    let profile = desk(Wishes::plain()).2.profile;
    Job::new(own(world), world.seller.uid().clone(), uid(DELIVERY), profile, [9; 32])
}

const TIME: Time = Time { device: NOW, trusted: NOW };

fn word(effects: &[Effect]) -> Vec<&'static str> {
    effects.iter().filter_map(|effect| if let Effect::Drop(why) = effect { Some(why.word()) } else { None }).collect()
}

#[test]
fn d_71_a_greeting_with_a_statement_by_another_ca_is_refused() {
    let world = World::new(NOW);
    let forged = Ca::new().participant(&statement("acme", Role::Seller, 10, NOW), 10);
    let effects = fresh(&world).on(Input::Heard(hello(&world, &forged)), TIME);
    assert_eq!(word(&effects), ["open"]);
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Say(_) | Effect::ReadLog { .. })));
}

#[test]
fn d_71_another_participant_of_the_same_ca_is_not_the_seller() {
    let world = World::new(NOW);
    for (name, role, seed) in [("other", Role::Seller, 40), ("truck-8", Role::Carrier, 50)] {
        let other = world.ca.participant(&statement(name, role, seed, NOW), seed);
        // It can't even sign as the seller of this conversation; with the right words it is another one's statement.
        let mut conversation = world.conversation(DELIVERY);
        conversation.seller = other.uid().clone();
        let to = Recipient::Statement(world.carrier.signer.statement().x25519.unwrap());
        let body = Message::News {};
        let message = Outgoing { attempt: 1, about: waybill_protocol::Hash::NONE, events: vec![], body };
        let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(3);
        let sealed = conversation.seal(&message, &other.signer, to, &mut rng);
        let Ok(frame) = sealed else { continue };
        let effects = fresh(&world).on(Input::Heard(frame), TIME);
        assert_eq!(word(&effects), ["open"]);
    }
}

#[test]
fn d_72_old_greetings_and_bent_frames_change_nothing() {
    let (_dir, world, mut desk) = desk(Wishes::plain());
    let first = desk.shop.due();
    desk.run();
    let (events, said) = (desk.shop.events(), desk.up.len());
    for frame in first {
        desk.hears(frame.clone());
        for at in (0..frame.len()).step_by(7) {
            let mut bent = frame.clone();
            bent[at] ^= 0x10;
            desk.hears(bent);
        }
        desk.hears(frame[..frame.len() / 2].to_vec());
    }
    desk.hears(hello(&world, &Ca::new().participant(&statement("acme", Role::Seller, 10, NOW), 10)));
    assert_eq!(desk.shop.events(), events);
    assert_eq!(desk.up.len(), said, "nobody is answered");
    assert!(desk.drops.len() > 10);
}

#[test]
fn a_part_with_another_token_another_salt_or_too_early_is_not_taken() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    for _ in 0..2 {
        desk.round();
    }
    let events = desk.shop.events();
    let part = Message::Part {
        part: Bytes(crate::kit::world::order().part(waybill_protocol::Stage::Door).encode()),
        salt: Mac([1; 32]),
        token: waybill_protocol::seller_to_carrier::Token::new("a.b.c").unwrap(),
    };
    let frame = desk.shop.saying(part);
    let said = desk.shop.heard.len();
    desk.hears(frame);
    assert_eq!(desk.drops, ["token"]);
    assert_eq!((desk.shop.events(), desk.shop.heard.len()), (events, said));
}

#[test]
fn a_log_without_what_the_seller_certainly_wrote_is_not_believed() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    for _ in 0..4 {
        desk.round();
    }
    let known = desk.job.as_ref().unwrap().log().entries().len();
    desk.take(Input::LogRead(LogRead { custody: Vec::new(), seller_statement: None, location: LocationSharing::None }));
    assert_eq!(desk.job.as_ref().unwrap().log().entries().len(), known, "what is genuine is kept");
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::Delivered);
    desk.shop.assert_clean();
}

#[test]
fn junk_in_the_log_is_passed_over() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    for _ in 0..3 {
        desk.round();
    }
    let mut read = desk.log_read();
    read.custody.insert(1, b"junk".to_vec());
    desk.take(Input::LogRead(read));
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::Delivered);
    desk.shop.assert_clean();
}

#[test]
fn a_log_in_which_nothing_is_genuine_is_asked_for_again_and_nothing_is_signed_upon_it() {
    let world = World::new(NOW);
    let mut job = fresh(&world);
    drop(job.on(Input::Heard(hello(&world, &world.seller)), TIME));
    let read = |custody| Input::LogRead(LogRead { custody, seller_statement: None, location: LocationSharing::None });
    let effects = job.on(read(vec![b"junk".to_vec()]), TIME);
    assert_eq!(word(&effects), ["log"]);
    assert!(effects.iter().any(|effect| matches!(effect, Effect::ReadLog { .. })));
    assert!(job.log().entries().is_empty());
    drop(job.on(read(Vec::new()), TIME));
    assert_eq!(job.log().entries().len(), 1, "an empty log is an answer");
}
