//! The definitions as the API server takes them, and as the committed YAML shows them.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

use crate::{Carrier, Delivery, Seller};

/// Every custom resource definition of Waybill.
pub fn all() -> Vec<CustomResourceDefinition> {
    [Delivery::crd(), Seller::crd(), Carrier::crd()].into_iter().map(finished).collect()
}

/// Every definition as YAML, with the name of its file in `crds/generated`.
pub fn manifests() -> Vec<(String, String)> {
    all()
        .into_iter()
        .map(|crd| {
            let file = format!("{}.yaml", crd.spec.names.plural);
            let yaml = serde_saphyr::to_string(&crd).expect("a definition is plain data");
            (file, yaml)
        })
        .collect()
}

/// An optional field is left out, never `null`: a null would be stored and would read as present in the rules.
fn finished(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a definition is plain data");
    drop_nullable(&mut value);
    serde_json::from_value(value).expect("a definition with fewer keys is one")
}

fn drop_nullable(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|key, member| key != "nullable" || !member.is_boolean());
            members.values_mut().for_each(drop_nullable);
        }
        Value::Array(items) => items.iter_mut().for_each(drop_nullable),
        _ => {}
    }
}
