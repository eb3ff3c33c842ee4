//! What a namespace's Carrier API is made of.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::build::{anchor, build};
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
fn its_account_reads_no_secret_and_writes_nothing_yet() {
    let valid = Valid { namespace: "shop".into(), owners: vec![owner("a")] };
    let rules = build(&valid, &owner("the-account"), "the-uid", &settings()).role.rules.unwrap();
    for rule in rules {
        assert!(!rule.resources.unwrap().contains(&"secrets".to_owned()));
        assert!(rule.verbs.iter().all(|verb| ["get", "list", "watch"].contains(&verb.as_str())));
    }
}
