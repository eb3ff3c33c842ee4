//! Everything a Seller's pods need, from what `validate` understood. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use waybill_crds::{GROUP, label};

use super::validate::{Orders, Valid};
use crate::args::Args;
use crate::broker;
use crate::workload::{self, Made, Mount, Peer, Program, Rollout, every, named};

/// Where the Seller API is served.
pub(super) const PORT: i32 = 5000;
pub(crate) const TRUST: &str = "waybill-trust";

/// Made, but not sent.
pub(crate) struct Prepared {
    pub account: ServiceAccount,
    pub role: Role,
    pub binding: RoleBinding,
    pub lease: Lease,
    pub service: Service,
    pub policy: NetworkPolicy,
    pub budget: PodDisruptionBudget,
    pub deployment: Deployment,
}

pub(super) fn build(seller: &Valid, settings: &Args) -> Prepared {
    let made = Made::of(&seller.known, "seller", label::SELLER);
    let program = program(seller, settings, &made);
    let content = crate::apply::hash(&seller.known.uid.clone().into());
    Prepared {
        account: workload::account(&made),
        role: workload::role(&made, rights(seller, &made)),
        binding: workload::binding(&made),
        // Made here so that the Seller's account needs no right to create Leases, and so that it goes with the Seller.
        lease: Lease { metadata: made.metadata(), ..Lease::default() },
        service: workload::service(&made, PORT),
        policy: workload::policy(&made, Some(PORT), &peers(seller, settings)),
        budget: workload::budget(&made),
        deployment: workload::deployment(&made, &program, settings.seller_replicas, Rollout::Overlapping, &content),
    }
}

fn program<'a>(seller: &Valid, settings: &'a Args, made: &Made) -> Program<'a> {
    Program {
        settings,
        command: "seller",
        port: Some(PORT),
        env: vec![
            ("WAYBILL_NAMESPACE", seller.known.namespace.clone()),
            ("WAYBILL_NAME", seller.known.name.clone()),
            ("WAYBILL_UID", seller.known.uid.clone()),
            ("WAYBILL_BROKER", broker::for_sellers(settings)),
            ("WAYBILL_ORDER_URLS", settings.order_urls.join(",")),
            ("WAYBILL_SELLER_API", format!("https://{}.{}.svc:{PORT}", made.name, made.namespace)),
        ],
        env_from: None,
        mounts: vec![
            Mount::Secret { variable: "WAYBILL_TLS_DIR", name: format!("{}-tls", made.name) },
            Mount::Secret { variable: "WAYBILL_KEYS_DIR", name: format!("{}-keys", made.name) },
            Mount::Secret { variable: "WAYBILL_LABEL_DIR", name: format!("{}-label", made.name) },
        ],
        token: true,
    }
}

/// What the Seller's program does. It reads every Delivery of its namespace; what it may write there, a policy says.
fn rights(seller: &Valid, made: &Made) -> Vec<PolicyRule> {
    let secrets = match &seller.orders {
        Orders::Secrets(names) => names.clone(),
        Orders::Url(_) | Orders::Refused { .. } => Vec::new(),
    };
    let own = [seller.known.name.clone()];
    let lease = [made.name.clone()];
    // A watch by name begins with a list by name.
    let followed = &["list", "watch"];
    let rules = [
        named("", "secrets", &secrets, followed),
        named("", "configmaps", &[TRUST.into()], followed),
        named(GROUP, "sellers", &own, followed),
        named(GROUP, "sellers/status", &own, &["patch"]),
        // `get` is for a race: what somebody else wrote first is read anew.
        Some(every(GROUP, &["deliveries"], &["get", "list", "watch"])),
        Some(every(GROUP, &["carriers"], followed)),
        Some(every(GROUP, &["deliveries/status"], &["patch"])),
        named("coordination.k8s.io", "leases", &lease, &["get", "list", "watch", "patch"]),
    ];
    rules.into_iter().flatten().collect()
}

fn peers(seller: &Valid, settings: &Args) -> Vec<Peer> {
    let mut peers = vec![Peer::ApiServer, Peer::Broker(broker::sellers_port(settings)), Peer::Itself(PORT)];
    if matches!(seller.orders, Orders::Url(_)) {
        peers.push(Peer::Web);
    }
    peers
}
