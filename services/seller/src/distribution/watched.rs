//! What distribution follows, and what it makes of it for one delivery.

use std::sync::Arc;

use kube::ResourceExt;
use tokio::sync::watch;
use waybill_chassis::telemetry::report;
use waybill_cluster::custody;
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::participants::Participants;
use waybill_crds::seller::HandOver;
use waybill_crds::{Carrier, Delivery, Reason, Seller};
use waybill_protocol::{Author, Log, Topic, Trust, Uid};

use super::facts::{COLLECT_WITHIN, CarrierFacts, Facts, Found, Lost, OrderData, Remains, SellerFacts};
use crate::clock::now as wall;
use crate::door::Doors;
use crate::keys::Keys;
use crate::metrics::SellerMetrics;
use crate::orders::{Book, FaultCause};
use crate::shelf::secret_names;
use crate::source::Health;

/// Cheap to clone, shared by all terms of office.
#[derive(Debug, Clone)]
pub(crate) struct Watched {
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) seller_api: String,
    pub(crate) deliveries: Deliveries,
    pub(crate) carriers: Participants<Carrier>,
    pub(crate) seller: watch::Receiver<Option<Arc<Seller>>>,
    pub(crate) book: watch::Receiver<Option<Arc<Book>>>,
    pub(crate) keys: watch::Receiver<Option<Arc<Keys>>>,
    pub(crate) trust: watch::Receiver<Trust>,
    pub(crate) tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    /// What the last look at the order system said.
    pub(crate) health: watch::Sender<Health>,
    /// Order systems the operator allows.
    pub(crate) order_urls: Arc<[String]>,
    /// What recipients ask, and what is known for them.
    pub(crate) doors: Doors,
    pub(crate) metrics: SellerMetrics,
}

impl Watched {
    /// Waits until everything is known once: before, what is missing says nothing.
    pub(super) async fn begin(&mut self) {
        self.deliveries.ready().await;
        self.carriers.ready().await;
        // Closed channels mean the end of the process.
        let _ = self.keys.wait_for(Option::is_some).await;
        let _ = self.seller.wait_for(Option::is_some).await;
        let _ = self.book.wait_for(Option::is_some).await;
    }

    /// All about one delivery of this Seller.
    pub(super) fn facts(&self, uid: &str) -> Option<Facts> {
        let delivery = self.deliveries.get(uid).filter(|delivery| delivery.spec.seller == self.name)?;
        if is_of_a_forerunner(&delivery, &self.uid) {
            return None;
        }
        let (keys, trust) = (self.keys.borrow().clone()?, self.trust.borrow().clone());
        let seller = self.seller.borrow().clone()?;
        let log = custody::read(&delivery, &self.uid, &trust).ok()?;
        let carrier = delivery.spec.carrier.as_deref().and_then(|name| self.carrier(name));
        let lost = self.lost(&log, &delivery);
        let order = self.order(&seller, &delivery.spec.upc, (&log, &keys))?;
        let manual = seller.spec.hand_over == HandOver::Manual;
        let collect_within = seller.spec.collect_within.map_or(COLLECT_WITHIN, Into::into);
        let seller = SellerFacts { suspended: seller.spec.suspended, manual, collect_within };
        Some(Facts { delivery, log, keys, seller, carrier, lost, order })
    }

    /// The order of this UPC; of a delivery that is over, only whether there is one.
    fn order(&self, seller: &Seller, upc: &str, (log, keys): (&Log, &Keys)) -> Option<Found> {
        let book = self.book.borrow().clone()?;
        let over = log.state().phase().is_terminal();
        Some(match (&seller.spec.url, book.order(upc)) {
            (Some(_), _) if over => Found::Over(Remains::ToBeAsked),
            (Some(_), _) => Found::Elsewhere,
            (None, Some(order)) if over => {
                let salted = OrderData::of(order).made_all(keys, log);
                Found::Over(Remains::Order { salted, place: place(seller, upc) })
            }
            (None, Some(order)) => Found::Here(OrderData::of(order)),
            (None, None) if over && book.fault_of(upc).is_none() => Found::Over(Remains::Nothing),
            (None, None) if over => Found::Over(Remains::Order { salted: false, place: place(seller, upc) }),
            (None, None) => missing(&book, seller, upc),
        })
    }

    fn carrier(&self, name: &str) -> Option<CarrierFacts> {
        let object = self.carriers.object(name)?;
        let uid = object.metadata.uid.clone()?;
        let keys = self.carriers.by_uid(&uid, wall())?;
        let trouble = keys.as_ref().err().map(|error| report(error).to_string());
        let statement = keys.ok().map(|party| party.statement);
        let revoked = self.carriers.is_revoked(&uid);
        let (name, camera) = (name.to_owned(), object.spec.camera);
        Some(CarrierFacts { name, uid: Uid::new(uid).ok()?, statement, trouble, camera, revoked })
    }

    fn lost(&self, log: &Log, delivery: &Delivery) -> Option<Lost> {
        let pinned = log.state().carrier()?;
        let name = log.statement_of(Author::Transport, pinned).map(|statement| statement.name.to_string());
        let here = self.carriers.object_of(pinned.as_str()).is_some();
        let replaced = !here && name.is_some() && name == delivery.spec.carrier;
        match (here, self.carriers.is_revoked(pinned.as_str())) {
            (true, false) => None,
            // Who is not to be seen may be news that is late; only the list of revocations says it for certain.
            (false, false) => Some(Lost::Missing),
            _ if replaced && self.carriers.object(name.as_deref()?).is_some() => Some(Lost::Replaced),
            _ => Some(Lost::Revoked),
        }
    }
}

/// Where an order is kept, in words.
fn place(seller: &Seller, upc: &str) -> String {
    let names = secret_names(&seller.name_any(), &seller.spec).join(", ");
    format!("key {upc} of Secret {names}")
}

/// Why there is no order to use.
fn missing(book: &Book, seller: &Seller, upc: &str) -> Found {
    let (reason, message) = match book.fault_of(upc) {
        Some(fault) => (Reason::OrderMalformed, fault.to_string()),
        None => match book.faults().iter().find(|fault| fault.cause == FaultCause::Missing) {
            Some(fault) => (Reason::OrdersMissing, fault.to_string()),
            None => (Reason::OrderUnknown, format!("there is no order of this UPC: add {}", place(seller, upc))),
        },
    };
    Found::Missing { reason, message }
}

/// A log that was begun for another Seller of this name: its deliveries are not those of the one made anew.
pub(super) fn is_of_a_forerunner(delivery: &Delivery, seller: &Uid) -> bool {
    let Some(status) = delivery.status.as_ref().filter(|status| !status.custody.is_empty()) else { return false };
    let topic = status.topics.as_ref().and_then(|topics| topics.down.parse::<Topic>().ok());
    topic.is_some_and(|topic| topic.seller != *seller)
}
