//! A namespace that is lost and comes back from what docs/operations.md says to keep: orders, ends, open Deliveries, what is forgotten, and the
//! bundles of what was over.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::core::NamespaceResourceScope;
use kube::{Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Phase, Seller};
use waybill_e2e::objects::{PROVISIONED, apply, config, delivery, managed_carrier, seller, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace};

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_comes_back_with_what_was_open_and_the_proofs_of_what_was_over() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("proof.zip").display().to_string();
    let (mut kept, mut root) = (Vec::new(), String::new());
    in_namespace("restore-before", &[], |namespace| {
        let (file, kept, root) = (file.clone(), &mut kept, &mut root);
        async move {
            seller(&namespace, "shop", &["upc-1", "upc-2", "upc-3"]).await;
            managed_carrier(&namespace, "van").await;
            for upc in ["upc-1", "upc-3"] {
                apply::<Delivery>(&namespace, &delivery(upc, "shop", "van")).await.expect("a Delivery");
                arrives(&namespace, upc).await;
            }
            forget(&namespace, "upc-3").await;
            // Open: nobody carries it yet.
            let mut open = delivery("upc-2", "shop", "van");
            open["spec"].as_object_mut().expect("a spec").remove("carrier");
            apply::<Delivery>(&namespace, &open).await.expect("a Delivery");
            run(&["bundle", "upc-1", "--file", &file, "-n", &namespace.name]);
            *root = config(&namespace, "waybill-trust", "root-fingerprint").await;
            kept.extend(
                objects_of::<ConfigMap>(&namespace, |one| one.name_any().starts_with("waybill-forgotten-")).await,
            );
            kept.extend(objects_of::<Secret>(&namespace, |one| one.name_any().starts_with("orders-")).await);
            kept.extend(objects_of::<Seller>(&namespace, |_| true).await);
            kept.extend(objects_of::<Carrier>(&namespace, |_| true).await);
            kept.extend(objects_of::<Delivery>(&namespace, |one| !one.phase().terminal()).await);
        }
    })
    .await;
    in_namespace("restore-after", &[], |namespace| async move {
        for object in kept {
            restore(&namespace, &object).await;
        }
        assert!(run(&["verify", &file, "--root", &root]).contains("PROVED"), "what was over needs no namespace");
        let assigned = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": "upc-2"},
            "spec": {"upc": "upc-2", "seller": "shop", "carrier": "van"}});
        apply::<Delivery>(&namespace, &assigned).await.expect("a carrier for the open one");
        arrives(&namespace, "upc-2").await;
        apply::<Delivery>(&namespace, &delivery("upc-3", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-3", "Admitted", "False", Some("UpcForgotten")).await;
    })
    .await;
}

async fn arrives(namespace: &Namespace, name: &str) {
    eventually(&format!("{name} arrives"), PROVISIONED, || async {
        let delivery = namespace.api::<Delivery>().get(name).await.map_err(|why| why.to_string())?;
        if delivery.phase() == Phase::Delivered { Ok(()) } else { Err(delivery.phase().to_string()) }
    })
    .await;
}

async fn forget(namespace: &Namespace, name: &str) {
    let mut wish = delivery(name, "shop", "van");
    wish["spec"]["forgotten"] = json!(true);
    apply::<Delivery>(namespace, &wish).await.expect("a wish");
    eventually("it is written down", PROVISIONED, || async {
        let maps = namespace.api::<ConfigMap>().list(&ListParams::default()).await.map_err(|why| why.to_string())?;
        let there = maps.iter().any(|map| map.name_any().starts_with("waybill-forgotten-"));
        if there { Ok(()) } else { Err("no list of what is forgotten".to_owned()) }
    })
    .await;
}

/// As they go into the files: without what is the old cluster's.
async fn objects_of<K>(namespace: &Namespace, which: impl Fn(&K) -> bool) -> Vec<Value>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + Serialize
        + std::fmt::Debug,
{
    let found = namespace.api::<K>().list(&ListParams::default()).await.expect("a list");
    let bare = |one: &K| {
        let mut value = serde_json::to_value(one).expect("JSON");
        let (kind, name) = (K::kind(&()), one.name_any());
        (value["apiVersion"], value["kind"]) = (json!(K::api_version(&())), json!(kind));
        value["metadata"] = json!({"name": name, "labels": one.labels()});
        value.as_object_mut().expect("an object").remove("status");
        value
    };
    found.iter().filter(|one| which(one)).map(bare).collect()
}

async fn restore(namespace: &Namespace, object: &Value) {
    let done = match object["kind"].as_str() {
        Some("ConfigMap") => apply::<ConfigMap>(namespace, object).await.map(drop),
        Some("Secret") => apply::<Secret>(namespace, object).await.map(drop),
        Some("Seller") => apply::<Seller>(namespace, object).await.map(drop),
        Some("Carrier") => apply::<Carrier>(namespace, object).await.map(drop),
        _ => apply::<Delivery>(namespace, object).await.map(drop),
    };
    done.unwrap_or_else(|why| panic!("{}: {why}", object["metadata"]["name"]));
}

/// What the plugin printed; it has to succeed.
fn run(words: &[&str]) -> String {
    let own = std::env::current_exe().expect("this program");
    let plugin: PathBuf = own.parent().and_then(Path::parent).expect("a folder of programs").join("kubectl-waybill");
    let kubeconfig = std::env::var("WAYBILL_KUBECONFIG").unwrap_or_default();
    let output = Command::new(plugin).args(words).env("KUBECONFIG", kubeconfig).output().expect("it runs");
    assert!(output.status.success(), "{words:?} {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}
