//! Personal data never reaches a custom resource, an event, a log, a metric, a ConfigMap or a pod's environment (promise 4).
//!
//! Orders are made of marker texts; the scan reads everything a cluster shows but the order Secrets themselves. A planted
//! marker shows that the scan would find one.

use k8s_openapi::api::core::v1::{ConfigMap, Event, Pod};
use kube::ResourceExt;
use kube::api::{ListParams, LogParams, PostParams};
use serde_json::json;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::objects::{self, apply, delivery, wait_condition};
use waybill_e2e::{Namespace, in_namespace};

const MARKER: &str = "MARKER-";

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_an_order_shows_anywhere_but_in_its_secret() {
    in_namespace("privacy", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-1", "Ready", "True", None).await;
        wait_condition::<Seller>(&namespace, "shop", "OrdersAvailable", "True", None).await;
        assert_eq!(marked(&everything(&namespace).await), Vec::<String>::new());
        plant(&namespace).await;
        assert_eq!(marked(&everything(&namespace).await), ["ConfigMap planted"], "the scan finds what is planted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_malformed_order_is_named_but_not_shown() {
    in_namespace("malformed", &[], |namespace| async move {
        let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-shop"},
                          "stringData": {"upc-1": "country: [MARKER-country", "upc-2": objects::order("upc-2")}});
        apply::<k8s_openapi::api::core::v1::Secret>(&namespace, &body).await.expect("a Secret");
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
async fn everything(namespace: &Namespace) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    let all = ListParams::default();
    macro_rules! list {
        ($kind:ty, $word:literal) => {
            for object in namespace.api::<$kind>().list(&all).await.expect("a list") {
                let text = serde_json::to_string(&object).expect("JSON");
                seen.push((format!("{} {}", $word, object.name_any()), text));
            }
        };
    }
    list!(Delivery, "Delivery");
    list!(Seller, "Seller");
    list!(Carrier, "Carrier");
    list!(ConfigMap, "ConfigMap");
    list!(Event, "Event");
    list!(Pod, "Pod");
    for pod in namespace.api::<Pod>().list(&all).await.expect("pods") {
        let name = pod.name_any();
        let log = namespace.api::<Pod>().logs(&name, &LogParams::default()).await.unwrap_or_default();
        seen.push((format!("log of {name}"), log));
        let metrics = objects::probe(namespace, &name, "/metrics").await.unwrap_or_default();
        seen.push((format!("metrics of {name}"), metrics));
    }
    seen
}

fn marked(everything: &[(String, String)]) -> Vec<String> {
    everything.iter().filter(|(_, text)| text.contains(MARKER)).map(|(name, _)| name.clone()).collect()
}

async fn plant(namespace: &Namespace) {
    let mut planted = ConfigMap::default();
    planted.metadata.name = Some("planted".into());
    planted.data = Some([("door".to_owned(), "MARKER-door".to_owned())].into());
    namespace.api::<ConfigMap>().create(&PostParams::default(), &planted).await.expect("planted");
}
