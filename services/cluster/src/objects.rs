//! All objects of a kind in a namespace, watched: by uid and by name, and a queue of those that changed.
//!
//! A list that ends removes what it did not mention, so nothing that went during an outage stays for ever. Whoever wrote an
//! object offers the answer with [`Objects::offer`], and decides the next step without waiting for the watch.

mod queue;
mod store;

use std::collections::{HashMap, HashSet};
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::{oneshot, watch};
use waybill_chassis::telemetry::report;

use crate::follow::Patience;
pub use queue::Changes;
use store::Store;

/// What can be followed.
pub trait Followed: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}
impl<K> Followed for K where K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

/// The objects; cheap to clone. The watch ends with the last clone.
#[derive(Debug)]
pub struct Objects<K: Followed> {
    shared: Arc<Shared<K>>,
}

#[derive(Debug)]
struct Shared<K> {
    store: Mutex<Store<K>>,
    queues: Mutex<Vec<queue::Feed>>,
    /// Who waits for the next change of one, by uid.
    waiting: Mutex<HashMap<String, Vec<oneshot::Sender<()>>>>,
    synced: watch::Sender<bool>,
}

impl<K: Followed> Default for Shared<K> {
    fn default() -> Self {
        Self::of(Store::default())
    }
}

impl<K: Followed> Shared<K> {
    fn of(store: Store<K>) -> Self {
        let (queues, waiting) = (Mutex::default(), Mutex::default());
        Self { store: Mutex::new(store), queues, waiting, synced: watch::channel(false).0 }
    }
}

impl<K: Followed> Clone for Objects<K> {
    fn clone(&self) -> Self {
        Self { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Followed> Objects<K> {
    /// Starts following what `config` selects.
    pub fn follow(api: Api<K>, config: watcher::Config) -> Self {
        Self::watch(api, config, Shared::default())
    }

    /// The same, and those who have this in common are found together: it must never change in an object.
    pub fn follow_grouped(api: Api<K>, config: watcher::Config, group: fn(&K) -> &str) -> Self {
        Self::watch(api, config, Shared::of(Store::grouped(Some(group))))
    }

    fn watch(api: Api<K>, config: watcher::Config, shared: Shared<K>) -> Self {
        let objects = Self { shared: Arc::new(shared) };
        let weak = Arc::downgrade(&objects.shared);
        tokio::spawn(async move {
            let events = watcher(api, config).backoff(Patience::default());
            pin_mut!(events);
            let mut listed = HashSet::new();
            while let Some(event) = events.next().await {
                let Some(shared) = weak.upgrade() else { return };
                match event {
                    Ok(event) => shared.take(event, &mut listed),
                    Err(error) => {
                        tracing::warn!(kind = %K::kind(&()), error = %report(&error), "failed to watch objects");
                    }
                }
            }
        });
        objects
    }

    /// True once the first list is here.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.shared.synced.subscribe()
    }

    /// Waits for the first list.
    pub async fn ready(&self) {
        // The sender lives as long as this.
        let _ = self.synced().wait_for(|synced| *synced).await;
    }

    /// The object with this uid.
    pub fn get(&self, uid: &str) -> Option<Arc<K>> {
        self.shared.store().get(uid)
    }

    /// The object with this name.
    pub fn by_name(&self, name: &str) -> Option<Arc<K>> {
        self.shared.store().by_name(name)
    }

    /// Those of this group, in no order; none where they are not followed so.
    pub fn group(&self, group: &str) -> Vec<Arc<K>> {
        self.shared.store().group(group)
    }

    /// All objects, in no order.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.shared.store().all().cloned().collect()
    }

    /// The uids of objects that change from now on, and of all that are here already; each waits at most once.
    pub fn changes(&self) -> Changes {
        let (feed, changes) = queue::queue();
        // Registered first: what changes meanwhile is told twice rather than not at all.
        self.shared.queues().push(feed.clone());
        for uid in self.shared.store().uids() {
            feed.push(uid);
        }
        changes
    }

    /// Waits until this uid stands for something else than `known`, or `patience` ends: true when it does.
    pub async fn moved_on(&self, uid: &str, known: &Arc<K>, patience: Duration) -> bool {
        let is_another = || self.get(uid).is_none_or(|now| !Arc::ptr_eq(&now, known));
        let moved = async {
            loop {
                let (tell, told) = oneshot::channel();
                // Registered first: what changes meanwhile is not missed.
                self.shared.waiting().entry(uid.to_owned()).or_default().push(tell);
                if is_another() {
                    return;
                }
                let _ = told.await;
            }
        };
        let moved = tokio::time::timeout(patience, moved).await.is_ok();
        self.shared.leave(uid);
        moved
    }

    /// Takes over what the API server answered to a write, unless something newer is known. What is not known, or no longer, is
    /// left to the watch: an answer that comes late brings nothing back.
    pub fn offer(&self, object: K) {
        self.shared.update(object);
    }
}

impl<K: Followed> Shared<K> {
    fn store(&self) -> std::sync::MutexGuard<'_, Store<K>> {
        // A panic elsewhere leaves at worst an object that is listed again.
        self.store.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn queues(&self) -> std::sync::MutexGuard<'_, Vec<queue::Feed>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self, event: Event<K>, listed: &mut HashSet<String>) {
        match event {
            Event::Init => listed.clear(),
            Event::InitApply(object) => {
                listed.extend(object.uid());
                self.put(object);
            }
            Event::InitDone => {
                let gone = self.store().retain(|uid| listed.contains(uid));
                gone.into_iter().for_each(|uid| self.tell(&uid));
                self.synced.send_replace(true);
            }
            Event::Apply(object) => self.put(object),
            Event::Delete(object) => {
                if let Some(uid) = object.uid() {
                    self.store().remove(&uid);
                    self.tell(&uid);
                }
            }
        }
    }

    fn put(&self, mut object: K) {
        object.managed_fields_mut().clear();
        let Some(uid) = object.uid() else { return };
        let changed = self.store().put(uid, object);
        changed.iter().for_each(|uid| self.tell(uid));
    }

    fn update(&self, mut object: K) {
        object.managed_fields_mut().clear();
        let Some(uid) = object.uid() else { return };
        let changed = self.store().update(&uid, object);
        changed.iter().for_each(|uid| self.tell(uid));
    }

    fn waiting(&self) -> std::sync::MutexGuard<'_, HashMap<String, Vec<oneshot::Sender<()>>>> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Forgets who no longer waits.
    fn leave(&self, uid: &str) {
        let mut all = self.waiting();
        if let Some(waiting) = all.get_mut(uid) {
            waiting.retain(|tell| !tell.is_closed());
            if waiting.is_empty() {
                all.remove(uid);
            }
        }
    }

    fn tell(&self, uid: &str) {
        // Who waits is gone or asks again.
        self.waiting().remove(uid).into_iter().flatten().for_each(|tell| {
            let _ = tell.send(());
        });
        self.queues().retain(|feed| feed.push(uid.to_owned()));
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    /// What was kept for an object is given up once it is told that it went: nobody may miss that.
    #[test]
    fn who_was_replaced_under_one_name_while_nobody_watched_is_told_as_gone() {
        let object = |uid: &str, version: &str| {
            let mut object = ConfigMap::default();
            object.metadata.name = Some("a".into());
            object.metadata.uid = Some(uid.into());
            object.metadata.resource_version = Some(version.into());
            object
        };
        let objects = Objects::<ConfigMap> { shared: Arc::default() };
        let list = |object: ConfigMap| {
            let mut listed = HashSet::new();
            for event in [Event::Init, Event::InitApply(object), Event::InitDone] {
                objects.shared.take(event, &mut listed);
            }
        };
        list(object("u1", "5"));
        let mut changes = objects.changes();
        assert_eq!((changes.try_next().as_deref(), changes.try_next()), (Some("u1"), None));
        list(object("u2", "9"));
        let told: Vec<String> = std::iter::from_fn(|| changes.try_next()).collect();
        assert_eq!(told, ["u1", "u2"]);
        assert!(objects.get("u1").is_none() && objects.get("u2").is_some());
    }

    #[tokio::test]
    async fn who_waits_for_news_has_them_at_once_and_else_gives_up() {
        let objects = Objects::<ConfigMap> { shared: Arc::default() };
        let object = |version: &str| {
            let mut object = ConfigMap::default();
            object.metadata.name = Some("a".into());
            object.metadata.uid = Some("u1".into());
            object.metadata.resource_version = Some(version.into());
            object
        };
        objects.shared.put(object("5"));
        let known = objects.get("u1").unwrap();
        assert!(!objects.moved_on("u1", &known, Duration::ZERO).await, "nothing came");
        let waits = objects.moved_on("u1", &known, Duration::MAX);
        let news = async { objects.shared.put(object("6")) };
        assert!(tokio::join!(waits, news).0);
        assert!(objects.moved_on("u1", &known, Duration::ZERO).await, "it came before anybody waited");
        assert!(objects.shared.waiting().is_empty(), "nobody waits any more");
    }
}
