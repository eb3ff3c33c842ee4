//! What the operator and the chart leave in the cluster, played: definitions, rights, objects nobody reconciles, trust.

use std::path::Path;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::rbac::v1::{Role as RbacRole, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use k8s_openapi::jiff::Timestamp;
use kube::api::{Patch, PatchParams, PostParams};
use kube::config::Kubeconfig;
use kube::core::NamespaceResourceScope;
use kube::{Api, Client, Resource, ResourceExt};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use waybill_crds::Delivery;
use waybill_e2e::{Namespace, cluster, eventually, objects};

use crate::domain::{Ca, Somebody};
use waybill_protocol::Role;

const SOON: Duration = Duration::from_secs(60);
pub(crate) const SELLER: &str = "wb-seller-acme";
pub(crate) const CARRIER_API: &str = "waybill-carrier-api";

/// Our kinds, once for a cluster.
pub(crate) async fn define(client: &Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for kind in waybill_crds::all() {
        let params = PatchParams::apply("waybill-test").force();
        api.patch(&kind.name_any(), &params, &Patch::Apply(&kind)).await.unwrap();
        let established = kube::runtime::wait::conditions::is_crd_established();
        kube::runtime::wait::await_condition(api.clone(), &kind.name_any(), established).await.unwrap();
    }
}

/// What the operator grants the accounts of a namespace, no more.
pub(crate) async fn rights(namespace: &Namespace) {
    let group = waybill_crds::GROUP;
    let rule = |group: &str, resources: &[&str], verbs: &[&str]| json!({"apiGroups": [group], "resources": resources, "verbs": verbs});
    let seller = [
        rule("", &["secrets", "configmaps"], &["list", "watch"]),
        rule(group, &["sellers"], &["list", "watch"]),
        rule(group, &["sellers/status", "deliveries/status"], &["patch"]),
        rule(group, &["deliveries", "carriers"], &["get", "list", "watch"]),
        rule("coordination.k8s.io", &["leases"], &["create", "get", "list", "watch", "patch"]),
    ];
    let api = [
        rule("", &["configmaps"], &["list", "watch"]),
        rule(group, &["deliveries", "sellers", "carriers"], &["get", "list", "watch"]),
        rule(group, &["deliveries/status"], &["patch"]),
    ];
    let operator = [rule(group, &["deliveries/status", "carriers/status", "sellers/status"], &["patch"])];
    grant(namespace, (&namespace.name, SELLER), &seller).await;
    grant(namespace, (&namespace.name, CARRIER_API), &api).await;
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

/// The operator's own account.
pub(crate) fn operator(namespace: &Namespace) -> Client {
    namespace.cluster.as_account("waybill-system", "waybill-operator")
}

/// A kubeconfig with which a process is this account of the namespace, and nobody else.
pub(crate) fn kubeconfig(namespace: &str, account: &str, file: &Path) {
    let path = std::env::var(cluster::KUBECONFIG).unwrap();
    let mut config = Kubeconfig::read_from(path).unwrap();
    for user in &mut config.auth_infos {
        let who = user.auth_info.as_mut().unwrap();
        let groups = ["system:serviceaccounts", &format!("system:serviceaccounts:{namespace}"), "system:authenticated"];
        who.impersonate = Some(format!("system:serviceaccount:{namespace}:{account}"));
        who.impersonate_groups = Some(groups.map(str::to_owned).to_vec());
    }
    std::fs::write(file, serde_json::to_string(&config).unwrap()).unwrap();
}

/// A Seller or Carrier with keys that this authority states.
pub(crate) async fn enrol<K>(namespace: &Namespace, ca: &Ca, role: Role, name: &str, spec: Value) -> Somebody
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let object = made::<K>(namespace, name, spec).await;
    let somebody = ca.somebody(role, &namespace.name, name, &object.uid().unwrap());
    state::<K>(namespace, name, &somebody).await;
    somebody
}

/// Publishes somebody's statement.
pub(crate) async fn state<K>(namespace: &Namespace, name: &str, somebody: &Somebody)
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let status = json!({"status": {"keyStatement": STANDARD.encode(&somebody.statement)}});
    let api: Api<K> = Api::namespaced(operator(namespace), &namespace.name);
    let (params, patch) = (PatchParams::default(), Patch::Merge(status));
    eventually(name, SOON, || api.patch_status(name, &params, &patch)).await;
}

/// Whom everybody in the namespace trusts; nobody is revoked.
pub(crate) async fn publish_trust(namespace: &Namespace, bundle: &str) {
    let body = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "waybill-trust"},
                      "data": {"ca.crt": bundle, "revoked.json": nobody_revoked()}});
    eventually("waybill-trust", SOON, || objects::apply::<ConfigMap>(namespace, &body)).await;
}

pub(crate) fn nobody_revoked() -> String {
    json!({"number": 1, "entries": []}).to_string()
}

/// A Delivery both of whose ends are there, as the operator says.
pub(crate) async fn deliver(namespace: &Namespace, spec: &Value, ends: [&Somebody; 2]) -> Delivery {
    let upc = spec["upc"].as_str().unwrap();
    let name = upc.to_lowercase().replace('_', "-");
    let delivery = made::<Delivery>(namespace, &name, spec.clone()).await;
    let [seller, carrier] = ends.map(|somebody| somebody.signer.uid().as_str());
    let topic = format!("wb/{seller}/{carrier}/{}", delivery.uid().unwrap());
    let ready = json!([{"type": "Ready", "status": "True", "reason": "Provisioned", "message": "both ends",
                        "lastTransitionTime": Timestamp::from_second(0).unwrap().to_string()}]);
    let topics = json!({"down": format!("{topic}/down"), "up": format!("{topic}/up")});
    let status = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": name},
                        "status": {"conditions": ready, "topics": topics}});
    let params = PatchParams::apply("waybill-operator").force();
    let api: Api<Delivery> = Api::namespaced(operator(namespace), &namespace.name);
    let patch = Patch::Apply(status);
    eventually(&name, SOON, || api.patch_status(&name, &params, &patch)).await
}

/// An object no operator touches. Right after its definition is established, a server may still not know it.
async fn made<K>(namespace: &Namespace, name: &str, spec: Value) -> K
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let body = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "spec": spec,
        "metadata": {"name": name, "annotations": {waybill_crds::annotation::PAUSED: "true"}}});
    eventually(name, SOON, || objects::apply::<K>(namespace, &body)).await
}
