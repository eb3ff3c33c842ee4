//! The Deliveries of a namespace, logs included: by uid for those who act, by UPC for those who ask.

use std::sync::Arc;
use std::time::Duration;

use kube::runtime::watcher;
use kube::{Api, Client};
use tokio::sync::{Semaphore, SemaphorePermit, watch};
use waybill_crds::Delivery;

use crate::objects::{Changes, Objects};

/// How late the watch may be on a busy machine.
const WATCH: Duration = Duration::from_millis(500);
/// Writes under way at once: more wait here, where they cost nothing. In a busy API server they would hold up the watch, and what is
/// decided on an old word of it is written in vain.
const WRITES: usize = 8;

/// Every Delivery; cheap to clone.
#[derive(Debug, Clone)]
pub struct Deliveries {
    objects: Objects<Delivery>,
    api: Api<Delivery>,
    turns: Arc<Semaphore>,
}

impl Deliveries {
    /// Follows the Deliveries of `namespace`, only those of `seller` where one is named.
    pub fn follow(client: Client, namespace: &str, seller: Option<&str>) -> Self {
        let api = Api::<Delivery>::namespaced(client, namespace);
        let mut config = watcher::Config::default();
        if let Some(seller) = seller {
            config = config.fields(&format!("spec.seller={seller}"));
        }
        // Nobody changes the UPC of a Delivery: the schema refuses it.
        let objects = Objects::follow_grouped(api.clone(), config, |delivery: &Delivery| &delivery.spec.upc);
        Self { objects, api, turns: Arc::new(Semaphore::new(WRITES)) }
    }

    /// The API they are followed through: for [`crate::custody::append`].
    pub fn api(&self) -> &Api<Delivery> {
        &self.api
    }

    /// A place among those who write: to be had before it is looked at what is written on, and given back at once.
    pub async fn turn(&self) -> SemaphorePermit<'_> {
        self.turns.acquire().await.expect("nobody closes it")
    }

    /// The Delivery with this uid.
    pub fn get(&self, uid: &str) -> Option<Arc<Delivery>> {
        self.objects.get(uid)
    }

    /// Those with this UPC: unfinished ones first, the oldest first among them (only that one can be admitted); then finished
    /// ones, the latest first.
    pub fn by_upc(&self, upc: &str) -> Vec<Arc<Delivery>> {
        let mut all = self.objects.group(upc);
        all.sort_by_key(|delivery| (delivery.phase().terminal(), delivery.metadata.creation_timestamp.clone()));
        let running = all.partition_point(|delivery| !delivery.phase().terminal());
        all[running..].reverse();
        all
    }

    /// All of them, in no order.
    pub fn all(&self) -> Vec<Arc<Delivery>> {
        self.objects.all()
    }

    /// The uids of those that change, beginning with all there are.
    pub fn changed(&self) -> Changes {
        self.objects.changes()
    }

    /// True once the first list is here: before, a UPC that is not found says nothing.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.objects.synced()
    }

    /// Waits for the first list.
    pub async fn ready(&self) {
        self.objects.ready().await;
    }

    /// Takes over what the API server answered to a write, unless something newer is known.
    pub fn offer(&self, delivery: Delivery) {
        self.objects.offer(delivery);
    }

    /// Something newer than `known`, which the caller has reason to believe is there: from the watch, which needs a moment, or else
    /// from the API server, whom asking costs more. `None` when it is gone.
    pub async fn catch_up(&self, known: &Arc<Delivery>) -> kube::Result<Option<Arc<Delivery>>> {
        let uid = known.metadata.uid.as_deref().unwrap_or_default();
        if self.objects.moved_on(uid, known, WATCH).await {
            return Ok(self.get(uid));
        }
        self.refresh(known.metadata.name.as_deref().unwrap_or_default()).await
    }

    /// Reads one anew from the API server. `None` when it is gone.
    pub async fn refresh(&self, name: &str) -> kube::Result<Option<Arc<Delivery>>> {
        let Some(delivery) = self.api.get_opt(name).await? else { return Ok(None) };
        let uid = delivery.metadata.uid.clone().unwrap_or_default();
        self.objects.offer(delivery);
        Ok(self.get(&uid))
    }
}
