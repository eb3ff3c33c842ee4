//! What the operator and the chart make around a Carrier API, played, and the Carrier API itself.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use clap::Parser;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace as KubeNamespace, ServiceAccount};
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, Role as RbacRole, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use rcgen::ExtendedKeyUsagePurpose as Usage;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use waybill_carrier::{Args, Bucket, Error};
use waybill_e2e::{Namespace, eventually, objects};
use waybill_protocol::Role;

use crate::domain::{Ca, Somebody};
use crate::room::SOON;

const ACCOUNT: &str = "waybill-carrier-api";

/// Where the files of a Carrier API lie, and as whom it runs.
#[derive(Clone)]
pub(crate) struct Home {
    pub(crate) namespace: Namespace,
    pub(crate) photos: String,
    pub(crate) bucket: Bucket,
    /// How many of its next writes the API server will find against its rules.
    pub(crate) refused: Arc<AtomicUsize>,
    pub(crate) root: PathBuf,
}

/// A Carrier API under way.
pub(crate) struct Running {
    pub(crate) address: SocketAddr,
    shutdown: CancellationToken,
    task: JoinHandle<Result<(), Error>>,
}

#[derive(Parser)]
struct Line {
    #[command(flatten)]
    args: Args,
}

pub(crate) async fn define(namespace: &Namespace) {
    let api: Api<CustomResourceDefinition> = Api::all(namespace.client.clone());
    for kind in waybill_crds::all() {
        let params = PatchParams::apply("waybill-test").force();
        api.patch(&kind.name_any(), &params, &Patch::Apply(&kind)).await.unwrap();
        let established = kube::runtime::wait::conditions::is_crd_established();
        kube::runtime::wait::await_condition(api.clone(), &kind.name_any(), established).await.unwrap();
    }
}

/// What the operator and the chart give the Carrier API's account, and not more.
pub(crate) async fn rights(namespace: &Namespace) {
    let group = waybill_crds::GROUP;
    let role = json!({"metadata": {"name": ACCOUNT}, "rules": [
        {"apiGroups": [group], "resources": ["deliveries"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [group], "resources": ["deliveries/status"], "verbs": ["patch"]},
        {"apiGroups": [group], "resources": ["sellers", "carriers"], "verbs": ["get", "list", "watch"]},
        {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["waybill-trust"], "verbs": ["list", "watch"]},
    ]});
    let subject = json!([{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace.name}]);
    let bound = |name: &str, kind: &str, role: &str| {
        json!({"metadata": {"name": name}, "subjects": subject,
               "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role}})
    };
    create::<RbacRole>(namespace, role).await;
    create::<RoleBinding>(namespace, bound(ACCOUNT, "Role", ACCOUNT)).await;
    create::<ServiceAccount>(namespace, json!({"metadata": {"name": ACCOUNT}})).await;
    // It goes with the namespace, which owns it.
    let home = Api::<KubeNamespace>::all(namespace.client.clone()).get(&namespace.name).await.unwrap();
    let mut delegator = bound(&format!("{}-delegator", namespace.name), "ClusterRole", "system:auth-delegator");
    delegator["metadata"]["ownerReferences"] =
        json!([{"apiVersion": "v1", "kind": "Namespace", "name": namespace.name, "uid": home.metadata.uid}]);
    let bindings: Api<ClusterRoleBinding> = Api::all(namespace.client.clone());
    bindings.create(&PostParams::default(), &serde_json::from_value(delegator).unwrap()).await.unwrap();
}

pub(crate) async fn create<K>(namespace: &Namespace, body: Value) -> K
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

/// A Seller or Carrier no operator looks at, with keys the CA states.
pub(crate) async fn enrol<K>(namespace: &Namespace, ca: &Ca, role: Role, name: &str, spec: Value) -> Somebody
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let body = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "spec": spec,
        "metadata": {"name": name, "annotations": {waybill_crds::annotation::PAUSED: "true"}}});
    let object = eventually(name, SOON, || objects::apply::<K>(namespace, &body)).await;
    let keys = ca.somebody(role, &namespace.name, name, &object.uid().unwrap());
    restate::<K>(namespace, name, &keys).await;
    keys
}

/// The next statement of somebody, in place of the last one.
pub(crate) async fn restate<K>(namespace: &Namespace, name: &str, keys: &Somebody)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug,
{
    let status = json!({"status": {"keyStatement": STANDARD.encode(&keys.statement)}});
    namespace.api::<K>().patch_status(name, &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
}

/// The ConfigMap from which services learn whom to trust and who is revoked.
pub(crate) async fn publish(namespace: &Namespace, ca: &Ca, number: u64, revoked: &[&str]) {
    publish_with(namespace, (ca, ""), number, revoked).await;
}

/// With certificates of authorities that count no longer.
pub(crate) async fn publish_with(namespace: &Namespace, (ca, former): (&Ca, &str), number: u64, revoked: &[&str]) {
    let entries: Vec<_> = revoked.iter().map(|uid| json!({"serial": "", "uid": uid})).collect();
    let revoked = json!({"number": number, "entries": entries}).to_string();
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "waybill-trust"},
                      "data": {"ca.crt": ca.pem(), "former-ca.crt": former, "revoked.json": revoked,
                               "revoked.sig": "c2lnbmVk"}});
    objects::apply::<ConfigMap>(namespace, &body).await.unwrap();
}

/// The folders the operator mounts.
pub(crate) fn files(root: &Path, ca: &Ca, namespace: &str) {
    let leaf = ca.leaf("the-carrier-api", Usage::ServerAuth);
    let write = |name: &str, content: &[u8]| {
        let path = root.join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    };
    write("tls/tls.crt", leaf.chain.as_bytes());
    write("tls/tls.key", leaf.key.as_bytes());
    write("tls/ca.crt", ca.pem().as_bytes());
    let own = ca.somebody(Role::CarrierApi, namespace, ACCOUNT, "the-carrier-api");
    write("keys/ed25519.seed", &own.seed);
    write("keys/statement", &own.statement);
}

impl Home {
    pub(crate) async fn start(&self) -> Running {
        let root = |name: &str| self.root.join(name).display().to_string();
        let line = Line::parse_from([
            "carrier-api",
            "--namespace",
            &self.namespace.name,
            "--uid",
            "the-carrier-api",
            "--tls-dir",
            &root("tls"),
            "--keys-dir",
            &root("keys"),
            "--photos-url",
            &self.photos,
            "--probe-addr",
            "127.0.0.1:0",
        ]);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let (address, shutdown) = (listener.local_addr().unwrap(), CancellationToken::new());
        let args = Args { bucket: self.bucket.clone(), ..line.args };
        let task = tokio::spawn(waybill_carrier::run_on(self.client(), listener, args, shutdown.clone()));
        Running { address, shutdown, task }
    }
}

impl Home {
    /// Its way to the API server, which now and then is told what nobody said.
    fn client(&self) -> kube::Client {
        let client = self.namespace.cluster.as_account(&self.namespace.name, ACCOUNT);
        let refused = Arc::clone(&self.refused);
        let through = move |request: http::Request<kube::client::Body>| {
            let (client, refused) = (client.clone(), Arc::clone(&refused));
            async move {
                let less = |left: usize| left.checked_sub(1);
                let patch = request.method() == http::Method::PATCH;
                if patch && refused.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less).is_ok() {
                    let status = json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure",
                        "message": "a path that is not there", "reason": "Invalid", "code": 422});
                    let body = kube::client::Body::from(status.to_string().into_bytes());
                    return Ok(http::Response::builder().status(422).body(body).unwrap());
                }
                client.send(request).await
            }
        };
        kube::Client::new(tower::service_fn(through), self.namespace.name.clone())
    }
}

impl Running {
    pub(crate) async fn stop(self) {
        self.shutdown.cancel();
        tokio::time::timeout(SOON, self.task).await.unwrap().unwrap().unwrap();
    }
}
