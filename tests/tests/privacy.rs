//! Personal data never reaches a custom resource, a topic, an event, a log, a metric or a pod's environment (promise 4).
//!
//! Orders are made of marker texts; the scan reads everything a cluster shows but the order Secrets themselves: each object
//! in the namespace (a Delivery's status holds its topics, a pod its environment), each log and metric of it, and those of
//! the operator and the broker. Markers planted in each sort of place show that the scan would find one.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod, Secret};
use kube::api::{ApiResource, DynamicObject, ListParams, LogParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_crds::{Delivery, Seller};
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, apply, delivery, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace, snapshot};

const MARKER: &str = "MARKER-";
const PLANTED: &str = "planted";

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_an_order_shows_anywhere_but_in_its_secret() {
    in_namespace("privacy", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        // Every part of the address has gone its way by then.
        wait_condition::<Delivery>(&namespace, "upc-1", "Delivered", "True", None).await;
        wait_condition::<Seller>(&namespace, "shop", "OrdersAvailable", "True", None).await;
        assert_eq!(marked(&everything(&namespace).await), Vec::<String>::new());
        plant(&namespace).await;
        let found = marked(&everything(&namespace).await);
        let all = ["ConfigMap planted", "Delivery upc-1", "Event planted", "Pod planted", "Secret planted"];
        assert_eq!(found, [&all[..], &["log of planted/planted"]].concat(), "the scan finds what is planted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_order_is_named_but_not_shown() {
    in_namespace("malformed", &[], |namespace| async move {
        let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-shop"},
                          "stringData": {"upc-1": "country: [MARKER-country"}});
        apply::<Secret>(&namespace, &body).await.expect("a Secret");
        let seller =
            json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": "shop"}, "spec": {}});
        apply::<Seller>(&namespace, &seller).await.expect("a Seller");
        let seller: Seller =
            wait_condition(&namespace, "shop", "OrdersAvailable", "False", Some("OrderMalformed")).await;
        let message = &objects::Conditions::condition(&seller, "OrdersAvailable").expect("the condition").message;
        assert!(message.contains("orders-shop") && message.contains("upc-1"), "names Secret and key: {message}");
        assert_eq!(marked(&everything(&namespace).await), Vec::<String>::new());
        // Mended, it is seen without anybody's help.
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        wait_condition::<Seller>(&namespace, "shop", "OrdersAvailable", "True", None).await;
    })
    .await;
}

// === helpers ===

/// Each thing the cluster shows, by a name for the report.
async fn everything(namespace: &Namespace) -> BTreeMap<String, String> {
    let mut seen = objects(namespace, snapshot::kinds()).await;
    seen.extend(objects(namespace, vec![ApiResource::erase::<Event>(&()), ApiResource::erase::<Pod>(&())]).await);
    let home = Namespace { name: SYSTEM.into(), ..namespace.clone() };
    seen.extend(objects(&home, vec![ApiResource::erase::<ConfigMap>(&()), ApiResource::erase::<Event>(&())]).await);
    for place in [namespace, &home] {
        said(place, &mut seen).await;
    }
    seen
}

/// Objects as JSON, what Secrets hold as it reads.
async fn objects(namespace: &Namespace, kinds: Vec<ApiResource>) -> BTreeMap<String, String> {
    let mut seen = BTreeMap::new();
    for kind in kinds {
        let api: Api<DynamicObject> = Api::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
        for mut object in api.list(&ListParams::default()).await.expect("a list") {
            let name = object.name_any();
            if kind.kind == "Secret" && name.starts_with("orders-") {
                continue;
            }
            for value in object.data["data"].as_object_mut().into_iter().flatten().map(|(_, value)| value) {
                let bytes = value.as_str().and_then(|text| STANDARD.decode(text).ok());
                if let Some(bytes) = bytes.filter(|_| kind.kind == "Secret") {
                    *value = json!(String::from_utf8_lossy(&bytes));
                }
            }
            seen.insert(format!("{} {name}", kind.kind), serde_json::to_string(&object).expect("JSON"));
        }
    }
    seen
}

/// What the containers there say in logs and metrics.
async fn said(namespace: &Namespace, seen: &mut BTreeMap<String, String>) {
    for pod in namespace.api::<Pod>().list(&ListParams::default()).await.expect("pods") {
        let (name, spec) = (pod.name_any(), pod.spec.unwrap_or_default());
        for container in spec.containers.into_iter().chain(spec.init_containers.into_iter().flatten()) {
            let params = LogParams { container: Some(container.name.clone()), ..LogParams::default() };
            let log =
                heard(namespace, &name, async |pods| pods.logs(&name, &params).await.map_err(|why| why.to_string()))
                    .await;
            seen.extend(log.map(|log| (format!("log of {name}/{}", container.name), log)));
        }
        if name != PLANTED {
            let metrics = heard(namespace, &name, async |_| objects::probe(namespace, &name, "/metrics").await).await;
            assert!(metrics.iter().all(|text| text.contains("waybill_")), "metrics of {name}: {metrics:?}");
            seen.extend(metrics.map(|metrics| (format!("metrics of {name}"), metrics)));
        }
    }
}

/// What a pod says once it runs; nothing if it leaves meanwhile.
async fn heard(
    namespace: &Namespace,
    pod: &str,
    ask: impl AsyncFn(Api<Pod>) -> Result<String, String>,
) -> Option<String> {
    eventually(&format!("{pod} speaks"), objects::PROVISIONED, async || {
        let pods = namespace.api::<Pod>();
        match ask(pods.clone()).await {
            Ok(said) => Ok(Some(said)),
            Err(why) => match pods.get_opt(pod).await {
                Ok(None) => Ok(None),
                _ => Err(why),
            },
        }
    })
    .await
}

/// Where a marker is, in order.
fn marked(everything: &BTreeMap<String, String>) -> Vec<String> {
    everything.iter().filter(|(_, text)| text.contains(MARKER)).map(|(name, _)| name.clone()).collect()
}

/// A marker in each sort of place.
async fn plant(namespace: &Namespace) {
    let meta = json!({"name": PLANTED});
    let data = json!({"door": "MARKER-door"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data});
    apply::<ConfigMap>(namespace, &map).await.expect("planted");
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": meta, "stringData": data});
    apply::<Secret>(namespace, &secret).await.expect("planted");
    let about = json!({"kind": "Delivery", "name": "upc-1", "namespace": namespace.name});
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": meta, "message": "MARKER-door",
                       "involvedObject": about});
    apply::<Event>(namespace, &event).await.expect("planted");
    let note = Patch::Merge(json!({"metadata": {"annotations": {"note": "MARKER-door"}}}));
    namespace.api::<Delivery>().patch("upc-1", &PatchParams::default(), &note).await.expect("planted");
    plant_a_pod(namespace).await;
}

/// A pod with a marker in its environment, that repeats one in its log.
async fn plant_a_pod(namespace: &Namespace) {
    let operators: Api<Deployment> = Api::namespaced(namespace.client.clone(), SYSTEM);
    let operator = operators.get("waybill-operator").await.expect("the operator");
    let image = operator.spec.and_then(|s| s.template.spec?.containers.pop()?.image).expect("its image");
    let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": PLANTED}, "spec": {
        "restartPolicy": "Never", "automountServiceAccountToken": false,
        "securityContext": {"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}},
        "containers": [{
            "name": PLANTED, "image": image, "args": ["check", "MARKER-log"],
            "env": [{"name": "DOOR", "value": "MARKER-door"}],
            "securityContext": {"allowPrivilegeEscalation": false, "capabilities": {"drop": ["ALL"]}}
        }]
    }});
    apply::<Pod>(namespace, &pod).await.expect("planted");
    eventually("the planted pod has spoken", objects::PROVISIONED, || async {
        let log = namespace.api::<Pod>().logs(PLANTED, &LogParams::default()).await.map_err(|why| why.to_string())?;
        if log.contains(MARKER) { Ok(()) } else { Err(log) }
    })
    .await;
}
