//! What keeps the seller from going on by itself, for the user to see: one condition, there only while it is so. Pure.
//!
//! It names what to mend, never anything of an order but its UPC and where it is kept.

use std::sync::Arc;
use std::time::{Duration, Instant};

use waybill_crds::condition::{ConditionType, find};
use waybill_crds::{Delivery, Reason};
use waybill_protocol::{Author, Phase};

use super::retry::Retry;
use super::{Case, Effect, Now};
use crate::distribution::decide;
use crate::distribution::facts::{Facts, Found, Remains};
use crate::source::FetchError;

/// What is over sooner is not told.
const SETTLES: Duration = Duration::from_secs(1);
/// Refusals of the API server in a row before they are told.
const REFUSALS: u32 = 3;

/// One thing that is in the way.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Hindrance {
    pub(crate) reason: Reason,
    pub(crate) message: String,
}

impl Hindrance {
    fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self { reason, message: message.into() }
    }
}

/// What is being told.
#[derive(Debug, Default)]
pub(super) struct Telling {
    under_way: bool,
    retry: Retry,
    /// What is in the way, and since when.
    seen: Option<(Hindrance, Instant)>,
    /// When it has lasted long enough to be told.
    ripe: Option<Instant>,
}

impl Telling {
    pub(super) fn ended(&mut self, done: bool, now: Now) {
        if std::mem::take(&mut self.under_way) {
            if done { self.retry.succeeded() } else { self.retry.failed(now) }
        }
    }

    pub(super) fn wake(&self) -> Option<Instant> {
        self.retry.at().or(self.ripe)
    }

    pub(super) fn is_idle(&self) -> bool {
        !self.under_way && self.retry.at().is_none() && self.ripe.is_none()
    }

    /// Whether it has been so for long enough; the end of it is told at once.
    fn is_ripe(&mut self, hindrance: Option<&Hindrance>, now: Now) -> bool {
        let Some(hindrance) = hindrance else {
            (self.seen, self.ripe) = (None, None);
            return true;
        };
        let same = self.seen.as_ref().filter(|(seen, _)| seen.reason == hindrance.reason);
        let since = same.map_or(now.instant, |(_, since)| *since);
        self.seen = Some((hindrance.clone(), since));
        self.ripe = Some(since + SETTLES).filter(|ripe| *ripe > now.instant);
        self.ripe.is_none()
    }
}

impl Case {
    /// Asks for the condition to be written where it says something else than is so.
    pub(super) fn tell(&mut self, now: Now, effects: &mut Vec<Effect>) {
        let hindrance = self.hindrance();
        let Some(facts) = self.facts.as_deref() else { return };
        let delivery = Arc::clone(&facts.delivery);
        if is_told(&delivery, hindrance.as_ref()) {
            (self.telling.seen, self.telling.ripe) = (None, None);
            return;
        }
        if self.telling.is_ripe(hindrance.as_ref(), now) && !self.telling.under_way && self.telling.retry.is_due(now) {
            self.telling.under_way = true;
            effects.push(Effect::Tell { delivery, hindrance });
        }
    }

    /// The first thing to mend.
    fn hindrance(&self) -> Option<Hindrance> {
        let facts = self.facts.as_deref()?;
        if facts.delivery.metadata.deletion_timestamp.is_some() {
            return None;
        }
        let state = facts.log.state();
        if state.phase().is_terminal() {
            return not_deleted(facts).or_else(|| countersign(facts));
        }
        // What is not ready yet is the operator's to tell.
        let begun = facts.ready() || state.attempt() > 0;
        begun
            .then(|| {
                self.log().or_else(|| self.of_order(facts)).or_else(|| self.of_carrier(facts)).or_else(|| user(facts))
            })?
            .or_else(|| countersign(facts))
    }

    fn log(&self) -> Option<Hindrance> {
        if let Some(why) = &self.unsigned {
            let message = format!("the Seller cannot sign the next event: {why}");
            return Some(Hindrance::new(Reason::KeyNotCurrent, message));
        }
        let message = "the API server refuses what the Seller wants to add to the log; its service's log says why";
        (self.refusals >= REFUSALS).then(|| Hindrance::new(Reason::LogRefused, message))
    }

    /// Only while something of the order is still wanted.
    fn of_order(&self, facts: &Facts) -> Option<Hindrance> {
        let state = facts.log.state();
        let wanted = matches!(
            state.phase_beneath(),
            Phase::Pending
                | Phase::Accepted
                | Phase::PickedUp
                | Phase::InTransit
                | Phase::OutForDelivery
                | Phase::Rescheduled
        );
        if !wanted || state.hold().is_some() {
            return None;
        }
        if let Found::Missing { reason, message } = &facts.order {
            return Some(Hindrance::new(*reason, message.clone()));
        }
        if let Some(error) = &self.address.trouble {
            let message = format!("the order system {error}: it is asked again");
            return Some(Hindrance::new(error.reason(), message));
        }
        if self.address.is_unsteady() {
            let message =
                "the order system says something else each time it is asked: nothing is released before it stays";
            return Some(Hindrance::new(Reason::AddressUnstable, message));
        }
        let order = self.order()?;
        let changed = decide::is_changed_too_often(facts, &facts.log, order);
        let message = "the order changed too often in this attempt: nothing is released before it is again as it was, or another attempt begins";
        changed.then(|| Hindrance::new(Reason::AddressUnstable, message))
    }

    fn of_carrier(&self, facts: &Facts) -> Option<Hindrance> {
        let (state, carrier) = (facts.log.state(), facts.carrier.as_ref()?);
        let name = &carrier.name;
        if let (Some((who, attempt, why)), Some(asked)) = (&self.heard.declined, state.attempt_to_accept())
            && (who, *attempt) == (&carrier.uid, asked)
        {
            let message =
                format!("Carrier {name:?} does not take the job ({why}): name another one, or change what is asked");
            return Some(Hindrance::new(Reason::CarrierDeclined, message));
        }
        if carrier.revoked {
            return None;
        }
        let Some(statement) = &carrier.statement else {
            let why = carrier.trouble.as_deref().unwrap_or("none is there");
            let message = format!("no key statement of Carrier {name:?} counts now ({why}): its agent has to renew it");
            return Some(Hindrance::new(Reason::KeyNotCurrent, message));
        };
        let logged = facts.log.key_of(Author::Transport, &carrier.uid)?;
        let message = format!(
            "Carrier {name:?} has another key than the log knows, and has not signed the change with the old one: its agent does so once it is online; if the old key is lost, name another Carrier"
        );
        (*logged != statement.ed25519).then(|| Hindrance::new(Reason::KeyRotated, message))
    }
}

/// What waits for a word of the user.
fn user(facts: &Facts) -> Option<Hindrance> {
    let (state, spec) = (facts.log.state(), &facts.delivery.spec);
    if !facts.seller.manual || state.hold().is_some() {
        return None;
    }
    match state.phase_beneath() {
        Phase::Accepted if !state.is_handed_over() && spec.handed_over != Some(true) => {
            let message = "set spec.handedOver: true once the parcel is in the carrier's hands";
            Some(Hindrance::new(Reason::AwaitingHandOver, message))
        }
        Phase::ReturnToSender if state.is_given_back() && spec.return_received != Some(true) => {
            let message = "the carrier says it gave the parcel back: set spec.returnReceived: true once it is here";
            Some(Hindrance::new(Reason::AwaitingReturn, message))
        }
        _ => None,
    }
}

fn not_deleted(facts: &Facts) -> Option<Hindrance> {
    if !facts.is_to_be_forgotten() || facts.log.state().forgotten().is_some() {
        return None;
    }
    let message = match &facts.order {
        Found::Over(Remains::Order { place, .. }) => format!("the order is still there: delete {place}"),
        Found::Over(Remains::ToBeAsked) => {
            "the order system still has the order, or does not say: delete it there".into()
        }
        _ => return None,
    };
    Some(Hindrance::new(Reason::OrderNotDeleted, message))
}

/// The first id on the user's list that is not countersigned, and why.
fn countersign(facts: &Facts) -> Option<Hindrance> {
    let (id, why) = decide::not_countersigned(facts)?;
    let message = format!("spec.countersigned: {id} is not countersigned: {why}");
    Some(Hindrance::new(Reason::CountersignRefused, message))
}

fn is_told(delivery: &Delivery, hindrance: Option<&Hindrance>) -> bool {
    let conditions = delivery.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    match (find(conditions, ConditionType::Hindered), hindrance) {
        (None, None) => true,
        (Some(there), Some(now)) => there.reason == now.reason.as_str() && there.message == now.message,
        _ => false,
    }
}

impl FetchError {
    fn reason(&self) -> Reason {
        match self {
            Self::Unknown => Reason::OrderUnknown,
            Self::Malformed(_) | Self::TooLarge => Reason::OrderMalformed,
            Self::Forbidden => Reason::OrdersUrlForbidden,
            Self::Slow | Self::Unreachable | Self::NotOpen | Self::Status(_) => Reason::OrdersUnreachable,
        }
    }
}
