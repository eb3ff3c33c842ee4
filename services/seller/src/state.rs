//! What the parts of the service share: each a handle on something another part keeps current.

use std::sync::Arc;

use kube::{Api, Client};
use tokio::sync::watch;
use waybill_chassis::probes::{Gate, Probes};
use waybill_chassis::trust::Trust as Published;
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::follow::latest;
use waybill_cluster::participants::Participants;
use waybill_crds::{Carrier, Seller};
use waybill_protocol::{Trust, Uid};

use crate::config::Args;
use crate::distribution::Watched;
use crate::door::Doors;
use crate::keys::{self, Keys, Sources};
use crate::metrics::SellerMetrics;
use crate::orders::Book;
use crate::shelf;
use crate::source::Health;

/// Cheap to clone; everything in it is the latest known value.
#[derive(Debug, Clone)]
pub struct State {
    /// Of the Seller.
    pub uid: Uid,
    /// The Seller object; none until it is known, or when it is gone.
    pub seller: watch::Receiver<Option<Arc<Seller>>>,
    /// The orders; none until every Secret was looked for once.
    pub book: watch::Receiver<Option<Arc<Book>>>,
    /// The Seller's own keys; none until the CA has stated them.
    pub(crate) keys: watch::Receiver<Option<Arc<Keys>>>,
    /// The authorities whose word on keys counts.
    pub(crate) trust: watch::Receiver<Trust>,
    pub(crate) deliveries: Deliveries,
    pub(crate) carriers: Participants<Carrier>,
    pub(crate) doors: Doors,
}

impl State {
    /// Starts following all of it.
    pub(crate) fn follow(
        client: &Client,
        args: &Args,
        (uid, metrics): (Uid, &SellerMetrics),
        sources: Sources,
        (published, probes): (&Published, &Probes),
    ) -> Self {
        let namespace = &args.namespace;
        let seller = latest(Api::<Seller>::namespaced(client.clone(), namespace), &args.name);
        let book = shelf::book(client.clone(), namespace.clone(), args.name.clone(), seller.clone());
        let (mut shown, metrics) = (book.clone(), metrics.clone());
        tokio::spawn(async move {
            while shown.changed().await.is_ok() {
                if let Some(book) = shown.borrow_and_update().as_deref() {
                    metrics.show(book);
                }
            }
        });
        let trust = sources.trust.clone();
        let keys = keys::follow(sources, probes.gate("keys"));
        let deliveries = Deliveries::follow(client.clone(), namespace, Some(&args.name));
        let revocations = published.revocations.clone();
        let carriers = Participants::follow(client.clone(), namespace, trust.clone(), revocations);
        listed(probes.gate("lists"), (deliveries.clone(), carriers.clone()), book.clone());
        Self { uid, seller, book, keys, trust, deliveries, carriers, doors: Doors::new() }
    }

    /// What distribution looks at.
    pub(crate) fn watched(
        &self,
        args: &Args,
        (tls, health, metrics): (watch::Receiver<Arc<rustls::ClientConfig>>, watch::Sender<Health>, SellerMetrics),
    ) -> Watched {
        Watched {
            name: args.name.clone(),
            uid: self.uid.clone(),
            seller_api: args.seller_api(),
            deliveries: self.deliveries.clone(),
            carriers: self.carriers.clone(),
            seller: self.seller.clone(),
            book: self.book.clone(),
            keys: self.keys.clone(),
            trust: self.trust.clone(),
            tls,
            health,
            order_urls: args.order_urls.clone().into(),
            doors: self.doors.clone(),
            metrics,
        }
    }
}

/// Before everything was seen once, what is missing says nothing: nobody is to be answered by it.
fn listed(
    gate: Gate,
    (deliveries, carriers): (Deliveries, Participants<Carrier>),
    mut book: watch::Receiver<Option<Arc<Book>>>,
) {
    tokio::spawn(async move {
        deliveries.ready().await;
        carriers.ready().await;
        if book.wait_for(Option::is_some).await.is_ok() {
            gate.open();
        }
    });
}
