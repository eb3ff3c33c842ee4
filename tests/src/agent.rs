//! A carrier's MQTT client outside the cluster, with a certificate and whatever client id it likes.

use std::net::SocketAddr;
use std::time::Duration;

use rumqttc::{AsyncClient, Broker, Event, EventLoop, MqttOptions, Packet, Transport};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

/// A live session at the broker.
pub struct Agent {
    pub client: AsyncClient,
    pub events: EventLoop,
}

impl Agent {
    /// Not connected yet: the first look at `events` connects.
    pub fn new(broker: SocketAddr, client_id: &str, trust_pem: &str, chain_pem: &str, key_pem: &str) -> Self {
        let mut options = MqttOptions::new(client_id, Broker::tcp(broker.ip().to_string(), broker.port()));
        options.set_keep_alive(5);
        options.set_clean_session(true);
        let tls = client_config(trust_pem, chain_pem, key_pem);
        options.set_transport(Transport::tls_with_config(tls.into()));
        let (client, events) = AsyncClient::builder(options).capacity(10).build();
        Self { client, events }
    }

    /// Waits for the broker's answer to CONNECT.
    pub async fn connect(&mut self) -> Result<(), String> {
        let answer = tokio::time::timeout(Duration::from_secs(10), async {
            loop {
                match self.events.poll().await {
                    Ok(Event::Incoming(Packet::ConnAck(_))) => return Ok(()),
                    Ok(_) => {}
                    Err(why) => return Err(why.to_string()),
                }
            }
        });
        answer.await.unwrap_or_else(|_| Err("no answer to CONNECT".into()))
    }

    /// Waits until the session ends; says why.
    pub async fn ended(&mut self, deadline: Duration) -> Result<String, String> {
        let end = tokio::time::timeout(deadline, async {
            loop {
                if let Err(why) = self.events.poll().await {
                    return why.to_string();
                }
            }
        });
        end.await.map_err(|_| format!("the session still lives after {deadline:?}"))
    }
}

/// TLS with this client certificate, trusting only these authorities.
pub fn client_config(trust_pem: &str, chain_pem: &str, key_pem: &str) -> ClientConfig {
    let chain: Vec<_> =
        CertificateDer::pem_slice_iter(chain_pem.as_bytes()).map(|c| c.expect("a certificate")).collect();
    let key = PrivateKeyDer::from_pem_slice(key_pem.as_bytes()).expect("a key");
    let config = ClientConfig::builder().with_root_certificates(roots(trust_pem)).with_client_auth_cert(chain, key);
    config.expect("a key that fits its certificate")
}

/// TLS without a client certificate, trusting only these authorities.
pub fn anonymous_config(trust_pem: &str) -> ClientConfig {
    ClientConfig::builder().with_root_certificates(roots(trust_pem)).with_no_client_auth()
}

fn roots(trust_pem: &str) -> RootCertStore {
    let mut roots = RootCertStore::empty();
    for root in CertificateDer::pem_slice_iter(trust_pem.as_bytes()) {
        roots.add(root.expect("a certificate")).expect("an authority");
    }
    roots
}
