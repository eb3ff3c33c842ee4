//! Everything a Seller's pods need, from what `validate` understood. Pure.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::NetworkPolicy;
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding};
use kube::api::ObjectMeta;
use waybill_crds::seller::Notify;
use waybill_crds::{GROUP, label};

use super::validate::{Orders, Valid};
use crate::args::Args;
use crate::broker;
use crate::workload::{self, Made, Mount, Peer, Program, Rollout, every, named};

/// Where the Seller API is served.
pub(super) const PORT: i32 = 5000;
pub(crate) const TRUST: &str = "waybill-trust";
/// Whom the Seller asks for links.
const CARRIER_API: &str = "waybill-carrier-api";

/// Made, but not sent.
pub(crate) struct Prepared {
    pub account: ServiceAccount,
    pub role: Role,
    pub binding: RoleBinding,
    pub lease: Lease,
    /// How far those who are told have been told; none where nobody is.
    pub notices: Option<ConfigMap>,
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
        notices: seller.notify.as_ref().map(|_| ConfigMap { metadata: notices(&made), ..ConfigMap::default() }),
        service: workload::service(&made, PORT),
        policy: workload::policy(&made, Some(PORT), &peers(seller, settings)),
        budget: workload::budget(&made),
        deployment: workload::deployment(&made, &program, settings.seller_replicas, Rollout::Overlapping, &content),
    }
}

/// As the Lease: made here, its holder's to write.
fn notices(made: &Made) -> ObjectMeta {
    ObjectMeta { name: Some(format!("{}-notices", made.name)), ..made.metadata() }
}

fn program<'a>(seller: &Valid, settings: &'a Args, made: &Made) -> Program<'a> {
    let mut mounts = vec![
        Mount::Secret { variable: "WAYBILL_TLS_DIR", name: format!("{}-tls", made.name) },
        Mount::Secret { variable: "WAYBILL_KEYS_DIR", name: format!("{}-keys", made.name) },
        Mount::Secret { variable: "WAYBILL_LABEL_DIR", name: format!("{}-label", made.name) },
    ];
    if seller.writes_mail() {
        mounts.push(Mount::Token { variable: "WAYBILL_GRANTS_DIR", audience: CARRIER_API });
    }
    Program {
        settings,
        command: "seller",
        port: Some(PORT),
        env: vec![
            ("WAYBILL_NAMESPACE", seller.known.namespace.clone()),
            ("WAYBILL_NAME", seller.known.name.clone()),
            ("WAYBILL_UID", seller.known.uid.clone()),
            ("WAYBILL_BROKER", broker::for_sellers(settings)),
            ("WAYBILL_RATE_LIMIT", settings.rate_limit.to_string()),
            ("WAYBILL_ORDER_URLS", settings.order_urls.join(",")),
            ("WAYBILL_NOTIFY_HOSTS", notify_hosts(seller, settings)),
            ("WAYBILL_SELLER_API", format!("https://{}.{}.svc:{PORT}", made.name, made.namespace)),
        ],
        env_from: None,
        mounts,
        token: true,
    }
}

/// Only where somebody is told: a change of the list starts no pod anew that has nothing to do with it.
fn notify_hosts(seller: &Valid, settings: &Args) -> String {
    seller.notify.as_ref().map(|_| settings.notify_hosts.join(",")).unwrap_or_default()
}

/// What the Seller's program does. It reads every Delivery of its namespace; what it may write there, a policy says.
fn rights(seller: &Valid, made: &Made) -> Vec<PolicyRule> {
    let secrets = match &seller.orders {
        Orders::Secrets(names) => names.clone(),
        Orders::Url(_) | Orders::Refused { .. } => Vec::new(),
    };
    let told = seller.notify.as_ref().map(Notify::secrets).unwrap_or_default();
    let secrets = [secrets, told].concat();
    let notices: Vec<String> = seller.notify.iter().filter_map(|_| notices(made).name).collect();
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
        named("", "configmaps", &notices, &["get", "patch"]),
        seller.notify.as_ref().map(|_| every("events.k8s.io", &["events"], &["create"])),
        named("coordination.k8s.io", "leases", &lease, &["get", "list", "watch", "patch"]),
    ];
    rules.into_iter().flatten().collect()
}

fn peers(seller: &Valid, settings: &Args) -> Vec<Peer> {
    let mut peers = vec![Peer::ApiServer, Peer::Broker(broker::sellers_port(settings)), Peer::Itself(PORT)];
    if matches!(seller.orders, Orders::Url(_)) {
        peers.push(Peer::Web);
    }
    peers.extend(seller.notify.as_ref().map(|notify| Peer::Ports(notify.ports())));
    peers.extend(seller.writes_mail().then_some(Peer::CarrierApi));
    peers
}
