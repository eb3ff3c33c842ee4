//! A carrier's agent, played by the protocol and the link: it keeps its journal in memory, and posts by appending to the log
//! as the Carrier API does.

use std::collections::VecDeque;
use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex};

use kube::Api;
use rand::SeedableRng;
use rand::rngs::StdRng;
use tokio::sync::{oneshot, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::AbortOnDropHandle;
use waybill_chassis::tls::Material;
use waybill_cluster::custody::{self, AppendError};
use waybill_crds::Delivery;
use waybill_link::{Link, LinkMetrics, Settings};
use waybill_protocol::fact::reason::{Cause, DeliveredTo, ErasedScope, EvidenceKind, Happening, Incident, Media};
use waybill_protocol::seller_to_carrier::Message as Down;
use waybill_protocol::{
    AgreementSecret, AttemptSecret, Author, Bytes, Challenge, Conversation, Digits, Direction, Fact, Frame, Hash,
    Incoming, KeyStatement, LabelCode, LabelSecret, Log, Mac, Name, Outgoing, Part, Reason, Recipient, ScanOutcome,
    SealedTo, SellerTrust, SignedEvent, Stage, Subject, Topic, TopicFilter, Trust, Uid, carrier_to_seller as up,
    sign_courier_check, version,
};

use crate::domain::Somebody;
use crate::files::leaf;
use crate::stage::Stage as Scene;

/// How it carries.
#[derive(Debug, Clone, Default)]
pub(crate) struct Manners {
    /// How its attempts end, in order; it delivers after the last.
    pub(crate) endings: VecDeque<Ending>,
    /// It reads somebody else's label.
    pub(crate) wrong_label: bool,
    /// It accepts through the Carrier API, with a nonce of its own making.
    pub(crate) invents_nonce: bool,
    /// It stops at this part and does nothing more.
    pub(crate) halts_at: Option<Stage>,
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Ending {
    Absent,
    Refused,
}

/// A running agent, and what it was told.
pub(crate) struct Agent {
    pub(crate) told: Arc<Mutex<Vec<Part>>>,
    /// What it is asked to do.
    asks: tokio::sync::mpsc::UnboundedSender<Ask>,
    pub(crate) uid: Uid,
    _run: AbortOnDropHandle<()>,
    _link: AbortOnDropHandle<()>,
}

/// What the courier at the device does.
enum Ask {
    State(Fact),
    Say(up::Message),
    Digits(Challenge, oneshot::Sender<Digits>),
    Sign(Challenge, oneshot::Sender<Vec<u8>>),
}

impl Agent {
    pub(crate) fn state(&self, fact: Fact) {
        assert!(self.asks.send(Ask::State(fact)).is_ok());
    }

    /// Says where it is.
    pub(crate) fn is_at(&self, number: u64, latitude_e7: i32, longitude_e7: i32) {
        let at = crate::thread::now();
        let said = up::Message::Position { number, at, latitude_e7, longitude_e7, accuracy_m: Some(7) };
        assert!(self.asks.send(Ask::Say(said)).is_ok());
    }

    /// What its device shows for a challenge that was typed in.
    pub(crate) async fn digits(&self, challenge: Challenge) -> Digits {
        let (answer, shown) = oneshot::channel();
        assert!(self.asks.send(Ask::Digits(challenge, answer)).is_ok());
        shown.await.unwrap()
    }

    /// The code its device shows.
    pub(crate) async fn code(&self, challenge: Challenge) -> Vec<u8> {
        let (answer, shown) = oneshot::channel();
        assert!(self.asks.send(Ask::Sign(challenge, answer)).is_ok());
        shown.await.unwrap()
    }

    pub(crate) fn was_told(&self) -> Vec<Stage> {
        self.told.lock().unwrap().iter().map(Part::stage).collect()
    }
}

struct Play {
    own: Somebody,
    conversation: Conversation,
    namespace: Name,
    trust: Trust,
    api: Api<Delivery>,
    name: String,
    link: Link,
    journal: Log,
    seller: Option<KeyStatement>,
    key: Option<AgreementSecret>,
    label: Option<LabelSecret>,
    manners: Manners,
    told: Arc<Mutex<Vec<Part>>>,
    seen_parts: Vec<Hash>,
    posted: u32,
    rng: StdRng,
}

impl Scene {
    /// Sends this carrier out for the Delivery with this name.
    pub(crate) async fn agent(&self, own: &Somebody, name: &str, manners: Manners) -> Agent {
        let delivery = self.get(name).await;
        let uid = Uid::new(delivery.metadata.uid.unwrap()).unwrap();
        let (seller, carrier) = (self.seller.signer.uid().clone(), own.signer.uid().clone());
        let namespace = Name::new(self.namespace.name.clone()).unwrap();
        let subject = Subject { delivery: uid.clone(), namespace: namespace.clone(), seller: seller.clone() };
        let (certificate, key) = leaf(&self.ca, carrier.as_str(), Ipv4Addr::LOCALHOST);
        let material = Material::from_pem(certificate.as_bytes(), key.as_bytes(), self.ca.pem().as_bytes()).unwrap();
        let (_tls, tls) = watch::channel(Arc::new(material.client().unwrap()));
        let settings = Settings::new(&self.broker.ports.carriers.to_string(), carrier.as_str()).unwrap();
        let settings = settings.subscribe([TopicFilter::ToCarrier(carrier.clone()).to_string()]);
        let (link, mut inbox, driver) = waybill_link::link(settings, tls, LinkMetrics::default()).unwrap();
        let running = tokio::spawn(driver.run(CancellationToken::new()));
        let (asks, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let told = Arc::new(Mutex::new(Vec::new()));
        let trust = self.ca.trust();
        let mut play = Play {
            conversation: Conversation { seller, carrier: carrier.clone(), delivery: uid },
            journal: Log::new(subject, &trust),
            api: self.carrier_api(),
            name: name.to_owned(),
            told: Arc::clone(&told),
            own: own.clone(),
            namespace,
            trust,
            link,
            seller: None,
            key: None,
            label: None,
            manners,
            seen_parts: Vec::new(),
            posted: 0,
            rng: StdRng::from_seed(rand::random()),
        };
        let run = tokio::spawn(async move {
            loop {
                tokio::select! {
                    message = inbox.recv() => match message {
                        Some(message) => play.hear(&message.topic, &message.payload).await,
                        None => return,
                    },
                    Some(ask) = asked.recv() => play.does(ask).await,
                }
            }
        });
        Agent { told, asks, uid: carrier, _run: AbortOnDropHandle::new(run), _link: AbortOnDropHandle::new(running) }
    }
}

impl Play {
    async fn does(&mut self, ask: Ask) {
        let (delivery, attempt) = (self.conversation.delivery.clone(), self.journal.state().attempt());
        match ask {
            Ask::State(fact) => self.act(fact).await,
            Ask::Say(message) => self.say(attempt, Hash::NONE, Vec::new(), message),
            Ask::Digits(challenge, answer) => {
                let (key, seller) = (self.key.as_ref().unwrap(), self.seller.as_ref().unwrap().x25519.unwrap());
                let secret = AttemptSecret::of_carrier(key, &seller, &delivery, attempt);
                answer.send(secret.digits(challenge.as_bytes())).unwrap();
            }
            Ask::Sign(challenge, answer) => {
                let signed = sign_courier_check(&self.own.signer, &delivery, attempt, challenge.as_bytes());
                answer.send(signed).unwrap();
            }
        }
    }

    async fn hear(&mut self, topic: &str, payload: &[u8]) {
        let topic: Topic = topic.parse().unwrap();
        if topic.delivery != self.conversation.delivery {
            return;
        }
        let frame = Frame::read(payload).unwrap();
        let own = match frame.sealed_to {
            SealedTo::Statement => Some(self.own.agreement.clone()),
            SealedTo::Attempt => self.key.clone(),
        };
        let Some(Ok((incoming, statement))) = own.map(|own| self.open(&frame, &own)) else { return };
        self.seller = statement.or(self.seller.take());
        for event in &incoming.events {
            self.journal.push(&event.0);
        }
        self.answer(incoming).await;
    }

    fn open(
        &self,
        frame: &Frame,
        own: &AgreementSecret,
    ) -> Result<(Incoming<Down>, Option<KeyStatement>), waybill_protocol::OpenError> {
        let now = crate::thread::now();
        let trust = SellerTrust { known: self.seller.as_ref(), trust: &self.trust, namespace: &self.namespace, now };
        self.conversation.open_down(frame, own, trust)
    }

    async fn answer(&mut self, incoming: Incoming<Down>) {
        let (attempt, about) = (incoming.attempt, incoming.about);
        match incoming.body {
            Down::Hello { nonce, .. } => {
                if self.manners.invents_nonce {
                    self.accept(attempt, Mac([9; 32]));
                    return self.post().await;
                }
                self.accept(attempt, nonce);
                let events = self.own_events(0);
                self.say(attempt, about, events, up::Message::Answer {});
            }
            Down::HandOver { label } => {
                self.label = label.map(|picture| read_label(&picture.bytes.0)).or(self.label.take());
                if !self.journal.state().phase().eq(&waybill_protocol::Phase::PickedUp) {
                    self.note(Fact::PickedUp);
                }
                let events = self.own_events(0);
                self.say(attempt, about, events, up::Message::News {});
            }
            Down::Part { part, salt, .. } => {
                let part = self.journal.check_part(&about, &part.0, &salt).unwrap();
                self.is_released_in_the_cluster(&about).await;
                self.say(attempt, about, Vec::new(), up::Message::Received {});
                if !self.seen_parts.contains(&about) {
                    self.seen_parts.push(about);
                    self.told.lock().unwrap().push(part.clone());
                    self.carry(&part).await;
                }
            }
            Down::News {} => self.say(attempt, about, Vec::new(), up::Message::Received {}),
            Down::Challenge { challenge, .. } => {
                let delivery = &self.conversation.delivery;
                let signature = Bytes(sign_courier_check(&self.own.signer, delivery, attempt, &challenge.0));
                self.say(attempt, about, Vec::new(), up::Message::CourierAnswer { challenge, signature });
            }
            Down::Erase {} => {
                let scope = ErasedScope::Delivery;
                let wiped = |event: &SignedEvent| event.event().fact == Fact::Erased { scope };
                if !self.journal.events_of(Author::Transport, &self.conversation.carrier, 0).any(wiped) {
                    self.act(Fact::Erased { scope }).await;
                }
            }
        }
    }

    /// The promise: what is sent stands in the log before it is sent.
    async fn is_released_in_the_cluster(&self, released: &Hash) {
        let delivery = self.api.get(&self.name).await.unwrap();
        let id = released.to_string();
        let custody = delivery.status.unwrap().custody;
        assert!(custody.iter().any(|entry| entry.id == id && entry.event == "Released"), "sent before it was released");
    }

    fn accept(&mut self, attempt: u32, nonce: Mac) {
        let state = self.journal.state();
        if state.attempt_to_accept() != Some(attempt) {
            return;
        }
        let secret = AgreementSecret::from_bytes(rand::random());
        self.note(Fact::Accepted { attempt_key: secret.public(), nonce, protocol: version::CURRENT });
        self.key = Some(secret);
    }

    async fn carry(&mut self, part: &Part) {
        let stage = part.stage();
        if self.manners.halts_at == Some(stage) {
            return;
        }
        let commitment = self.journal.state().commitments().unwrap().of(stage);
        match stage {
            Stage::Country => self.act(Fact::Posted { stage, commitment }).await,
            Stage::PostalCode => {
                if self.journal.state().terms().unwrap().scan {
                    let scan = self.scan();
                    self.act(scan).await;
                }
                self.act(Fact::Posted { stage, commitment }).await;
            }
            Stage::Door => self.end().await,
        }
    }

    fn scan(&self) -> Fact {
        let delivery = &self.conversation.delivery;
        let label = match self.manners.wrong_label {
            true => LabelSecret::new(&[0; 32], delivery),
            false => self.label.expect("a managed agent gets its label's picture"),
        };
        let mac = label.scan_mac(delivery, self.journal.state().attempt());
        Fact::Scanned { outcome: ScanOutcome::Read { mac }, tries: 1 }
    }

    async fn end(&mut self) {
        let reason = |cause, what| Reason { cause, what, note: None };
        match self.manners.endings.pop_front() {
            Some(Ending::Absent) => {
                self.act(Fact::AttemptFailed { reason: reason(Cause::Recipient, Happening::RecipientAbsent) }).await;
            }
            Some(Ending::Refused) => {
                self.act(Fact::Refused { reason: reason(Cause::Recipient, Happening::RecipientRefused) }).await;
            }
            None => {
                let photo = self.journal.state().terms().unwrap().photo;
                self.act(Fact::Delivered { to: DeliveredTo::Recipient, note: None }).await;
                if photo {
                    let (kind, media, sha256) = (EvidenceKind::Photo, Media::Jpeg, Hash::of(b"a photo"));
                    self.act(Fact::ProofAttached { kind, media, sha256 }).await;
                }
            }
        }
    }

    /// Journalled, posted, told to the seller: in this order.
    async fn act(&mut self, fact: Fact) {
        self.learn().await;
        self.note(fact);
        self.post().await;
        let (attempt, events) = (self.journal.state().attempt(), self.own_events(0));
        let events = events.into_iter().rev().take(4).rev().collect();
        self.say(attempt, Hash::NONE, events, up::Message::News {});
    }

    fn note(&mut self, fact: Fact) {
        let event = self.journal.sign(&self.own.signer, fact, crate::thread::now()).unwrap();
        assert!(self.journal.push(event.bytes()).counts());
    }

    /// What the cluster's log says that this agent does not know yet.
    async fn learn(&mut self) {
        let delivery = self.api.get(&self.name).await.unwrap();
        let seller = self.conversation.seller.clone();
        let log = custody::read(&delivery, &seller, &self.trust).unwrap();
        for entry in log.entries().iter().filter_map(|entry| entry.event()) {
            if self.journal.event(&entry.id()).is_none() {
                self.journal.push(entry.bytes());
            }
        }
    }

    /// `POST /api/shipment/{upc}`, as the Carrier API serves it: what is genuine and new is appended.
    async fn post(&mut self) {
        loop {
            let delivery = self.api.get(&self.name).await.unwrap();
            let log = custody::read(&delivery, &self.conversation.seller, &self.trust).unwrap();
            let from = log.expected(Author::Transport, &self.conversation.carrier).0;
            let own = self.journal.events_of(Author::Transport, &self.conversation.carrier, from);
            let events: Vec<_> = own.cloned().collect();
            if events.is_empty() {
                return;
            }
            match custody::append(&self.api, &delivery, &log, &events, "waybill-carrier-api").await {
                Err(AppendError::Conflict) => {}
                appended => {
                    appended.unwrap();
                    self.posted = from;
                    return;
                }
            }
        }
    }

    fn own_events(&self, from: u32) -> Vec<Bytes> {
        let own = self.journal.events_of(Author::Transport, &self.conversation.carrier, from);
        own.map(|event| Bytes(event.bytes().to_vec())).collect()
    }

    fn say(&mut self, attempt: u32, about: Hash, events: Vec<Bytes>, body: up::Message) {
        let seller = self.seller.as_ref().unwrap().x25519.unwrap();
        let message = Outgoing { attempt, about, events, body };
        let to = Recipient::Statement(seller);
        let frame = self.conversation.seal(&message, &self.own.signer, to, &mut self.rng).unwrap();
        // Lost is lost: the seller says it again.
        let _ = self.link.try_publish(&self.conversation.topic(Direction::Up).to_string(), frame);
    }
}

/// What a camera reads from the picture of a label.
fn read_label(png: &[u8]) -> LabelSecret {
    let picture = image::load_from_memory(png).unwrap().to_luma8();
    let mut picture = rqrr::PreparedImage::prepare_from_greyscale(
        usize::try_from(picture.width()).unwrap(),
        usize::try_from(picture.height()).unwrap(),
        |x, y| picture.get_pixel(u32::try_from(x).unwrap(), u32::try_from(y).unwrap()).0[0],
    );
    let text = picture.detect_grids()[0].decode().unwrap().1;
    text.parse::<LabelCode>().unwrap().secret
}

/// What lets the seller go on although no label could be scanned.
pub(crate) fn incident() -> Fact {
    Fact::IncidentReported { incident: Incident::LabelMismatch, note: None }
}
