//! A Service of the cluster asked over TLS from outside, under its own name.

use std::net::SocketAddr;
use std::sync::Arc;

use reqwest::{Certificate, Client, RequestBuilder};
use rustls::pki_types::ServerName;
use serde_json::Value;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::{Namespace, agent, eventually, objects};

/// One Service, trusted by Waybill's authorities only.
pub struct Service {
    name: String,
    address: SocketAddr,
    trust: String,
    client: Client,
}

impl Service {
    /// `name` is what its certificate must say; `address` is where it is reached from here.
    pub fn new(name: &str, address: SocketAddr, trust_pem: &str) -> Self {
        let roots = Certificate::from_pem_bundle(trust_pem.as_bytes()).expect("authorities");
        let client = Client::builder()
            .tls_certs_only(roots)
            .resolve(name, address)
            .no_proxy()
            // Each request is a handshake of its own: that is what these tests look at.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .expect("a client");
        Self { name: name.into(), address, trust: trust_pem.into(), client }
    }

    /// One of a namespace, once it answers: a ready pod takes a moment to become an endpoint.
    pub async fn reach(namespace: &Namespace, name: &str, port: u16) -> Self {
        let address = objects::service(&namespace.client, &namespace.name, name, port).await;
        let trust = objects::config(namespace, "waybill-trust", "ca.crt").await;
        let service = Self::new(&format!("{name}.{}.svc", namespace.name), address, &trust);
        eventually("the Service answers", objects::PROVISIONED, || service.get("/")).await;
        service
    }

    /// The status and the JSON body of a GET.
    pub async fn get(&self, path: &str) -> Result<(u16, Value), String> {
        self.ask(self.client.get(self.url(path))).await
    }

    /// The same by somebody with a token.
    pub async fn get_as(&self, token: &str, path: &str) -> Result<(u16, Value), String> {
        self.ask(self.client.get(self.url(path)).bearer_auth(token)).await
    }

    /// A request of any kind, for those who look at more than status and body.
    pub fn request(&self, method: reqwest::Method, path: &str) -> RequestBuilder {
        self.client.request(method, self.url(path))
    }

    fn url(&self, path: &str) -> String {
        format!("https://{}:{}{path}", self.name, self.address.port())
    }

    async fn ask(&self, request: RequestBuilder) -> Result<(u16, Value), String> {
        let answer = request.send().await.map_err(|why| format!("{why:?}"))?;
        let status = answer.status().as_u16();
        let body = answer.text().await.map_err(|why| format!("{why:?}"))?;
        Ok((status, serde_json::from_str(&body).unwrap_or(Value::String(body))))
    }

    /// The serial number of the certificate it serves now, as it stands in a status.
    pub async fn serial(&self) -> String {
        let tls = TlsConnector::from(Arc::new(agent::anonymous_config(&self.trust)));
        let name = ServerName::try_from(self.name.clone()).expect("a DNS name");
        let tcp = TcpStream::connect(self.address).await.expect("a connection");
        let stream = tls.connect(name, tcp).await.expect("a handshake");
        let certificates = stream.get_ref().1.peer_certificates().expect("a certificate");
        let (_, leaf) = X509Certificate::from_der(&certificates[0]).expect("a certificate");
        leaf.raw_serial_as_string().replace(':', "")
    }
}
