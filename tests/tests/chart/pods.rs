//! Pods: restricted Pod Security as the API server itself judges it; images by digest or tag; no token where unused.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use serde_json::{Value, json};
use waybill_e2e::in_namespace;

use crate::helm::{Rendered, helms};

#[tokio::test(flavor = "multi_thread")]
async fn every_pod_passes_in_a_restricted_namespace() {
    in_namespace("chart-pods", &[], |namespace| async move {
        for helm in helms("chart pods") {
            let rendered = helm.template(&[]).expect("a rendering");
            for (name, spec) in pods(&rendered) {
                let mut spec = spec.clone();
                // Its account is not in this namespace; Pod Security does not look at it.
                spec.as_object_mut().expect("a spec").remove("serviceAccountName");
                let pod: Pod =
                    serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).expect("a pod");
                let dry = PostParams { dry_run: true, ..PostParams::default() };
                namespace.api::<Pod>().create(&dry, &pod).await.unwrap_or_else(|error| panic!("{name}: {error}"));
            }
        }
    })
    .await;
}

#[test]
fn every_container_has_a_read_only_root_requests_and_a_memory_limit() {
    for helm in helms("chart containers") {
        let rendered = helm.template(&[]).expect("a rendering");
        let containers: Vec<_> = pods(&rendered).values().copied().flat_map(containers).collect();
        assert_eq!(containers.len(), 5, "operator, sidecar, mosquitto, board, test");
        for container in containers {
            assert_eq!(container["securityContext"]["readOnlyRootFilesystem"], true, "{container}");
            for amount in [&container["resources"]["requests"]["cpu"], &container["resources"]["limits"]["memory"]] {
                assert!(amount.is_string(), "{container}");
            }
        }
    }
}

#[test]
fn images_are_named_by_digest_where_one_is_given_and_never_by_latest() {
    let digest = format!("sha256:{}", "0".repeat(64));
    for helm in helms("chart images") {
        let plain = images(&helm.template(&[]).expect("a rendering"));
        assert!(plain.iter().all(|image| image.contains(':') && !image.ends_with(":latest")), "{plain:?}");
        assert!(
            plain
                .iter()
                .any(|image| image.starts_with("docker.io/library/eclipse-mosquitto:2.") && image.contains("@sha256:"))
        );
        let set = [format!("image.digest={digest}"), format!("broker.image.digest={digest}")];
        let pinned = images(&helm.template(&["--set", &set[0], "--set", &set[1]]).expect("a rendering"));
        assert!(pinned.iter().all(|image| image.ends_with(&format!("@{digest}"))), "{pinned:?}");
        let node = ["--set", "broker.image.repository=waybill-mosquitto,broker.image.tag=dev,broker.image.digest="];
        assert!(images(&helm.template(&node).expect("a rendering")).contains(&"waybill-mosquitto:dev".to_owned()));
    }
}

#[test]
fn pull_secrets_of_the_release_and_of_its_participants_are_two_lists() {
    for helm in helms("chart pull secrets") {
        let flags = ["--set", "imagePullSecrets={hub},participants.imagePullSecrets={registry,mirror}"];
        let rendered = helm.template(&flags).expect("a rendering");
        let pods = pods(&rendered);
        for pod in ["waybill-operator", "waybill-broker", "waybill-board"] {
            assert_eq!(pods[pod]["imagePullSecrets"], json!([{"name": "hub"}]), "{pod}");
        }
        let env = pods["waybill-operator"]["containers"][0]["env"].as_array().expect("settings").clone();
        let told =
            env.iter().find(|entry| entry["name"] == "WAYBILL_IMAGE_PULL_SECRETS").expect("told to the operator");
        assert_eq!(told["value"], "registry,mirror");
        helm.template(&["--set", "participants.imagePullSecrets=registry"]).expect_err("a list, not a text");
    }
}

#[test]
fn only_the_brokers_sidecar_sees_the_brokers_token() {
    for helm in helms("chart tokens") {
        let rendered = helm.template(&[]).expect("a rendering");
        let pods = pods(&rendered);
        let broker = pods["waybill-broker"];
        assert_eq!(broker["automountServiceAccountToken"], false);
        assert_eq!(pods["waybill-test"]["automountServiceAccountToken"], false);
        let holders: Vec<_> = containers(broker)
            .filter(|container| {
                container["volumeMounts"].as_array().is_some_and(|m| m.iter().any(|m| m["name"] == "token"))
            })
            .map(|container| container["name"].clone())
            .collect();
        assert_eq!(holders, ["sidecar"]);
    }
}

/// Pod specs by the name of what makes them.
fn pods(rendered: &Rendered) -> BTreeMap<&str, &Value> {
    let deployments = rendered.kind("Deployment").map(|object| (object, &object["spec"]["template"]["spec"]));
    let bare = rendered.kind("Pod").map(|object| (object, &object["spec"]));
    deployments.chain(bare).map(|(object, spec)| (object["metadata"]["name"].as_str().expect("a name"), spec)).collect()
}

fn containers(spec: &Value) -> impl Iterator<Item = &Value> {
    ["initContainers", "containers"].into_iter().flat_map(|list| spec[list].as_array().into_iter().flatten())
}

fn images(rendered: &Rendered) -> Vec<String> {
    let all = pods(rendered);
    all.values().copied().flat_map(containers).map(|c| c["image"].as_str().expect("an image").to_owned()).collect()
}
