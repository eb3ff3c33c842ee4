//! What is seen of the Deliveries of a world, by somebody who only watches and believes nobody: every log only ever grows.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use futures::StreamExt;
use kube::ResourceExt;
use kube::runtime::{WatchStreamExt, watcher};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use waybill_crds::Delivery;
use waybill_e2e::Namespace;

type Seen = BTreeMap<String, Arc<Delivery>>;

/// Watches until it and all its clones are dropped.
#[derive(Clone)]
pub(crate) struct Following {
    seen: watch::Receiver<Seen>,
    /// What should never happen to a log, in words.
    wrongs: Arc<Mutex<Vec<String>>>,
    _task: Arc<Task>,
}

struct Task(JoinHandle<()>);

impl Following {
    pub(crate) fn begin(namespace: &Namespace) -> Self {
        let (sender, seen) = watch::channel(Seen::new());
        let wrongs = Arc::new(Mutex::new(Vec::new()));
        let task = tokio::spawn(follow(namespace.clone(), sender, wrongs.clone()));
        Self { seen, wrongs, _task: Arc::new(Task(task)) }
    }

    /// The Delivery as it was last seen.
    pub(crate) fn get(&self, name: &str) -> Option<Arc<Delivery>> {
        self.seen.borrow().get(name).cloned()
    }

    /// Waits until the log of a Delivery has this many entries, or more.
    pub(crate) async fn until_long(&self, name: &str, entries: usize) {
        self.until(name, |delivery| length(delivery) >= entries).await;
    }

    /// Waits until a Delivery is as it should; whoever asks has a deadline.
    pub(crate) async fn until(&self, name: &str, holds: impl Fn(&Delivery) -> bool) -> Arc<Delivery> {
        let mut seen = self.seen.clone();
        let found = seen.wait_for(|seen| seen.get(name).is_some_and(|delivery| holds(delivery))).await;
        found.unwrap()[name].clone()
    }

    pub(crate) fn wrongs(&self) -> Vec<String> {
        self.wrongs.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        self.0.abort();
    }
}

pub(crate) fn length(delivery: &Delivery) -> usize {
    delivery.status.as_ref().map_or(0, |status| status.custody.len())
}

async fn follow(namespace: Namespace, seen: watch::Sender<Seen>, wrongs: Arc<Mutex<Vec<String>>>) {
    let events = watcher(namespace.api::<Delivery>(), watcher::Config::default());
    // At once, and then every half second: while the API server is away nothing else is to be done.
    let mut events = events.backoff(Steady).applied_objects().boxed();
    while let Some(event) = events.next().await {
        let Ok(delivery) = event else { continue };
        let name = delivery.name_any();
        seen.send_modify(|seen| {
            if let Some(before) = seen.get(&name)
                && let Some(wrong) = shrunk(before, &delivery)
            {
                wrongs.lock().unwrap_or_else(PoisonError::into_inner).push(wrong);
            }
            seen.insert(name, Arc::new(delivery));
        });
    }
}

/// Entries that were seen and are not there any more.
fn shrunk(before: &Delivery, after: &Delivery) -> Option<String> {
    let custody = |delivery: &Delivery| delivery.status.clone().unwrap_or_default().custody;
    let (before_log, after_log) = (custody(before), custody(after));
    let kept = after_log.len() >= before_log.len() && after_log.iter().zip(&before_log).all(|(a, b)| a == b);
    (!kept).then(|| {
        format!(
            "{}: {} entries were there, now {} that do not begin with them",
            before.name_any(),
            before_log.len(),
            after_log.len()
        )
    })
}

struct Steady;

impl Iterator for Steady {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::from_millis(500))
    }
}

impl kube::runtime::utils::Backoff for Steady {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn delivery(entries: &[&str]) -> Delivery {
        let entry = |signed: &&str| json!({"author": "Seller", "seq": 0, "event": "HandedOver", "at": "2026-01-01T00:00:00.000000Z", "signed": signed, "id": signed});
        let custody: Vec<_> = entries.iter().map(entry).collect();
        let spec = json!({"upc": "upc-1", "seller": "acme"});
        let body = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": "upc-1"},
                          "spec": spec, "status": {"custody": custody}});
        serde_json::from_value(body).unwrap()
    }

    #[test]
    fn an_entry_that_goes_or_changes_is_noticed() {
        let before = delivery(&["AA==", "AQ=="]);
        assert_eq!(shrunk(&before, &delivery(&["AA==", "AQ==", "Ag=="])), None);
        for after in [&["AA=="][..], &["AA==", "Ag=="], &[]] {
            assert!(shrunk(&before, &delivery(after)).is_some(), "{after:?}");
        }
    }
}
