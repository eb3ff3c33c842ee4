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
            let mut value = serde_json::to_value(crd).expect("a definition is plain data");
            whole_numbers(&mut value);
            let yaml = serde_saphyr::to_string(&value).expect("a definition is plain data");
            (file, format!("# Printed from the types in crds/src by `make crds`; never edited by hand.\n{yaml}"))
        })
        .collect()
}

/// What the derives leave to be mended, in one place.
fn finished(crd: CustomResourceDefinition) -> CustomResourceDefinition {
    let mut value = serde_json::to_value(crd).expect("a definition is plain data");
    mend(&mut value);
    serde_json::from_value(value).expect("a definition with fewer keys is one")
}

fn mend(value: &mut Value) {
    match value {
        Value::Object(members) => {
            // An optional field is left out, never null: a null would be stored and would read as present in the rules.
            members.retain(|key, member| key != "nullable" || !member.is_boolean());
            members.retain(|key, member| key != "title" || !member.is_string());
            if let Some(Value::String(text)) = members.get_mut("description") {
                *text = unwrapped(text);
            }
            members.values_mut().for_each(mend);
        }
        Value::Array(items) => items.iter_mut().for_each(mend),
        _ => {}
    }
}

/// Doc comments break lines where the source does; `kubectl explain` breaks them where the terminal does.
fn unwrapped(text: &str) -> String {
    text.split("\n\n").map(|paragraph| paragraph.replace('\n', " ")).collect::<Vec<_>>().join("\n\n")
}

/// Bounds are floating-point numbers in the API's type; `10.0` would read oddly.
fn whole_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => {
            if let Some(whole) = number.as_f64().filter(|n| n.fract() == 0.0 && n.abs() < 1e15) {
                // Whole and far below 2^63, so the cast is exact.
                *value = Value::from(whole as i64);
            }
        }
        Value::Object(members) => members.values_mut().for_each(whole_numbers),
        Value::Array(items) => items.iter_mut().for_each(whole_numbers),
        _ => {}
    }
}

#[cfg(test)]
mod tests;
