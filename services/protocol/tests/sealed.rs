//! Messages in the hands of a hostile broker, a curious carrier and a clumsy sender: nothing opens that was not said to this receiver,
//! about this, now.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;

use hpke::{
    Deserializable, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256 as Kem,
    setup_sender_with_rng,
};
use kit::{NOW, Participant, World, attempt_secret, order, rng, uid, world};
use minicbor::Encoder;
use waybill_protocol::{
    AgreementSecret, Bytes, Conversation, Direction, Frame, Hash, Incoming, KeyStatement, MAX_FIELD, MAX_FRAME, Mac,
    OpenError, Order, Outgoing, Recipient, Replays, SealError, SealedTo, SellerTrust, SignedEvent, Stage,
    StatementError, UnixMillis, Upc, WireError, X25519Key, carrier_to_seller, seller_to_carrier, version,
};

#[test]
fn a_message_opens_for_its_receiver_and_says_what_was_said() {
    let scene = Scene::new();
    let incoming = scene.open(&scene.frame).unwrap();
    assert_eq!((incoming.attempt, incoming.about, incoming.body), (1, ABOUT, part()));
}

#[test]
fn no_bit_of_a_frame_can_be_flipped_and_no_byte_cut_or_added() {
    let scene = Scene::new();
    for bit in 0..scene.frame.len() * 8 {
        let mut bent = scene.frame.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(scene.open(&bent).is_err(), "bit {bit}");
    }
    for len in 0..scene.frame.len() {
        assert!(scene.open(&scene.frame[..len]).is_err(), "{len} bytes");
    }
    assert!(scene.open(&[scene.frame.as_slice(), &[0]].concat()).is_err());
}

#[test]
fn no_low_order_point_is_taken_for_an_encapsulated_key() {
    let scene = Scene::new();
    let enc = Frame::read(&scene.frame).unwrap().enc;
    let at = scene.frame.windows(32).position(|window| window == enc.as_bytes()).unwrap();
    for point in LOW_ORDER {
        let mut bent = scene.frame.clone();
        bent[at..at + 32].copy_from_slice(&hex::decode(point).unwrap());
        assert!(matches!(Frame::read(&bent), Err(WireError::Malformed { .. })), "{point}");
    }
}

#[test]
fn no_low_order_point_is_accepted_as_the_key_of_an_attempt() {
    let world = world();
    let accepted = world.plain(1).entries()[0].bytes().to_vec();
    let key = attempt_secret(1).public();
    let at = accepted.windows(32).position(|window| window == key.as_bytes()).unwrap();
    for point in LOW_ORDER {
        let mut bent = accepted.clone();
        bent[at..at + 32].copy_from_slice(&hex::decode(point).unwrap());
        assert!(matches!(SignedEvent::read(&bent), Err(WireError::Malformed { .. })), "{point}");
    }
}

#[test]
fn a_frame_opens_for_no_other_delivery_direction_attempt_event_or_key() {
    let scene = Scene::new();
    let frame = Frame::read(&scene.frame).unwrap();
    let own = attempt_secret(1);

    let elsewhere = Conversation { delivery: uid("another-delivery"), ..scene.conversation.clone() };
    assert_eq!(scene.open_in(&elsewhere, &frame, &own), Err(OpenError::DoesNotOpen));
    for bent in [
        Frame { attempt: 2, ..frame.clone() },
        Frame { about: Hash::NONE, ..frame.clone() },
        Frame { sealed_to: SealedTo::Statement, ..frame.clone() },
    ] {
        assert_eq!(scene.open_in(&scene.conversation, &bent, &own), Err(OpenError::DoesNotOpen));
    }
    assert_eq!(scene.open_in(&scene.conversation, &frame, &attempt_secret(2)), Err(OpenError::DoesNotOpen));
    let as_answer = scene.conversation.open_up(&frame, &own, &[scene.world.seller.key()]);
    assert_eq!(as_answer, Err(OpenError::DoesNotOpen), "what goes down does not come up");
}

#[test]
fn a_frame_put_into_another_carriers_conversation_is_told_by_its_signature() {
    // Both carriers have the same key here: only the signature can tell.
    let scene = Scene::new();
    let frame = Frame::read(&scene.frame).unwrap();
    let other = Conversation { carrier: uid("truck-8"), ..scene.conversation.clone() };
    assert_eq!(scene.open_in(&other, &frame, &attempt_secret(1)), Err(OpenError::Misdirected("receiver")));
}

#[test]
fn a_receiver_can_not_pass_a_message_on_as_if_it_were_meant_for_someone_else() {
    let scene = Scene::new();
    let second = AgreementSecret::from_bytes([0x55; 32]);
    let signed = scene.signed_inside(&scene.frame);
    let passed_on = scene.seal_raw(&signed, Direction::Down, &second.public());
    assert_eq!(scene.open_in(&scene.conversation, &passed_on, &second), Err(OpenError::Misdirected("key")));
    let sent_back = scene.seal_raw(&signed, Direction::Up, &second.public());
    assert!(matches!(
        scene.conversation.open_up(&sent_back, &second, &[scene.world.seller.key()]),
        Err(OpenError::Wire(_) | OpenError::Misdirected(_))
    ));
}

#[test]
fn another_carrier_can_neither_strip_a_signature_nor_put_its_own_in_its_place() {
    let world = world();
    let thief = world.another_carrier("truck-8", 40);
    let conversation = world.conversation();
    let seller_key = world.seller.agreement.public();
    let honest = Outgoing { attempt: 1, about: ABOUT, events: vec![], body: carrier_to_seller::Message::Knock {} };

    let refused = conversation.seal(&honest, &thief.signer, Recipient::Statement(seller_key), &mut rng(3));
    assert_eq!(refused, Err(SealError::NotTheSender(Direction::Up)));

    let in_its_own = Conversation { carrier: thief.uid().clone(), ..conversation.clone() };
    let frame = in_its_own.seal(&honest, &thief.signer, Recipient::Statement(seller_key), &mut rng(3)).unwrap();
    let frame = Frame::read(&frame).unwrap();
    let own = &world.seller.agreement;
    assert!(in_its_own.open_up(&frame, own, &[thief.key()]).is_ok());
    assert!(matches!(
        conversation.open_up(&frame, own, &[world.carrier.key()]),
        Err(OpenError::Wire(WireError::BadSignature { .. }))
    ));
    assert_eq!(conversation.open_up(&frame, own, &[thief.key()]), Err(OpenError::Misdirected("sender")));
}

#[test]
fn d_46_a_replayed_message_has_the_name_it_had_and_is_done_once() {
    let scene = Scene::new();
    let mut replays = Replays::default();
    let first = scene.open(&scene.frame).unwrap();
    assert!(replays.first_time(&first.id));
    assert!(!replays.first_time(&scene.open(&scene.frame).unwrap().id), "replayed by the broker");
    let again = scene.seal(&part(), 9);
    assert_ne!(again, scene.frame);
    assert!(!replays.first_time(&scene.open(&again).unwrap().id), "said again by the seller");
    let other = scene.seal(&seller_to_carrier::Message::News {}, 9);
    assert!(replays.first_time(&scene.open(&other).unwrap().id));
}

#[test]
fn d_46_events_that_overtake_each_other_wait_for_their_turn() {
    let world = world();
    let log = world.plain(6);
    let bytes: Vec<Vec<u8>> = log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    let mut journal = world.plain(5);
    // The door's release comes before that of the postal code; the part with it is not taken.
    let full = world.plain(8);
    let door = full.entries()[7].event().unwrap();
    assert!(!journal.push(door.bytes()).is_genuine());
    let salt = waybill_protocol::SaltKey::Order(kit::ORDER_SALT).salt(&world.subject.delivery, &order(), Stage::Door);
    let part = order().part(Stage::Door).encode();
    assert!(journal.check_part(&door.id(), &part, &salt).is_err());
    assert!(journal.push(&bytes[5]).counts());
}

#[test]
fn a_part_is_taken_only_as_it_was_released_and_committed_to() {
    let world = world();
    let journal = world.plain(6);
    let of = |order: &Order, stage| {
        let salt = waybill_protocol::SaltKey::Order(kit::ORDER_SALT).salt(&world.subject.delivery, order, stage);
        (order.part(stage).encode(), salt)
    };
    let release = |index: usize| journal.entries()[index].event().unwrap().id();
    let (part, salt) = of(&order(), Stage::PostalCode);
    assert_eq!(journal.check_part(&release(5), &part, &salt), Ok(order().part(Stage::PostalCode)));

    use waybill_protocol::PartError as E;
    assert_eq!(
        journal.check_part(&release(3), &part, &salt),
        Err(E::WrongStage { expected: Stage::Country, got: Stage::PostalCode })
    );
    assert_eq!(journal.check_part(&release(1), &part, &salt), Err(E::NotReleased(release(1))));
    assert_eq!(journal.check_part(&release(5), &part, &Mac([0; 32])), Err(E::NotAsCommitted(Stage::PostalCode)));
    let other = Order { postal_code: "00119".into(), ..order() };
    let (part, salt) = of(&other, Stage::PostalCode);
    assert_eq!(journal.check_part(&release(5), &part, &salt), Err(E::NotAsCommitted(Stage::PostalCode)));
    let (part, salt) = of(&order(), Stage::PostalCode);
    let delivered = world.plain(9);
    assert_eq!(
        delivered.check_part(&release(5), &part, &salt),
        Err(E::NotOpen(Stage::PostalCode)),
        "the attempt is over"
    );
}

#[test]
fn d_71_only_a_hello_with_a_good_statement_makes_a_seller_known() {
    let world = world();
    let hello = |seller: &Participant, world: &World| {
        let body = seller_to_carrier::Message::Hello {
            statement: seller.signer.statement_bytes().clone(),
            nonce: world.nonce(1),
            min: version::MIN,
            current: version::CURRENT,
            offer: seller_to_carrier::Offer {
                upc: Upc::new("UPC_1").unwrap(),
                photo: false,
                scan: false,
                window: None,
            },
        };
        let message = Outgoing { attempt: 1, about: Hash::NONE, events: vec![], body };
        let conversation = Conversation { seller: seller.uid().clone(), ..world.conversation() };
        let to = Recipient::Statement(world.carrier.agreement.public());
        (Frame::read(&conversation.seal(&message, &seller.signer, to, &mut rng(4)).unwrap()).unwrap(), conversation)
    };
    let domain = world.trust();
    let open = |(frame, conversation): &(Frame, Conversation), known: Option<&KeyStatement>, namespace: &str, now| {
        let namespace = kit::name(namespace);
        let trust = SellerTrust { known, trust: &domain, namespace: &namespace, now };
        conversation.open_down(frame, &world.carrier.agreement, trust).map(|(_, statement)| statement)
    };
    let good = hello(&world.seller, &world);
    assert_eq!(open(&good, None, "shop", NOW), Ok(Some(world.seller.signer.statement().clone())));

    assert_eq!(open(&good, None, "other", NOW), Err(OpenError::ForeignStatement("namespace")));
    let late = UnixMillis(NOW.0 + 73 * 3_600_000);
    assert!(matches!(open(&good, None, "shop", late), Err(OpenError::Statement(StatementError::Expired { .. }))));
    let as_carrier = hello(&world.another_carrier("truck-8", 40), &world);
    assert_eq!(open(&as_carrier, None, "shop", NOW), Err(OpenError::ForeignStatement("role")));
    let foreign = World::new(2);
    assert!(matches!(open(&hello(&foreign.seller, &foreign), None, "shop", NOW), Err(OpenError::Statement(_))));

    let rotated = world.rotated(&world.seller, 50);
    let newer = hello(&rotated, &world);
    assert!(open(&newer, Some(world.seller.signer.statement()), "shop", NOW).is_ok());
    let replayed = open(&good, Some(rotated.signer.statement()), "shop", NOW);
    assert_eq!(replayed, Err(OpenError::ForeignStatement("epoch")), "an old hello does not bring an old key back");

    // The statement of the right seller around words signed by someone else.
    let stolen = world.seller.signer.statement_bytes().clone();
    let mut thief = hello(&rotated, &world);
    let body = seller_to_carrier::Message::Hello {
        statement: stolen,
        nonce: world.nonce(1),
        min: 1,
        current: 1,
        offer: seller_to_carrier::Offer { upc: Upc::new("UPC_1").unwrap(), photo: false, scan: false, window: None },
    };
    let message = Outgoing { attempt: 1, about: Hash::NONE, events: vec![], body };
    let to = Recipient::Statement(world.carrier.agreement.public());
    thief.0 = Frame::read(&thief.1.seal(&message, &rotated.signer, to, &mut rng(5)).unwrap()).unwrap();
    assert!(matches!(open(&thief, None, "shop", NOW), Err(OpenError::Wire(WireError::BadSignature { .. }))));
}

#[test]
fn without_a_hello_nobody_is_listened_to() {
    let scene = Scene::new();
    let frame = Frame::read(&scene.frame).unwrap();
    let domain = scene.world.trust();
    let trust = SellerTrust { known: None, trust: &domain, namespace: &scene.world.subject.namespace, now: NOW };
    let opened = scene.conversation.open_down(&frame, &attempt_secret(1), trust);
    assert_eq!(opened, Err(OpenError::UnknownSeller));
}

#[test]
fn a_message_from_the_future_is_told_apart_from_a_forged_one() {
    let scene = Scene::new();
    let mut later = scene.frame.clone();
    later[2] = 2;
    let error = scene.open(&later).unwrap_err();
    assert_eq!(error, OpenError::Wire(WireError::FromTheFuture { what: "frame", version: 2 }));
    assert!(error.is_from_the_future());
    let mut older = scene.frame.clone();
    older[2] = 0;
    assert_eq!(scene.open(&older), Err(OpenError::Wire(WireError::TooOld { what: "frame", version: 0 })));
    let mut forged = scene.frame.clone();
    *forged.last_mut().unwrap() ^= 1;
    assert!(!scene.open(&forged).unwrap_err().is_from_the_future());
}

#[test]
fn d_70_a_four_kib_address_in_every_field_just_goes() {
    let world = world();
    let long = "長".repeat(MAX_FIELD / 3);
    let order = Order { client_name: long.clone(), door_number: long.clone(), phone_number: long, ..order() };
    assert_eq!(order.check(), Ok(()));
    let salt = waybill_protocol::SaltKey::Order(kit::ORDER_SALT).salt(&world.subject.delivery, &order, Stage::Door);
    let body = seller_to_carrier::Message::Part { part: Bytes(order.part(Stage::Door).encode()), salt, token: token() };
    let scene = Scene::new();
    let frame = scene.seal(&body, 6);
    assert!(frame.len() < MAX_FRAME / 4);
    assert_eq!(scene.open(&frame).unwrap().body, body);
}

#[test]
fn what_is_too_large_is_refused_with_the_reason_before_it_is_sent() {
    let scene = Scene::new();
    let media = waybill_protocol::fact::reason::Media::Png;
    let picture = |size| seller_to_carrier::Picture { media, bytes: Bytes(vec![0; size]) };
    let message = |size| Outgoing {
        attempt: 1,
        about: ABOUT,
        events: vec![],
        body: seller_to_carrier::Message::HandOver { label: Some(picture(size)) },
    };
    let to = Recipient::Attempt(attempt_secret(1).public());
    let seal = |size| scene.conversation.seal(&message(size), &scene.world.seller.signer, to, &mut rng(7));
    assert!(seal(60 * 1024).is_ok());
    let refused = seal(MAX_FRAME).unwrap_err();
    assert!(matches!(refused, SealError::TooLarge { size, limit: MAX_FRAME } if size > MAX_FRAME), "{refused}");
    let oversized = vec![0xa6; MAX_FRAME + 1];
    assert!(matches!(Frame::read(&oversized), Err(WireError::TooLarge { .. })));
}

#[test]
fn bytes_that_are_no_frame_are_refused_and_nothing_panics() {
    use rand::Rng;
    let mut rng = rng(8);
    let scene = Scene::new();
    for len in 0..600 {
        let mut junk = vec![0; len];
        rng.fill_bytes(&mut junk);
        assert!(scene.open(&junk).is_err());
        // The same with a frame's beginning, so that the reader gets further.
        let mut bent = scene.frame.clone();
        let from = len % bent.len();
        rng.fill_bytes(&mut bent[from..]);
        assert!(scene.open(&bent).is_err());
    }
    for text in [
        b"{}".as_slice(),
        b"not json",
        b"\xbf",
        b"\x9f\xff",
        &[0xfb; 9],
        &[0x5b, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff],
    ] {
        assert!(scene.open(text).is_err(), "D-36");
    }
}

const ABOUT: Hash = Hash([0x0a; 32]);

const LOW_ORDER: [&str; 12] = [
    "0000000000000000000000000000000000000000000000000000000000000000",
    "0100000000000000000000000000000000000000000000000000000000000000",
    "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
    "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
    "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
    "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
    "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
    "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
];

// === helpers ===

/// A seller that has sent a part of an address to a carrier's agent.
struct Scene {
    world: World,
    conversation: Conversation,
    frame: Vec<u8>,
}

type Opened = Result<Incoming<seller_to_carrier::Message>, OpenError>;

impl Scene {
    fn new() -> Self {
        let world = world();
        let mut scene = Self { conversation: world.conversation(), world, frame: Vec::new() };
        scene.frame = scene.seal(&part(), 1);
        scene
    }

    fn seal(&self, body: &seller_to_carrier::Message, seed: u64) -> Vec<u8> {
        let message = Outgoing { attempt: 1, about: ABOUT, events: vec![], body: body.clone() };
        let to = Recipient::Attempt(attempt_secret(1).public());
        self.conversation.seal(&message, &self.world.seller.signer, to, &mut rng(seed)).unwrap()
    }

    fn open(&self, frame: &[u8]) -> Opened {
        let frame = Frame::read(frame).map_err(OpenError::Wire)?;
        self.open_in(&self.conversation, &frame, &attempt_secret(1))
    }

    fn open_in(&self, conversation: &Conversation, frame: &Frame, own: &AgreementSecret) -> Opened {
        let known = self.world.seller.signer.statement();
        let domain = self.world.trust();
        let trust =
            SellerTrust { known: Some(known), trust: &domain, namespace: &self.world.subject.namespace, now: NOW };
        conversation.open_down(frame, own, trust).map(|(incoming, _)| incoming)
    }

    /// What the receiver finds inside: opened by hand, as `docs/proof-format.md` says.
    fn signed_inside(&self, frame: &[u8]) -> Vec<u8> {
        let frame = Frame::read(frame).unwrap();
        let own = <Kem as hpke::Kem>::PrivateKey::from_bytes(&attempt_secret(1).to_bytes()).unwrap();
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(frame.enc.as_bytes()).unwrap();
        let info = self.info(Direction::Down);
        let mut context =
            hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(&hpke::OpModeR::Base, &own, &enc, &info).unwrap();
        context.open(&frame.ciphertext.0, &[]).unwrap()
    }

    fn seal_raw(&self, signed: &[u8], direction: Direction, to: &X25519Key) -> Frame {
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(to.as_bytes()).unwrap();
        let info = self.info(direction);
        let (enc, mut context) =
            setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeS::Base, &key, &info, &mut rng(11))
                .unwrap();
        let ciphertext = Bytes(context.seal(signed, &[]).unwrap());
        let enc = X25519Key::from_bytes(&enc.to_bytes().into()).unwrap();
        Frame { version: 1, attempt: 1, sealed_to: SealedTo::Attempt, about: ABOUT, enc, ciphertext }
    }

    fn info(&self, direction: Direction) -> Vec<u8> {
        let mut e = Encoder::new(Vec::new());
        e.str("waybill.dev/seal").unwrap().u16(1).unwrap().str(self.conversation.delivery.as_str()).unwrap();
        e.u32(1).unwrap().u8(direction as u8).unwrap().u8(1).unwrap().bytes(&ABOUT.0).unwrap();
        e.into_writer()
    }
}

fn part() -> seller_to_carrier::Message {
    let part = Bytes(order().part(Stage::Country).encode());
    seller_to_carrier::Message::Part { part, salt: Mac([8; 32]), token: token() }
}

fn token() -> seller_to_carrier::Token {
    seller_to_carrier::Token::new("header.claims.signature").unwrap()
}
