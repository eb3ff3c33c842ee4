//! A term as leader: every reconciler and the identity loop, from taking the Lease to losing it or shutting down. Between terms the
//! caches stay warm and nothing is written.

use std::sync::Arc;
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::reflector::ObjectRef;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_crds::{Carrier, Seller};

use crate::cache::{Cached, Caches, Queues};
use crate::carrier_api::CarrierApis;
use crate::context::Context;
use crate::controller::{self, Lane};
use crate::delivery::Deliveries;
use crate::forgotten::Forgotten;
use crate::identity::{self, Owner};
use crate::participant::Participants;
use crate::queue::Queue;
use crate::written::Written;

/// Between attempts to revoke someone who is gone; the sweep is the net below.
const RETRY: Duration = Duration::from_millis(500);
const ATTEMPTS: usize = 20;
/// How many who left are looked at together.
const TOGETHER: usize = 256;

/// What a term needs.
#[derive(Clone)]
pub(crate) struct Term {
    pub context: Context,
    pub caches: Caches,
    pub queues: Queues,
}

impl Term {
    /// Serves term after term until `shutdown`.
    pub(crate) async fn serve(&self, mut leads: watch::Receiver<bool>, shutdown: CancellationToken) {
        while turned(&mut leads, true, &shutdown).await {
            tracing::info!("this replica leads");
            let end = shutdown.child_token();
            let work = self.work(end.clone());
            tokio::pin!(work);
            tokio::select! {
                () = &mut work => {}
                _ = turned(&mut leads, false, &shutdown) => {
                    end.cancel();
                    work.await;
                }
            }
            tracing::info!("this replica leads no more");
        }
    }

    async fn work(&self, end: CancellationToken) {
        let Self { context, caches, queues } = self;
        let sellers = Participants::<Seller>::new(context.clone(), caches.clone());
        let carriers = Participants::<Carrier>::new(context.clone(), caches.clone());
        let deliveries = Deliveries {
            context: context.clone(),
            caches: caches.clone(),
            written: Written::default(),
            forgotten: Forgotten::default(),
        };
        let apis = CarrierApis { context: context.clone(), caches: caches.clone(), queues: queues.clone() };
        tokio::join!(
            controller::run(Arc::new(sellers), self.lane(&caches.sellers, &queues.sellers), end.clone()),
            controller::run(Arc::new(carriers), self.lane(&caches.carriers, &queues.carriers), end.clone()),
            controller::run(Arc::new(deliveries), self.lane(&caches.deliveries, &queues.deliveries), end.clone()),
            controller::run(Arc::new(apis), self.lane(&caches.namespaces, &queues.namespaces), end.clone()),
            self.follow_authority(end.clone()),
            identity::run(context.clone(), end),
        );
    }

    fn lane<K: Cached>(&self, store: &kube::runtime::reflector::Store<K>, queue: &Queue<K>) -> Lane<K> {
        Lane {
            store: store.clone(),
            queue: queue.clone(),
            metrics: self.context.metrics.clone(),
            concurrency: self.context.settings.concurrency,
        }
    }

    /// A new authority concerns everyone who has a certificate.
    async fn follow_authority(&self, end: CancellationToken) {
        let mut changes = self.context.identity.changes();
        while let Some(true) = end.run_until_cancelled(changes.next()).await {
            for seller in self.caches.sellers.state() {
                self.queues.sellers.push(ObjectRef::from_obj(&*seller));
            }
            for carrier in self.caches.carriers.state() {
                self.queues.carriers.push(ObjectRef::from_obj(&*carrier));
            }
            for namespace in self.caches.namespaces.state() {
                self.queues.namespaces.push(ObjectRef::from_obj(&*namespace));
            }
        }
    }

    /// Whoever was deleted is cut off at once. A replica that does not lead leaves it to the one that does.
    pub(crate) async fn part_with(
        self,
        mut departures: mpsc::UnboundedReceiver<Owner>,
        leads: watch::Receiver<bool>,
        end: CancellationToken,
    ) {
        let departed = futures::stream::poll_fn(|cx| departures.poll_recv(cx)).take_until(end.cancelled());
        let leading = departed.filter(|_| std::future::ready(*leads.borrow()));
        // Many at once, so that whoever left together is revoked by one write.
        let cut_off = async |owner: Owner| {
            end.run_until_cancelled(cut_off(&self.context, &owner)).await;
        };
        leading.for_each_concurrent(TOGETHER, cut_off).await;
    }
}

/// Waits until this replica leads, or leads no more; false when the campaign or the process is over.
async fn turned(leads: &mut watch::Receiver<bool>, to: bool, shutdown: &CancellationToken) -> bool {
    matches!(shutdown.run_until_cancelled(leads.wait_for(|leads| *leads == to)).await, Some(Ok(_)))
}

async fn cut_off(context: &Context, owner: &Owner) {
    for _ in 0..ATTEMPTS {
        match identity::gone(context, owner).await {
            Ok(gone) => {
                let Owner { kind, namespace, name, uid } = owner;
                tracing::info!(%kind, %namespace, %name, %uid, gone, "a participant was deleted");
                return;
            }
            Err(error) => {
                tracing::warn!(error = %report(&error), uid = %owner.uid, "failed to revoke a deleted participant");
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
