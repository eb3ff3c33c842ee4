//! One delivery as its seller works on it: a pure state machine. Inputs are what happened, effects are what must happen; it
//! touches no network, no clock and no dice.
//!
//! Level-triggered: whatever came in, [`Case::on`] then looks at the log and asks for everything that is due and not under way.
//! Nothing of it has to survive: a new holder of the Lease begins with an empty case and the log.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waybill_crds::Delivery;
use waybill_crds::phase::MAX_NEW_EVENTS;
use waybill_protocol::{
    Author, EventId, Fact, Incoming, Kind, Log, Order, Part, SignedEvent, Stage, Uid, UnixMillis,
    carrier_to_seller::Message,
};

use super::decide::{self, View};
use super::facts::{Facts, Found, OrderData};
use crate::source::FetchError;

/// How long an event that the Carrier API writes itself may take to show in the log.
const GRACE: Duration = Duration::from_secs(1);
/// Between tries of something that failed: doubling from the first to the second.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));
/// Events heard and not yet in the log; an agent has no reason for more.
const MAX_HEARD: usize = 32;

/// The time, on both clocks.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Now {
    pub(crate) wall: UnixMillis,
    pub(crate) instant: Instant,
}

/// What happened.
#[derive(Debug)]
pub(crate) enum Input {
    /// The cluster says something new.
    Known(Box<Facts>),
    /// The write under way ended, well or in a conflict; this is how things are now.
    Written(Box<Facts>),
    /// It failed, and who knows what is there.
    NotWritten,
    /// The carrier said this, and certainly said it.
    Heard(Box<Incoming<Message>>, Uid),
    /// A part was read, for this release.
    Fetched(EventId, Result<Part, FetchError>),
    /// The whole order was read from the order system.
    Read(Result<Order, FetchError>),
    /// It is later.
    Later,
}

/// What must happen.
#[derive(Debug)]
pub(crate) enum Effect {
    /// Append these to the log of that very object.
    Append { delivery: Arc<Delivery>, log: Box<Log>, events: Vec<SignedEvent> },
    /// Read this part, of this UPC, for this release.
    Fetch { upc: String, stage: Stage, released: EventId },
    /// Ask the order system for the whole order.
    Read { upc: String },
    /// Whatever is out is out again at once: the carrier is there.
    Resend,
}

/// The seller's side of one delivery.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(super) facts: Option<Box<Facts>>,
    /// With an order system: the order, while this delivery needs it.
    read: Option<OrderData>,
    heard: Vec<(Instant, SignedEvent)>,
    writing: bool,
    reading: bool,
    fetching: Option<EventId>,
    /// The part that is open, and the event that opened it.
    part: Option<(EventId, Part)>,
    /// The carrier has what was said about this, durably.
    pub(super) received: Option<EventId>,
    /// Of writes, and of what is read of the order: one does not wait for the other.
    write: Retry,
    address: Retry,
}

/// Tries of something that fails, further and further apart.
#[derive(Debug, Default)]
struct Retry {
    failures: u32,
    at: Option<Instant>,
}

impl Retry {
    fn failed(&mut self, now: Now) {
        let pause = RETRY.0.saturating_mul(1 << self.failures.min(16)).min(RETRY.1);
        self.failures = self.failures.saturating_add(1);
        self.at = Some(now.instant + pause);
    }

    fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether it may be tried now.
    fn is_due(&mut self, now: Now) -> bool {
        self.at.take_if(|at| *at <= now.instant);
        self.at.is_none()
    }
}

impl Case {
    /// Takes one input and says what follows from it.
    pub(crate) fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Known(facts) => self.know(facts),
            Input::Written(facts) => {
                self.writing = false;
                self.write.succeeded();
                self.know(facts);
            }
            Input::NotWritten => {
                self.writing = false;
                self.write.failed(now);
            }
            Input::Heard(said, carrier) => self.hear(*said, &carrier, now, &mut effects),
            Input::Fetched(released, part) => self.fetched(released, part, now),
            Input::Read(order) => self.order_read(order, now),
            Input::Later => {}
        }
        self.react(now, &mut effects);
        effects
    }

    /// When to look again without being asked.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let heard = || self.heard.iter().map(|(since, event)| *since + patience(event)).min();
        let write = if self.writing { None } else { self.write.at.or_else(heard) };
        [write, self.address.at].into_iter().flatten().min()
    }

    /// Whether nothing will happen here any more.
    pub(crate) fn is_over(&self) -> bool {
        let over = |facts: &Facts| facts.log.state().phase().is_terminal();
        !self.writing && self.facts.as_deref().is_some_and(over)
    }

    /// The order, wherever it comes from.
    pub(super) fn order(&self) -> Option<&OrderData> {
        match &self.facts.as_ref()?.order {
            Found::Here(order) => Some(order),
            Found::Missing => None,
            Found::Elsewhere => self.read.as_ref(),
        }
    }

    /// The part that was read for this release.
    pub(super) fn part(&self, released: &EventId) -> Option<&Part> {
        self.part.as_ref().filter(|(of, _)| of == released).map(|(_, part)| part)
    }

    fn know(&mut self, facts: Box<Facts>) {
        self.heard.retain(|(_, event)| facts.log.event(&event.id()).is_none());
        let open = facts.log.state().unanswered().map(|(_, released)| released);
        // What is no longer open is not kept.
        self.part.take_if(|(released, _)| Some(*released) != open);
        self.facts = Some(facts);
    }

    fn hear(&mut self, said: Incoming<Message>, carrier: &Uid, now: Now, effects: &mut Vec<Effect>) {
        match said.body {
            Message::Knock {} => {
                self.received = None;
                effects.push(Effect::Resend);
            }
            Message::Received {} => self.received = Some(said.about),
            _ => {}
        }
        let Some(facts) = &self.facts else { return };
        for bytes in said.events {
            let Ok(event) = SignedEvent::read(&bytes.0) else { continue };
            let own = event.event().author == Author::Transport && event.event().uid == *carrier;
            let known = facts.log.event(&event.id()).is_some() || self.heard.iter().any(|(_, e)| e.id() == event.id());
            if own && !known && self.heard.len() < MAX_HEARD {
                if event.event().kind() == Kind::Rekeyed {
                    // What it had is gone with its old key.
                    self.received = None;
                }
                self.heard.push((now.instant, event));
            }
        }
    }

    fn fetched(&mut self, released: EventId, part: Result<Part, FetchError>, now: Now) {
        self.fetching.take_if(|fetching| *fetching == released);
        match part {
            Ok(part) => {
                self.address.succeeded();
                let stage = part.stage();
                let same = self.order().is_some_and(|order| order.order.part(stage) == part);
                if same {
                    self.part = Some((released, part));
                } else {
                    // The order changed meanwhile. What is committed to follows first.
                    self.read = None;
                    self.address.failed(now);
                }
            }
            Err(_) => self.address.failed(now),
        }
    }

    fn order_read(&mut self, order: Result<Order, FetchError>, now: Now) {
        self.reading = false;
        match order {
            Ok(order) => {
                self.address.succeeded();
                self.read = Some(OrderData::without_salt(order));
            }
            Err(_) => self.address.failed(now),
        }
    }

    fn react(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let may_write = !self.writing && self.write.is_due(now);
        let Some(facts) = &self.facts else { return };
        if may_write {
            let events = self.due_events(facts, now);
            if !events.is_empty() {
                let (delivery, log) = (Arc::clone(&facts.delivery), Box::new(facts.log.clone()));
                effects.push(Effect::Append { delivery, log, events });
                self.writing = true;
            }
            // What was heard long enough ago and is not wanted will not be wanted later; its author says it again.
            self.heard.retain(|(since, event)| now.instant < *since + patience(event));
        }
        if self.address.is_due(now) {
            self.ask_for_address(effects);
        }
    }

    fn ask_for_address(&mut self, effects: &mut Vec<Effect>) {
        let Some(facts) = &self.facts else { return };
        let upc = &facts.delivery.spec.upc;
        let state = facts.log.state();
        let over = state.phase().is_terminal();
        if matches!(facts.order, Found::Elsewhere)
            && self.read.is_none()
            && !self.reading
            && !over
            && state.attempt() > 0
        {
            effects.push(Effect::Read { upc: upc.clone() });
            self.reading = true;
        }
        if let Some((stage, released)) = state.unanswered()
            && self.part(&released).is_none()
            && self.fetching != Some(released)
            && self.order().is_some()
        {
            effects.push(Effect::Fetch { upc: upc.clone(), stage, released });
            self.fetching = Some(released);
        }
    }

    /// Everything that goes into the log now, as one write: what the carrier said, and what the seller says to it.
    fn due_events(&self, facts: &Facts, now: Now) -> Vec<SignedEvent> {
        let (mut log, mut events) = (facts.log.clone(), Vec::new());
        for (since, event) in &self.heard {
            let ripe = is_quick(event) || now.instant >= *since + GRACE;
            if ripe && events.len() < MAX_NEW_EVENTS && is_answer(facts, &log, event) {
                let mut trial = log.clone();
                if trial.push(event.bytes()).counts() {
                    log = trial;
                    events.push(event.clone());
                }
            }
        }
        while events.len() < MAX_NEW_EVENTS {
            let view = View { facts, log: &log, order: self.order(), first: events.is_empty() };
            let Some(fact) = decide::next(&view) else { break };
            let alone = matches!(fact, Fact::OnHold { .. } | Fact::CarrierAssigned { .. });
            match log.sign(&facts.keys.signer, fact, now.wall) {
                Ok(event) => {
                    log.push(event.bytes());
                    events.push(event);
                }
                Err(error) => {
                    tracing::error!(delivery = %facts.uid(), %error, "failed to sign an event");
                    break;
                }
            }
            if alone {
                break;
            }
        }
        events
    }
}

/// The seller writes these itself; the others come through the Carrier API, and a message about them is only a nudge.
fn is_quick(event: &SignedEvent) -> bool {
    matches!(event.event().kind(), Kind::Accepted | Kind::Rekeyed | Kind::PickedUp | Kind::KeyRotated)
}

/// How long an event that was heard is kept in mind.
fn patience(event: &SignedEvent) -> Duration {
    if is_quick(event) { RETRY.1 } else { GRACE }
}

/// An acceptance counts in answer to our hello, by the carrier the Delivery names; everything else as the machine says.
fn is_answer(facts: &Facts, log: &Log, event: &SignedEvent) -> bool {
    let event = event.event();
    match &event.fact {
        Fact::Accepted { nonce, .. } => {
            let asked = facts.carrier.as_ref().is_some_and(|carrier| carrier.uid == event.uid && !carrier.revoked);
            asked && *nonce == facts.nonce(event.attempt) && log.state().attempt_to_accept() == Some(event.attempt)
        }
        Fact::Rekeyed { nonce, .. } => *nonce == facts.nonce(event.attempt),
        _ => true,
    }
}
