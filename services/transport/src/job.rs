//! One delivery as its agent sees it: a pure state machine. Inputs are what happened, effects are what must happen, in
//! this order; it touches no disk, no network and no clock, and all its randomness comes from one seed.
//!
//! - [`Job::on`] takes one input: a frame from the seller, an answer of the Carrier API, an arrival, what a camera saw.
//! - `hear`: the seller's messages. `log`: the custody log, signed into and read back. `road`: legs, scans and endings.
//!   `post`: what goes to the Carrier API. `attempt`: keys, and their end.
//!
//! Level-triggered: whatever came in, `react` then looks at the log and what is held, and asks for everything that is
//! due and not under way. So a restart needs no memory of what was asked for, only the journal.
//!
//! Trusted: the CAs, and what they signed. A frame, an answer of the Carrier API and a picture are believed as far as
//! their signatures go.

mod attempt;
mod hear;
mod log;
mod post;
mod restore;
mod road;
mod tap;
mod words;

use std::sync::Arc;

use rand::SeedableRng;
use rand::rngs::StdRng;
use waybill_protocol::{Conversation, Fact, KeyStatement, Log, Subject, Uid, Upc};
use zeroize::Zeroize;

use crate::journal::{HeldKey, Record};

pub use words::{
    Answer, Arrival, Ask, Dropped, Effect, Errand, Fix, Input, Leg, LogRead, Own, Photo, PostAnswer, Profile, Proof,
    Refused, Tap, Time, Told, UploadAnswer, View,
};

/// The agent's side of one delivery.
#[derive(Debug)]
pub struct Job {
    conversation: Conversation,
    own: Arc<Own>,
    profile: Profile,
    log: Log,
    upc: Option<Upc>,
    /// As the last hello or the Carrier API showed it.
    seller: Option<(KeyStatement, waybill_protocol::Bytes)>,
    held: Held,
    post: post::Outbox,
    road: road::Road,
    standing: Standing,
    shared: tap::Shared,
    rng: StdRng,
    out: Vec<Effect>,
}

/// What is erased when the attempt ends, and the picture that outlives it until it is stored.
#[derive(Debug, Default)]
struct Held {
    key: Option<HeldKey>,
    parts: Vec<(waybill_protocol::EventId, waybill_protocol::Bytes)>,
    label: Option<waybill_protocol::seller_to_carrier::Picture>,
    photo: Option<Photo>,
}

impl Held {
    /// All but the picture that is evidence is gone, from memory too.
    fn wipe(&mut self) {
        self.key = None;
        self.parts.drain(..).for_each(|(_, mut part)| part.0.zeroize());
        self.label.take().into_iter().for_each(|mut label| label.bytes.0.zeroize());
    }
}

/// What this agent knows about its own knowledge.
#[derive(Debug, Default)]
struct Standing {
    /// Nothing is signed before this: a lost journal must not make a second event of one number.
    sure: bool,
    /// The journal was cut; it is written anew once the log was read.
    doubted: bool,
    /// The Carrier API knows nothing of this delivery: nothing is asked of it before somebody speaks of it again.
    gone: bool,
    /// The log was asked for and has not come.
    reading: bool,
    /// Heard before the log was there; taken up after it.
    waiting: Option<Vec<u8>>,
    /// A knock is owed to the seller.
    knock: bool,
    closed: bool,
    forgotten: bool,
}

impl Job {
    /// A delivery nobody here knows anything about yet: its log is read before anything is signed.
    pub fn new(own: Arc<Own>, seller: Uid, delivery: Uid, profile: Profile, seed: [u8; 32]) -> Self {
        let statement = own.signer.statement();
        let namespace = statement.namespace.clone();
        let conversation =
            Conversation { seller: seller.clone(), carrier: statement.uid.clone(), delivery: delivery.clone() };
        let first = Record::Seller { seller: seller.clone() };
        let log = Log::new(Subject { delivery, namespace, seller }, &own.trust);
        Self {
            conversation,
            profile,
            log,
            upc: None,
            seller: None,
            held: Held::default(),
            post: post::Outbox::default(),
            road: road::Road::default(),
            standing: Standing::default(),
            shared: tap::Shared::default(),
            rng: StdRng::from_seed(seed),
            out: vec![Effect::Keep(vec![first])],
            own,
        }
    }

    /// Takes one input and says what follows from it.
    pub fn on(&mut self, input: Input, now: Time) -> Vec<Effect> {
        let mut asked = None;
        match input {
            Input::Started => {}
            Input::Heard(frame) => self.hear(frame, now),
            Input::Listed { upc, expected, location } => self.listed(upc, expected, location),
            Input::LogRead(read) => self.log_read(read, now),
            Input::Posted(answer) => self.posted(answer, now),
            Input::Overdue => self.post.overdue(),
            Input::Arrived(errand, arrival) => self.arrived(errand, arrival, now),
            Input::Scanned(errand, codes) => self.scanned(errand, &codes, now),
            Input::Photographed(errand, photo) => self.photographed(errand, photo, now),
            Input::Uploaded(answer) => self.uploaded(answer, now),
            Input::Asked(ask) => asked = Some(self.asked(ask, now)),
            Input::Moved(fix) => self.moved(fix, now),
            Input::Keys(own) => self.keys_changed(own),
            Input::Gone => self.gone(),
        }
        self.react(now);
        if let Some(answer) = asked {
            // What is shown is what stands after it.
            let told = answer.map(|told| told.unwrap_or_else(|| Told::View(Box::new(self.view()))));
            self.out.push(Effect::Answer(told));
        }
        std::mem::take(&mut self.out)
    }

    /// Asks for everything that is due and not under way.
    fn react(&mut self, now: Time) {
        if self.standing.gone {
            return;
        }
        if !self.standing.sure {
            return self.read_log();
        }
        self.mend_keys(now);
        self.end_attempt(now);
        self.send_posts();
        self.upload_photo();
        self.travel();
        self.pay_knock();
        self.close();
    }

    /// Everything worth keeping, as records: what a rewritten journal holds.
    fn snapshot(&self) -> Vec<Record> {
        let mut records = vec![Record::Seller { seller: self.conversation.seller.clone() }];
        records.extend(self.upc.clone().map(|upc| Record::Upc { upc }));
        if let Some((_, bytes)) = &self.seller {
            records.push(Record::Statement { bytes: bytes.clone() });
        }
        let events = self.log.entries().iter().filter(|entry| entry.verdict().is_genuine());
        records.extend(events.map(|entry| Record::Event { bytes: waybill_protocol::Bytes(entry.bytes().to_vec()) }));
        records.extend(self.held.key.clone().map(|key| Record::Key { key }));
        let parts = self.held.parts.iter();
        records.extend(parts.map(|(released, part)| Record::Part { released: *released, part: part.clone() }));
        records.extend(self.held.label.clone().map(|picture| Record::Label { picture }));
        records.extend(self.held.photo.as_ref().map(Photo::record));
        records.extend(self.standing.forgotten.then_some(Record::Forgotten));
        records.extend(self.standing.closed.then_some(Record::Closed));
        records
    }

    /// The journal is to hold this beside what it holds. Handed out with the effects, before all that leaves.
    fn keep(&mut self, record: Record) {
        match self.out.last_mut() {
            Some(Effect::Keep(records)) => records.push(record),
            _ => self.out.push(Effect::Keep(vec![record])),
        }
    }

    fn uid(&self) -> &Uid {
        &self.conversation.carrier
    }

    /// The job's delivery.
    pub fn delivery(&self) -> &Uid {
        &self.conversation.delivery
    }

    /// What the parcel is called, once that is known.
    pub fn upc(&self) -> Option<&Upc> {
        self.upc.as_ref()
    }

    /// The log as far as this agent knows it.
    pub fn log(&self) -> &Log {
        &self.log
    }

    /// Whether nothing is left to do: the job can be put away until somebody speaks to it.
    pub fn is_closed(&self) -> bool {
        self.standing.closed
    }

    /// Whether anything is held that an ended attempt leaves nothing of.
    pub fn holds_secrets(&self) -> bool {
        self.held.key.is_some() || !self.held.parts.is_empty() || self.held.label.is_some()
    }

    /// Whether an own event of this kind stands in the attempt that runs.
    fn said_in_this_attempt(&self, said: fn(&Fact) -> bool) -> bool {
        let attempt = self.log.state().attempt();
        let own = self.log.events_of(waybill_protocol::Author::Transport, self.uid(), 0);
        own.map(|signed| signed.event()).any(|event| event.attempt == attempt && said(&event.fact))
    }
}
