//! One delivery as its seller works on it: a pure state machine. Inputs are what happened, effects are what must happen; it
//! touches no network, no clock and no dice.
//!
//! Level-triggered: whatever came in, [`Case::on`] then looks at the log and asks for everything that is due and not under way.
//! Nothing of it has to survive: a new holder of the Lease begins with an empty case and the log.

mod address;
mod heard;
mod hinder;
mod retry;

use std::sync::Arc;
use std::time::Instant;

use waybill_crds::Delivery;
use waybill_crds::phase::MAX_NEW_EVENTS;
use waybill_protocol::fact::reason::Guarantee;
use waybill_protocol::{
    Challenge, EventId, Fact, Incoming, Log, Order, Part, SignedEvent, Stage, Uid, UnixMillis,
    carrier_to_seller::Message,
};

use super::decide::{self, View};
use super::facts::{Facts, Found, Lost, OrderData, Remains};
use crate::door::Position;
use crate::source::FetchError;
use address::Address;
use heard::Heard;
pub(crate) use heard::rekeyed;
pub(crate) use hinder::Hindrance;
use hinder::Telling;
use retry::Retry;

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
    /// The API server found it against its rules; this is how things are now.
    Refused(Box<Facts>),
    /// The carrier said this, and certainly said it.
    Heard(Box<Incoming<Message>>, Uid),
    /// A part was read, for this release.
    Fetched(EventId, Result<Part, FetchError>),
    /// The whole order was read from the order system.
    Read(Result<Order, FetchError>),
    /// What the API server itself says about a carrier that was not to be seen; none where it did not say.
    LookedUp(Uid, Option<Standing>),
    /// The condition was written, or not.
    Told(bool),
    /// Something of it ended without a word: what was under way is tried again.
    Crashed,
    /// It is later.
    Later,
}

/// What became of a carrier.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Standing {
    /// It is there; the watch will say so.
    Here,
    Lost(Lost),
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
    /// Ask the API server itself what became of the carrier of this uid, once of this name.
    LookUp { carrier: Uid, name: String },
    /// Say this in the Delivery's condition, or that nothing is in the way any more.
    Tell { delivery: Arc<Delivery>, hindrance: Option<Hindrance> },
    /// Whatever is out is out again at once: the carrier is there.
    Resend,
    /// The carrier says where the parcel is.
    Place(Position),
    /// The attempt's agent signed this challenge.
    Answered(Challenge),
}

/// The seller's side of one delivery.
#[derive(Debug, Default)]
pub(crate) struct Case {
    pub(super) facts: Option<Box<Facts>>,
    address: Address,
    heard: Heard,
    writing: bool,
    write: Retry,
    /// How often in a row the API server found what was to be written against its rules.
    refusals: u32,
    /// Why the last event was not signed.
    unsigned: Option<String>,
    looking: bool,
    look: Retry,
    /// What the API server itself said about a carrier that is not to be seen.
    gone: Option<(Uid, Lost)>,
    telling: Telling,
    /// When time alone changes something.
    deadline: Option<Instant>,
}

impl Case {
    /// Takes one input and says what follows from it.
    pub(crate) fn on(&mut self, input: Input, now: Now) -> Vec<Effect> {
        let mut effects = Vec::new();
        match input {
            Input::Known(facts) => self.know(facts),
            Input::Written(facts) => {
                (self.writing, self.refusals) = (false, 0);
                self.write.succeeded();
                self.know(facts);
            }
            Input::NotWritten => self.not_written(now),
            Input::Refused(facts) => {
                self.refusals = self.refusals.saturating_add(1);
                self.not_written(now);
                self.know(facts);
            }
            Input::Heard(said, carrier) => self.hear(*said, &carrier, now, &mut effects),
            Input::Fetched(released, part) => self.fetched(released, part, now),
            Input::Read(order) => self.order_read(order, now),
            Input::LookedUp(carrier, standing) => self.looked_up(carrier, standing, now),
            Input::Told(done) => self.telling.ended(done, now),
            Input::Crashed => self.crashed(now),
            Input::Later => {}
        }
        self.react(now, &mut effects);
        effects
    }

    /// When to look again without being asked.
    pub(crate) fn wake(&self) -> Option<Instant> {
        let heard = || self.heard.wake();
        let write = if self.writing { None } else { self.write.at().or_else(heard) };
        [write, self.address.retry.at(), self.look.at(), self.telling.wake(), self.deadline].into_iter().flatten().min()
    }

    /// Whether nothing will happen here any more.
    pub(crate) fn is_over(&self) -> bool {
        let over = |facts: &Facts| {
            let state = facts.log.state();
            state.phase().is_terminal() && !(facts.is_to_be_forgotten() && state.forgotten().is_none())
        };
        !self.writing && self.telling.is_idle() && self.facts.as_deref().is_some_and(over)
    }

    /// What became of the carrier that accepted, if it can no longer carry and that is certain.
    pub(super) fn lost(&self) -> Option<Lost> {
        let facts = self.facts.as_deref()?;
        match facts.lost.as_ref()? {
            Lost::Missing => {
                let pinned = facts.log.state().carrier()?;
                self.gone.as_ref().filter(|(carrier, _)| carrier == pinned).map(|(_, lost)| *lost)
            }
            lost => Some(*lost),
        }
    }

    fn know(&mut self, facts: Box<Facts>) {
        self.heard.drop_known(&facts.log);
        self.address.know(&facts);
        self.facts = Some(facts);
    }

    fn not_written(&mut self, now: Now) {
        self.writing = false;
        self.write.failed(now);
    }

    fn looked_up(&mut self, carrier: Uid, standing: Option<Standing>, now: Now) {
        self.looking = false;
        match standing {
            Some(Standing::Lost(lost)) => {
                self.look.succeeded();
                self.gone = Some((carrier, lost));
            }
            Some(Standing::Here) | None => self.look.failed(now),
        }
    }

    fn crashed(&mut self, now: Now) {
        if self.writing {
            self.not_written(now);
        }
        if self.looking {
            self.looking = false;
            self.look.failed(now);
        }
        self.address.crashed(now);
        self.telling.ended(false, now);
    }

    fn react(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let (may_write, mut opens) = (!self.writing && self.write.is_due(now), None);
        let Some(facts) = &self.facts else { return };
        if may_write {
            let (events, unsigned) = self.due_events(facts, now);
            if !events.is_empty() {
                opens = events.iter().find_map(opened).filter(|(stage, _)| facts.log.state().due() == Some(*stage));
                let (delivery, log) = (Arc::clone(&facts.delivery), Box::new(facts.log.clone()));
                effects.push(Effect::Append { delivery, log, events });
                self.writing = true;
            }
            self.unsigned = unsigned;
            self.heard.drop_stale(now);
        }
        if self.address.retry.is_due(now) {
            self.ask_for_address(effects);
            if let Some((stage, released)) = opens {
                self.fetch(stage, released, effects);
            }
        }
        self.look_up(now, effects);
        self.tell(now, effects);
        self.deadline = self.facts.as_deref().and_then(|facts| deadline(facts, now));
    }

    /// Somebody who is not to be seen may only be late in the watch.
    fn look_up(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let Some(facts) = self.facts.as_deref().filter(|facts| facts.lost == Some(Lost::Missing)) else { return };
        let state = facts.log.state();
        if state.phase().is_terminal() || state.hold().is_some_and(|hold| hold.reason.cuts_carrier()) {
            return;
        }
        let (None, false, true) = (self.lost(), self.looking, self.look.is_due(now)) else { return };
        let Some(carrier) = state.carrier() else { return };
        let name =
            facts.log.statement_of(waybill_protocol::Author::Transport, carrier).map(|stated| stated.name.clone());
        let Some(name) = name else { return };
        effects.push(Effect::LookUp { carrier: carrier.clone(), name: name.to_string() });
        self.looking = true;
    }

    /// Everything that goes into the log now, as one write: what the carrier said, and what the seller says to it. And why
    /// nothing could be signed, where that is so.
    fn due_events(&self, facts: &Facts, now: Now) -> (Vec<SignedEvent>, Option<String>) {
        let (mut log, mut events) = (facts.log.clone(), Vec::new());
        for event in self.heard.ripe(now) {
            if events.len() < MAX_NEW_EVENTS && heard::is_answer(facts, &log, event) {
                let mut trial = log.clone();
                if trial.push(event.bytes()).counts() {
                    log = trial;
                    events.push(event.clone());
                }
            }
        }
        while events.len() < MAX_NEW_EVENTS {
            let Some(fact) = decide::next(&self.view(facts, &log, (events.is_empty(), now.wall))) else { break };
            let alone = matches!(fact, Fact::OnHold { .. } | Fact::CarrierAssigned { .. });
            match log.sign(&facts.keys.signer, fact, now.wall) {
                Ok(event) => {
                    log.push(event.bytes());
                    events.push(event);
                }
                Err(error) => {
                    tracing::error!(delivery = %facts.uid(), %error, "failed to sign an event");
                    return (events, Some(error.to_string()));
                }
            }
            if alone {
                break;
            }
        }
        (events, None)
    }

    fn view<'a>(&'a self, facts: &'a Facts, log: &'a Log, (first, now): (bool, UnixMillis)) -> View<'a> {
        View { facts, log, order: self.order(), first, now, lost: self.lost(), erased: self.erased(facts) }
    }

    /// The order is gone from where the Seller has it, and what that is worth.
    fn erased(&self, facts: &Facts) -> Option<Guarantee> {
        match facts.order {
            Found::Over(Remains::Nothing) if self.address.was_salted() => Some(Guarantee::Full),
            Found::Over(Remains::Nothing) => Some(Guarantee::WhileCommitKeyIsSafe),
            Found::Over(Remains::ToBeAsked) if self.address.is_unknown => Some(Guarantee::WhileCommitKeyIsSafe),
            _ => None,
        }
    }

    /// The order, wherever it comes from.
    pub(super) fn order(&self) -> Option<&OrderData> {
        match &self.facts.as_ref()?.order {
            Found::Here(order) => Some(order),
            Found::Missing { .. } | Found::Over(_) => None,
            Found::Elsewhere => self.address.read(),
        }
    }

    /// The part that was read for this release.
    pub(super) fn part(&self, released: &EventId) -> Option<&Part> {
        self.address.part(released)
    }

    /// Whether the carrier has what was said about this, durably.
    pub(super) fn is_received(&self, about: &EventId) -> bool {
        self.heard.received == Some(*about)
    }

    /// Whether the carrier has the label since it lost what it had, by this event.
    pub(super) fn is_labelled(&self, rekeyed: &EventId) -> bool {
        self.heard.labelled == Some(*rekeyed)
    }
}

/// Which part of the address this event opens.
fn opened(event: &SignedEvent) -> Option<(Stage, EventId)> {
    match event.event().fact {
        Fact::Released { stage, .. } => Some((stage, event.id())),
        _ => None,
    }
}

/// When something ends by time alone: the farewell to the carrier, and the time a parcel lies where it can be fetched.
fn deadline(facts: &Facts, now: Now) -> Option<Instant> {
    let at = [super::say::last_word(facts), decide::collect_by(facts, &facts.log, now.wall)];
    let ahead = at.into_iter().flatten().filter(|at| *at > now.wall).min()?;
    Some(now.instant + std::time::Duration::from_millis(ahead.0 - now.wall.0))
}
