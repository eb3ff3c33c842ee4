//! Everything in a namespace as it would read in any other: no uids, no times, no key material, no resource versions. Two
//! namespaces that were told the same have equal snapshots, whatever happened on the way.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{ApiResource, DynamicObject, ListParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Seller};

use crate::Namespace;

/// Every kind Waybill makes or is told of.
pub fn kinds() -> Vec<ApiResource> {
    vec![
        ApiResource::erase::<Delivery>(&()),
        ApiResource::erase::<Seller>(&()),
        ApiResource::erase::<Carrier>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Deployment>(&()),
        ApiResource::erase::<Service>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Role>(&()),
        ApiResource::erase::<RoleBinding>(&()),
        ApiResource::erase::<PodDisruptionBudget>(&()),
        ApiResource::erase::<NetworkPolicy>(&()),
        ApiResource::erase::<Lease>(&()),
    ]
}

/// Objects by `Kind/name`, as they are.
pub async fn objects(namespace: &Namespace) -> kube::Result<BTreeMap<String, DynamicObject>> {
    let mut found = BTreeMap::new();
    for kind in kinds() {
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
        for object in api.list(&ListParams::default()).await?.items {
            let name = object.metadata.name.clone().unwrap_or_default();
            found.insert(format!("{}/{name}", kind.kind), object);
        }
    }
    Ok(found)
}

/// Objects by `Kind/name`, normalised.
pub async fn snapshot(namespace: &Namespace) -> kube::Result<BTreeMap<String, Value>> {
    let objects = objects(namespace).await?;
    let mut names: Vec<(String, String)> =
        objects.iter().filter_map(|(name, object)| Some((object.metadata.uid.clone()?, format!("<{name}>")))).collect();
    names.push((namespace.name.clone(), "<namespace>".into()));
    let normal = |(name, object): (&String, &DynamicObject)| {
        let kind = name.split('/').next().unwrap_or_default();
        let mut text = normal(kind, object).to_string();
        for (id, instead) in &names {
            text = text.replace(id, instead);
        }
        let text = text.split('/').map(nameless).collect::<Vec<_>>().join("/");
        (name.clone(), serde_json::from_str(&text).expect("still JSON"))
    };
    Ok(objects.iter().map(normal).collect())
}

/// Everything the operator made hangs on something that lives.
pub async fn nobody_is_orphaned(namespace: &Namespace) {
    let objects = objects(namespace).await.expect("everything");
    let alive: BTreeSet<_> = objects.values().filter_map(DynamicObject::uid).collect();
    // They belong to the whole namespace.
    let anchors = ["ConfigMap/waybill-trust", "ServiceAccount/waybill-carrier-api"];
    for (name, object) in &objects {
        let owners = object.owner_references();
        let made = object.labels().get("app.kubernetes.io/managed-by").is_some_and(|by| by == "waybill-operator");
        if made && !anchors.contains(&name.as_str()) {
            assert!(!owners.is_empty(), "{name} has no owner");
        }
        for owner in owners {
            assert!(alive.contains(&owner.uid), "{name} belongs to {}, which is gone", owner.name);
        }
    }
}

/// A topic goes on naming a Carrier that was deleted.
fn nameless(part: &str) -> &str {
    let is_uid = part.len() == 36 && part.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit());
    if is_uid { "<gone>" } else { part }
}

/// What differs between two snapshots, a line each.
pub fn differences(left: &BTreeMap<String, Value>, right: &BTreeMap<String, Value>) -> Vec<String> {
    let names = left.keys().chain(right.keys().filter(|name| !left.contains_key(*name)));
    let mut lines = Vec::new();
    for name in names {
        compare(name, left.get(name).unwrap_or(&Value::Null), right.get(name).unwrap_or(&Value::Null), &mut lines);
    }
    lines
}

fn compare(at: &str, left: &Value, right: &Value, lines: &mut Vec<String>) {
    match (left, right) {
        (Value::Object(a), Value::Object(b)) => {
            for key in a.keys().chain(b.keys().filter(|key| !a.contains_key(*key))) {
                let of = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or_default();
                compare(&format!("{at}.{key}"), &of(a), &of(b), lines);
            }
        }
        _ if left != right => lines.push(format!("{at}: {left} | {right}")),
        _ => {}
    }
}

fn normal(kind: &str, object: &DynamicObject) -> Value {
    let meta = &object.metadata;
    let mut annotations = meta.annotations.clone().unwrap_or_default();
    // What a hash is made of differs; that there is one does not.
    annotations.retain(|key, _| key.starts_with("waybill.dev/") || key.starts_with("deployment.kubernetes.io/"));
    annotations.entry("waybill.dev/applied-hash".into()).and_modify(|hash| *hash = "there".into());
    let mut normal = object.data.clone();
    for key in ["data", "binaryData"] {
        if let Some(keys) = normal[key].as_object().map(|data| data.keys().cloned().collect::<Vec<_>>()) {
            normal[key] = json!(keys);
        }
    }
    normal["metadata"] = json!({
        "labels": meta.labels, "annotations": annotations, "owners": owners(object), "generation": meta.generation,
        "leaving": meta.deletion_timestamp.is_some(), "finalizers": meta.finalizers,
    });
    normal["status"] = status(kind, &normal["status"]);
    match kind {
        "Carrier" => forget(&mut normal, &["/spec/transport/external"]),
        "Service" => forget(&mut normal, &["/spec/clusterIP", "/spec/clusterIPs"]),
        "Deployment" => forget(&mut normal, &["/spec/template/metadata/annotations/waybill.dev~1content-hash"]),
        // Who holds it, and where that one is reached.
        "Lease" => forget(&mut normal, &["/spec", "/metadata/annotations/waybill.dev~1address"]),
        _ => {}
    }
    normal
}

fn owners(object: &DynamicObject) -> Vec<Value> {
    let mut owners: Vec<_> = object.metadata.owner_references.iter().flatten().collect();
    // One after the other as they came: an order that says nothing.
    owners.sort_by_key(|o| (&o.kind, &o.name));
    owners.into_iter().map(|o| json!([o.kind, o.name, o.uid, o.controller, o.block_owner_deletion])).collect()
}

fn status(kind: &str, status: &Value) -> Value {
    if kind == "PodDisruptionBudget" {
        return Value::Null;
    }
    if kind == "Deployment" {
        return json!([status["replicas"], status["availableReplicas"], status["updatedReplicas"]]);
    }
    let mut normal = status.clone();
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let said: BTreeMap<&str, Value> =
        conditions.filter_map(|c| Some((c["type"].as_str()?, json!([c["status"], c["reason"]])))).collect();
    if !said.is_empty() {
        normal["conditions"] = json!(said);
    }
    for key in ["certificate", "keyStatement", "finishedAt"] {
        if !status[key].is_null() {
            normal[key] = json!("there");
        }
    }
    normal
}

/// Leaves the place, not the content.
fn forget(object: &mut Value, pointers: &[&str]) {
    for pointer in pointers {
        if let Some(place) = object.pointer_mut(pointer) {
            *place = json!("there");
        }
    }
}
