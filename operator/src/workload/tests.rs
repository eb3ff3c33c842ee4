//! Every workload passes restricted Pod Security, whatever it is made for.

use k8s_openapi::api::apps::v1::{DeploymentCondition, DeploymentStatus};

use super::*;
use crate::fixtures::settings;

fn made() -> Made {
    Made {
        namespace: "shop".into(),
        name: "wb-seller-acme".into(),
        component: "seller",
        belongs: Some((label::SELLER, "acme".into())),
        owners: Vec::new(),
    }
}

fn made_deployment(token: bool) -> Deployment {
    let settings = settings();
    let program = Program {
        settings: &settings,
        command: "seller",
        port: Some(5000),
        env: vec![("WAYBILL_NAME", "acme".into())],
        env_from: None,
        mounts: vec![
            Mount::Secret { variable: "WAYBILL_TLS_DIR", name: "wb-seller-acme-tls".into() },
            Mount::Scratch { variable: "WAYBILL_JOURNAL_DIR" },
        ],
        token,
    };
    deployment(&made(), &program, 1, Rollout::Overlapping, "content")
}

#[test]
fn pods_pass_restricted_pod_security() {
    let spec = made_deployment(true).spec.unwrap().template.spec.unwrap();
    let pod = spec.security_context.unwrap();
    assert_eq!((pod.run_as_non_root, pod.run_as_user), (Some(true), Some(65532)));
    assert_eq!(pod.seccomp_profile.unwrap().type_, "RuntimeDefault");
    assert_eq!(spec.containers.len(), 1);
    let container = spec.containers[0].security_context.clone().unwrap();
    assert_eq!(container.allow_privilege_escalation, Some(false));
    assert_eq!(container.read_only_root_filesystem, Some(true));
    assert_eq!(container.capabilities.unwrap().drop, Some(vec!["ALL".to_owned()]));
    let resources = spec.containers[0].resources.clone().unwrap();
    assert_eq!(resources.requests.unwrap()["cpu"].0, "5m");
    assert!(resources.limits.unwrap().contains_key("memory"));
}

#[test]
fn every_pod_names_the_pull_secrets_of_the_settings_and_none_where_there_are_none() {
    let with = |names: &[&str]| {
        let mut settings = settings();
        settings.image_pull_secrets = names.iter().map(|name| (*name).to_owned()).collect();
        let program = Program {
            settings: &settings,
            command: "transport",
            port: None,
            env: Vec::new(),
            env_from: None,
            mounts: Vec::new(),
            token: false,
        };
        let deployment = deployment(&made(), &program, 1, Rollout::Overlapping, "content");
        deployment.spec.unwrap().template.spec.unwrap().image_pull_secrets
    };
    let named = with(&["registry", " mirror "]).unwrap();
    assert_eq!(named.iter().map(|secret| secret.name.as_str()).collect::<Vec<_>>(), ["registry", "mirror"]);
    assert_eq!(with(&[""]), None, "an empty variable names nobody");
}

#[test]
fn a_token_is_projected_where_it_is_used_and_nowhere_else() {
    for token in [true, false] {
        let spec = made_deployment(token).spec.unwrap().template.spec.unwrap();
        assert_eq!(spec.automount_service_account_token, Some(false));
        assert_eq!(spec.service_account_name.is_some(), token);
        let projected = spec.volumes.unwrap().iter().filter(|volume| volume.projected.is_some()).count();
        assert_eq!(projected == 1, token);
    }
}

#[test]
fn a_folder_is_mounted_where_its_variable_says_and_only_scratch_is_writable() {
    let spec = made_deployment(false).spec.unwrap().template.spec.unwrap();
    let container = &spec.containers[0];
    let env = container.env.clone().unwrap();
    let told = |name: &str| env.iter().find(|e| e.name == name).and_then(|e| e.value.clone()).unwrap();
    let mounts = container.volume_mounts.clone().unwrap();
    let mount = |path: &str| mounts.iter().find(|m| m.mount_path == path).unwrap().clone();
    assert_eq!(mount(&told("WAYBILL_TLS_DIR")).read_only, Some(true));
    assert_eq!(mount(&told("WAYBILL_JOURNAL_DIR")).read_only, None, "`false` is dropped, and missed for ever");
    let volumes = spec.volumes.unwrap();
    let secret = volumes.iter().find_map(|volume| volume.secret.clone()).unwrap();
    assert_eq!((secret.secret_name.as_deref(), secret.default_mode), (Some("wb-seller-acme-tls"), Some(0o440)));
}

#[test]
fn pods_carry_what_selects_them() {
    let deployment = made_deployment(false);
    let spec = deployment.spec.unwrap();
    let labels = spec.template.metadata.unwrap().labels.unwrap();
    let selector = spec.selector.match_labels.unwrap();
    assert!(selector.iter().all(|(key, value)| labels.get(key) == Some(value)), "{selector:?} {labels:?}");
    assert_eq!(labels[label::SELLER], "acme");
    assert_eq!(service(&made(), 5000).spec.unwrap().selector, Some(selector.clone()));
    assert_eq!(budget(&made()).spec.unwrap().selector.unwrap().match_labels, Some(selector));
}

#[test]
fn a_rule_on_no_names_is_no_rule() {
    assert!(named("", "secrets", &[], &["get"]).is_none(), "an empty list of names would mean every Secret");
}

#[test]
fn a_deployment_is_available_once_its_controller_says_so_of_this_generation() {
    let mut deployment = made_deployment(false);
    deployment.metadata.generation = Some(2);
    assert_eq!(progress(&deployment), Progress::Starting);
    let mut status =
        DeploymentStatus { observed_generation: Some(1), available_replicas: Some(1), ..DeploymentStatus::default() };
    deployment.status = Some(status.clone());
    assert_eq!(progress(&deployment), Progress::Starting);
    status.observed_generation = Some(2);
    deployment.status = Some(status.clone());
    assert_eq!(progress(&deployment), Progress::Available);
    status.available_replicas = None;
    status.conditions = Some(vec![DeploymentCondition {
        type_: "Progressing".into(),
        status: "False".into(),
        ..DeploymentCondition::default()
    }]);
    deployment.status = Some(status);
    assert_eq!(progress(&deployment), Progress::Failing);
}
