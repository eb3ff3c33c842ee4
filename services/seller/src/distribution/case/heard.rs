//! What the carrier said: events that are not in the log yet, and what it has. Pure.

use std::time::{Duration, Instant};

use waybill_crds::delivery::LocationSharing;
use waybill_protocol::carrier_to_seller::{Decline, Message};
use waybill_protocol::{Author, Challenge, EventId, Fact, Incoming, Kind, Log, SignedEvent, Uid, verify_courier_check};

use super::retry::PAUSES;
use super::{Case, Effect, Now};
use crate::distribution::facts::Facts;
use crate::door::Position;

/// How long an event that the Carrier API writes itself may take to show in the log. It is there before the agent tells us of it, so
/// this is what a busy watch may be late; a Carrier API that withholds it costs as much.
const GRACE: Duration = Duration::from_secs(5);
/// Events heard and not yet in the log; an agent has no reason for more.
const MAX_HEARD: usize = 32;

#[derive(Debug, Default)]
pub(super) struct Heard {
    events: Vec<(Instant, SignedEvent)>,
    /// The carrier has what was said about this, durably.
    pub(super) received: Option<EventId>,
    /// And the label, since this event said that it had lost it.
    pub(super) labelled: Option<EventId>,
    /// Who did not take which attempt, and why.
    pub(super) declined: Option<(Uid, u32, Decline)>,
}

impl Heard {
    pub(super) fn drop_known(&mut self, log: &Log) {
        self.events.retain(|(_, event)| log.event(&event.id()).is_none());
    }

    /// What was heard long enough ago and is not wanted will not be wanted later; its author says it again.
    pub(super) fn drop_stale(&mut self, now: Now) {
        self.events.retain(|(since, event)| now.instant < *since + patience(event));
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.events.iter().map(|(since, event)| *since + patience(event)).min()
    }

    /// Those it is time to write.
    pub(super) fn ripe(&self, now: Now) -> impl Iterator<Item = &SignedEvent> {
        let ripe = move |since: &Instant, event: &SignedEvent| is_quick(event) || now.instant >= *since + GRACE;
        self.events.iter().filter(move |(since, event)| ripe(since, event)).map(|(_, event)| event)
    }

    fn forget_what_it_has(&mut self) {
        (self.received, self.labelled) = (None, None);
    }
}

impl Case {
    pub(super) fn hear(&mut self, said: Incoming<Message>, carrier: &Uid, now: Now, effects: &mut Vec<Effect>) {
        match said.body {
            Message::Knock {} => {
                self.heard.forget_what_it_has();
                effects.push(Effect::Resend);
            }
            Message::Received {} => {
                let label = self.facts.as_deref().and_then(|facts| rekeyed(&facts.log, carrier)) == Some(said.about);
                let has = if label { &mut self.heard.labelled } else { &mut self.heard.received };
                *has = Some(said.about);
            }
            Message::Declined { reason } => self.heard.declined = Some((carrier.clone(), said.attempt, reason)),
            Message::Position { number, at, latitude_e7, longitude_e7, accuracy_m } => {
                let position = Position { number, at, attempt: said.attempt, latitude_e7, longitude_e7, accuracy_m };
                let wanted = self.is_under_way(carrier, said.attempt) && self.is_shared();
                effects.extend(wanted.then_some(Effect::Place(position)));
            }
            Message::CourierAnswer { ref challenge, ref signature } => {
                effects.extend(self.answered(carrier, said.attempt, &challenge.0, &signature.0).map(Effect::Answered));
            }
            Message::Answer {} | Message::News {} => {}
        }
        self.hear_events(said, carrier, now);
    }

    fn hear_events(&mut self, said: Incoming<Message>, carrier: &Uid, now: Now) {
        let Some(facts) = &self.facts else { return };
        for bytes in said.events {
            let Ok(event) = SignedEvent::read(&bytes.0) else { continue };
            let own = event.event().author == Author::Transport && event.event().uid == *carrier;
            let waits = self.heard.events.iter().any(|(_, waiting)| waiting.id() == event.id());
            let known = waits || facts.log.event(&event.id()).is_some();
            if own && !known && self.heard.events.len() < MAX_HEARD {
                if event.event().kind() == Kind::Rekeyed {
                    // What it had is gone with its old key.
                    self.heard.forget_what_it_has();
                }
                self.heard.events.push((now.instant, event));
            }
        }
    }

    /// Whether this carrier has the parcel in this attempt, and is the seller's own choice.
    fn is_under_way(&self, carrier: &Uid, attempt: u32) -> bool {
        let courier = self.facts.as_deref().and_then(Facts::courier);
        self.lost().is_none() && courier.is_some_and(|courier| courier.carrier == carrier && courier.attempt == attempt)
    }

    /// Whether anybody may see where the parcel is: else it is not even kept.
    fn is_shared(&self) -> bool {
        let share = self.facts.as_deref().and_then(|facts| facts.delivery.spec.share).unwrap_or_default();
        share.location != LocationSharing::None
    }

    /// The challenge, where the attempt's agent signed it.
    fn answered(&self, carrier: &Uid, attempt: u32, challenge: &[u8], signature: &[u8]) -> Option<Challenge> {
        let facts = self.facts.as_deref().filter(|_| self.is_under_way(carrier, attempt))?;
        let key = facts.log.key_of(Author::Transport, carrier)?;
        verify_courier_check(signature, key, facts.uid(), attempt, challenge).ok()?;
        Challenge::parse(std::str::from_utf8(challenge).ok()?)
    }
}

/// The event by which the carrier said, in the attempt that runs and after the hand-over, that it lost what it had.
pub(crate) fn rekeyed(log: &Log, carrier: &Uid) -> Option<EventId> {
    let counted = log.entries().iter().rev().filter(|entry| entry.verdict().counts());
    let after = counted.filter_map(|entry| entry.event()).take_while(|event| event.event().kind() != Kind::HandedOver);
    let mut own = after.filter(|event| event.event().kind() == Kind::Rekeyed && event.event().uid == *carrier);
    own.next().map(SignedEvent::id)
}

/// The seller writes these itself; the others come through the Carrier API, and a message about them is only a nudge.
fn is_quick(event: &SignedEvent) -> bool {
    matches!(event.event().kind(), Kind::Accepted | Kind::Rekeyed | Kind::PickedUp | Kind::KeyRotated)
}

/// How long an event that was heard is kept in mind.
fn patience(event: &SignedEvent) -> Duration {
    if is_quick(event) { PAUSES.1 } else { GRACE }
}

/// An acceptance counts in answer to our hello, by the carrier the Delivery names; everything else as the machine says.
pub(super) fn is_answer(facts: &Facts, log: &Log, event: &SignedEvent) -> bool {
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
