//! What distribution follows, and what it makes of it for one delivery.

use std::sync::Arc;

use tokio::sync::watch;
use waybill_cluster::custody;
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::participants::Participants;
use waybill_crds::seller::HandOver;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_protocol::{Author, Log, Topic, Trust, Uid};

use super::facts::{CarrierFacts, Facts, Found, Lost, OrderData, SellerFacts};
use crate::clock::now as wall;
use crate::keys::Keys;
use crate::metrics::SellerMetrics;
use crate::orders::Book;
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
        let order = match (&seller.spec.url, self.book.borrow().as_ref()?.order(&delivery.spec.upc)) {
            (Some(_), _) => Found::Elsewhere,
            (None, Some(order)) => Found::Here(OrderData::of(order)),
            (None, None) => Found::Missing,
        };
        let manual = seller.spec.hand_over == HandOver::Manual;
        let seller = SellerFacts { suspended: seller.spec.suspended, manual };
        Some(Facts { delivery, log, keys, seller, carrier, lost, order })
    }

    fn carrier(&self, name: &str) -> Option<CarrierFacts> {
        let object = self.carriers.object(name)?;
        let uid = object.metadata.uid.clone()?;
        let statement = self.carriers.by_uid(&uid, wall())?.ok().map(|party| party.statement);
        let revoked = self.carriers.is_revoked(&uid);
        let (name, camera) = (name.to_owned(), object.spec.camera);
        Some(CarrierFacts { name, uid: Uid::new(uid).ok()?, statement, camera, revoked })
    }

    fn lost(&self, log: &Log, delivery: &Delivery) -> Option<Lost> {
        let pinned = log.state().carrier()?;
        let name = log.statement_of(Author::Transport, pinned).map(|statement| statement.name.to_string());
        let here = self.carriers.object_of(pinned.as_str()).is_some();
        let replaced = !here && name.is_some() && name == delivery.spec.carrier;
        match (here, self.carriers.is_revoked(pinned.as_str())) {
            (true, false) => None,
            _ if replaced && self.carriers.object(name.as_deref()?).is_some() => Some(Lost::Replaced),
            _ => Some(Lost::Revoked),
        }
    }
}

/// A log that was begun for another Seller of this name: its deliveries are not those of the one made anew.
pub(super) fn is_of_a_forerunner(delivery: &Delivery, seller: &Uid) -> bool {
    let Some(status) = delivery.status.as_ref().filter(|status| !status.custody.is_empty()) else { return false };
    let topic = status.topics.as_ref().and_then(|topics| topics.down.parse::<Topic>().ok());
    topic.is_some_and(|topic| topic.seller != *seller)
}
