//! From a Carrier as a user writes it to what is sent: its agent's pod, and what its status says.

use k8s_openapi::api::apps::v1::{Deployment, DeploymentStatus};
use waybill_crds::carrier::{External, Transport as TransportSpec};
use waybill_crds::condition;
use waybill_crds::{Carrier, CarrierStatus, ConditionType, Reason};

use super::apply::Applied;
use super::build::{Prepared, Transport, build};
use super::dereference::Found;
use super::validate::{Valid, validate};
use crate::fixtures::{self, noon, settings, uid};
use crate::identity::{Outcome, Refusal};
use crate::participant::{Identified, Known, Shown, shown};
use crate::workload::Progress;

const HERE: Found = Found { under_way: false, carrier_api: Some(Progress::Available) };

fn valid(carrier: &Carrier, found: &Found) -> Valid {
    validate(carrier, Known::of(carrier).expect("it is stored"), found)
}

fn prepared(carrier: &Carrier, issued: bool) -> Prepared {
    build(&valid(carrier, &HERE), issued, &settings())
}

fn transport(carrier: &Carrier) -> Transport {
    match prepared(carrier, true) {
        Prepared::Pod(transport) => *transport,
        _ => panic!("a pod"),
    }
}

fn external() -> Carrier {
    let mut carrier = fixtures::carrier("van", false);
    carrier.spec.transport = Some(TransportSpec { managed: None, external: Some(External::default()) });
    carrier
}

#[test]
fn a_managed_agent_is_one_pod_without_a_token() {
    let deployment = transport(&fixtures::carrier("truck", false)).deployment;
    assert_eq!(deployment.metadata.name.as_deref(), Some("wb-transport-truck"));
    assert_eq!(deployment.metadata.owner_references.unwrap()[0].uid, uid("truck"));
    let spec = deployment.spec.unwrap();
    assert_eq!((spec.replicas, spec.strategy.unwrap().type_.as_deref()), (Some(1), Some("Recreate")));
    let pod = spec.template.spec.unwrap();
    assert_eq!((pod.automount_service_account_token, pod.service_account_name), (Some(false), None));
    let secrets: Vec<_> = pod.volumes.unwrap().into_iter().filter_map(|v| v.secret?.secret_name).collect();
    assert_eq!(secrets, ["wb-carrier-truck-tls", "wb-carrier-truck-keys"]);
    let env = pod.containers[0].env.clone().unwrap();
    let told = |name: &str| env.iter().find(|e| e.name == name).and_then(|e| e.value.clone());
    assert_eq!(told("WAYBILL_CARRIER_API").as_deref(), Some("https://waybill-carrier-api.shop.svc:5001"));
    assert_eq!(told("WAYBILL_BROKER").as_deref(), Some("waybill-broker.waybill-system.svc:8883"));
    assert_eq!(told("WAYBILL_MANAGED").as_deref(), Some("true"));
    assert_eq!((told("WAYBILL_PACE").as_deref(), told("WAYBILL_SCRIPT").as_deref()), (Some("1s"), Some("[]")));
}

#[test]
fn a_suspended_agent_is_scaled_to_nothing() {
    let mut carrier = fixtures::carrier("truck", false);
    carrier.spec.suspended = true;
    assert_eq!(transport(&carrier).deployment.spec.unwrap().replicas, Some(0));
}

#[test]
fn an_external_or_revoked_carrier_has_no_pod_and_a_former_one_is_cleared_away() {
    let mut revoked = fixtures::carrier("truck", false);
    revoked.spec.revoked = true;
    for carrier in [external(), revoked] {
        let Prepared::Nothing { deployment, policy } = prepared(&carrier, true) else { panic!("nothing") };
        let name = format!("wb-transport-{}", carrier.metadata.name.unwrap());
        assert_eq!((deployment.name, policy.name), (name.clone(), name));
    }
}

#[test]
fn without_a_certificate_no_pod_is_made_nor_removed() {
    assert!(matches!(prepared(&fixtures::carrier("truck", false), false), Prepared::Wait { .. }));
}

// === status ===

fn issued() -> Identified {
    let certificate = serde_json::json!({
        "serial": "40aa", "notBefore": "2026-11-21T11:00:00Z", "notAfter": "2026-11-24T12:00:00Z",
        "renewAt": "2026-11-23T12:00:00Z", "issuer": "ab".repeat(32),
    });
    Identified(Outcome { certificate: Some(serde_json::from_value(certificate).unwrap()), ..Outcome::default() })
}

fn pod(available: bool, replicas: i32) -> Applied {
    let mut deployment: Deployment = transport(&fixtures::carrier("truck", false)).deployment;
    deployment.spec.as_mut().unwrap().replicas = Some(replicas);
    deployment.status =
        Some(DeploymentStatus { available_replicas: available.then_some(1), ..DeploymentStatus::default() });
    Applied { deployment: Some(deployment), in_pod: true }
}

const ELSEWHERE: Applied = Applied { deployment: None, in_pod: false };

fn ready_reason(status: &CarrierStatus) -> String {
    condition::find(&status.conditions, ConditionType::Ready).unwrap().reason.clone()
}

fn status(carrier: &Carrier, found: &Found, identity: &Identified, applied: &Applied) -> CarrierStatus {
    let Shown { observed_generation, conditions, certificate, key_statement } =
        shown(carrier, found, &valid(carrier, found), identity, applied, noon());
    CarrierStatus { observed_generation, conditions, certificate, key_statement }
}

#[test]
fn an_external_carrier_is_ready_with_its_certificate_and_has_no_workload_to_speak_of() {
    let status = status(&external(), &HERE, &issued(), &ELSEWHERE);
    assert!(condition::is_true(&status.conditions, ConditionType::Ready));
    assert!(condition::find(&status.conditions, ConditionType::WorkloadReady).is_none());
}

#[test]
fn the_first_carriers_wait_for_the_carrier_api_and_later_ones_do_not_turn_with_it() {
    let down = Found { carrier_api: Some(Progress::Starting), ..HERE };
    let mut carrier = external();
    carrier.status = None;
    let waiting = status(&carrier, &down, &issued(), &ELSEWHERE);
    assert_eq!(ready_reason(&waiting), "Provisioning");
    assert!(condition::is_true(&waiting.conditions, ConditionType::Reconciling));
    carrier.status = Some(status(&carrier, &HERE, &issued(), &ELSEWHERE));
    assert!(condition::is_true(&status(&carrier, &down, &issued(), &ELSEWHERE).conditions, ConditionType::Ready));
}

#[test]
fn a_managed_carrier_is_ready_with_its_pod() {
    let carrier = fixtures::carrier("truck", false);
    assert_eq!(ready_reason(&status(&carrier, &HERE, &issued(), &pod(false, 1))), "WorkloadProgressing");
    assert_eq!(ready_reason(&status(&carrier, &HERE, &issued(), &pod(true, 1))), "Provisioned");
    assert_eq!(ready_reason(&status(&carrier, &HERE, &issued(), &pod(true, 0))), "Suspended");
}

#[test]
fn a_revoked_carrier_shows_neither_certificate_nor_statement() {
    let mut carrier = fixtures::carrier("truck", false);
    carrier.status = Some(status(&carrier, &HERE, &issued(), &pod(true, 1)));
    let refused = Identified(Outcome {
        refusal: Some(Refusal { reason: Reason::Revoked, message: "for good".into() }),
        ..Outcome::default()
    });
    let revoked = status(&carrier, &HERE, &refused, &ELSEWHERE);
    assert_eq!((ready_reason(&revoked), revoked.certificate), ("Revoked".into(), None));
    assert!(condition::is_true(&revoked.conditions, ConditionType::Stalled));
}
