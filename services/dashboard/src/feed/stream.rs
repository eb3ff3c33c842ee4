//! One watch per namespace, or one for the cluster: what it says, object by object, for whoever takes it.

use std::collections::HashSet;
use std::fmt::Debug;

use futures::StreamExt;
use kube::runtime::watcher::Event;
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_cluster::follow::Patience;

/// What a watch says.
#[derive(Debug)]
pub(super) enum Seen<K> {
    Is(K),
    Gone(String),
    /// A list is over.
    Listed(List),
}

/// Of the namespace (of all, where none is named) these uids exist.
#[derive(Debug)]
pub(super) struct List {
    pub(super) uids: HashSet<String>,
    pub(super) covers: Option<String>,
    /// Whether it is the first of this watch.
    pub(super) first: bool,
}

impl List {
    /// Whether an object that is known is one no longer.
    pub(super) fn misses(&self, namespace: &str, uid: &str) -> bool {
        self.covers.as_deref().is_none_or(|covers| covers == namespace) && !self.uids.contains(uid)
    }
}

/// Follows all objects of a kind until `stop`.
pub(super) fn follow<K>(
    client: &Client,
    namespaces: &[String],
    stop: &CancellationToken,
    take: impl Fn(Seen<K>) + Clone + Send + 'static,
) where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Send
        + Sync
        + 'static,
{
    let mut parts: Vec<(Api<K>, Option<String>)> = namespaces
        .iter()
        .map(|namespace| (Api::namespaced(client.clone(), namespace), Some(namespace.clone())))
        .collect();
    if parts.is_empty() {
        parts.push((Api::all(client.clone()), None));
    }
    for (api, covers) in parts {
        let (stop, take) = (stop.clone(), take.clone());
        tokio::spawn(async move {
            stop.run_until_cancelled(one(api, covers, take)).await;
        });
    }
}

async fn one<K>(api: Api<K>, covers: Option<String>, take: impl Fn(Seen<K>))
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut events = std::pin::pin!(watcher(api, watcher::Config::default()).backoff(Patience::default()));
    let (mut uids, mut first) = (HashSet::new(), true);
    while let Some(event) = events.next().await {
        match event {
            Ok(Event::Init) => uids.clear(),
            Ok(Event::InitApply(object)) => {
                uids.extend(object.uid());
                take(Seen::Is(object));
            }
            Ok(Event::InitDone) => {
                take(Seen::Listed(List { uids: std::mem::take(&mut uids), covers: covers.clone(), first }));
                first = false;
            }
            Ok(Event::Apply(object)) => take(Seen::Is(object)),
            Ok(Event::Delete(object)) => {
                if let Some(uid) = object.uid() {
                    take(Seen::Gone(uid));
                }
            }
            Err(error) => tracing::warn!(kind = %K::kind(&()), error = %report(&error), "failed to watch objects"),
        }
    }
}
