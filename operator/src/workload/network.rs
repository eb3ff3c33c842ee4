//! NetworkPolicies: who may speak to a workload, and to whom it speaks. Everything else is dropped where policies are enforced.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::Made;

/// One kind of conversation the workload begins.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Peer {
    /// The API server: no selector can name it, so by port.
    ApiServer,
    /// The broker's listener of this port, wherever the broker is.
    Broker(i32),
    /// Another pod of the same workload, or the very same, through its Service.
    Itself(i32),
    /// The Carrier API of the same namespace.
    CarrierApi,
    /// A web address of the user's choosing.
    Web,
    /// These ports, wherever they are: who listens there is on the list the chart allows.
    Ports(Vec<u16>),
}

/// Probes and metrics are open to the cluster, the TLS port to anyone (callers prove who they are), and it speaks to `peers` and DNS.
pub(crate) fn policy(made: &Made, port: Option<i32>, peers: &[Peer]) -> NetworkPolicy {
    let mut served = vec![tcp(8080)];
    served.extend(port.map(tcp));
    let mut egress = vec![NetworkPolicyEgressRule { ports: Some(vec![udp(53), tcp(53)]), to: None }];
    egress.extend(peers.iter().map(|peer| conversation(made, peer)));
    let spec = NetworkPolicySpec {
        pod_selector: Some(super::selected(made)),
        policy_types: Some(vec!["Ingress".into(), "Egress".into()]),
        ingress: Some(vec![NetworkPolicyIngressRule { ports: Some(served), from: None }]),
        egress: Some(egress),
    };
    NetworkPolicy { metadata: made.metadata(), spec: Some(spec) }
}

fn conversation(made: &Made, peer: &Peer) -> NetworkPolicyEgressRule {
    let (ports, to) = match peer {
        Peer::ApiServer => (vec![tcp(443), tcp(6443)], None),
        Peer::Broker(port) => (vec![tcp(*port)], None),
        Peer::Itself(port) => (vec![tcp(*port)], pods(made)),
        Peer::CarrierApi => (vec![tcp(5001)], pods(&Made { component: "carrier-api", belongs: None, ..made.clone() })),
        Peer::Web => (vec![tcp(80), tcp(443)], None),
        Peer::Ports(ports) => (ports.iter().map(|port| tcp(i32::from(*port))).collect(), None),
    };
    NetworkPolicyEgressRule { ports: Some(ports), to }
}

/// The pods of a workload in the same namespace.
fn pods(made: &Made) -> Option<Vec<NetworkPolicyPeer>> {
    Some(vec![NetworkPolicyPeer { pod_selector: Some(super::selected(made)), ..NetworkPolicyPeer::default() }])
}

fn tcp(port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { port: Some(IntOrString::Int(port)), protocol: Some("TCP".into()), end_port: None }
}

fn udp(port: i32) -> NetworkPolicyPort {
    NetworkPolicyPort { protocol: Some("UDP".into()), ..tcp(port) }
}
