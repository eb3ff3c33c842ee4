//! What a user sees of a Delivery before anybody moves: admitted or not, why, and what helps.

use std::process::Command;
use std::time::Duration;

use kube::ResourceExt;
use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::objects::{self, Conditions, PROVISIONED, apply, delivery, wait_condition};
use waybill_e2e::{Namespace, cluster, eventually, in_namespace};

const AUTO_CREATE: &[(&str, &str)] = &[("waybill.dev/auto-create", "enabled")];

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_ends_are_ready_is_admitted_with_its_topics() {
    in_namespace("admitted", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        let seller: Seller = wait_condition(&namespace, "shop", "Ready", "True", None).await;
        let carrier: Carrier = wait_condition(&namespace, "van", "Ready", "True", None).await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        let delivery: Delivery = wait_condition(&namespace, "upc-1", "Ready", "True", None).await;
        assert_eq!(delivery.condition("Admitted").map(|c| c.status.as_str()), Some("True"));
        let uid = |object: Option<String>| object.expect("a uid");
        let topic = format!("wb/{}/{}/{}", uid(seller.uid()), uid(carrier.uid()), uid(delivery.uid()));
        let status = delivery.status.clone().expect("a status");
        let topics = status.topics.expect("topics");
        assert_eq!((topics.down, topics.up), (format!("{topic}/down"), format!("{topic}/up")));
        assert_eq!(status.observed_generation, delivery.metadata.generation);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_waits_for_a_missing_carrier_and_goes_on_when_it_comes() {
    in_namespace("waits", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        let waiting: Delivery = wait_condition(&namespace, "upc-1", "Admitted", "False", Some("CarrierMissing")).await;
        let message = &waiting.condition("Admitted").expect("the condition").message;
        assert!(message.contains("van"), "the message names what is missing: {message}");
        assert!(namespace.api::<Carrier>().get_opt("van").await.expect("an answer").is_none(), "a typo creates nobody");
        objects::managed_carrier(&namespace, "van").await;
        wait_condition::<Delivery>(&namespace, "upc-1", "Ready", "True", None).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_younger_of_two_live_deliveries_with_one_upc_is_refused_until_the_older_ends() {
    in_namespace("duplicate", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        // Nobody runs this carrier's agent, so the first Delivery neither ends nor gets under way by itself.
        apply::<Carrier>(&namespace, &Keys::fresh().carrier(&namespace.name, "van")).await.expect("a Carrier");
        let first = apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-1", "Admitted", "True", None).await;
        // Age is counted in whole seconds.
        let created = first.creation_timestamp().expect("a time").0.as_second();
        eventually("a later second", PROVISIONED, || async move {
            if jiff::Timestamp::now().as_second() > created { Ok(()) } else { Err("the same second") }
        })
        .await;
        let mut second = delivery("upc-1", "shop", "van");
        second["metadata"]["name"] = json!("second");
        apply::<Delivery>(&namespace, &second).await.expect("the schema sees one object at a time");
        wait_condition::<Delivery>(&namespace, "second", "Admitted", "False", Some("DuplicateUpc")).await;
        namespace.api::<Delivery>().delete("upc-1", &DeleteParams::default()).await.expect("a user deletes it");
        wait_condition::<Delivery>(&namespace, "second", "Admitted", "True", None).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_enough_where_the_namespace_says_so_and_nothing_is_left_behind() {
    in_namespace("auto-create", AUTO_CREATE, |namespace| async move {
        objects::orders(&namespace, "shop", &["upc-1"]).await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-1", "Ready", "True", None).await;
        // It may be under way by now: then only who says so abandons it.
        let abandon = Patch::Merge(json!({"metadata": {"annotations": {"waybill.dev/abandon": "true"}}}));
        namespace
            .api::<Delivery>()
            .patch("upc-1", &PatchParams::default(), &abandon)
            .await
            .expect("a user annotates it");
        namespace.api::<Delivery>().delete("upc-1", &DeleteParams::default()).await.expect("a user deletes it");
        eventually("the seller and the carrier leave with it", PROVISIONED, || async {
            let seller = namespace.api::<Seller>().get_opt("shop").await.map_err(|why| why.to_string())?;
            let carrier = namespace.api::<Carrier>().get_opt("van").await.map_err(|why| why.to_string())?;
            if seller.is_none() && carrier.is_none() { Ok(()) } else { Err("still there".to_owned()) }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_called_off_before_pick_up_ends_cancelled_and_goes_when_its_time_is_up() {
    in_namespace("cancelled", &[], |namespace| async move {
        let mut body = delivery("upc-1", "shop", "van");
        body["spec"]["ttlAfterFinished"] = json!("5s");
        apply::<Delivery>(&namespace, &body).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-1", "Admitted", "False", None).await;
        let deliveries = namespace.api::<Delivery>();
        let cancel = Patch::Merge(json!({"spec": {"cancelled": {"reason": "recipientRequest"}}}));
        deliveries.patch("upc-1", &PatchParams::default(), &cancel).await.expect("a user cancels");
        eventually("it is Cancelled, then gone", Duration::from_secs(60), || async {
            match deliveries.get_opt("upc-1").await.map_err(|why| why.to_string())? {
                Some(delivery) => Err(format!("phase {}", delivery.phase())),
                None => Ok(()),
            }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn kubectl_shows_and_explains_what_a_user_needs() {
    in_namespace("kubectl", &[], |namespace| async move {
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-1", "Admitted", "False", None).await;
        let wide = kubectl(&namespace, &["get", "dlv", "-o", "wide"]);
        for column in ["PHASE", "STAGE", "CARRIER", "READY", "AGE", "UPC", "MESSAGE"] {
            assert!(wide.contains(column), "no column {column} in: {wide}");
        }
        assert!(wide.contains("Pending") && wide.contains("van"), "{wide}");
        let explained = kubectl(&namespace, &["explain", "delivery.spec.proof"]);
        assert!(explained.contains("photo") && explained.contains("camera"), "{explained}");
        let described = kubectl(&namespace, &["describe", "dlv", "upc-1"]);
        assert!(described.contains("SellerMissing"), "{described}");
        assert!(kubectl(&namespace, &["get", "waybill"]).contains("delivery.waybill.dev/upc-1"));
        let by_field = kubectl(&namespace, &["get", "dlv", "--field-selector", "spec.carrier=van", "-o", "name"]);
        assert!(by_field.contains("upc-1"), "{by_field}");
    })
    .await;
}

// === helpers ===

fn kubectl(namespace: &Namespace, arguments: &[&str]) -> String {
    let program = std::env::var("WAYBILL_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let kubeconfig = std::env::var(cluster::KUBECONFIG).expect("the test has a cluster");
    let output = Command::new(program)
        .args(["--kubeconfig", &kubeconfig, "--namespace", &namespace.name])
        .args(arguments)
        .output()
        .expect("kubectl runs");
    assert!(output.status.success(), "kubectl {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("text")
}
