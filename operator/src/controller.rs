//! What all reconcilers share: a queue in, bounded concurrency, metrics around each run, and a second try after an error that
//! waits longer each time. It knows nothing of any kind.

use std::collections::HashMap;
use std::convert::Infallible;
use std::error::Error as StdError;
use std::fmt::Debug;
use std::hash::Hash;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::runtime::controller::{Action, Config, Error as ControllerError, applier};
use kube::runtime::reflector::{ObjectRef, Store};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;

use crate::cache::Cached;
use crate::metrics::Metrics;
use crate::queue::Queue;

/// First wait after an error, and the longest one.
const FIRST: Duration = Duration::from_millis(500);
const LONGEST: Duration = Duration::from_secs(60);
/// After a lost race the newer state is a moment away.
pub(crate) const AFTER_RACE: Duration = Duration::from_millis(100);

/// A reconciler of one kind: what it does with one object, and how its errors read.
pub(crate) trait Reconciler: Send + Sync + 'static {
    type Object: Cached;
    type Error: StdError + Send + Sync + 'static;
    /// Names it in metrics and logs.
    const NAME: &'static str;

    fn reconcile(
        self: Arc<Self>,
        object: Arc<Self::Object>,
    ) -> impl Future<Output = Result<Action, Self::Error>> + Send;

    /// True when somebody else was faster and a look at the newer state will do.
    fn lost_race(error: &Self::Error) -> bool;
}

/// Everything one controller runs on.
pub(crate) struct Lane<K: Cached> {
    pub store: Store<K>,
    pub queue: Queue<K>,
    pub metrics: Metrics,
    pub concurrency: u16,
}

/// Runs until `shutdown`, then lets what has begun finish.
pub(crate) async fn run<R: Reconciler>(reconciler: Arc<R>, lane: Lane<R::Object>, shutdown: CancellationToken) {
    let requests = lane.queue.open().map(Ok::<_, Infallible>).take_until(shutdown.cancelled_owned());
    for object in lane.store.state() {
        lane.queue.push(ObjectRef::from_obj(&*object));
    }
    let shared = Arc::new(Shared {
        reconciler,
        queue: lane.queue.clone(),
        metrics: lane.metrics,
        failures: Failures::default(),
    });
    let config = Config::default().concurrency(lane.concurrency);
    let begin = |object, shared| Box::pin(observed(object, shared));
    let runs = applier(begin, again, shared.clone(), lane.store, requests, config);
    runs.for_each(|run| {
        if let Err(ControllerError::ObjectNotFound(object)) = run {
            let gone = ObjectRef::new(&object.name);
            shared.queue.begun(&match &object.namespace {
                Some(namespace) => gone.within(namespace),
                None => gone,
            });
        }
        futures::future::ready(())
    })
    .await;
    lane.queue.close();
}

struct Shared<R: Reconciler> {
    reconciler: Arc<R>,
    queue: Queue<R::Object>,
    metrics: Metrics,
    failures: Failures<R::Object>,
}

/// One run, counted and timed.
async fn observed<R: Reconciler>(object: Arc<R::Object>, shared: Arc<Shared<R>>) -> Result<Action, R::Error> {
    let reference = ObjectRef::from_obj(&*object);
    shared.queue.begun(&reference);
    let _timer = shared.metrics.reconcile(R::NAME);
    let done = shared.reconciler.clone().reconcile(object).await?;
    shared.failures.forget(&reference);
    Ok(done)
}

/// The error policy: what failed is counted, told in one line, and tried again.
fn again<R: Reconciler>(object: Arc<R::Object>, error: &R::Error, shared: Arc<Shared<R>>) -> Action {
    if R::lost_race(error) {
        return Action::requeue(AFTER_RACE);
    }
    shared.metrics.failed(R::NAME, error);
    let reference = ObjectRef::from_obj(&*object);
    let wait = wait(shared.failures.count(&reference), rand::random());
    let (namespace, name) = (reference.namespace.as_deref().unwrap_or_default(), &reference.name);
    tracing::warn!(controller = R::NAME, namespace, %name, error = %report(error), ?wait, "a reconciliation failed");
    Action::requeue(wait)
}

/// Doubles with each failure up to the longest wait; the jitter spreads what failed together over half of it.
fn wait(failures: u32, jitter: u32) -> Duration {
    let full = FIRST.saturating_mul(1 << failures.saturating_sub(1).min(16)).min(LONGEST);
    full / 2 + (full / 2).mul_f64(f64::from(jitter) / f64::from(u32::MAX))
}

/// Failures in a row, of objects that fail now.
struct Failures<K: Cached>(Mutex<HashMap<ObjectRef<K>, u32>>);

impl<K: Cached> Default for Failures<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Cached> Failures<K>
where
    ObjectRef<K>: Hash + Eq + Debug,
{
    fn count(&self, object: &ObjectRef<K>) -> u32 {
        let mut failures = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let count = failures.entry(object.clone()).or_default();
        *count = count.saturating_add(1);
        *count
    }

    fn forget(&self, object: &ObjectRef<K>) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(object);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_to_a_cap_and_are_spread() {
        assert_eq!(wait(1, 0), FIRST / 2);
        assert_eq!(wait(1, u32::MAX), FIRST);
        assert_eq!(wait(3, u32::MAX), FIRST * 4);
        assert_eq!(wait(40, u32::MAX), LONGEST);
        assert_eq!(wait(40, 0), LONGEST / 2);
    }
}
