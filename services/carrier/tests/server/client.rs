//! Clients of the Carrier API: an agent with its certificate and tokens, and anybody else.

use std::net::SocketAddr;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use waybill_chassis::tls::{Bundle, Material, anonymous_client};
use waybill_protocol::SignedEvent;

use crate::domain::{Ca, Leaf, Somebody};
use crate::room::{Parcel, now};

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Value,
    pub(crate) bytes: Vec<u8>,
    pub(crate) headers: reqwest::header::HeaderMap,
}

impl Answer {
    pub(crate) async fn of(request: RequestBuilder) -> Self {
        let (client, request) = request.build_split();
        let request = request.expect("a request");
        let (method, path) = (request.method().clone(), request.url().path().to_owned());
        let answer = client.execute(request).await.expect("an answer");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let bytes = answer.bytes().await.expect("a body").to_vec();
        let body = serde_json::from_slice(&bytes).unwrap_or(Value::Null);
        if status >= 400 {
            assert_eq!(headers["content-type"], "application/problem+json", "{status} {body}");
            assert_eq!(body["error"], body["detail"], "for clients of the older API");
        }
        assert!(headers.contains_key("date"), "an agent sets its clock by it");
        if let Err(why) = described(&method, &path, status, &body) {
            panic!("{method} {path}: {status} {body} is not described: {why}");
        }
        Self { status, body, bytes, headers }
    }

    /// Status and, of a problem, the last part of its type.
    pub(crate) fn is(&self) -> (u16, &str) {
        let kind = self.body["type"].as_str().unwrap_or_default();
        (self.status, kind.rsplit('/').next().unwrap_or_default())
    }
}

/// Whether the API's own description has such an answer.
fn described(method: &Method, path: &str, status: u16, body: &Value) -> Result<(), &'static str> {
    static SAID: LazyLock<Value> = LazyLock::new(|| serde_json::from_str(&waybill_carrier::description()).unwrap());
    let same = |template: &str| {
        let (mut one, mut other) = (template.split('/'), path.split('/'));
        let fit = one.by_ref().zip(other.by_ref()).all(|(part, text)| part.starts_with('{') || part == text);
        fit && template.split('/').count() == path.split('/').count()
    };
    let Some((_, methods)) = SAID["paths"].as_object().unwrap().iter().find(|(template, _)| same(template)) else {
        return if status == 404 { Ok(()) } else { Err("no such path") };
    };
    let Some(operation) = methods.get(method.as_str().to_ascii_lowercase()) else {
        return if status == 405 { Ok(()) } else { Err("no such method") };
    };
    let answer = operation["responses"].get(status.to_string()).ok_or("no such status")?;
    let kinds = &answer["content"]["application/problem+json"]["schema"]["allOf"][1]["properties"]["type"]["enum"];
    match kinds.as_array() {
        Some(kinds) if !kinds.contains(&body["type"]) => Err("no such problem"),
        _ => Ok(()),
    }
}

/// Somebody who reaches the API.
#[derive(Clone)]
pub(crate) struct Client {
    http: reqwest::Client,
    base: String,
}

impl Client {
    pub(crate) fn anonymous(ca: &Ca, address: SocketAddr) -> Self {
        Self::with(anonymous_client(&Bundle::from_pem(ca.pem().as_bytes()).unwrap()).unwrap(), address)
    }

    pub(crate) fn known(ca: &Ca, address: SocketAddr, leaf: &Leaf) -> Self {
        let material = Material::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes(), ca.pem().as_bytes()).unwrap();
        Self::with(material.client().unwrap(), address)
    }

    fn with(tls: rustls::ClientConfig, address: SocketAddr) -> Self {
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls).no_proxy().resolve("localhost", address);
        Self { http: http.build().unwrap(), base: format!("https://localhost:{}", address.port()) }
    }

    pub(crate) fn request(&self, method: Method, path: &str, token: Option<&str>) -> RequestBuilder {
        let request = self.http.request(method, format!("{}{path}", self.base));
        match token {
            Some(token) => request.header("authorization", format!("Bearer {token}")),
            None => request,
        }
    }

    pub(crate) async fn get(&self, path: &str, token: Option<&str>) -> Answer {
        Answer::of(self.request(Method::GET, path, token)).await
    }

    pub(crate) async fn post(&self, path: &str, token: Option<&str>, body: &Value) -> Answer {
        Answer::of(self.request(Method::POST, path, token).json(body)).await
    }
}

/// A carrier's agent.
#[derive(Clone)]
pub(crate) struct Agent {
    pub(crate) keys: Somebody,
    pub(crate) client: Client,
}

impl Agent {
    /// The claims of a good token for one delivery.
    pub(crate) fn claims(&self, parcel: &Parcel) -> Value {
        json!({"iss": self.keys.uid().as_str(), "aud": "carrier-api", "sub": parcel.uid, "upc": parcel.upc,
               "iat": now(), "nbf": now(), "exp": now() + 120, "jti": "j"})
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        self.keys.token_key().sign("wb-carrier-api+jwt", claims).unwrap()
    }

    pub(crate) fn token(&self, parcel: &Parcel) -> String {
        self.sign(&self.claims(parcel))
    }

    /// For the list of its own deliveries.
    pub(crate) fn own_token(&self) -> String {
        let uid = self.keys.uid().as_str();
        self.sign(&json!({"iss": uid, "aud": "carrier-api", "sub": uid,
                          "iat": now(), "nbf": now(), "exp": now() + 120, "jti": "j"}))
    }

    pub(crate) async fn report(&self, parcel: &Parcel, events: &[SignedEvent]) -> Answer {
        let path = format!("/api/shipment/{}", parcel.upc);
        self.client.post(&path, Some(&self.token(parcel)), &body(events)).await
    }

    pub(crate) async fn upload(&self, parcel: &Parcel, kind: &str, bytes: Vec<u8>) -> Answer {
        let path = format!("/api/agent/deliveries/{}/photos", parcel.uid);
        let request = self.client.request(Method::PUT, &path, Some(&self.token(parcel)));
        Answer::of(request.header("content-type", kind).body(bytes)).await
    }

    pub(crate) async fn get(&self, parcel: &Parcel, rest: &str) -> Answer {
        let path = format!("/api/agent/deliveries/{}/{rest}", parcel.uid);
        self.client.get(&path, Some(&self.token(parcel))).await
    }
}

pub(crate) fn body(events: &[SignedEvent]) -> Value {
    json!({"events": events.iter().map(|event| STANDARD.encode(event.bytes())).collect::<Vec<_>>()})
}
