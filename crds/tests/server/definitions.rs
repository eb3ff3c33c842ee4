//! The definitions as a user meets them: samples, columns, selectors, explanations, strictness.

use std::path::Path;

use kube::api::{ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Resource};
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Seller};

use crate::room::{Room, delivery, in_room, with};

fn samples() -> Vec<(String, Value)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("samples");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
        .into_iter()
        .map(|path| {
            let text = std::fs::read_to_string(&path).unwrap();
            (path.display().to_string(), serde_saphyr::from_str(&text).unwrap_or_else(|why| panic!("{path:?}: {why}")))
        })
        .collect()
}

/// Read as our own types and written again, a sample says the same.
#[test]
fn samples_survive_our_types() {
    let mut kinds = std::collections::BTreeSet::new();
    for (file, sample) in samples() {
        let kind = sample["kind"].as_str().unwrap().to_owned();
        let ours = match kind.as_str() {
            "Delivery" => serde_json::from_value::<Delivery>(sample.clone()).map(|o| serde_json::to_value(o).unwrap()),
            "Seller" => serde_json::from_value::<Seller>(sample.clone()).map(|o| serde_json::to_value(o).unwrap()),
            "Carrier" => serde_json::from_value::<Carrier>(sample.clone()).map(|o| serde_json::to_value(o).unwrap()),
            other => panic!("{file}: a {other}"),
        };
        let ours = ours.unwrap_or_else(|why| panic!("{file}: {why}"));
        for (field, value) in sample["spec"].as_object().unwrap() {
            assert_eq!(&ours["spec"][field], value, "{file}: {field}");
        }
        kinds.insert(kind);
    }
    assert_eq!(kinds.len(), 3, "a sample of each kind");
}

#[tokio::test]
async fn samples_keep_validating() {
    in_room("samples_keep_validating", async |room| {
        for (file, sample) in samples() {
            strictly(&room, &sample).await.unwrap_or_else(|why| panic!("{file}: {why}"));
        }
    })
    .await;
}

/// What `kubectl create` sends: unknown fields are errors. Nothing is stored.
async fn strictly(room: &Room, object: &Value) -> kube::Result<Value> {
    let url = match object["kind"].as_str() {
        Some("Delivery") => Delivery::url_path(&(), Some(&room.namespace.name)),
        Some("Seller") => Seller::url_path(&(), Some(&room.namespace.name)),
        _ => Carrier::url_path(&(), Some(&room.namespace.name)),
    };
    let params = PostParams { dry_run: true, ..PostParams::default() };
    let mut request = Request::new(url).create(&params, serde_json::to_vec(object).unwrap()).unwrap();
    *request.uri_mut() = format!("{}&fieldValidation=Strict", request.uri()).parse().unwrap();
    room.namespace.client.request(request).await
}

#[tokio::test]
async fn an_unknown_field_is_refused_by_strict_validation() {
    in_room("an_unknown_field_is_refused_by_strict_validation", async |room| {
        let typo = with(delivery("upc-1"), json!({"carier": "truck-7"}));
        match strictly(&room, &typo).await {
            Err(kube::Error::Api(status)) => {
                assert!(status.message.contains(r#"unknown field "spec.carier""#), "{}", status.message);
            }
            other => panic!("expected a refusal, got {other:?}"),
        }
        let apply = PatchParams::apply("user").validation_strict().dry_run();
        let answer = room.plain::<Delivery>().patch("upc-1", &apply, &Patch::Apply(&typo)).await;
        let why = answer.expect_err("server-side apply knows the schema, too").to_string();
        assert!(why.contains("carier"), "{why}");
    })
    .await;
}

#[tokio::test]
async fn deliveries_are_selected_by_carrier_and_seller() {
    in_room("deliveries_are_selected_by_carrier_and_seller", async |room| {
        for (name, carrier) in [("upc-1", "truck-7"), ("upc-2", "drone-2"), ("upc-3", "truck-7")] {
            room.create::<Delivery>(&with(delivery(name), json!({"carrier": carrier}))).await;
        }
        let api: Api<Delivery> = room.namespace.api();
        let count = async |fields: &str| api.list(&ListParams::default().fields(fields)).await.unwrap().items.len();
        assert_eq!(count("spec.carrier=truck-7").await, 2);
        assert_eq!(count("spec.carrier=drone-2,spec.seller=acme").await, 1);
        assert_eq!(count("spec.seller=other").await, 0);
    })
    .await;
}

/// The titles of the columns `kubectl get` shows, and with `-o wide`.
async fn columns<K: Resource<DynamicType = ()>>(room: &Room) -> (String, String) {
    let url = K::url_path(&(), Some(&room.namespace.name));
    let mut request = Request::new(url).list(&ListParams::default()).unwrap();
    request.headers_mut().insert("accept", "application/json;as=Table;v=v1;g=meta.k8s.io".parse().unwrap());
    let table: Value = room.namespace.client.request(request).await.unwrap();
    let titles = |wide: bool| {
        let columns = table["columnDefinitions"].as_array().unwrap().iter();
        let shown = columns.filter(|c| (c["priority"] != json!(0)) == wide);
        shown.map(|c| c["name"].as_str().unwrap()).collect::<Vec<_>>().join(" ")
    };
    (titles(false), titles(true))
}

#[tokio::test]
async fn columns_show_what_matters() {
    in_room("columns_show_what_matters", async |room| {
        let expect = |narrow: &str, wide: &str| (narrow.to_owned(), wide.to_owned());
        assert_eq!(
            columns::<Delivery>(&room).await,
            expect("Name Phase Stage Carrier Ready Age", "UPC Seller Message")
        );
        assert_eq!(columns::<Seller>(&room).await, expect("Name Ready Orders Suspended Age", "Expires Message"));
        let carrier = expect("Name Kind Camera Ready Age", "Suspended Revoked Expires Message");
        assert_eq!(columns::<Carrier>(&room).await, carrier);
    })
    .await;
}
