//! From a Seller as a user writes it to what is sent: names, rights, status.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use k8s_openapi::api::rbac::v1::PolicyRule;
use waybill_crds::condition;
use waybill_crds::{ConditionType, Reason};

use super::build::{Prepared, build};
use super::validate::{Valid, validate};
use crate::fixtures::{self, noon, settings, uid};
use crate::identity::{Outcome, Refusal};
use crate::participant::{Identified, Known, Shown, shown};

fn valid(seller: &waybill_crds::Seller) -> Valid {
    validate(seller, Known::of(seller).expect("it is stored"), &settings())
}

fn prepared(seller: &waybill_crds::Seller) -> Prepared {
    build(&valid(seller), &settings())
}

#[test]
fn everything_is_named_after_the_seller_and_goes_with_it() {
    let prepared = prepared(&fixtures::seller("acme", false));
    let metadata = [
        prepared.account.metadata,
        prepared.role.metadata,
        prepared.binding.metadata,
        prepared.lease.metadata,
        prepared.service.metadata,
        prepared.policy.metadata,
        prepared.budget.metadata,
        prepared.deployment.metadata,
    ];
    for metadata in metadata {
        assert_eq!(metadata.name.as_deref(), Some("wb-seller-acme"));
        assert_eq!(metadata.namespace.as_deref(), Some("shop"));
        let owners = metadata.owner_references.unwrap();
        assert_eq!((owners.len(), &owners[0].uid, owners[0].controller), (1, &uid("acme"), Some(true)));
        let labels = metadata.labels.unwrap();
        assert_eq!(labels["app.kubernetes.io/managed-by"], "waybill-operator");
        assert_eq!(labels["waybill.dev/seller"], "acme");
    }
}

#[test]
fn the_account_may_read_its_own_orders_and_no_other_secret() {
    let mut seller = fixtures::seller("acme", false);
    seller.spec.orders = Some(vec!["orders-b".into(), "orders-a".into()]);
    let rules = prepared(&seller).role.rules.unwrap();
    let on = |resource: &str| -> Vec<PolicyRule> {
        rules.iter().filter(|rule| rule.resources.as_ref().unwrap().iter().any(|r| r == resource)).cloned().collect()
    };
    let secrets = on("secrets");
    assert_eq!(secrets.len(), 1);
    assert_eq!(secrets[0].resource_names, Some(vec!["orders-a".to_owned(), "orders-b".to_owned()]));
    assert_eq!(secrets[0].verbs, ["list", "watch"]);
    assert_eq!(on("sellers/status")[0].resource_names, Some(vec!["acme".to_owned()]));
    assert_eq!(on("leases")[0].resource_names, Some(vec!["wb-seller-acme".to_owned()]));
    let unnamed: Vec<_> = rules.iter().filter(|rule| rule.resource_names.is_none()).collect();
    let ours = |rule: &&PolicyRule| rule.api_groups.as_deref() == Some(&["waybill.dev".to_owned()]);
    assert!(unnamed.iter().all(ours), "nothing else but what is named: {rules:?}");
    assert_eq!(on("deliveries/status")[0].verbs, ["patch"]);
    assert_eq!(on("deliveries")[0].verbs, ["get", "list", "watch"]);
    let writes = ["create", "update", "delete", "*"];
    assert!(rules.iter().all(|rule| rule.verbs.iter().all(|verb| !writes.contains(&verb.as_str()))), "{rules:?}");
}

#[test]
fn orders_from_a_url_need_no_secret() {
    let mut seller = fixtures::seller("acme", false);
    seller.spec.url = Some("https://orders.example.com".into());
    let rules = prepared(&seller).role.rules.unwrap();
    assert!(rules.iter().all(|rule| rule.resources.as_ref().unwrap() != &["secrets"]), "{rules:?}");
}

#[test]
fn the_pod_knows_who_it_is_and_where_the_broker_is() {
    let prepared = prepared(&fixtures::seller("acme", false));
    let container = prepared.deployment.spec.unwrap().template.spec.unwrap().containers.remove(0);
    assert_eq!(container.args, Some(vec!["seller".to_owned()]));
    let env = container.env.unwrap();
    let told = |name: &str| env.iter().find(|e| e.name == name).and_then(|e| e.value.clone());
    assert_eq!(told("WAYBILL_UID"), Some(uid("acme")));
    assert_eq!(told("WAYBILL_BROKER").as_deref(), Some("waybill-broker.waybill-system.svc:8884"));
    assert_eq!(told("WAYBILL_SELLER_API").as_deref(), Some("https://wb-seller-acme.shop.svc:5000"));
    assert_eq!(told("WAYBILL_LABEL_DIR").as_deref(), Some("/var/lib/waybill/label"));
}

#[test]
fn a_restart_follows_from_a_new_identity_only() {
    let hash = |seller: &waybill_crds::Seller| {
        let template = prepared(seller).deployment.spec.unwrap().template.metadata.unwrap();
        template.annotations.unwrap()["waybill.dev/content-hash"].clone()
    };
    let one = fixtures::seller("acme", false);
    let mut renewed = one.clone();
    renewed.metadata.generation = Some(7);
    renewed.spec.certificate.ttl = "96h".parse().unwrap();
    assert_eq!(hash(&one), hash(&renewed));
    let mut anew = one.clone();
    anew.metadata.uid = Some(uid("another"));
    assert_ne!(hash(&one), hash(&anew));
}

// === status ===

fn issued() -> Identified {
    let certificate = serde_json::json!({
        "serial": "40aa", "notBefore": "2026-11-21T11:00:00Z", "notAfter": "2026-11-24T12:00:00Z",
        "renewAt": "2026-11-23T12:00:00Z", "issuer": "ab".repeat(32),
    });
    Identified(Outcome {
        certificate: Some(serde_json::from_value(certificate).unwrap()),
        key_statement: Some("c3RhdGVtZW50".into()),
        ..Outcome::default()
    })
}

fn status(seller: &waybill_crds::Seller, identity: &Identified, available: Option<bool>) -> waybill_crds::SellerStatus {
    let applied = available.map(|available| {
        let mut deployment: Deployment = prepared(seller).deployment;
        deployment.status =
            Some(DeploymentStatus { available_replicas: available.then_some(1), ..DeploymentStatus::default() });
        deployment
    });
    let Shown { observed_generation, conditions, certificate, key_statement } =
        shown(seller, &(), &valid(seller), identity, &applied, noon());
    waybill_crds::SellerStatus { observed_generation, conditions, certificate, key_statement }
}

fn reasons(status: &waybill_crds::SellerStatus) -> Vec<(String, String, String)> {
    status.conditions.iter().map(|c| (c.type_.clone(), c.status.clone(), c.reason.clone())).collect()
}

#[test]
fn it_is_ready_with_a_certificate_and_available_pods() {
    let mut seller = fixtures::seller("acme", false);
    let starting = status(&seller, &issued(), Some(false));
    assert!(!condition::is_true(&starting.conditions, ConditionType::Ready));
    assert!(condition::is_true(&starting.conditions, ConditionType::Reconciling));
    seller.status = Some(starting);
    let ready = status(&seller, &issued(), Some(true));
    assert_eq!(
        reasons(&ready),
        [
            ("CertificatesIssued".into(), "True".into(), "Issued".into()),
            ("Ready".into(), "True".into(), "Provisioned".into()),
            ("WorkloadReady".into(), "True".into(), "WorkloadAvailable".into()),
        ]
    );
    assert_eq!(ready.observed_generation, Some(1));
    seller.status = Some(ready.clone());
    assert_eq!(status(&seller, &issued(), Some(true)), ready, "the same again is the same bytes");
}

#[test]
fn lost_keys_are_a_stall_with_the_reason_and_the_old_certificate_stays_in_sight() {
    let mut seller = fixtures::seller("acme", false);
    seller.status = Some(status(&seller, &issued(), Some(true)));
    let lost = Identified(Outcome {
        refusal: Some(Refusal { reason: Reason::KeyLost, message: "restore it".into() }),
        ..Outcome::default()
    });
    let stalled = status(&seller, &lost, None);
    assert_eq!(condition::find(&stalled.conditions, ConditionType::Ready).unwrap().reason, "KeyLost");
    assert!(condition::is_true(&stalled.conditions, ConditionType::Stalled));
    assert!(stalled.certificate.is_some());
}

#[test]
fn missing_orders_stop_a_seller_and_one_malformed_order_does_not() {
    for (reason, ready) in [(Reason::OrdersMissing, false), (Reason::OrderMalformed, true)] {
        let mut seller = fixtures::seller("acme", false);
        let word = condition::Wanted {
            type_: ConditionType::OrdersAvailable,
            status: condition::Status::False,
            reason,
            message: "Secret orders-acme".into(),
            observed_generation: None,
        };
        condition::set(&mut seller.status.as_mut().unwrap().conditions, word, noon());
        let status = status(&seller, &issued(), Some(true));
        assert_eq!(condition::is_true(&status.conditions, ConditionType::Ready), ready, "{reason}");
        assert!(condition::find(&status.conditions, ConditionType::OrdersAvailable).is_none(), "not ours to apply");
    }
}

#[test]
fn no_variable_of_its_pods_is_said_to_be_empty() {
    // The API server drops an empty value: the Deployment would look changed to every operator that starts.
    let mut none = settings();
    none.order_urls.clear();
    let deployment = build(&valid(&fixtures::seller("acme", false)), &none).deployment;
    let containers = deployment.spec.unwrap().template.spec.unwrap().containers;
    let empty = containers.iter().flat_map(|one| one.env.iter().flatten()).find(|one| one.value.as_deref() == Some(""));
    assert_eq!(empty, None);
}
