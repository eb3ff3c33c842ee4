//! Who is told what becomes of parcels: webhooks and e-mail, by the replica that holds the Lease.
//!
//! Level-triggered: what there is to tell follows from the logs and from how far each receiver was told, which is kept in a ConfigMap. So a restart
//! or a fail-over loses nothing, and tells at most what was told within the last second again, under the same ids. Without `spec.notify`
//! nothing is read, kept or written.
//!
//! - `notice`: what a log tells. `queue`: what a receiver is still to be told, and when. `target`: whom, and how. All pure.
//! - `webhook`, `mail`, `links`: the ways out. `memory`: what is kept. `told`: the Seller's condition and Events. `term`: one term of office.

mod links;
mod mail;
mod memory;
mod notice;
mod queue;
mod target;
mod term;
mod told;
mod webhook;

use std::path::PathBuf;
use std::sync::Arc;

use k8s_openapi::jiff::Timestamp;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files::Files;
use waybill_crds::Seller;
use waybill_protocol::UnixMillis;

use crate::metrics::SellerMetrics;
use crate::state::State;
use links::Links;
pub(crate) use queue::Policy;
use term::Term;

/// What notifications are made of.
pub(crate) struct Notifications {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    /// Of the Seller.
    pub(crate) name: String,
    pub(crate) state: State,
    /// Hosts that may be told.
    pub(crate) hosts: Vec<String>,
    /// Order systems that may be asked where a recipient is written to.
    pub(crate) order_urls: Arc<[String]>,
    pub(crate) policy: Policy,
    /// Folder with the token the Carrier API takes.
    pub(crate) tokens: PathBuf,
    pub(crate) published: watch::Receiver<Arc<Files>>,
    pub(crate) tls: watch::Receiver<Arc<rustls::ClientConfig>>,
    pub(crate) metrics: SellerMetrics,
}

impl Notifications {
    /// Tells while this replica holds the Lease and the Seller has whom to tell; returns after `shutdown`.
    pub(crate) async fn run(self, mut holds: watch::Receiver<bool>, shutdown: CancellationToken) {
        let links = Links::new(&self.namespace, self.tokens.clone(), self.published.clone(), self.tls.clone());
        let (all, links) = (Arc::new(self), Arc::new(links));
        loop {
            let begun = async {
                holds.wait_for(|holds| *holds).await.ok()?;
                let mut seller = all.state.seller.clone();
                // Also one that told somebody once: it has to take its word back.
                seller.wait_for(|seller| seller.as_deref().is_some_and(has_to_do)).await.ok()?;
                Some(())
            };
            if !matches!(shutdown.run_until_cancelled(begun).await, Some(Some(()))) {
                return;
            }
            let over = async { drop(holds.wait_for(|holds| !holds).await) };
            let Some(term) = Term::begin(&all, &links, (over, &shutdown)).await else { continue };
            let over = async { drop(holds.wait_for(|holds| !holds).await) };
            term.run(over, &shutdown).await;
        }
    }
}

/// Whether there is somebody to tell, or a condition from when there was.
fn has_to_do(seller: &Seller) -> bool {
    seller.spec.notify.is_some() || told::change(seller, &[], Timestamp::now()).is_some()
}

/// RFC 3339 in UTC.
fn time(at: UnixMillis) -> String {
    let at = i64::try_from(at.0).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    at.unwrap_or(Timestamp::MAX).to_string()
}
