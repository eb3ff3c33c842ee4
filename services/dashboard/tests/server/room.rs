//! A namespace, and a board for it that runs in this process under its own account's rights. Nobody else is at work there: what a
//! Delivery says, the tests write.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use clap::Parser;
use k8s_openapi::api::authentication::v1::TokenRequest;
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use reqwest::header::{HeaderMap, HeaderValue};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files::POLL;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::Probes;
use waybill_chassis::revocation;
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};
use waybill_crds::Delivery;
use waybill_dashboard::Args;
use waybill_e2e::{Namespace, eventually, in_namespace, objects};

pub(crate) const SOON: Duration = Duration::from_secs(60);
const ACCOUNT: &str = "waybill-board";

pub(crate) struct Room {
    pub(crate) namespace: Namespace,
    pub(crate) http: reqwest::Client,
    pub(crate) base: String,
    pub(crate) shutdown: CancellationToken,
    _files: TempDir,
}

/// What a browser read.
#[derive(Debug)]
pub(crate) struct Seen {
    pub(crate) status: u16,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
}

impl Seen {
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).map(HeaderValue::to_str).and_then(Result::ok).unwrap_or_default()
    }
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn in_room<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    in_room_with(test, Router::new(), story).await;
}

/// More words of the command line, of where the APIs behind are and where files may be.
pub(crate) type Words<'w> = &'w dyn Fn(&str, &Path) -> Vec<String>;

/// With these APIs behind the board, of every namespace and every Seller.
pub(crate) async fn in_room_with<F, Fut>(test: &str, behind: Router, story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    in_room_of(test, (behind, &|_, _| Vec::new()), story).await;
}

/// And settings of its own.
pub(crate) async fn in_room_of<F, Fut>(test: &str, (behind, words): (Router, Words<'_>), story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    in_namespace(test, &[], async |namespace| {
        define(&namespace).await;
        rights(&namespace).await;
        let files = tempfile::tempdir().unwrap();
        let ca = certificate(files.path());
        objects::apply::<ConfigMap>(
            &namespace,
            &json!({"apiVersion": "v1", "kind": "ConfigMap",
            "metadata": {"name": "waybill-trust"}, "data": {"ca.crt": ca}}),
        )
        .await
        .unwrap();
        let shutdown = CancellationToken::new();
        let apis = serve(files.path(), behind, shutdown.clone()).await;
        let more = words(&apis, files.path());
        let (address, task) = start(&namespace, files.path(), (apis, more), shutdown.clone()).await;
        let http = client(&ca, address);
        let base = format!("https://localhost:{}", address.port());
        let room = Room { namespace, http, base, shutdown: shutdown.clone(), _files: files };
        eventually("the board answers", SOON, || async {
            room.http.get(format!("{}/login", room.base)).send().await.map(drop)
        })
        .await;
        story(room).await;
        shutdown.cancel();
        tokio::time::timeout(SOON, task).await.unwrap().unwrap().unwrap();
    })
    .await;
}

type Task = tokio::task::JoinHandle<Result<(), waybill_dashboard::Error>>;

/// A server with the same certificate.
async fn serve(files: &Path, routes: Router, shutdown: CancellationToken) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let (probes, metrics, limits) = (Probes::new(&["api"]), Metrics::new("played"), Limits::default());
    let material = tls::watch_dir(files, POLL, shutdown.clone()).await.unwrap();
    let (_, revocations) = revocation::channel();
    let app = server::app(routes, HttpMetrics::new(&metrics), revocations, &limits);
    let (metrics, gate) = (TlsMetrics::new(&metrics), probes.gate("api"));
    let server = Server { listener, app, material, clients: ClientAuth::None, limits, metrics, gate };
    tokio::spawn(server.run(shutdown));
    address
}

async fn start(
    namespace: &Namespace,
    files: &Path,
    (apis, more): (String, Vec<String>),
    shutdown: CancellationToken,
) -> (SocketAddr, Task) {
    let dir = files.display().to_string();
    let line = [
        "board",
        "--watch-namespaces",
        &namespace.name,
        "--tls-dir",
        &dir,
        "--probe-addr",
        "127.0.0.1:0",
        "--carrier-api-url",
        &apis,
        "--seller-api-url",
        &apis,
    ];
    let line = line.into_iter().chain(more.iter().map(String::as_str));
    let args = Line::parse_from(line).args;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let client = namespace.cluster.as_account(&namespace.name, ACCOUNT);
    (address, tokio::spawn(waybill_dashboard::run_on(client, listener, args, shutdown)))
}

fn client(ca: &str, address: SocketAddr) -> reqwest::Client {
    let roots = reqwest::Certificate::from_pem_bundle(ca.as_bytes()).unwrap();
    let client = reqwest::Client::builder().tls_certs_only(roots).resolve("localhost", address).no_proxy();
    client.redirect(reqwest::redirect::Policy::none()).build().unwrap()
}

/// What the operator puts into the board's Secret.
fn certificate(dir: &Path) -> String {
    let ca_key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::default();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key).unwrap().pem();
    let issuer = rcgen::Issuer::new(params, ca_key);
    let key = rcgen::KeyPair::generate().unwrap();
    let mut params = rcgen::CertificateParams::new(vec!["localhost".into()]).unwrap();
    params.distinguished_name.push(rcgen::DnType::CommonName, "waybill-board");
    let leaf = params.signed_by(&key, &issuer).unwrap().pem();
    for (name, text) in [("tls.crt", &leaf), ("tls.key", &key.serialize_pem()), ("ca.crt", &ca)] {
        std::fs::write(dir.join(name), text).unwrap();
    }
    ca
}

async fn define(namespace: &Namespace) {
    let api: Api<CustomResourceDefinition> = Api::all(namespace.client.clone());
    for kind in waybill_crds::all() {
        let params = PatchParams::apply("waybill-test").force();
        api.patch(&kind.name_any(), &params, &Patch::Apply(&kind)).await.unwrap();
        let established = kube::runtime::wait::conditions::is_crd_established();
        kube::runtime::wait::await_condition(api.clone(), &kind.name_any(), established).await.unwrap();
    }
}

/// What the chart gives the board's account, and not more; and somebody who may look.
async fn rights(namespace: &Namespace) {
    let group = waybill_crds::GROUP;
    let board = json!([
        {"apiGroups": [group], "resources": ["deliveries"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [group], "resources": ["sellers", "carriers"], "verbs": ["list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["waybill-trust"], "verbs": ["list", "watch"]},
    ]);
    let viewer = json!([{"apiGroups": [group], "resources": ["deliveries"], "verbs": ["get", "list"]}]);
    for (name, rules) in [(ACCOUNT, board), ("waybill-viewer", viewer)] {
        create::<ServiceAccount>(namespace, json!({"metadata": {"name": name}})).await;
        create::<Role>(namespace, json!({"metadata": {"name": name}, "rules": rules})).await;
        create::<RoleBinding>(namespace, bound(namespace, name, ("Role", name))).await;
    }
    let home = Api::<k8s_openapi::api::core::v1::Namespace>::all(namespace.client.clone());
    let uid = home.get(&namespace.name).await.unwrap().metadata.uid;
    let mut delegator = bound(namespace, ACCOUNT, ("ClusterRole", "system:auth-delegator"));
    // It goes with the namespace, which owns it.
    delegator["metadata"] = json!({"name": format!("{}-board", namespace.name), "ownerReferences":
        [{"apiVersion": "v1", "kind": "Namespace", "name": namespace.name, "uid": uid}]});
    let bindings: Api<ClusterRoleBinding> = Api::all(namespace.client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(delegator).unwrap()).await.unwrap();
}

fn bound(namespace: &Namespace, account: &str, (kind, role): (&str, &str)) -> Value {
    json!({"metadata": {"name": account}, "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
           "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": namespace.name}]})
}

async fn create<K>(namespace: &Namespace, body: Value) -> K
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + serde::Serialize
        + std::fmt::Debug,
{
    let object: K = serde_json::from_value(body).unwrap();
    namespace.api::<K>().create(&PostParams::default(), &object).await.unwrap()
}

impl Room {
    /// A token of an account of the namespace, for this audience or for the API server itself.
    pub(crate) async fn token(&self, account: &str, audience: Option<&str>) -> String {
        let audiences: Vec<&str> = audience.into_iter().collect();
        let asked: TokenRequest = serde_json::from_value(json!({"spec": {"audiences": audiences}})).unwrap();
        let accounts = self.namespace.api::<ServiceAccount>();
        let made = accounts.create_token_request(account, &PostParams::default(), &asked).await.unwrap();
        made.status.unwrap().token
    }

    pub(crate) async fn ask(&self, request: reqwest::RequestBuilder) -> Seen {
        let answer = request.header("accept", "text/html").send().await.unwrap();
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        Seen { status, headers, text: answer.text().await.unwrap() }
    }

    pub(crate) async fn get(&self, path: &str, cookie: &str) -> Seen {
        self.ask(self.http.get(format!("{}{path}", self.base)).header("cookie", cookie)).await
    }

    /// A one-time code for whoever has this token.
    pub(crate) async fn code(&self, token: &str) -> Option<String> {
        let answer = self.http.post(format!("{}/api/session", self.base)).bearer_auth(token).send().await.unwrap();
        if answer.status() != 201 {
            return None;
        }
        let body: Value = answer.json().await.unwrap();
        Some(body["code"].as_str().unwrap().to_owned())
    }

    /// Hands a code in as the login page does.
    pub(crate) async fn enter(&self, code: &str) -> Seen {
        let form = self.http.post(format!("{}/login", self.base)).header("sec-fetch-site", "same-origin");
        let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("code={code}"));
        self.ask(form).await
    }

    /// The cookie of somebody who logs in as this account.
    pub(crate) async fn login(&self, account: &str) -> String {
        let token = self.token(account, Some("waybill-board")).await;
        let entered = self.enter(&self.code(&token).await.unwrap()).await;
        assert_eq!((entered.status, entered.header("location")), (303, "/"));
        entered.header("set-cookie").split(';').next().unwrap().to_owned()
    }

    pub(crate) async fn delivery(&self, upc: &str) -> Delivery {
        let object = objects::delivery(upc, "books", "van-1");
        eventually(upc, SOON, || objects::apply::<Delivery>(&self.namespace, &object)).await
    }

    /// What the operator or a service would write.
    pub(crate) async fn status(&self, upc: &str, status: Value) {
        let patch = Patch::Merge(json!({"status": status}));
        self.namespace.api::<Delivery>().patch_status(upc, &PatchParams::default(), &patch).await.unwrap();
    }
}
