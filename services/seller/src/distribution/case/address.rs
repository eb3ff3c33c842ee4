//! The address of one delivery: read where the order is, in memory only while it is needed. Pure.
//!
//! An order system that answers now this and now that must not fill the log: another address than the one committed to is
//! believed once it was read twice in a row.

use waybill_protocol::{EventId, Order, Part, Stage};

use super::retry::Retry;
use super::{Case, Effect, Now};
use crate::distribution::facts::{Facts, Found, OrderData, Remains};
use crate::source::FetchError;

/// Reads in a row that did not fit together before that is said.
const UNSTEADY: u32 = 4;

#[derive(Debug, Default)]
pub(super) struct Address {
    /// With an order system: the order, while this delivery needs it.
    read: Option<OrderData>,
    /// Another one than is committed to, read once.
    candidate: Option<OrderData>,
    reading: bool,
    fetching: Option<EventId>,
    /// The part that is open, and the event that opened it.
    part: Option<(EventId, Part)>,
    pub(super) retry: Retry,
    /// Why the last look failed.
    pub(super) trouble: Option<FetchError>,
    /// Whether the order's own salt made every commitment, where that could be seen.
    salted: bool,
    /// The order system has no such order any more.
    pub(super) is_unknown: bool,
}

impl Address {
    pub(super) fn read(&self) -> Option<&OrderData> {
        self.read.as_ref()
    }

    pub(super) fn part(&self, released: &EventId) -> Option<&Part> {
        self.part.as_ref().filter(|(of, _)| of == released).map(|(_, part)| part)
    }

    /// Whether it is read again and again and never stays what it was.
    pub(super) fn is_unsteady(&self) -> bool {
        self.trouble.is_none() && self.retry.failures() >= UNSTEADY
    }

    pub(super) fn was_salted(&self) -> bool {
        self.salted
    }

    /// What is no longer open is not kept, and nothing at all once the delivery is over.
    pub(super) fn know(&mut self, facts: &Facts) {
        let open = facts.log.state().unanswered().map(|(_, released)| released);
        self.part.take_if(|(released, _)| Some(*released) != open);
        match &facts.order {
            Found::Over(remains) => {
                (self.read, self.candidate, self.part) = (None, None, None);
                self.salted |= matches!(remains, Remains::Order { salted: true, .. });
            }
            Found::Here(_) | Found::Missing { .. } => (self.read, self.candidate, self.trouble) = (None, None, None),
            Found::Elsewhere => {}
        }
    }

    pub(super) fn crashed(&mut self, now: Now) {
        if self.reading || self.fetching.is_some() {
            (self.reading, self.fetching) = (false, None);
            self.retry.failed(now);
        }
    }

    fn failed(&mut self, error: FetchError, now: Now) {
        self.retry.failed(now);
        self.trouble = Some(error);
    }

    fn take(&mut self, order: OrderData) {
        (self.read, self.candidate) = (Some(order), None);
        self.retry.go_on();
    }
}

impl Case {
    pub(super) fn fetched(&mut self, released: EventId, part: Result<Part, FetchError>, now: Now) {
        self.address.fetching.take_if(|fetching| *fetching == released);
        let part = match part {
            Ok(part) => part,
            // Read ahead, and somebody else's view of the log was older: it is read again once it is open.
            Err(_) if self.open() != Some(released) => return,
            Err(error) => return self.address.failed(error, now),
        };
        self.address.trouble = None;
        let stage = part.stage();
        if self.order().is_some_and(|order| order.order.part(stage) == part) {
            self.address.retry.succeeded();
            self.address.part = Some((released, part));
        } else {
            // The order changed meanwhile. What is committed to follows first.
            self.address.read = None;
            self.address.retry.failed(now);
        }
    }

    fn open(&self) -> Option<EventId> {
        self.facts.as_deref()?.log.state().unanswered().map(|(_, released)| released)
    }

    pub(super) fn order_read(&mut self, order: Result<Order, FetchError>, now: Now) {
        self.address.reading = false;
        let Some(facts) = self.facts.as_deref() else { return };
        if matches!(facts.order, Found::Over(_)) {
            // It is to be forgotten: whether it is there is all that counts.
            self.address.is_unknown = matches!(order, Err(FetchError::Unknown));
            return self.address.retry.failed(now);
        }
        let order = match order {
            Ok(order) => OrderData::without_salt(order),
            Err(error) => return self.address.failed(error, now),
        };
        self.address.trouble = None;
        let before = facts.log.state().commitments();
        let other = before.is_some_and(|before| order.commit(&facts.keys, facts.uid()) != *before);
        let again = self.address.candidate.as_ref().is_some_and(|candidate| candidate.order == order.order);
        if !other || again {
            return self.address.take(order);
        }
        self.address.candidate = Some(order);
        self.address.retry.failed(now);
    }

    pub(super) fn ask_for_address(&mut self, effects: &mut Vec<Effect>) {
        let Some(facts) = &self.facts else { return };
        let upc = &facts.delivery.spec.upc;
        let state = facts.log.state();
        let needed = match facts.order {
            Found::Elsewhere => self.address.read.is_none() && state.attempt() > 0,
            Found::Over(Remains::ToBeAsked) => {
                facts.is_to_be_forgotten() && state.forgotten().is_none() && !self.address.is_unknown
            }
            _ => false,
        };
        if needed && !self.address.reading {
            effects.push(Effect::Read { upc: upc.clone() });
            self.address.reading = true;
        }
        if let Some((stage, released)) = state.unanswered() {
            self.fetch(stage, released, effects);
        }
    }

    /// Reads the part that this event opens; where it is due already, while the event is still being written. It is not sent before
    /// it is open.
    pub(super) fn fetch(&mut self, stage: Stage, released: EventId, effects: &mut Vec<Effect>) {
        let Some(facts) = &self.facts else { return };
        if self.part(&released).is_none() && self.address.fetching != Some(released) && self.order().is_some() {
            effects.push(Effect::Fetch { upc: facts.delivery.spec.upc.clone(), stage, released });
            self.address.fetching = Some(released);
        }
    }
}
