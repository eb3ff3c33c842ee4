//! A namespace to work in, another one for the operator itself, and the operator in a runtime of its own, so that it can be killed
//! between any two of its writes.

use std::collections::BTreeMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use clap::Parser;
use futures::{StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::{Namespace as KubeNamespace, Pod};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use kube::runtime::{WatchStreamExt, watcher};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tokio::runtime::Runtime;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::objects::Conditions;
use waybill_e2e::{Namespace, eventually, in_namespace};
use waybill_operator::Args;

use crate::gate::Gate;

/// How long anything may take on a busy machine.
pub(crate) const SOON: Duration = Duration::from_secs(90);

/// Where one test plays.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) namespace: Namespace,
    /// The operator's own namespace.
    pub(crate) home: String,
}

/// Runs `story` on a stage of its own, with a player that makes pods ready; skips loudly where there is no cluster.
pub(crate) async fn on_stage<F, Fut>(test: &str, labels: &[(&str, &str)], story: F)
where
    F: FnOnce(Stage) -> Fut,
    Fut: Future<Output = ()>,
{
    in_namespace(test, labels, |namespace| async move {
        install_kinds(&namespace.client).await;
        let home = format!("{}-home", namespace.name);
        let namespaces: Api<KubeNamespace> = Api::all(namespace.client.clone());
        let body = json!({"apiVersion": "v1", "kind": "Namespace",
                          "metadata": {"name": home, "labels": {"waybill.dev/test": "true"}}});
        let object = serde_json::from_value(body).expect("a namespace");
        namespaces.create(&PostParams::default(), &object).await.expect("a fresh namespace");
        let player = tokio::spawn(play(namespace.clone()));
        // The home goes whether or not the story ends well; the outer namespace is its caller's.
        let guard = Home { client: namespace.client.clone(), name: home.clone(), player };
        story(Stage { namespace, home }).await;
        drop(guard);
    })
    .await;
}

struct Home {
    client: Client,
    name: String,
    player: JoinHandle<()>,
}

impl Drop for Home {
    fn drop(&mut self) {
        self.player.abort();
        let namespaces: Api<KubeNamespace> = Api::all(self.client.clone());
        let name = self.name.clone();
        // A test's runtime may end right after; a thread of its own is sure to send it.
        let removal = std::thread::spawn(move || {
            let runtime = Runtime::new().expect("a runtime");
            runtime.block_on(async { _ = namespaces.delete(&name, &DeleteParams::background()).await });
        });
        let _ = removal.join();
    }
}

pub(crate) async fn install_kinds(client: &Client) {
    let api: Api<k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition> =
        Api::all(client.clone());
    for kind in waybill_crds::all() {
        let params = PatchParams::apply("waybill-test").force();
        api.patch(&kind.name_any(), &params, &Patch::Apply(&kind)).await.expect("our kinds are installed");
    }
}

/// Makes every pod of the namespace ready: none of them is scheduled, so nobody else writes their status.
async fn play(namespace: Namespace) {
    let api: Api<Pod> = namespace.api();
    let pods = watcher(api.clone(), watcher::Config::default()).default_backoff().applied_objects();
    pods.filter_map(async |pod| pod.ok())
        .for_each(async |pod| {
            let ready = pod.status.iter().flat_map(|s| s.conditions.iter().flatten()).any(|c| c.type_ == "Ready");
            if ready || pod.metadata.deletion_timestamp.is_some() {
                return;
            }
            let now = jiff::Timestamp::now();
            let yes = |kind| json!({"type": kind, "status": "True", "lastTransitionTime": now});
            let status = json!({"status": {"phase": "Running", "conditions": [yes("ContainersReady"), yes("Ready")]}});
            let _ = api.patch_status(&pod.name_any(), &PatchParams::default(), &Patch::Strategic(status)).await;
        })
        .await;
}

impl Stage {
    /// An operator that works here and nowhere else, under the name of one pod, so that a killed one goes on at once.
    pub(crate) fn operator(&self) -> Operator {
        self.replica("operator-0")
    }

    /// The same behind a gate, which may be its death.
    pub(crate) fn gated(&self, gate: &Arc<Gate>) -> Operator {
        self.start("operator-0", Some(gate.clone()), &[])
    }

    /// One of several replicas.
    pub(crate) fn replica(&self, pod: &str) -> Operator {
        self.start(pod, None, &[])
    }

    /// One with these settings.
    pub(crate) fn set(&self, flags: &[&str]) -> Operator {
        self.start("operator-0", None, flags)
    }

    fn start(&self, pod: &str, gate: Option<Arc<Gate>>, flags: &[&str]) -> Operator {
        let probes = free_address();
        let probe = probes.to_string();
        let line = [
            "operator",
            "--namespace",
            &self.home,
            "--watch-namespaces",
            &self.namespace.name,
            "--pod",
            pod,
            "--probe-addr",
            &probe,
            "--pod-cpu-request",
            "4000",
            "--image",
            "none.example/waybill:none",
            "--image-pull-policy",
            "Never",
            "--broker-host",
            "waybill-broker.none.svc",
        ];
        Operator::start(gate, Line::parse_from(line.iter().chain(flags)).args, probes)
    }

    pub(crate) fn deliveries(&self) -> Api<Delivery> {
        self.namespace.api()
    }

    /// A ready Seller and a ready external Carrier.
    pub(crate) async fn ends(&self, seller: &str, carrier: &str) {
        self.seller(seller).await;
        self.external_carrier(carrier).await;
        self.becomes::<Seller>(seller, "Ready", "True").await;
        self.becomes::<Carrier>(carrier, "Ready", "True").await;
    }

    pub(crate) async fn seller(&self, name: &str) -> Seller {
        self.apply(
            &json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": name}, "spec": {}}),
        )
        .await
    }

    pub(crate) async fn external_carrier(&self, name: &str) -> Carrier {
        self.apply(&waybill_e2e::enrol::Keys::fresh().carrier(&self.namespace.name, name)).await
    }

    pub(crate) async fn delivery(&self, upc: &str, seller: &str, carrier: &str) -> Delivery {
        self.apply(&waybill_e2e::objects::delivery(upc, seller, carrier)).await
    }

    /// `kubectl apply --server-side` by a user who must succeed.
    pub(crate) async fn apply<K>(&self, body: &Value) -> K
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        waybill_e2e::objects::apply(&self.namespace, body).await.expect("applied")
    }

    /// Puts one condition into a status, as `manager` applies it.
    pub(crate) async fn say<K: Participant>(&self, name: &str, manager: &str, condition: Value) {
        let body = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name},
                          "status": {"conditions": [condition]}});
        let params = PatchParams::apply(manager).force();
        self.namespace.api::<K>().patch_status(name, &params, &Patch::Apply(&body)).await.expect("said");
    }

    /// Waits for a condition's status; answers with the object.
    pub(crate) async fn becomes<K>(&self, name: &str, type_: &str, status: &str) -> K
    where
        K: Participant,
    {
        self.shows(name, type_, |c| c.status == status).await
    }

    /// Waits for a condition's reason; answers with the object.
    pub(crate) async fn says<K: Participant>(&self, name: &str, type_: &str, reason: &str) -> K {
        self.shows(name, type_, |c| c.reason == reason).await
    }

    async fn shows<K: Participant>(&self, name: &str, type_: &str, met: impl Fn(&Condition) -> bool) -> K {
        let api: Api<K> = self.namespace.api();
        eventually(&format!("{name} shows {type_}"), SOON, || async {
            let object = api.get(name).await.map_err(|why| why.to_string())?;
            let so = object.condition(type_).is_some_and(&met);
            if so { Ok(object) } else { Err(format!("{:?}", object.conditions())) }
        })
        .await
    }

    /// Waits until the object is gone.
    pub(crate) async fn gone<K>(&self, name: &str)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        let api: Api<K> = self.namespace.api();
        eventually(&format!("{name} is gone"), SOON, || async {
            match api.get_metadata_opt(name).await {
                Ok(None) => Ok(()),
                Ok(Some(there)) => Err(format!("still there: {:?}", there.metadata.owner_references)),
                Err(why) => Err(why.to_string()),
            }
        })
        .await;
    }
}

/// What has conditions to wait for.
pub(crate) trait Participant:
    kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
    + Clone
    + serde::de::DeserializeOwned
    + std::fmt::Debug
    + Conditions
{
}
impl Participant for Seller {}
impl Participant for Carrier {}
impl Participant for Delivery {}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

/// A running operator.
pub(crate) struct Operator {
    runtime: Option<Runtime>,
    shutdown: CancellationToken,
    task: Option<JoinHandle<Result<(), waybill_operator::Error>>>,
    probes: SocketAddr,
}

impl Operator {
    fn start(gate: Option<Arc<Gate>>, args: Args, probes: SocketAddr) -> Self {
        let runtime = Runtime::new().expect("a runtime");
        let shutdown = CancellationToken::new();
        let token = shutdown.clone();
        // The client's connections belong to the runtime that made them: this operator gets its own.
        let task = runtime.spawn(async move {
            let client = waybill_e2e::Cluster::connect("the operator").await.expect("the cluster was there").client;
            let client = gate.map_or_else(|| client.clone(), |gate| gate.client(&client));
            waybill_operator::run_on(client, args, token).await
        });
        Self { runtime: Some(runtime), shutdown, task: Some(task), probes }
    }

    /// SIGTERM: what has begun is finished, the Lease is given back.
    pub(crate) async fn stop(mut self) {
        self.shutdown.cancel();
        let task = self.task.take().expect("it ends once");
        tokio::time::timeout(SOON, task).await.expect("it ends in time").expect("no panic").expect("no error");
    }

    /// SIGKILL: every task ends where it is, between any two of its writes.
    pub(crate) fn kill(mut self) {
        self.runtime.take().expect("it ends once").shutdown_background();
    }

    /// A path of its probe listener: status and text.
    pub(crate) async fn probe(&self, path: &str) -> Result<(u16, String), String> {
        let answer = get(self.probes, path).await.map_err(|why| why.to_string())?;
        Ok(answer)
    }

    /// Waits until its caches are filled.
    pub(crate) async fn ready(&self) {
        eventually("the operator is ready", SOON, || async {
            let (status, text) = self.probe("/readyz").await?;
            if status == 200 { Ok(()) } else { Err(text) }
        })
        .await;
    }

    /// A counter or gauge, summed over its series that carry `label`.
    pub(crate) async fn metric(&self, name: &str, label: &str) -> f64 {
        let (_, text) = self.probe("/metrics").await.unwrap_or_default();
        let series = text.lines().filter(|line| line.starts_with(name) && line.contains(label));
        series.filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok()).sum()
    }

    /// Waits until it leads, has looked at `at_least` Deliveries, and nothing waits any more.
    pub(crate) async fn settled(&self, at_least: f64) {
        eventually("the operator has looked at everything", SOON, || async {
            let seen = self.metric("waybill_reconciles_total", r#"controller="delivery""#).await;
            let waiting = self.metric("waybill_queue_depth", "").await;
            if seen >= at_least && waiting == 0.0 { Ok(()) } else { Err(format!("{seen} seen, {waiting} waiting")) }
        })
        .await;
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// One plain HTTP/1.0 request: all a probe needs.
async fn get(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    let mut stream = tokio::net::TcpStream::connect(address).await?;
    stream.write_all(format!("GET {path} HTTP/1.0\r\nHost: probe\r\n\r\n").as_bytes()).await?;
    let mut text = String::new();
    stream.read_to_string(&mut text).await?;
    let status = text.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((status, text.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default()))
}

#[derive(Clone, Copy, Default)]
struct Seen {
    writes: usize,
    admitted: bool,
}

/// Every write to the Deliveries of a namespace from now on, by name, as a watch shows them.
pub(crate) struct Writes {
    task: JoinHandle<()>,
    seen: Arc<Mutex<BTreeMap<String, Seen>>>,
}

impl Writes {
    pub(crate) async fn follow(stage: &Stage) -> Self {
        let api: Api<waybill_crds::DeliveryView> = stage.namespace.api();
        let version =
            api.list(&Default::default()).await.expect("a list").metadata.resource_version.unwrap_or_default();
        let seen: Arc<Mutex<BTreeMap<String, Seen>>> = Default::default();
        let count = seen.clone();
        let task = tokio::spawn(async move {
            let mut events = api.watch(&Default::default(), &version).await.expect("a watch").boxed();
            while let Ok(Some(event)) = events.try_next().await {
                use kube::api::WatchEvent::{Added, Modified};
                if let Added(object) | Modified(object) = event {
                    let mut count = count.lock().expect("whole");
                    let seen = count.entry(object.name_any()).or_default();
                    seen.writes += 1;
                    let conditions = object.status.iter().flat_map(|status| &status.conditions);
                    seen.admitted |= conditions.into_iter().any(|c| c.type_ == "Admitted" && c.status == "True");
                }
            }
        });
        Self { task, seen }
    }

    pub(crate) fn of(&self, name: &str) -> usize {
        self.seen(name).writes
    }

    /// Whether it was admitted at any time.
    pub(crate) fn ever_admitted(&self, name: &str) -> bool {
        self.seen(name).admitted
    }

    fn seen(&self, name: &str) -> Seen {
        self.seen.lock().expect("whole").get(name).copied().unwrap_or_default()
    }
}

impl Drop for Writes {
    fn drop(&mut self) {
        self.task.abort();
    }
}
