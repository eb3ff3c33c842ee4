//! An external carrier and its owner, outside the cluster.

use std::net::SocketAddr;
use std::sync::Arc;

use rustls::ClientConfig;
use waybill_crds::Carrier;

use crate::Namespace;
use crate::agent::{Agent, client_config};
use crate::enrol::Keys;
use crate::ledger::SYSTEM;
use crate::objects::{apply, config, service, wait_condition};

/// What the owner holds once the carrier is enrolled.
pub struct Outsider {
    keys: Keys,
    chain: String,
    trust: String,
    broker: SocketAddr,
}

impl Outsider {
    /// Enrols a carrier and waits for its certificate.
    pub async fn enrol(namespace: &Namespace, name: &str) -> Self {
        let keys = Keys::fresh();
        apply::<Carrier>(namespace, &keys.carrier(&namespace.name, name)).await.expect("an external Carrier");
        let carrier = wait_condition::<Carrier>(namespace, name, "CertificatesIssued", "True", None).await;
        let chain = carrier.status.and_then(|s| s.certificate?.pem).expect("an issued carrier has its chain in status");
        let trust = config(namespace, "waybill-trust", "ca.crt").await;
        let broker = service(&namespace.client, SYSTEM, "waybill-broker", 8883).await;
        Self { keys, chain, trust, broker }
    }

    /// What its owner does now and then: takes the certificate and the authorities that are published today.
    pub async fn renew(&mut self, namespace: &Namespace, name: &str) {
        let carrier = namespace.api::<Carrier>().get(name).await.expect("the Carrier");
        self.chain =
            carrier.status.and_then(|s| s.certificate?.pem).expect("an issued carrier has its chain in status");
        self.trust = config(namespace, "waybill-trust", "ca.crt").await;
    }

    /// The authorities it believes.
    pub fn trust(&self) -> &str {
        &self.trust
    }

    /// As a TLS client that trusts only these authorities.
    pub fn tls(&self, trust_pem: &str) -> Arc<ClientConfig> {
        Arc::new(client_config(trust_pem, &self.chain, &self.keys.tls.serialize_pem()))
    }

    /// A new session at the broker, not connected yet, under a client id nobody has.
    pub fn session(&self) -> Agent {
        let client_id = format!("any-{:08x}", rand::random::<u32>());
        Agent::new(self.broker, &client_id, &self.trust, &self.chain, &self.keys.tls.serialize_pem())
    }
}
