//! A namespace with a Seller, Carriers and Deliveries as an operator leaves them, a broker, and the seller itself as a task.

use std::collections::BTreeMap;
use std::future::Future;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::rbac::v1::{Role as RbacRole, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, ResourceExt};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waybill_cluster::custody;
use waybill_crds::{Carrier, Delivery, Phase, Seller};
use waybill_e2e::{Namespace, eventually, in_namespace, objects};
use waybill_protocol::fact::reason::DeclaredFact;
use waybill_protocol::{Fact, Log, PersonName, Role, Trust};
use waybill_seller::Args;

use crate::domain::{Ca, Somebody};
use crate::files::{write_broker, write_seller};
use crate::mosquitto::Mosquitto;

pub(crate) const SOON: Duration = Duration::from_secs(60);

/// Where one test plays.
pub(crate) struct Stage {
    pub(crate) namespace: Namespace,
    pub(crate) ca: Ca,
    pub(crate) broker: Mosquitto,
    pub(crate) seller: Somebody,
    /// Who signs declarations and view tokens.
    pub(crate) viewer: Somebody,
    pub(crate) api: SocketAddr,
    /// How long a notice is tried.
    pub(crate) give_up: &'static str,
    /// The one that may be asked, if any.
    order_system: String,
    trust: Trust,
    files: TempDir,
    _kept: [TempDir; 2],
}

/// A running seller.
pub(crate) struct Running {
    stop: CancellationToken,
    task: JoinHandle<Result<(), waybill_seller::Error>>,
    pub(crate) probes: SocketAddr,
    pub(crate) api: SocketAddr,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

/// Runs `story` with a Seller whose orders are in its Secret.
pub(crate) async fn on_stage<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Stage) -> Fut,
    Fut: Future<Output = ()>,
{
    on_stage_with(test, json!({}), story).await;
}

/// The same with this `spec` of the Seller.
pub(crate) async fn on_stage_with<F, Fut>(test: &str, spec: Value, story: F)
where
    F: FnOnce(Stage) -> Fut,
    Fut: Future<Output = ()>,
{
    in_namespace(test, &[], async |namespace| story(Stage::prepare(namespace, spec).await).await).await;
}

impl Stage {
    async fn prepare(namespace: Namespace, spec: Value) -> Self {
        define(&namespace).await;
        let allowed = spec["url"].as_str().filter(|url| url.starts_with("http://127.0.0.1:"));
        let order_system = allowed.unwrap_or_default().to_owned();
        let ca = Ca::new();
        let seller = made::<Seller>(&namespace, "acme", spec).await;
        let seller = ca.somebody(Role::Seller, &namespace.name, "acme", &seller.uid().unwrap());
        let (run, files) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        let label_key: [u8; 32] = rand::random();
        write_broker(run.path(), &ca);
        let ip = own_address();
        write_seller(files.path(), &ca, &seller, (&label_key, ip));
        let (broker, own) = started_broker(run.path()).await;
        let trust = ca.trust();
        let api = free_port(ip);
        let viewer =
            ca.somebody(Role::CarrierApi, &namespace.name, "carrier-api", "a91a9100-0000-4000-8000-000000000004");
        let (give_up, _kept) = ("24h", [run, own]);
        let stage = Self { namespace, ca, broker, seller, viewer, api, give_up, order_system, trust, files, _kept };
        stage.publish_trust(1, &[]).await;
        stage.orders(&["UPC_1", "UPC_2", "UPC_3"]).await;
        stage
    }

    /// Orders with marker texts for these UPCs.
    pub(crate) async fn orders(&self, upcs: &[&str]) {
        objects::orders(&self.namespace, "acme", upcs).await;
    }

    /// The seller, as a pod of this name.
    pub(crate) fn start(&self, pod: &str) -> Running {
        self.start_at(pod, self.api)
    }

    /// Another replica of it, with a Seller API of its own.
    pub(crate) fn replica(&self, pod: &str) -> Running {
        self.start_at(pod, free_port(self.api.ip()))
    }

    fn start_at(&self, pod: &str, api: SocketAddr) -> Running {
        let account = self.namespace.cluster.as_account(&self.namespace.name, "wb-seller-acme");
        let (probes, stop) = (free_port(api.ip()), CancellationToken::new());
        let path = |name: &str| self.files.path().join(name).display().to_string();
        let line = [
            ("--namespace", self.namespace.name.clone()),
            ("--name", "acme".into()),
            ("--uid", self.seller.signer.uid().to_string()),
            ("--pod", pod.into()),
            ("--broker", self.broker.ports.sellers.to_string()),
            ("--tls-dir", path("tls")),
            ("--keys-dir", path("keys")),
            ("--label-dir", path("label")),
            ("--seller-api", format!("https://{api}")),
            ("--order-urls", format!("http://127.0.0.1:1/none,{}", self.order_system)),
            ("--notify-hosts", "127.0.0.1".into()),
            ("--grants-dir", path("grants")),
            ("--notify-retry", "1s".into()),
            ("--notify-give-up", self.give_up.into()),
            ("--pod-ip", api.ip().to_string()),
            ("--listen", api.to_string()),
            ("--probe-addr", probes.to_string()),
        ];
        let words = line.iter().flat_map(|(flag, value)| [(*flag).to_owned(), value.clone()]);
        let args = Line::parse_from(std::iter::once("seller".to_owned()).chain(words)).args;
        let running = waybill_seller::run_on(account, args, stop.clone());
        let told = |error: &waybill_seller::Error| eprintln!("the seller ended: {error:?}");
        let task = tokio::spawn(async move { running.await.inspect_err(told) });
        Running { stop, task, probes, api }
    }

    /// A Carrier with keys, as the operator leaves it.
    pub(crate) async fn carrier(&self, name: &str, camera: bool) -> Somebody {
        let carrier = made::<Carrier>(&self.namespace, name, json!({"kind": "truck", "camera": camera})).await;
        let somebody = self.ca.somebody(Role::Carrier, &self.namespace.name, name, &carrier.uid().unwrap());
        self.state(name, &somebody).await;
        somebody
    }

    async fn state(&self, name: &str, somebody: &Somebody) {
        let patch = json!({"status": {"keyStatement": STANDARD.encode(&somebody.statement)}});
        let api: Api<Carrier> = Api::namespaced(self.operator(), &self.namespace.name);
        api.patch_status(name, &PatchParams::default(), &Patch::Merge(patch)).await.unwrap();
    }

    /// A Delivery the operator finds ready.
    pub(crate) async fn delivery(&self, upc: &str, carrier: &str, spec: Value) -> String {
        let mut body = json!({"upc": upc, "seller": "acme", "carrier": carrier});
        body.as_object_mut().unwrap().extend(spec.as_object().unwrap().clone());
        let name = upc.to_lowercase().replace('_', "-");
        let delivery = made::<Delivery>(&self.namespace, &name, body).await;
        self.ready(&name).await;
        let _ = delivery;
        name
    }

    /// What the operator says once both ends are there.
    pub(crate) async fn ready(&self, name: &str) {
        let ready = json!([{"type": "Ready", "status": "True", "reason": "Provisioned", "message": "both ends",
                            "lastTransitionTime": Timestamp::from_second(0).unwrap().to_string()}]);
        let status = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": name},
                            "status": {"conditions": ready}});
        let params = PatchParams::apply("waybill-operator").force();
        let api: Api<Delivery> = Api::namespaced(self.operator(), &self.namespace.name);
        api.patch_status(name, &params, &Patch::Apply(status)).await.unwrap();
    }

    /// The accounts beside the seller's, so that the policies of the chart may be in force here too.
    fn operator(&self) -> Client {
        self.namespace.cluster.as_account("waybill-system", "waybill-operator")
    }

    pub(crate) fn carrier_api(&self) -> Api<Delivery> {
        let account = self.namespace.cluster.as_account(&self.namespace.name, "waybill-carrier-api");
        Api::namespaced(account, &self.namespace.name)
    }

    pub(crate) async fn change(&self, name: &str, spec: Value) {
        let api: Api<Delivery> = self.namespace.api();
        api.patch(name, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.unwrap();
    }

    pub(crate) async fn get(&self, name: &str) -> Delivery {
        self.namespace.api::<Delivery>().get(name).await.unwrap()
    }

    /// The log of a Delivery, as anybody reads it.
    pub(crate) fn read(&self, delivery: &Delivery) -> Log {
        custody::read(delivery, self.seller.signer.uid(), &self.trust).unwrap()
    }

    pub(crate) async fn log(&self, name: &str) -> Log {
        self.read(&self.get(name).await)
    }

    /// The events of a log that count, in words.
    pub(crate) async fn words(&self, name: &str) -> Vec<String> {
        let log = self.log(name).await;
        log.entries()
            .iter()
            .map(|entry| {
                assert!(entry.verdict().is_genuine(), "{:?}", entry.verdict());
                entry.event().unwrap().event().kind().to_string()
            })
            .collect()
    }

    /// Waits for a phase.
    pub(crate) async fn becomes(&self, name: &str, phase: Phase) -> Delivery {
        eventually(&format!("{name} is {phase}"), SOON, || async {
            let delivery = self.get(name).await;
            if delivery.phase() == phase {
                Ok(delivery)
            } else {
                Err(format!("{} {:?}", delivery.phase(), self.words(name).await))
            }
        })
        .await
    }

    /// Waits until this is the last event.
    pub(crate) async fn says(&self, name: &str, event: &str) {
        eventually(&format!("{name} says {event}"), SOON, || async {
            let words = self.words(name).await;
            if words.iter().any(|word| word == event) { Ok(()) } else { Err(format!("{words:?}")) }
        })
        .await;
    }

    /// Waits until the Delivery says that this is in the way, in these words; or that nothing is.
    pub(crate) async fn hindered(&self, name: &str, by: Option<(&str, &str)>) {
        eventually(&format!("{name} is hindered by {by:?}"), SOON, || async {
            let conditions = self.get(name).await.status.unwrap_or_default().conditions;
            let said = conditions.into_iter().find(|condition| condition.type_ == "Hindered");
            let so = match (&said, by) {
                (Some(said), Some((reason, words))) => said.reason == reason && said.message.contains(words),
                (said, by) => said.is_none() && by.is_none(),
            };
            if so { Ok(()) } else { Err(format!("{said:?}")) }
        })
        .await;
    }

    /// Takes one order away.
    pub(crate) async fn delete_order(&self, upc: &str) {
        let patch = Patch::Merge(json!({"data": {upc: null}}));
        self.namespace.api::<Secret>().patch("orders-acme", &PatchParams::default(), &patch).await.unwrap();
    }

    /// A person declares this through the Carrier API; answers with the id.
    pub(crate) async fn declares(&self, name: &str, fact: DeclaredFact) -> String {
        let by = PersonName::new("jane@example.com").unwrap();
        let declared = Fact::Declared { fact, by, note: None };
        eventually("the declaration is written", SOON, || async {
            let delivery = self.get(name).await;
            let log = self.read(&delivery);
            let event = log.sign(&self.viewer.signer, declared.clone(), crate::thread::now()).unwrap();
            let api = self.carrier_api();
            let wrote =
                custody::append(&api, &delivery, &log, std::slice::from_ref(&event), "waybill-carrier-api").await;
            wrote.map(|_| event.id().to_string()).map_err(|why| why.to_string())
        })
        .await
    }

    /// Where the board is and where the Carrier API, and a token for it.
    pub(crate) async fn publish_addresses(&self, board: &str, carrier_api: &str, token: &str) {
        let folder = self.files.path().join("grants");
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join("token"), token).unwrap();
        let data = json!({"data": {"board": board, "carrier-api": carrier_api}});
        let maps = self.namespace.api::<ConfigMap>();
        maps.patch("waybill-trust", &PatchParams::default(), &Patch::Merge(data)).await.unwrap();
    }

    /// ConfigMap `waybill-trust`.
    pub(crate) async fn publish_trust(&self, number: u64, revoked: &[&str]) {
        let entries: Vec<Value> = revoked.iter().map(|uid| json!({"serial": "0a", "uid": uid})).collect();
        let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "waybill-trust"}, "data": {
            "ca.crt": self.ca.pem(), "revoked.json": json!({"number": number, "entries": entries}).to_string(),
            "carrier-api-statement": STANDARD.encode(&self.viewer.statement),
        }});
        objects::apply::<ConfigMap>(&self.namespace, &body).await.unwrap();
    }

    /// Replaces one order.
    pub(crate) async fn order(&self, upc: &str, order: &Value) {
        let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-acme"},
                          "stringData": {upc: order.to_string()}});
        objects::apply::<Secret>(&self.namespace, &body).await.unwrap();
    }
}

impl Running {
    /// Waits until it distributes.
    pub(crate) async fn ready(&self) {
        eventually("the seller is ready", SOON, || async {
            let answer = reqwest::get(format!("http://{}/readyz", self.probes)).await.map_err(|why| why.to_string())?;
            let (ready, gates) = (answer.status().is_success(), answer.text().await.unwrap_or_default());
            assert!(gates.contains("lists"), "ready before it has seen everything: {gates}");
            if ready { Ok(()) } else { Err(gates) }
        })
        .await;
    }

    /// As a kubelet ends it.
    pub(crate) async fn stop(self) {
        self.stop.cancel();
        tokio::time::timeout(SOON, self.task).await.unwrap().unwrap().unwrap();
    }

    /// As a power cut ends it.
    pub(crate) async fn kill(self) {
        self.task.abort();
        // Its ports are free once it is gone.
        assert!(self.task.await.is_err_and(|ended| ended.is_cancelled()));
    }
}

async fn define(namespace: &Namespace) {
    let api: Api<CustomResourceDefinition> = Api::all(namespace.client.clone());
    for kind in waybill_crds::all() {
        let params = PatchParams::apply("waybill-test").force();
        api.patch(&kind.name_any(), &params, &Patch::Apply(&kind)).await.unwrap();
        let established = kube::runtime::wait::conditions::is_crd_established();
        kube::runtime::wait::await_condition(api.clone(), &kind.name_any(), established).await.unwrap();
    }
    // What the operator grants, no more.
    let group = waybill_crds::GROUP;
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let seller = [
        rule("", &["secrets", "configmaps"], &["list", "watch"]),
        // For those who notify.
        rule("", &["configmaps"], &["get", "patch"]),
        rule("events.k8s.io", &["events"], &["create"]),
        rule(group, &["sellers"], &["list", "watch"]),
        rule(group, &["sellers/status", "deliveries/status"], &["patch"]),
        rule(group, &["deliveries", "carriers"], &["get", "list", "watch"]),
        rule("coordination.k8s.io", &["leases"], &["create", "get", "list", "watch", "patch"]),
    ];
    let api = [rule(group, &["deliveries"], &["get"]), rule(group, &["deliveries/status"], &["patch"])];
    let operator = [rule(group, &["deliveries/status", "carriers/status"], &["patch"])];
    grant(namespace, (&namespace.name, "wb-seller-acme"), &seller).await;
    grant(namespace, (&namespace.name, "waybill-carrier-api"), &api).await;
    grant(namespace, ("waybill-system", "waybill-operator"), &operator).await;
}

async fn grant(namespace: &Namespace, (home, account): (&str, &str), rules: &[Value]) {
    let role = json!({"metadata": {"name": account}, "rules": rules});
    let binding = json!({"metadata": {"name": account},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": account},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": home}]});
    let params = PostParams::default();
    namespace.api::<RbacRole>().create(&params, &serde_json::from_value(role).unwrap()).await.unwrap();
    namespace.api::<RoleBinding>().create(&params, &serde_json::from_value(binding).unwrap()).await.unwrap();
}

/// An object no operator touches. Right after its definition is established, a server may still not know it.
async fn made<K>(namespace: &Namespace, name: &str, spec: Value) -> K
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + std::fmt::Debug
        + serde::de::DeserializeOwned,
{
    let paused = BTreeMap::from([(waybill_crds::annotation::PAUSED, "true")]);
    let body = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()),
                      "metadata": {"name": name, "annotations": paused}, "spec": spec});
    eventually(name, SOON, || objects::apply::<K>(namespace, &body)).await
}

/// An address of the loopback network that nobody else has: its ports are free as long as this test lasts.
fn own_address() -> Ipv4Addr {
    let [a, b, c]: [u8; 3] = rand::random();
    Ipv4Addr::new(127, a.max(1), b, c.clamp(1, 254))
}

fn free_port(ip: impl Into<std::net::IpAddr>) -> SocketAddr {
    TcpListener::bind((ip.into(), 0)).unwrap().local_addr().unwrap()
}

/// A broker that listens. Its ports were free when they were chosen; where somebody was faster, others are.
async fn started_broker(run: &Path) -> (Mosquitto, TempDir) {
    for _ in 0..5 {
        let own = TempDir::new().unwrap();
        let mut broker = Mosquitto::prepare(run, own.path());
        broker.start();
        let sellers = broker.ports.sellers;
        let listens = async {
            while TcpStream::connect(sellers).is_err() {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        };
        let up = tokio::select! {
            biased;
            () = broker.ended() => false,
            () = listens => true,
        };
        if up {
            return (broker, own);
        }
    }
    panic!("no broker would start");
}
