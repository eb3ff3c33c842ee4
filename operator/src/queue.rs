//! What waits to be reconciled. A queue has a reader only while this replica leads: on standby nothing is kept, and taking the
//! lead starts with everything there is.

use std::collections::HashSet;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};

use futures::Stream;
use kube::Resource;
use kube::runtime::reflector::ObjectRef;
use prometheus_client::metrics::gauge::Gauge;
use tokio::sync::mpsc;

/// The queue of one kind; clones share it. Each object waits at most once, so it is bounded by the number of objects.
pub(crate) struct Queue<K: Resource<DynamicType = ()> + 'static> {
    inner: Arc<Mutex<Inner<K>>>,
    depth: Gauge,
}

struct Inner<K: Resource<DynamicType = ()> + 'static> {
    reader: Option<mpsc::UnboundedSender<ObjectRef<K>>>,
    /// Sent, but not yet taken by the scheduler, which drops repeats itself.
    sent: HashSet<ObjectRef<K>>,
    /// Told or scheduled, but not begun: what the gauge shows.
    waiting: HashSet<ObjectRef<K>>,
}

impl<K: Resource<DynamicType = ()> + 'static> Clone for Queue<K> {
    fn clone(&self) -> Self {
        Self { inner: self.inner.clone(), depth: self.depth.clone() }
    }
}

impl<K> Queue<K>
where
    K: Resource<DynamicType = ()> + 'static,
    ObjectRef<K>: Clone + Hash + Eq + Debug,
{
    pub(crate) fn new(depth: Gauge) -> Self {
        let inner = Inner { reader: None, sent: HashSet::new(), waiting: HashSet::new() };
        Self { inner: Arc::new(Mutex::new(inner)), depth }
    }

    /// Asks for a reconciliation; without a reader, or when it waits already, nothing happens.
    pub(crate) fn push(&self, object: ObjectRef<K>) {
        let mut inner = self.lock();
        let Some(reader) = inner.reader.clone() else { return };
        if inner.sent.insert(object.clone()) {
            inner.waiting.insert(object.clone());
            // The receiver is gone only while a lead ends; the next one starts with everything.
            let _ = reader.send(object);
        }
        self.show(&inner);
    }

    /// The stream of the replica that leads; a former one ends.
    pub(crate) fn open(&self) -> impl Stream<Item = ObjectRef<K>> + Send + use<K>
    where
        ObjectRef<K>: Send,
    {
        let (sender, mut receiver) = mpsc::unbounded_channel();
        let mut inner = self.lock();
        inner.reader = Some(sender);
        inner.sent.clear();
        inner.waiting.clear();
        self.show(&inner);
        drop(inner);
        let queue = self.clone();
        futures::stream::poll_fn(move |context| {
            receiver.poll_recv(context).map(|next| next.inspect(|object| queue.taken(object)))
        })
    }

    /// Ends the stream: this replica leads no more.
    pub(crate) fn close(&self) {
        let mut inner = self.lock();
        *inner = Inner { reader: None, sent: HashSet::new(), waiting: HashSet::new() };
        self.show(&inner);
    }

    /// The reconciliation began, or the object is gone.
    pub(crate) fn begun(&self, object: &ObjectRef<K>) {
        let mut inner = self.lock();
        inner.waiting.remove(object);
        self.show(&inner);
    }

    fn taken(&self, object: &ObjectRef<K>) {
        self.lock().sent.remove(object);
    }

    fn show(&self, inner: &Inner<K>) {
        self.depth.set(i64::try_from(inner.waiting.len()).unwrap_or(i64::MAX));
    }

    // Each change under the lock is one call on a set, so a panic elsewhere leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, Inner<K>> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::StreamExt;
    use k8s_openapi::api::core::v1::ConfigMap;

    fn object(name: &str) -> ObjectRef<ConfigMap> {
        ObjectRef::new(name).within("shop")
    }

    #[tokio::test]
    async fn an_object_waits_once_and_again_after_it_was_taken() {
        let depth = Gauge::default();
        let queue = Queue::new(depth.clone());
        let mut stream = Box::pin(queue.open());
        queue.push(object("a"));
        queue.push(object("a"));
        queue.push(object("b"));
        assert_eq!(depth.get(), 2);
        assert_eq!(stream.next().await, Some(object("a")));
        queue.push(object("a"));
        assert_eq!(stream.next().await, Some(object("b")));
        assert_eq!(stream.next().await, Some(object("a")));
        queue.begun(&object("a"));
        queue.begun(&object("b"));
        assert_eq!(depth.get(), 0);
    }

    #[tokio::test]
    async fn on_standby_nothing_is_kept_and_a_lost_lead_ends_the_stream() {
        let queue = Queue::new(Gauge::default());
        queue.push(object("a"));
        let mut stream = Box::pin(queue.open());
        queue.close();
        queue.push(object("b"));
        assert_eq!(stream.next().await, None);
    }
}
