//! A seller played by the protocol crate, and the custody log of one delivery: what seller and Carrier API write.
#![allow(dead_code, reason = "every test takes what it needs of the shared kit")]

use rand::SeedableRng;
use rand::rngs::StdRng;
use waybill_chassis::jwt::SigningKey;
use waybill_crds::delivery::LocationSharing;
use waybill_protocol::fact::reason::ReturnReason;
use waybill_protocol::seller_to_carrier::{Message, Offer, Picture, Token};
use waybill_protocol::{
    Author, Bytes, Conversation, DoorGate, Fact, Frame, Gate, Hash, KeyStatement, LabelSecret, Log, Order, Outgoing,
    Phase, Recipient, SaltKey, SignedEvent, Stage, Subject, Terms, Trust, UnixMillis, Upc, carrier_to_seller,
    hello_nonce, receipt_code, receipt_hash, version,
};

use super::world::{COMMIT_KEY, LABEL_KEY, ORDER_SALT, Participant, World, order, uid};

/// What stands in the log of a plain delivery that nobody disturbs.
pub(crate) const PLAIN: [&str; 10] = [
    "Accepted",
    "HandedOver",
    "PickedUp",
    "Released",
    "Posted",
    "Released",
    "Posted",
    "Released",
    "Delivered",
    "Erased",
];

/// What the seller asks for and how it behaves.
#[derive(Clone)]
pub(crate) struct Wishes {
    pub(crate) upc: Upc,
    pub(crate) photo: bool,
    pub(crate) scan: bool,
    pub(crate) max_attempts: u32,
    pub(crate) label: Option<Picture>,
    /// How exactly viewers see where the parcel is.
    pub(crate) location: LocationSharing,
    /// Whether a hold of the carrier is lifted.
    pub(crate) lifts_holds: bool,
}

impl Wishes {
    pub(crate) fn plain() -> Self {
        let upc = Upc::new("UPC_1").unwrap();
        Self {
            upc,
            photo: false,
            scan: false,
            max_attempts: 3,
            label: None,
            location: LocationSharing::None,
            lifts_holds: true,
        }
    }

    pub(crate) fn with_camera() -> Self {
        Self { photo: true, scan: true, ..Self::plain() }
    }
}

/// One delivery's seller and its log.
pub(crate) struct Shop {
    pub(crate) own: Participant,
    carrier: KeyStatement,
    conversation: Conversation,
    subject: Subject,
    trust: Trust,
    order: Order,
    pub(crate) wishes: Wishes,
    pub(crate) custody: Vec<Vec<u8>>,
    /// The bodies that came up, by name.
    pub(crate) heard: Vec<&'static str>,
    /// And as they were.
    pub(crate) said: Vec<carrier_to_seller::Message>,
    /// Later keys of the carrier.
    pub(crate) also: Vec<waybill_protocol::Ed25519Key>,
    /// The key was lost, and with it the label: said until the agent has it again.
    labelled: Option<Hash>,
    now: UnixMillis,
    rng: StdRng,
}

/// What became of events that came to the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Appended {
    New,
    Known,
    Gap,
}

impl Shop {
    pub(crate) fn new(world: &World, delivery: &str, wishes: Wishes) -> Self {
        Self {
            own: world.seller.clone(),
            carrier: world.carrier.signer.statement().clone(),
            conversation: world.conversation(delivery),
            subject: world.subject(delivery),
            trust: world.ca.trust(),
            order: order(),
            wishes,
            custody: Vec::new(),
            heard: Vec::new(),
            said: Vec::new(),
            also: Vec::new(),
            labelled: None,
            now: world.now,
            rng: StdRng::seed_from_u64(1),
        }
    }

    pub(crate) fn log(&self) -> Log {
        Log::read(self.subject.clone(), &self.trust, self.custody.iter().map(Vec::as_slice))
    }

    pub(crate) fn events(&self) -> Vec<&'static str> {
        self.log().entries().iter().map(|entry| entry.event().unwrap().event().kind().as_str()).collect()
    }

    /// Every entry counts, none is a repetition or a fork.
    pub(crate) fn assert_clean(&self) {
        for entry in self.log().entries() {
            assert!(entry.verdict().is_genuine(), "{:?}: {:?}", entry.event(), entry.verdict());
        }
    }

    /// Signs what is due and says what is out.
    pub(crate) fn due(&mut self) -> Vec<Vec<u8>> {
        self.decide();
        let log = self.log();
        let state = log.state();
        if let Some(attempt) = state.attempt_to_accept() {
            let hello = self.hello(attempt);
            return vec![self.say(&log, attempt, Hash::NONE, hello)];
        }
        if state.phase() == Phase::Accepted {
            let label = self.wishes.label.clone();
            return vec![self.say(&log, state.attempt(), Hash::NONE, Message::HandOver { label })];
        }
        if let Some(rekeyed) = self.label_lost(&log) {
            let label = self.wishes.label.clone();
            return vec![self.say(&log, state.attempt(), rekeyed, Message::HandOver { label })];
        }
        match state.unanswered() {
            Some((stage, released)) => vec![self.part(&log, stage, released)],
            None => self.news(&log),
        }
    }

    /// As the seller does it: no part before the label is there again.
    fn label_lost(&self, log: &Log) -> Option<Hash> {
        let waits = log.state().door_gate() == DoorGate::AwaitsScan && self.wishes.label.is_some();
        let events =
            log.events_of(Author::Transport, &self.conversation.carrier, 0).map(|signed| (signed.id(), signed));
        let rekeyed = events.filter(|(_, signed)| matches!(signed.event().fact, Fact::Rekeyed { .. })).last();
        let current = rekeyed.filter(|(_, signed)| signed.event().attempt == log.state().attempt());
        let running = matches!(log.phase(), Phase::PickedUp | Phase::InTransit);
        current.map(|(id, _)| id).filter(|id| waits && running && self.labelled != Some(*id))
    }

    /// What the carrier does not know yet, where no other message brings it.
    fn news(&mut self, log: &Log) -> Vec<Vec<u8>> {
        if log.news_for(&self.conversation.carrier, 32 * 1024).is_empty() || log.entries().is_empty() {
            return Vec::new();
        }
        vec![self.say(log, log.state().attempt(), Hash::NONE, Message::News {})]
    }

    fn decide(&mut self) {
        while let Some(fact) = self.decision() {
            self.state(fact);
        }
    }

    fn decision(&self) -> Option<Fact> {
        let log = self.log();
        let state = log.state();
        let given_back = || self.events().contains(&"GivenBack");
        match state.phase() {
            Phase::Accepted if !state.is_handed_over() => Some(Fact::HandedOver { terms: self.terms() }),
            Phase::AttemptFailed if state.attempts_left() => Some(Fact::Rescheduled { window: None }),
            Phase::AttemptFailed => Some(Fact::ReturnRequested { reason: ReturnReason::AttemptsExhausted }),
            Phase::Refused => Some(Fact::ReturnRequested { reason: ReturnReason::Refused }),
            Phase::Damaged => Some(Fact::ReturnRequested { reason: ReturnReason::Damaged }),
            Phase::ReturnToSender if given_back() => Some(Fact::ReturnReceived),
            Phase::OnHold if self.wishes.lifts_holds => Some(Fact::Resumed),
            _ => self.release(&log),
        }
    }

    fn release(&self, log: &Log) -> Option<Fact> {
        let state = log.state();
        if let DoorGate::CheckScan { scan, mac } = state.door_gate()
            && state.attempt_key(&self.conversation.carrier).is_some()
        {
            let delivery = &self.subject.delivery;
            if !LabelSecret::new(&LABEL_KEY, delivery).check(delivery, state.attempt(), &mac) {
                return Some(Fact::ScanRefused { scan });
            }
        }
        let stage = state.due()?;
        let gate = (stage == Stage::Door).then(|| match state.door_gate() {
            DoorGate::NotAsked => Gate::NotAsked,
            DoorGate::CheckScan { scan, .. } => Gate::Scan { scan },
            DoorGate::Incident { incident } => Gate::Incident { incident },
            DoorGate::AwaitsScan => unreachable!("the door part was not due"),
        });
        Some(Fact::Released { stage, gate })
    }

    pub(crate) fn state(&mut self, fact: Fact) {
        let event = self.log().sign(&self.own.signer, fact, self.now).unwrap();
        self.custody.push(event.bytes().to_vec());
    }

    fn part(&mut self, log: &Log, stage: Stage, released: Hash) -> Vec<u8> {
        let salt = SaltKey::Order(ORDER_SALT).salt(&self.subject.delivery, &self.order, stage);
        let part = Bytes(self.order.part(stage).encode());
        let token = Token::new(self.token(stage, self.now)).unwrap();
        self.say(log, log.state().attempt(), released, Message::Part { part, salt, token })
    }

    /// The seller's token for a part.
    pub(crate) fn token(&self, stage: Stage, now: UnixMillis) -> String {
        let statement = self.own.signer.statement();
        let kid = waybill_chassis::jwt::key_id(statement.ed25519.as_bytes());
        let (iss, sub, now) = (statement.uid.as_str(), self.subject.delivery.as_str(), now.as_secs());
        let claims = serde_json::json!({"iss": iss, "aud": "link", "sub": sub, "upc": self.wishes.upc.as_str(),
            "stage": stage.as_str(), "nbf": now, "iat": now, "exp": now + 120, "jti": "1"});
        SigningKey::from_seed(kid, &self.own.seed).sign("wb-link+jwt", &claims).unwrap()
    }

    fn say(&mut self, log: &Log, attempt: u32, about: Hash, body: Message) -> Vec<u8> {
        let to = match log.state().attempt_key(&self.conversation.carrier) {
            Some(key) if attempt == log.state().attempt() => Recipient::Attempt(key),
            _ => Recipient::Statement(self.carrier.x25519.unwrap()),
        };
        let message = Outgoing { attempt, about, events: log.news_for(&self.conversation.carrier, 32 * 1024), body };
        self.conversation.seal(&message, &self.own.signer, to, &mut self.rng).unwrap()
    }

    /// Any message, as this seller would say it.
    pub(crate) fn saying(&mut self, body: Message) -> Vec<u8> {
        let log = self.log();
        self.say(&log, log.state().attempt(), Hash::NONE, body)
    }

    pub(crate) fn hello(&self, attempt: u32) -> Message {
        Message::Hello {
            statement: self.own.signer.statement_bytes().clone(),
            nonce: hello_nonce(&COMMIT_KEY, &self.subject.delivery, attempt),
            min: version::MIN,
            current: version::CURRENT,
            offer: Offer {
                upc: self.wishes.upc.clone(),
                photo: self.wishes.photo,
                scan: self.wishes.scan,
                window: None,
            },
        }
    }

    fn terms(&self) -> Terms {
        let delivery = &self.subject.delivery;
        Terms {
            upc: self.wishes.upc.clone(),
            carrier: self.conversation.carrier.clone(),
            max_attempts: self.wishes.max_attempts,
            photo: self.wishes.photo,
            scan: self.wishes.scan,
            window: None,
            commitments: SaltKey::Order(ORDER_SALT).commit(delivery, &self.order),
            receipt: Some(receipt_hash(delivery, &receipt_code(&LABEL_KEY, delivery))),
        }
    }

    /// Takes a frame from `up`; what it brings is written.
    pub(crate) fn hear(&mut self, frame: &[u8]) -> carrier_to_seller::Message {
        let frame = Frame::read(frame).unwrap();
        let keys: Vec<_> = self.also.iter().copied().chain([self.carrier.ed25519]).collect();
        let incoming = self.conversation.open_up(&frame, &self.own.agreement, &keys).unwrap();
        if matches!(incoming.body, carrier_to_seller::Message::Received {}) {
            self.labelled = Some(incoming.about);
        }
        self.said.push(incoming.body.clone());
        self.heard.push(match incoming.body {
            carrier_to_seller::Message::Answer {} => "Answer",
            carrier_to_seller::Message::Declined { .. } => "Declined",
            carrier_to_seller::Message::News {} => "News",
            carrier_to_seller::Message::Knock {} => "Knock",
            carrier_to_seller::Message::Received {} => "Received",
            carrier_to_seller::Message::Position { .. } => "Position",
            carrier_to_seller::Message::CourierAnswer { .. } => "CourierAnswer",
        });
        let events: Vec<Vec<u8>> = incoming.events.iter().map(|bytes| bytes.0.clone()).collect();
        self.append(&events);
        incoming.body
    }

    /// What seller and Carrier API do with events: genuine and new ones go into the log.
    pub(crate) fn append(&mut self, events: &[Vec<u8>]) -> Appended {
        let mut appended = Appended::Known;
        for event in events {
            let mut log = self.log();
            let signed = SignedEvent::read(event).unwrap();
            assert_eq!(signed.event().author, Author::Transport);
            if log.event(&signed.id()).is_some() {
                continue;
            }
            if !log.push(event).is_genuine() {
                return Appended::Gap;
            }
            self.custody.push(event.clone());
            appended = Appended::New;
        }
        appended
    }

    /// The number the log expects of the carrier next.
    pub(crate) fn expected(&self) -> u32 {
        self.log().expected(Author::Transport, &self.conversation.carrier).0
    }

    pub(crate) fn delivery(&self) -> waybill_protocol::Uid {
        uid(self.subject.delivery.as_str())
    }
}
