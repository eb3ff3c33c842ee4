//! One kind's cache, fed by one watch stream per namespace (or one for the cluster).
//!
//! kube's `Store` swaps its whole content at the end of a list; with several streams that would erase the others' objects. So
//! every event becomes a single insertion or removal here, and a list that ends removes what it did not mention.

use std::collections::HashSet;
use std::fmt::Debug;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use futures::StreamExt;
use futures::stream::SelectAll;
use kube::api::ObjectMeta;
use kube::runtime::reflector::store::Writer;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio::sync::Notify;

use super::guard::Guarded;
use crate::events::Events;
use crate::metrics::Metrics;

/// What the cache can hold.
pub(crate) trait Cached:
    Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static
{
}
impl<K> Cached for K where K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static {}

/// How one object changed in the cache; at least one side is there.
pub(crate) struct Change<'a, K> {
    pub old: Option<&'a K>,
    pub new: Option<&'a K>,
}

impl<K> Change<'_, K> {
    /// The object as it is, or as it was last.
    pub(crate) fn any(&self) -> &K {
        self.new.or(self.old).expect("a change has a side")
    }
}

/// Tells when every stream has finished its first list.
#[derive(Clone, Debug, Default)]
pub(crate) struct Synced {
    missing: Arc<AtomicUsize>,
    done: Arc<Notify>,
}

impl Synced {
    pub(crate) fn is(&self) -> bool {
        self.missing.load(Ordering::Acquire) == 0
    }

    pub(crate) async fn wait(&self) {
        loop {
            let done = self.done.notified();
            if self.is() {
                return;
            }
            done.await;
        }
    }

    fn one_done(&self) {
        if self.missing.fetch_sub(1, Ordering::AcqRel) == 1 {
            self.done.notify_waiters();
        }
    }
}

/// Which objects one stream speaks for; what it doesn't mention in a list is gone only among these.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Covers {
    Everything,
    Namespace(String),
    Name(String),
}

impl Covers {
    fn includes(&self, metadata: &ObjectMeta) -> bool {
        match self {
            Self::Everything => true,
            Self::Namespace(namespace) => metadata.namespace.as_ref() == Some(namespace),
            Self::Name(name) => metadata.name.as_ref() == Some(name),
        }
    }
}

/// One stream to open.
pub(crate) struct Part<K: Cached> {
    pub api: Api<Guarded<K>>,
    pub config: watcher::Config,
    pub covers: Covers,
}

/// The watch of one kind: what to ask for, what to forget, whom to tell.
pub(crate) struct Reflector<K: Cached> {
    pub parts: Vec<Part<K>>,
    /// Drops what no reconciler reads, before anything is kept.
    pub trim: fn(&mut K),
    pub metrics: Metrics,
    /// Where an object that cannot be read gets a sign of it.
    pub events: Events,
}

/// One stream's place in its list, and whether it ever finished one.
struct Listing {
    covers: Covers,
    seen: HashSet<String>,
    finished_once: bool,
}

impl<K: Cached> Reflector<K> {
    /// The store, its first sync, and the task that feeds it and calls `tell` after each change.
    pub(crate) fn start(
        self,
        tell: impl FnMut(&Change<'_, K>) + Send + 'static,
    ) -> (Store<K>, Synced, impl Future<Output = ()> + Send) {
        let mut writer = Writer::<K>::default();
        let store = writer.as_reader();
        // The store counts as ready from the start: nobody reconciles before `Synced` says so.
        writer.apply_watcher_event(&Event::Init);
        writer.apply_watcher_event(&Event::InitDone);
        let synced = Synced::default();
        synced.missing.store(self.parts.len(), Ordering::Release);
        let feed = feed(self, writer, store.clone(), synced.clone(), tell);
        (store, synced, feed)
    }
}

async fn feed<K: Cached>(
    reflector: Reflector<K>,
    writer: Writer<K>,
    store: Store<K>,
    synced: Synced,
    tell: impl FnMut(&Change<'_, K>) + Send + 'static,
) {
    let kind = kind::<K>();
    let (mut listings, mut streams) = (Vec::new(), SelectAll::new());
    for (stream, part) in reflector.parts.into_iter().enumerate() {
        listings.push(Listing { covers: part.covers, seen: HashSet::new(), finished_once: false });
        let events = watcher(part.api, part.config).default_backoff();
        streams.push(events.map(move |event| (stream, event)).boxed());
    }
    let mut intake = Intake { writer, store, synced, tell, listings, trim: reflector.trim };
    while let Some((stream, event)) = streams.next().await {
        match event.map(|event| intake.take(stream, event)) {
            Ok(Ok(())) => {}
            Ok(Err(bad)) => {
                reflector.metrics.undecodable(kind);
                // From every replica, whoever leads: an Event told twice is one Event.
                bad.telling::<K>().into_iter().for_each(|telling| reflector.events.tell(telling));
                let (namespace, name) = (bad.metadata.namespace, bad.metadata.name);
                tracing::warn!(kind, ?namespace, ?name, error = bad.error, "skipped an unreadable object");
            }
            Err(error) => {
                tracing::warn!(kind, error = %waybill_chassis::telemetry::report(&error), "a watch was interrupted");
            }
        }
    }
}

fn kind<K: Resource<DynamicType = ()>>() -> &'static str {
    match K::kind(&()) {
        std::borrow::Cow::Borrowed(kind) => kind,
        std::borrow::Cow::Owned(_) => "unknown",
    }
}

struct Intake<K: Cached, F> {
    writer: Writer<K>,
    store: Store<K>,
    synced: Synced,
    tell: F,
    listings: Vec<Listing>,
    trim: fn(&mut K),
}

impl<K: Cached, F: FnMut(&Change<'_, K>)> Intake<K, F> {
    fn take(&mut self, stream: usize, event: Event<Guarded<K>>) -> Result<(), Box<super::guard::Unreadable>> {
        match event {
            Event::Init => self.listings[stream].seen.clear(),
            Event::InitApply(object) => {
                self.listings[stream].seen.insert(key(object.meta()));
                self.put(object.0?);
            }
            Event::InitDone => self.listed(stream),
            Event::Apply(object) => self.put(object.0?),
            // A deletion needs a name only, so even an unreadable object can go.
            Event::Delete(object) => self.drop_named(object.meta()),
        }
        Ok(())
    }

    fn put(&mut self, mut object: K) {
        object.managed_fields_mut().clear();
        (self.trim)(&mut object);
        let old = self.store.get(&ObjectRef::from_obj(&object));
        // A list after an interrupted watch repeats what is known.
        let version = |object: &K| object.meta().resource_version.clone();
        if old.as_deref().is_some_and(|old| version(old).is_some() && version(old) == version(&object)) {
            return;
        }
        let event = Event::Apply(object);
        self.writer.apply_watcher_event(&event);
        let Event::Apply(object) = &event else { return };
        (self.tell)(&Change { old: old.as_deref(), new: Some(object) });
    }

    fn drop_named(&mut self, metadata: &ObjectMeta) {
        let reference = ObjectRef::new(metadata.name.as_deref().unwrap_or_default());
        let reference = match &metadata.namespace {
            Some(namespace) => reference.within(namespace),
            None => reference,
        };
        let Some(old) = self.store.get(&reference) else { return };
        self.writer.apply_watcher_event(&Event::Delete(K::clone(&old)));
        (self.tell)(&Change { old: Some(&old), new: None });
    }

    /// What the list of this stream did not mention is gone.
    fn listed(&mut self, stream: usize) {
        let listing = &mut self.listings[stream];
        let seen = std::mem::take(&mut listing.seen);
        let covers = listing.covers.clone();
        let first = !std::mem::replace(&mut listing.finished_once, true);
        let gone =
            self.store.state_filter(|object| covers.includes(object.meta()) && !seen.contains(&key(object.meta())));
        for object in gone {
            self.drop_named(object.meta());
        }
        if first {
            self.synced.one_done();
        }
    }
}

/// Namespace and name in one text; neither can hold a slash.
fn key(metadata: &ObjectMeta) -> String {
    let namespace = metadata.namespace.as_deref().unwrap_or_default();
    format!("{namespace}/{}", metadata.name.as_deref().unwrap_or_default())
}
