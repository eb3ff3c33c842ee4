//! A whole delivery by the public API alone: a seller and a carrier's agent in memory, the custody log between them, and a broker that
//! sees nothing but topics and frames. It is also the shortest description of who calls what, in which order.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;

use std::collections::VecDeque;

use kit::{COMMIT_KEY, LABEL_KEY, NOW, ORDER_SALT, Participant, World, order, rng, world};
use rand::rngs::StdRng;
use waybill_protocol::{
    AgreementSecret, AttemptSecret, Author, Conversation, Direction, DoorGate, Fact, Frame, Gate, Hash, Incoming,
    KeyStatement, LabelCode, LabelSecret, Log, Mac, Order, Outgoing, Part, Phase, ReceiptText, Recipient, SaltKey,
    ScanOutcome, SellerTrust, SignedEvent, Stage, Subject, Terms, Topic, Trust, Upc, carrier_to_seller,
    fact::reason::{DeliveredTo, ErasedScope, EvidenceKind, Incident, Media},
    hello_nonce, receipt_code, receipt_hash, seller_to_carrier, version,
};

#[test]
fn a_plain_delivery_takes_the_eleven_steps_in_their_order() {
    let mut play = Play::new(false);
    play.run();
    assert_eq!(play.log().phase(), Phase::Delivered);
    let written = [
        "Accepted",
        "HandedOver",
        "PickedUp",
        "Released",
        "Posted",
        "Released",
        "Posted",
        "Released",
        "Delivered",
        "ReceiptProved",
        "Erased",
    ];
    assert_eq!(play.events(), written);
    assert!(play.log().state().receipt_proved());
}

#[test]
fn d_04_a_camera_carrier_takes_its_place_and_the_seller_checks_the_label() {
    let mut play = Play::new(true);
    play.run();
    assert_eq!(play.log().phase(), Phase::Delivered);
    let written = [
        "Accepted",
        "HandedOver",
        "PickedUp",
        "Released",
        "Posted",
        "Released",
        "Scanned",
        "Posted",
        "Released",
        "Delivered",
        "ReceiptProved",
        "ProofAttached",
        "Erased",
    ];
    assert_eq!(play.events(), written);
    let log = play.log();
    assert_eq!(log.state().proofs()[0].sha256, Hash::of(PHOTO));
}

#[test]
fn d_53_a_wrong_label_blocks_is_told_and_needs_an_incident() {
    let mut play = Play::new(true);
    play.agent.label = LabelSecret::new(&[0; 32], &play.agent.conversation.delivery);
    play.run();
    assert_eq!((play.log().phase(), play.log().stage()), (Phase::InTransit, Some(Stage::PostalCode)));
    assert!(play.events().contains(&"ScanRefused"));
    assert_eq!(play.log().state().door_gate(), DoorGate::AwaitsScan);

    play.agent.state(Fact::IncidentReported { incident: Incident::LabelMismatch, note: None }, &mut play.custody);
    play.run();
    assert_eq!(play.log().phase(), Phase::Delivered);
}

/// An excuse made beforehand is none for what is found out afterwards.
#[test]
fn d_53_an_incident_reported_before_the_mismatch_does_not_open_the_door() {
    let torn = Fact::IncidentReported { incident: Incident::LabelUnreadable, note: None };
    let mut play = Play::new(true);
    play.agent.label = LabelSecret::new(&[0; 32], &play.agent.conversation.delivery);
    play.agent.excuse = Some(torn.clone());
    play.run();
    let log = play.log();
    assert!(play.events().contains(&"IncidentReported") && play.events().contains(&"ScanRefused"));
    assert_eq!((log.stage(), log.state().door_gate()), (Some(Stage::PostalCode), DoorGate::AwaitsScan));

    play.agent.state(torn, &mut play.custody);
    play.run();
    assert_eq!(play.log().phase(), Phase::Delivered);
}

#[test]
fn the_recipient_checks_the_courier_at_the_door() {
    let mut play = Play::new(false);
    play.agent.waits_at_the_door = true;
    play.run();
    assert_eq!(play.log().phase(), Phase::OutForDelivery);
    let digits = play.agent.secret().digits(b"K7QF");
    assert!(play.seller.secret(&play.log()).check(b"K7QF", &digits));
    assert!(!play.seller.secret(&play.log()).check(b"OTHER", &digits));
}

#[test]
fn the_broker_sees_no_word_of_the_address_and_the_log_neither() {
    let mut play = Play::new(true);
    play.run();
    let secret = [order().client_name, order().door_number, order().phone_number, order().city, order().postal_code];
    for text in &secret {
        let within = |bytes: &Vec<u8>| bytes.windows(text.len()).any(|window| window == text.as_bytes());
        assert!(!play.wire.iter().any(|(topic, frame)| within(frame) || topic.to_string().contains(text)), "{text}");
        assert!(!play.custody.iter().any(within), "{text}");
    }
}

#[test]
fn once_the_agent_erased_its_attempt_key_nothing_recorded_opens_again() {
    let mut play = Play::new(false);
    play.run();
    assert!(play.agent.attempt_key.is_none());
    let parts = play.wire.iter().filter(|(topic, _)| topic.direction == Direction::Down);
    for (_, frame) in parts {
        let frame = Frame::read(frame).unwrap();
        let with_statement_key = play.agent.open(&frame, &play.agent.own.agreement);
        if frame.sealed_to == waybill_protocol::SealedTo::Attempt {
            assert!(with_statement_key.is_err());
        }
    }
}

#[test]
fn a_seller_that_forgot_everything_goes_on_from_the_log() {
    let mut play = Play::new(true);
    for _ in 0..10 {
        play.seller = Seller::new(&world(), true);
        play.round();
    }
    assert_eq!(play.log().phase(), Phase::Delivered);
}

const PHOTO: &[u8] = b"a photo of a parcel at a door";

// === the play ===

struct Play {
    seller: Seller,
    agent: Agent,
    /// `status.custody` of the Delivery.
    custody: Vec<Vec<u8>>,
    /// All that ever crossed the broker.
    wire: Vec<(Topic, Vec<u8>)>,
    subject: Subject,
    trust: Trust,
}

impl Play {
    fn new(camera: bool) -> Self {
        let world = world();
        Self {
            seller: Seller::new(&world, camera),
            agent: Agent::new(&world, camera),
            custody: Vec::new(),
            wire: Vec::new(),
            subject: world.subject.clone(),
            trust: Trust::remembering(world.trust().cas(), 1000),
        }
    }

    fn log(&self) -> Log {
        Log::read(self.subject.clone(), &self.trust, self.custody.iter().map(Vec::as_slice))
    }

    fn events(&self) -> Vec<&'static str> {
        self.log().entries().iter().map(|entry| entry.event().unwrap().event().kind().as_str()).collect()
    }

    /// Until nothing changes any more.
    fn run(&mut self) {
        let mut before = usize::MAX;
        while before != self.custody.len() {
            before = self.custody.len();
            self.round();
        }
    }

    fn round(&mut self) {
        let mut queue: VecDeque<(Topic, Vec<u8>)> = self.seller.what_is_due(&mut self.custody).into();
        while let Some((topic, frame)) = queue.pop_front() {
            self.wire.push((topic.clone(), frame.clone()));
            match topic.direction {
                Direction::Down => queue.extend(self.agent.on_message(&frame, &mut self.custody)),
                Direction::Up => self.seller.on_message(&frame, &mut self.custody),
            }
        }
    }
}

// === the seller: reads the log, does what is due, says it again until it is answered ===

struct Seller {
    own: Participant,
    carrier: KeyStatement,
    conversation: Conversation,
    order: Order,
    camera: bool,
    subject: Subject,
    trust: Trust,
    rng: StdRng,
}

impl Seller {
    fn new(world: &World, camera: bool) -> Self {
        Self {
            own: world.seller.clone(),
            carrier: world.carrier.signer.statement().clone(),
            conversation: world.conversation(),
            order: order(),
            camera,
            subject: world.subject.clone(),
            trust: Trust::remembering(world.trust().cas(), 1000),
            rng: rng(1),
        }
    }

    fn what_is_due(&mut self, custody: &mut Vec<Vec<u8>>) -> Vec<(Topic, Vec<u8>)> {
        let mut log = Log::read(self.subject.clone(), &self.trust, custody.iter().map(Vec::as_slice));
        let state = log.state();
        if let Some(attempt) = state.attempt_to_accept() {
            return vec![self.say(&log, attempt, Hash::NONE, self.hello(attempt))];
        }
        if state.phase() == Phase::Accepted && !state.is_handed_over() {
            let event = self.state(&mut log, Fact::HandedOver { terms: self.terms() }, custody);
            let message = seller_to_carrier::Message::HandOver { label: None };
            return vec![self.say(&log, 1, event.id(), message)];
        }
        if let DoorGate::CheckScan { scan, mac } = state.door_gate()
            && !self.is_our_label(state.attempt(), &mac)
        {
            self.state(&mut log, Fact::ScanRefused { scan }, custody);
        }
        if let Some(stage) = log.state().due() {
            let gate = (stage == Stage::Door).then(|| gate(log.state().door_gate()));
            self.state(&mut log, Fact::Released { stage, gate }, custody);
        }
        self.open_part(&log).into_iter().collect()
    }

    /// The part that is open and not answered yet.
    fn open_part(&mut self, log: &Log) -> Option<(Topic, Vec<u8>)> {
        let (stage, released) = log.state().unanswered()?;
        let salt = SaltKey::Order(ORDER_SALT).salt(&self.subject.delivery, &self.order, stage);
        let part = waybill_protocol::Bytes(self.order.part(stage).encode());
        // The seller's JWT for this leg: another room's business.
        let token = seller_to_carrier::Token::new("header.claims.signature").unwrap();
        let message = seller_to_carrier::Message::Part { part, salt, token };
        Some(self.say(log, log.state().attempt(), released, message))
    }

    fn on_message(&mut self, frame: &[u8], custody: &mut Vec<Vec<u8>>) {
        let frame = Frame::read(frame).unwrap();
        let incoming = self.conversation.open_up(&frame, &self.own.agreement, &[self.carrier.ed25519]).unwrap();
        append(&self.subject, &self.trust, custody, incoming.events.iter().map(|bytes| bytes.0.as_slice()));
    }

    fn state(&self, log: &mut Log, fact: Fact, custody: &mut Vec<Vec<u8>>) -> SignedEvent {
        let event = log.sign(&self.own.signer, fact, NOW).unwrap();
        custody.push(event.bytes().to_vec());
        assert!(log.push(event.bytes()).counts());
        event
    }

    fn say(&mut self, log: &Log, attempt: u32, about: Hash, body: seller_to_carrier::Message) -> (Topic, Vec<u8>) {
        let carrier = &self.conversation.carrier;
        let to = match log.state().attempt_key(carrier) {
            Some(key) => Recipient::Attempt(key),
            None => Recipient::Statement(self.carrier.x25519.unwrap()),
        };
        let message = Outgoing { attempt, about, events: log.news_for(carrier, 32 * 1024), body };
        let frame = self.conversation.seal(&message, &self.own.signer, to, &mut self.rng).unwrap();
        (self.conversation.topic(Direction::Down), frame)
    }

    fn hello(&self, attempt: u32) -> seller_to_carrier::Message {
        seller_to_carrier::Message::Hello {
            statement: self.own.signer.statement_bytes().clone(),
            nonce: hello_nonce(&COMMIT_KEY, &self.subject.delivery, attempt),
            min: version::MIN,
            current: version::CURRENT,
            offer: seller_to_carrier::Offer {
                upc: Upc::new("UPC_1").unwrap(),
                photo: self.camera,
                scan: self.camera,
                window: None,
            },
        }
    }

    fn terms(&self) -> Terms {
        let delivery = &self.subject.delivery;
        Terms {
            upc: Upc::new("UPC_1").unwrap(),
            carrier: self.conversation.carrier.clone(),
            max_attempts: 3,
            photo: self.camera,
            scan: self.camera,
            window: None,
            commitments: SaltKey::Order(ORDER_SALT).commit(delivery, &self.order),
            receipt: Some(receipt_hash(delivery, &receipt_code(&LABEL_KEY, delivery))),
        }
    }

    fn is_our_label(&self, attempt: u32, mac: &Mac) -> bool {
        let delivery = &self.subject.delivery;
        LabelSecret::new(&LABEL_KEY, delivery).check(delivery, attempt, mac)
    }

    fn secret(&self, log: &Log) -> AttemptSecret {
        let key = log.state().attempt_key(&self.conversation.carrier).unwrap();
        AttemptSecret::of_seller(&self.own.agreement, &key, &self.subject.delivery, log.state().attempt())
    }
}

fn gate(gate: DoorGate) -> Gate {
    match gate {
        DoorGate::NotAsked => Gate::NotAsked,
        DoorGate::CheckScan { scan, .. } => Gate::Scan { scan },
        DoorGate::Incident { incident } => Gate::Incident { incident },
        DoorGate::AwaitsScan => panic!("the door part was not due"),
    }
}

// === the agent: keeps a journal of what it knows, states what happened, answers ===

struct Agent {
    own: Participant,
    conversation: Conversation,
    journal: Log,
    seller: Option<KeyStatement>,
    attempt_key: Option<AgreementSecret>,
    camera: bool,
    waits_at_the_door: bool,
    /// What it says before it scans.
    excuse: Option<Fact>,
    /// What a camera would read.
    label: LabelSecret,
    trust: Trust,
    rng: StdRng,
}

impl Agent {
    fn new(world: &World, camera: bool) -> Self {
        Self {
            own: world.carrier.clone(),
            conversation: world.conversation(),
            journal: world.log(),
            seller: None,
            attempt_key: None,
            camera,
            waits_at_the_door: false,
            excuse: None,
            label: LabelSecret::new(&LABEL_KEY, &world.subject.delivery),
            trust: Trust::remembering(world.trust().cas(), 1000),
            rng: rng(2),
        }
    }

    fn on_message(&mut self, frame: &[u8], custody: &mut Vec<Vec<u8>>) -> Vec<(Topic, Vec<u8>)> {
        let frame = Frame::read(frame).unwrap();
        let own = match frame.sealed_to {
            waybill_protocol::SealedTo::Statement => Some(self.own.agreement.clone()),
            waybill_protocol::SealedTo::Attempt => self.attempt_key.clone(),
        };
        let Some((incoming, statement)) = own.and_then(|own| self.open(&frame, &own).ok()) else { return Vec::new() };
        self.seller = statement.or(self.seller.take());
        for event in &incoming.events {
            self.journal.push(&event.0);
        }
        let known = self.journal.entries().len();
        match incoming.body {
            seller_to_carrier::Message::Hello { nonce, .. } => self.accept(nonce),
            seller_to_carrier::Message::HandOver { .. } => self.note(Fact::PickedUp),
            seller_to_carrier::Message::Part { ref part, ref salt, .. } => {
                let part = self.journal.check_part(&incoming.about, &part.0, salt).unwrap();
                self.carry(&part);
            }
            other => panic!("not played here: {other:?}"),
        }
        self.post_from(known, custody);
        self.answer(&incoming, known)
    }

    fn open(
        &self,
        frame: &Frame,
        own: &AgreementSecret,
    ) -> Result<(Incoming<seller_to_carrier::Message>, Option<KeyStatement>), waybill_protocol::OpenError> {
        let namespace = &self.journal.subject().namespace;
        let trust = SellerTrust { known: self.seller.as_ref(), trust: &self.trust, namespace, now: NOW };
        self.conversation.open_down(frame, own, trust)
    }

    fn accept(&mut self, nonce: Mac) {
        if self.journal.state().acceptance_of(self.own.uid()).is_some() {
            return;
        }
        let secret = AgreementSecret::from_bytes([0x77; 32]);
        self.note(Fact::Accepted { attempt_key: secret.public(), nonce, protocol: version::CURRENT });
        self.attempt_key = Some(secret);
    }

    fn carry(&mut self, part: &Part) {
        let commitment = self.journal.state().commitments().unwrap().of(part.stage());
        match part.stage() {
            Stage::Country => self.note(Fact::Posted { stage: Stage::Country, commitment }),
            Stage::PostalCode => {
                if let Some(excuse) = self.excuse.take() {
                    self.note(excuse);
                }
                if self.camera {
                    self.scan();
                }
                self.note(Fact::Posted { stage: Stage::PostalCode, commitment });
            }
            Stage::Door if self.waits_at_the_door => {}
            Stage::Door => self.deliver(),
        }
    }

    fn scan(&mut self) {
        let code = LabelCode { delivery: self.conversation.delivery.clone(), secret: self.label }.to_string();
        let read: LabelCode = code.parse().unwrap();
        let mac = read.secret.scan_mac(&self.conversation.delivery, self.journal.state().attempt());
        self.note(Fact::Scanned { outcome: ScanOutcome::Read { mac }, tries: 1 });
    }

    fn deliver(&mut self) {
        self.note(Fact::Delivered { to: DeliveredTo::Recipient, note: None });
        let delivery = self.conversation.delivery.clone();
        let shown = ReceiptText { code: receipt_code(&LABEL_KEY, &delivery), delivery }.to_string();
        self.note(Fact::ReceiptProved { code: shown.parse::<ReceiptText>().unwrap().code });
        if self.camera {
            let sha256 = Hash::of(PHOTO);
            self.note(Fact::ProofAttached { kind: EvidenceKind::Photo, media: Media::Jpeg, sha256 });
        }
        self.attempt_key = None;
        self.note(Fact::Erased { scope: ErasedScope::Attempt });
    }

    /// Journalled before it is sent.
    fn note(&mut self, fact: Fact) {
        let event = self.journal.sign(&self.own.signer, fact, NOW).unwrap();
        assert!(self.journal.push(event.bytes()).counts());
    }

    /// Something happens that no message asked for, to somebody who has read the log.
    fn state(&mut self, fact: Fact, custody: &mut Vec<Vec<u8>>) {
        let log = Log::read(self.journal.subject().clone(), &self.trust, custody.iter().map(Vec::as_slice));
        for signed in log.entries().iter().filter_map(|entry| entry.event()) {
            if self.journal.event(&signed.id()).is_none() {
                self.journal.push(signed.bytes());
            }
        }
        let known = self.journal.entries().len();
        self.note(fact);
        self.post_from(known, custody);
    }

    /// `POST /api/shipment/{upc}`: the Carrier API appends what is genuine.
    fn post_from(&self, known: usize, custody: &mut Vec<Vec<u8>>) {
        let own = self.journal.entries()[known..].iter().map(|entry| entry.bytes());
        append(self.journal.subject(), &self.trust, custody, own);
    }

    fn answer(&mut self, to: &Incoming<seller_to_carrier::Message>, known: usize) -> Vec<(Topic, Vec<u8>)> {
        let body = match to.body {
            seller_to_carrier::Message::Hello { .. } => carrier_to_seller::Message::Answer {},
            _ => carrier_to_seller::Message::News {},
        };
        let events = self.journal.entries()[known..]
            .iter()
            .map(|entry| waybill_protocol::Bytes(entry.bytes().to_vec()))
            .collect();
        let message = Outgoing { attempt: to.attempt, about: to.about, events, body };
        let seller = Recipient::Statement(self.seller.as_ref().unwrap().x25519.unwrap());
        let frame = self.conversation.seal(&message, &self.own.signer, seller, &mut self.rng).unwrap();
        vec![(self.conversation.topic(Direction::Up), frame)]
    }

    fn secret(&self) -> AttemptSecret {
        let seller = self.seller.as_ref().unwrap().x25519.unwrap();
        let attempt = self.journal.state().attempt();
        AttemptSecret::of_carrier(self.attempt_key.as_ref().unwrap(), &seller, &self.conversation.delivery, attempt)
    }
}

/// What seller and Carrier API do with events that came to them: genuine and new ones go into the log.
fn append<'b>(subject: &Subject, trust: &Trust, custody: &mut Vec<Vec<u8>>, events: impl Iterator<Item = &'b [u8]>) {
    let mut log = Log::read(subject.clone(), trust, custody.iter().map(Vec::as_slice));
    for event in events {
        if log.push(event).is_genuine() {
            assert_eq!(SignedEvent::read(event).unwrap().event().author, Author::Transport);
            custody.push(event.to_vec());
        }
    }
}
