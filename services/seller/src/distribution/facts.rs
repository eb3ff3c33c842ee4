//! What is known about one delivery at one moment: the cluster's word, read once, for decisions that look at nothing else.

use std::sync::Arc;
use std::time::Duration;

use waybill_crds::condition::{ConditionType, is_true};
use waybill_crds::{Delivery, Reason};
use waybill_protocol::{Commitments, Fact, KeyStatement, Log, Mac, Order, SaltKey, Stage, Uid, hello_nonce};

use crate::door::{Courier, courier};
use crate::keys::Keys;
use crate::orders::{self, Private};

/// How long a parcel lies where it can be fetched, unless its Seller says otherwise.
pub(crate) const COLLECT_WITHIN: Duration = Duration::from_secs(7 * 24 * 3600);

/// Everything about one delivery.
#[derive(Debug)]
pub(crate) struct Facts {
    pub(crate) delivery: Arc<Delivery>,
    /// Of that very object.
    pub(crate) log: Log,
    pub(crate) keys: Arc<Keys>,
    pub(crate) seller: SellerFacts,
    /// Whoever stands under the name in `spec.carrier`.
    pub(crate) carrier: Option<CarrierFacts>,
    /// What became of the carrier that accepted, if it can no longer carry.
    pub(crate) lost: Option<Lost>,
    pub(crate) order: Found,
}

/// How the Seller works.
#[derive(Debug, Clone, Copy)]
pub(crate) struct SellerFacts {
    /// Nothing is released.
    pub(crate) suspended: bool,
    /// The hand-over waits for the user's word, and so does the parcel's return.
    pub(crate) manual: bool,
    /// How long a parcel lies where it can be fetched.
    pub(crate) collect_within: Duration,
}

impl Default for SellerFacts {
    fn default() -> Self {
        Self { suspended: false, manual: false, collect_within: COLLECT_WITHIN }
    }
}

/// A carrier that can be spoken to.
#[derive(Debug, Clone)]
pub(crate) struct CarrierFacts {
    pub(crate) name: String,
    pub(crate) uid: Uid,
    /// Its keys, where they count.
    pub(crate) statement: Option<KeyStatement>,
    /// Why they do not.
    pub(crate) trouble: Option<String>,
    pub(crate) camera: bool,
    pub(crate) revoked: bool,
}

/// Why a carrier's word has ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lost {
    /// Revoked, or its object is gone.
    Revoked,
    /// Another object stands under its name.
    Replaced,
    /// It is not to be seen, which may only be news that is late: nothing is said to it, and nothing about it.
    Missing,
}

/// The order of a delivery.
#[derive(Debug, Clone)]
pub(crate) enum Found {
    Here(OrderData),
    /// It cannot be used, and this is why.
    Missing {
        reason: Reason,
        message: String,
    },
    /// With an order system: it has to be asked.
    Elsewhere,
    /// Nobody needs it any more; it is not even looked at, only for.
    Over(Remains),
}

/// What is left of the order of a delivery that is over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Remains {
    Nothing,
    /// It is here still, and whether its own salt made every commitment in the log.
    Order {
        salted: bool,
        place: String,
    },
    /// With an order system.
    ToBeAsked,
}

/// An order and what its commitments are salted with.
#[derive(Debug, Clone)]
pub(crate) struct OrderData {
    pub(crate) order: Order,
    salt: Option<Private>,
}

impl OrderData {
    pub(crate) fn of(order: &orders::Order) -> Self {
        let text = |field: &Private| field.expose().to_owned();
        let order_ = Order {
            country: text(&order.country),
            province: text(&order.province),
            city: text(&order.city),
            postal_code: text(&order.postal_code),
            client_name: text(&order.client_name),
            door_number: text(&order.door),
            phone_number: text(&order.client_phone),
        };
        Self { order: order_, salt: order.salt.clone() }
    }

    /// Whether this order's own salt made every commitment of the log: then nothing is left to test a guess with once it is gone.
    pub(crate) fn made_all(&self, keys: &Keys, log: &Log) -> bool {
        let own = self.commit(keys, &log.subject().delivery);
        let events = log.entries().iter().filter_map(|entry| Some(&entry.event()?.event().fact));
        let committed = events.filter_map(|fact| match fact {
            Fact::HandedOver { terms } => Some(&terms.commitments),
            Fact::AddressChanged { commitments } => Some(commitments),
            _ => None,
        });
        self.salt.is_some() && committed.into_iter().all(|commitments| *commitments == own)
    }

    /// From an order system: it gives no salt, so the Seller's own key salts.
    pub(crate) fn without_salt(order: Order) -> Self {
        Self { order, salt: None }
    }

    pub(crate) fn salt(&self, keys: &Keys, delivery: &Uid, stage: Stage) -> Mac {
        self.salts(keys).salt(delivery, &self.order, stage)
    }

    pub(crate) fn commit(&self, keys: &Keys, delivery: &Uid) -> Commitments {
        self.salts(keys).commit(delivery, &self.order)
    }

    fn salts<'a>(&'a self, keys: &'a Keys) -> SaltKey<'a> {
        match &self.salt {
            Some(salt) => SaltKey::Order(salt.expose().as_bytes()),
            None => SaltKey::Seller(&keys.commit),
        }
    }
}

impl Facts {
    pub(crate) fn uid(&self) -> &Uid {
        &self.log.subject().delivery
    }

    /// Whether the operator says that both ends are there.
    pub(crate) fn ready(&self) -> bool {
        let conditions = self.delivery.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
        is_true(conditions, ConditionType::Ready)
    }

    /// Whether the user wants the order forgotten.
    pub(crate) fn is_to_be_forgotten(&self) -> bool {
        self.delivery.spec.forgotten == Some(true)
    }

    /// Who is on the way with the parcel.
    pub(crate) fn courier(&self) -> Option<Courier<'_>> {
        courier(&self.log, &self.keys)
    }

    /// Whether this carrier has a say here: the one that is named, assigned, or accepted.
    pub(crate) fn is_party(&self, carrier: &Uid) -> bool {
        let state = self.log.state();
        let named = self.carrier.as_ref().map(|named| &named.uid);
        [named, state.carrier(), state.assigned()].into_iter().flatten().any(|party| party == carrier)
    }

    /// The nonce of the hello for an attempt.
    pub(crate) fn nonce(&self, attempt: u32) -> Mac {
        hello_nonce(&self.keys.commit, self.uid(), attempt)
    }
}
