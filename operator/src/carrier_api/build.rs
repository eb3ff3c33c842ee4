//! Everything a namespace's Carrier API needs. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;

use super::validate::Valid;
use super::{NAME, PORT};
use crate::args::Args;
use crate::cache::CARRIER_API;
use crate::workload::{self, Made, Mount, Peer, Program, Rollout, named};

/// Made, but not sent.
pub(super) struct Prepared {
    pub role: Role,
    pub binding: RoleBinding,
    pub service: Service,
    pub policy: NetworkPolicy,
    pub budget: PodDisruptionBudget,
    pub deployment: Deployment,
}

fn made(namespace: &str, owners: Vec<OwnerReference>) -> Made {
    Made { namespace: namespace.to_owned(), name: NAME.to_owned(), component: CARRIER_API, belongs: None, owners }
}

/// What Carriers own and everything else hangs on.
pub(super) fn anchor(valid: &Valid) -> ServiceAccount {
    workload::account(&made(&valid.namespace, valid.owners.clone()))
}

pub(super) fn build(valid: &Valid, anchor: &OwnerReference, uid: &str, settings: &Args) -> Prepared {
    let made = made(&valid.namespace, vec![anchor.clone()]);
    let program = Program {
        settings,
        command: "carrier-api",
        port: Some(PORT),
        env: vec![
            ("WAYBILL_NAMESPACE", valid.namespace.clone()),
            ("WAYBILL_NAME", NAME.to_owned()),
            ("WAYBILL_UID", uid.to_owned()),
        ],
        mounts: vec![
            Mount::Secret { variable: "WAYBILL_TLS_DIR", name: format!("{NAME}-tls") },
            Mount::Secret { variable: "WAYBILL_KEYS_DIR", name: format!("{NAME}-keys") },
        ],
        token: true,
    };
    let content = crate::apply::hash(&uid.into());
    Prepared {
        role: workload::role(&made, rights()),
        binding: workload::binding(&made),
        service: workload::service(&made, PORT),
        policy: workload::policy(&made, Some(PORT), &[Peer::ApiServer]),
        budget: workload::budget(&made),
        deployment: workload::deployment(
            &made,
            &program,
            settings.carrier_api_replicas,
            Rollout::Overlapping,
            &content,
        ),
    }
}

/// What the Carrier API does today, and nothing that it might do one day. A test compares it with the audit log.
fn rights() -> Vec<PolicyRule> {
    // A watch by name begins with a list by name.
    named("", "configmaps", &["waybill-trust".into()], &["list", "watch"]).into_iter().collect()
}
