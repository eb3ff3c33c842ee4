//! Kubernetes Events, told on transitions only and never in the way: a bounded queue, one task, and what doesn't fit is counted.
//!
//! An Event's name follows from what it says and when that became true, so a retry or a second leader cannot tell it twice. The
//! note says the next step for a person; it never holds personal data, because nothing it is made from does.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};
use sha2::{Digest, Sha256};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Far more than any settled cluster tells at once; a storm beyond it is what must not be stored.
const WAITING: usize = 1024;
/// The API server's bound on a note.
const MAX_NOTE: usize = 1000;
const REPORTER: &str = "waybill.dev/operator";

/// How it reads in `kubectl describe`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Severity {
    Normal,
    Warning,
}

/// One transition of one object.
#[derive(Clone, Debug)]
pub struct Telling {
    pub about: ObjectReference,
    pub severity: Severity,
    /// The condition's reason.
    pub reason: String,
    pub note: String,
    /// When it became true.
    pub at: Timestamp,
}

/// Where transitions are told; clones share the queue.
#[derive(Clone, Debug)]
pub struct Events {
    queue: mpsc::Sender<Telling>,
    metrics: Metrics,
}

impl Events {
    /// The handle, and the task that writes until `shutdown`.
    pub fn new(
        client: Client,
        instance: String,
        metrics: Metrics,
        shutdown: CancellationToken,
    ) -> (Self, impl Future<Output = ()>) {
        let (queue, waiting) = mpsc::channel(WAITING);
        let writer = write(client, instance, waiting, metrics.clone(), shutdown);
        (Self { queue, metrics }, writer)
    }

    /// Tells a transition; never waits and never fails.
    pub fn tell(&self, telling: Telling) {
        if self.queue.try_send(telling).is_err() {
            self.metrics.event_dropped();
        }
    }
}

async fn write(
    client: Client,
    instance: String,
    mut waiting: mpsc::Receiver<Telling>,
    metrics: Metrics,
    shutdown: CancellationToken,
) {
    while let Some(Some(telling)) = shutdown.run_until_cancelled(waiting.recv()).await {
        let event = event(&telling, &instance);
        let namespace = event.metadata.namespace.clone().unwrap_or_default();
        let api: Api<Event> = Api::namespaced(client.clone(), &namespace);
        match api.create(&PostParams::default(), &event).await {
            Ok(_) => {}
            // Told before, by this replica or the one before it.
            Err(kube::Error::Api(status)) if status.is_already_exists() => {}
            Err(error) => {
                metrics.event_dropped();
                tracing::debug!(error = %waybill_chassis::telemetry::report(&error), "an Event could not be written");
            }
        }
    }
}

fn event(telling: &Telling, instance: &str) -> Event {
    let about = telling.about.clone();
    let mut digest = Sha256::new();
    let at = telling.at.to_string();
    for part in [about.uid.as_deref().unwrap_or_default(), &telling.reason, &telling.note, &at] {
        digest.update(part.as_bytes());
        digest.update([0]);
    }
    let name = format!("{}.{}", about.name.as_deref().unwrap_or("object"), hex::encode(&digest.finalize()[..8]));
    Event {
        metadata: ObjectMeta { name: Some(name), namespace: about.namespace.clone(), ..ObjectMeta::default() },
        action: Some("Reconcile".into()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(telling.note.chars().take(MAX_NOTE).collect()),
        reason: Some(telling.reason.clone()),
        regarding: Some(about),
        reporting_controller: Some(REPORTER.into()),
        reporting_instance: Some(instance.into()),
        type_: Some(format!("{:?}", telling.severity)),
        ..Event::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn telling(at: &str) -> Telling {
        let about = ObjectReference {
            name: Some("upc-1".into()),
            namespace: Some("shop".into()),
            uid: Some("u".into()),
            ..ObjectReference::default()
        };
        Telling {
            about,
            severity: Severity::Warning,
            reason: "SellerMissing".into(),
            note: "create it".into(),
            at: at.parse().unwrap(),
        }
    }

    #[test]
    fn the_same_transition_has_one_name_and_a_later_one_another() {
        let name = |at| event(&telling(at), "pod-1").metadata.name.unwrap();
        assert_eq!(name("2026-11-21T10:00:00Z"), name("2026-11-21T10:00:00Z"));
        assert_ne!(name("2026-11-21T10:00:00Z"), name("2026-11-21T10:00:01Z"));
        assert!(name("2026-11-21T10:00:00Z").starts_with("upc-1."));
    }

    #[test]
    fn an_event_says_what_kubectl_shows() {
        let event = event(&telling("2026-11-21T10:00:00Z"), "pod-1");
        assert_eq!(event.type_.as_deref(), Some("Warning"));
        assert_eq!(event.reason.as_deref(), Some("SellerMissing"));
        assert_eq!(event.metadata.namespace.as_deref(), Some("shop"));
    }
}
