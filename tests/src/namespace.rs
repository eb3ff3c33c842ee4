//! A namespace of its own for each test, removed after it, shown when it failed.

use std::collections::BTreeMap;
use std::future::Future;
use std::panic::AssertUnwindSafe;

use futures::FutureExt;
use k8s_openapi::api::core::v1::{Event, Namespace as KubeNamespace, Pod};
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, Client};

use crate::Cluster;

/// Set it to keep the namespaces of failed tests for a look.
pub const KEEP: &str = "WAYBILL_KEEP_NAMESPACES";

/// A namespace that belongs to one test.
#[derive(Clone)]
pub struct Namespace {
    pub cluster: Cluster,
    pub client: Client,
    pub name: String,
}

impl Namespace {
    /// Objects of kind `K` in this namespace.
    pub fn api<K>(&self) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), &self.name)
    }
}

/// Runs `story` in a fresh namespace with these labels; skips loudly where there is no cluster.
pub async fn in_namespace<F, Fut>(test: &str, labels: &[(&str, &str)], story: F)
where
    F: FnOnce(Namespace) -> Fut,
    Fut: Future<Output = ()>,
{
    let Some(cluster) = Cluster::connect(test).await else { return };
    let namespace = create(cluster, test, labels).await;
    let outcome = AssertUnwindSafe(story(namespace.clone())).catch_unwind().await;
    if outcome.is_err() {
        show(&namespace).await;
    }
    if outcome.is_ok() || std::env::var(KEEP).is_err() {
        let api: Api<KubeNamespace> = Api::all(namespace.client.clone());
        let _ = api.delete(&namespace.name, &DeleteParams::background()).await;
    }
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

async fn create(cluster: Cluster, test: &str, labels: &[(&str, &str)]) -> Namespace {
    let name = format!("t-{}-{:08x}", &slug(test), rand::random::<u32>());
    let mut object = KubeNamespace::default();
    object.metadata.name = Some(name.clone());
    let own = [("waybill.dev/test", "true"), ("pod-security.kubernetes.io/enforce", "restricted")];
    object.metadata.labels =
        Some(own.iter().chain(labels).map(|(k, v)| ((*k).into(), (*v).into())).collect::<BTreeMap<_, _>>());
    let api: Api<KubeNamespace> = Api::all(cluster.client.clone());
    api.create(&PostParams::default(), &object).await.expect("a fresh namespace");
    Namespace { client: cluster.client.clone(), cluster, name }
}

fn slug(test: &str) -> String {
    let plain: String =
        test.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' }).collect();
    plain.chars().take(40).collect::<String>().trim_matches('-').to_owned()
}

/// What a person would look at first when the test failed.
async fn show(namespace: &Namespace) {
    eprintln!("=== {} after the failure", namespace.name);
    if let Ok(pods) = namespace.api::<Pod>().list(&ListParams::default()).await {
        for pod in pods {
            let status = pod.status.unwrap_or_default();
            let waits: Vec<_> = status
                .container_statuses
                .unwrap_or_default()
                .into_iter()
                .filter_map(|c| c.state?.waiting.map(|w| format!("{}: {}", c.name, w.reason.unwrap_or_default())))
                .collect();
            eprintln!("pod {:?} {:?} {waits:?}", pod.metadata.name, status.phase);
        }
    }
    if let Ok(events) = namespace.api::<Event>().list(&ListParams::default()).await {
        for event in events {
            let about = event.involved_object;
            eprintln!("event {:?}/{:?} {:?}: {:?}", about.kind, about.name, event.reason, event.message);
        }
    }
}
