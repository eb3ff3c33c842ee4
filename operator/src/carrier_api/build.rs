//! Everything a namespace's Carrier API needs. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{PersistentVolumeClaim, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use waybill_crds::GROUP;

use super::photos::Photos;
use super::validate::Valid;
use super::{NAME, PORT};
use crate::args::Args;
use crate::cache::CARRIER_API;
use crate::workload::{self, Made, Mount, Peer, Program, every, named};

/// Made, but not sent.
pub(super) struct Prepared {
    pub role: Role,
    pub binding: RoleBinding,
    pub service: Service,
    pub policy: NetworkPolicy,
    pub budget: PodDisruptionBudget,
    /// None where photos are in a bucket.
    pub claim: Option<PersistentVolumeClaim>,
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
    let photos = Photos::of(&valid.namespace, settings);
    let program = program(valid, uid, &photos, settings);
    let content = crate::apply::hash(&uid.into());
    let mut peers = vec![Peer::ApiServer];
    peers.extend(matches!(photos, Photos::Bucket(_)).then_some(Peer::Web));
    let (replicas, rollout) = photos.rollout(settings);
    Prepared {
        role: workload::role(&made, rights()),
        binding: workload::binding(&made),
        service: workload::service(&made, PORT),
        policy: workload::policy(&made, Some(PORT), &peers),
        budget: workload::budget(&made),
        claim: photos.claim(&made, settings),
        deployment: workload::deployment(&made, &program, replicas, rollout, &content),
    }
}

fn program<'a>(valid: &Valid, uid: &str, photos: &Photos, settings: &'a Args) -> Program<'a> {
    let mut mounts = vec![
        Mount::Secret { variable: "WAYBILL_TLS_DIR", name: format!("{NAME}-tls") },
        Mount::Secret { variable: "WAYBILL_KEYS_DIR", name: format!("{NAME}-keys") },
    ];
    mounts.extend(photos.mount());
    Program {
        settings,
        command: "carrier-api",
        port: Some(PORT),
        env: vec![
            ("WAYBILL_NAMESPACE", valid.namespace.clone()),
            ("WAYBILL_NAME", NAME.to_owned()),
            ("WAYBILL_UID", uid.to_owned()),
            ("WAYBILL_PHOTOS_URL", photos.url()),
            ("WAYBILL_RATE_LIMIT", settings.rate_limit.to_string()),
        ],
        env_from: settings.photos_credentials.clone().filter(|name| !name.is_empty()),
        mounts,
        token: true,
    }
}

/// What the Carrier API does. It reads no Secret; what it may write to a Delivery, a policy says.
fn rights() -> Vec<PolicyRule> {
    let mut rules = vec![
        // `get` is for a race: what somebody else wrote first is read anew.
        every(GROUP, &["deliveries"], &["get", "list", "watch"]),
        every(GROUP, &["deliveries/status"], &["patch"]),
        every(GROUP, &["sellers", "carriers"], &["list", "watch"]),
    ];
    // A watch by name begins with a list by name.
    rules.extend(named("", "configmaps", &["waybill-trust".into()], &["list", "watch"]));
    rules
}
