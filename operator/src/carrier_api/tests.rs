//! What a namespace's Carrier API is made of.

use k8s_openapi::api::core::v1::Container;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::build::{Prepared, anchor, build};
use super::validate::Valid;
use crate::fixtures::settings;

fn owner(name: &str) -> OwnerReference {
    OwnerReference {
        api_version: "waybill.dev/v1alpha1".into(),
        kind: "Carrier".into(),
        name: name.into(),
        uid: crate::fixtures::uid(name),
        ..OwnerReference::default()
    }
}

#[test]
fn carriers_own_the_account_and_the_account_owns_the_rest() {
    let valid = Valid { namespace: "shop".into(), owners: vec![owner("a"), owner("b")] };
    let account = anchor(&valid);
    assert_eq!(account.metadata.owner_references.unwrap().len(), 2);
    let by_account = owner("the-account");
    let prepared = build(&valid, &by_account, "the-uid", &settings());
    for metadata in [
        prepared.role.metadata,
        prepared.binding.metadata,
        prepared.service.metadata,
        prepared.policy.metadata,
        prepared.budget.metadata,
        prepared.deployment.metadata,
    ] {
        assert_eq!(metadata.name.as_deref(), Some("waybill-carrier-api"));
        assert_eq!(metadata.owner_references, Some(vec![by_account.clone()]));
    }
}

#[test]
fn its_account_reads_no_secret_and_writes_only_the_log_of_deliveries() {
    let rules = prepared(&settings()).role.rules.unwrap();
    for rule in rules {
        let resources = rule.resources.unwrap();
        assert!(!resources.contains(&"secrets".to_owned()));
        let reads = rule.verbs.iter().all(|verb| ["get", "list", "watch"].contains(&verb.as_str()));
        assert!(reads || (resources, rule.verbs) == (vec!["deliveries/status".to_owned()], vec!["patch".to_owned()]));
    }
}

#[test]
fn photos_lie_on_a_volume_with_one_writer_that_outlives_every_carrier() {
    let mut settings = settings();
    settings.carrier_api_replicas = 3;
    let prepared = prepared(&settings);
    let claim = prepared.claim.unwrap();
    assert_eq!(claim.metadata.name.as_deref(), Some("waybill-carrier-api-photos"));
    assert_eq!(claim.metadata.owner_references, None, "they are evidence");
    assert_eq!(claim.spec.unwrap().resources.unwrap().requests.unwrap()["storage"].0, "5Gi");
    let spec = prepared.deployment.spec.unwrap();
    assert_eq!((spec.replicas, spec.strategy.unwrap().type_.as_deref()), (Some(1), Some("Recreate")));
    let pod = spec.template.spec.unwrap();
    let mounts = pod.containers[0].volume_mounts.clone().unwrap();
    let photos = mounts.iter().find(|mount| mount.mount_path == "/photos").unwrap();
    assert_eq!((photos.name.as_str(), photos.read_only), ("photos", None));
    let claims: Vec<_> = pod.volumes.unwrap().into_iter().filter_map(|v| v.persistent_volume_claim).collect();
    assert_eq!(claims[0].claim_name, "waybill-carrier-api-photos");
    assert_eq!(told(&pod.containers[0], "WAYBILL_PHOTOS_URL").as_deref(), Some("file:///photos"));
}

#[test]
fn in_a_bucket_each_namespace_has_its_own_part_and_no_volume_is_made() {
    let mut settings = settings();
    settings.carrier_api_replicas = 3;
    settings.photos_url = Some("s3://proofs/waybill/".into());
    settings.photos_credentials = Some("bucket".into());
    let prepared = prepared(&settings);
    assert!(prepared.claim.is_none());
    let spec = prepared.deployment.spec.unwrap();
    assert_eq!((spec.replicas, spec.strategy.unwrap().type_.as_deref()), (Some(3), Some("RollingUpdate")));
    let pod = spec.template.spec.unwrap();
    assert!(pod.volumes.unwrap().iter().all(|volume| volume.persistent_volume_claim.is_none()));
    assert_eq!(told(&pod.containers[0], "WAYBILL_PHOTOS_URL").as_deref(), Some("s3://proofs/waybill/shop"));
    let from = pod.containers[0].env_from.clone().unwrap();
    assert_eq!(from[0].secret_ref.as_ref().unwrap().name, "bucket");
}

fn prepared(settings: &crate::Args) -> Prepared {
    let valid = Valid { namespace: "shop".into(), owners: vec![owner("a")] };
    build(&valid, &owner("the-account"), "the-uid", settings)
}

fn told(container: &Container, name: &str) -> Option<String> {
    container.env.iter().flatten().find(|env| env.name == name).and_then(|env| env.value.clone())
}
