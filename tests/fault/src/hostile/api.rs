//! A Carrier API that lies. It has what a true one has: a certificate, and the account that may write into logs. Agents come to
//! it in good faith; what it tells them and writes down is a [`Lie`], another for each delivery.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use axum::{Json, Router};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Patch, PatchParams};
use kube::{Api, ResourceExt};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::{Value, json};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;
use waybill_crds::Delivery;
use waybill_protocol::fact::reason::DeliveredTo;
use waybill_protocol::{Author, Event, Fact, Log, SignedEvent, Trust, Uid, UnixMillis, version};

const DELIVERED: Fact = Fact::Delivered { to: DeliveredTo::Recipient, note: None };

/// What it does to a delivery.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Lie {
    /// Says that all is well and writes nothing; shows the first half of the log.
    Withholds,
    /// Writes that the carrier delivered, signed by a key of its own; shows that.
    Invents,
    /// Writes what it is told with a bit flipped, and junk; shows the log like that.
    Alters,
    /// Writes what was there before once more, and events of other deliveries; shows the log from its end.
    Repeats,
    /// Says that the agent is wrong about its own chain, and writes nothing.
    Contradicts,
}

impl Lie {
    pub(crate) const ALL: [Self; 5] = [Self::Withholds, Self::Invents, Self::Alters, Self::Repeats, Self::Contradicts];
}

/// What it works with.
pub(crate) struct Liar {
    pub(crate) deliveries: Api<Delivery>,
    pub(crate) seller: Uid,
    pub(crate) seller_statement: Vec<u8>,
    pub(crate) trust: Trust,
    /// By UPC; a delivery not named here is told the truth about nothing.
    pub(crate) lies: BTreeMap<String, Lie>,
    /// Signs in the carrier's name with a key that is not the carrier's.
    pub(crate) forger: ed25519_dalek::SigningKey,
    /// All it was ever told: any delivery's events.
    pub(crate) told: Mutex<Vec<SignedEvent>>,
    /// How often it lied, by UPC.
    pub(crate) lied: Mutex<BTreeMap<String, u32>>,
}

/// A listener that ends with the value.
pub(crate) struct HostileApi {
    pub(crate) addr: SocketAddr,
    pub(crate) liar: Arc<Liar>,
    serving: JoinHandle<()>,
}

impl HostileApi {
    pub(crate) async fn start(at: SocketAddr, (certificate, key): (&str, &str), liar: Liar) -> Self {
        let listener = TcpListener::bind(at).await.unwrap();
        let (addr, liar) = (listener.local_addr().unwrap(), Arc::new(liar));
        let routes = Router::new()
            .route("/api/agent/deliveries", get(list))
            .route("/api/agent/deliveries/{uid}/log", get(log))
            .route("/api/shipment/{upc}", post(report))
            .with_state(Arc::clone(&liar));
        let listener = Listener { listener, tls: acceptor(certificate, key) };
        let serving = tokio::spawn(async move { axum::serve(listener, routes).await.unwrap() });
        Self { addr, liar, serving }
    }
}

impl Drop for HostileApi {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

impl Liar {
    async fn find(&self, fits: impl Fn(&Delivery) -> bool) -> Option<(Delivery, Lie)> {
        let delivery = self.deliveries.list(&Default::default()).await.ok()?.into_iter().find(|found| fits(found))?;
        let lie = *self.lies.get(&delivery.spec.upc)?;
        Some((delivery, lie))
    }

    fn read(&self, delivery: &Delivery) -> Log {
        waybill_cluster::custody::read(delivery, &self.seller, &self.trust).unwrap()
    }

    /// Writes into the log whatever it likes, beside a phase of its own choosing.
    pub(crate) async fn write(&self, delivery: &Delivery, entries: Vec<Value>) {
        let status = delivery.status.clone().unwrap_or_default();
        let begin = status.custody.is_empty().then(|| json!({"op": "add", "path": "/status/custody", "value": []}));
        let entries = entries.into_iter().take(8);
        let add = entries.map(|entry| json!({"op": "add", "path": "/status/custody/-", "value": entry}));
        let entries: Vec<Value> = begin.into_iter().chain(add).collect();
        let phase = json!({"op": "add", "path": "/status/phase", "value": "Delivered"});
        // The schema lets no phase be jumped to; then the junk goes in without it.
        for patch in [[entries.clone(), vec![phase]].concat(), entries] {
            let patch: Patch<()> = Patch::Json(serde_json::from_value(Value::Array(patch)).unwrap());
            if self.deliveries.patch_status(&delivery.name_any(), &PatchParams::default(), &patch).await.is_ok() {
                let mut lied = self.lied.lock().unwrap_or_else(PoisonError::into_inner);
                *lied.entry(delivery.spec.upc.clone()).or_default() += 1;
                return;
            }
        }
    }

    /// What the carrier never said: by its uid, in its chain, at the right place, signed by another key.
    pub(crate) fn invented(&self, log: &Log, template: &Event, fact: Fact) -> SignedEvent {
        let (seq, prev) = log.expected(Author::Transport, &template.uid);
        let event = Event {
            version: version::CURRENT,
            seq,
            prev,
            at: UnixMillis(template.at.0 + 1),
            attempt: log.state().attempt().max(1),
            fact,
            statement: None,
            ..template.clone()
        };
        SignedEvent::sign(event, &self.forger).unwrap()
    }

    fn counted(&self, upc: &str) {
        *self.lied.lock().unwrap_or_else(PoisonError::into_inner).entry(upc.to_owned()).or_default() += 1;
    }
}

/// Nothing is open, it says.
async fn list() -> Response {
    answer(StatusCode::OK, json!({"deliveries": []}))
}

async fn log(State(liar): State<Arc<Liar>>, Path(uid): Path<String>) -> Response {
    let found = liar.find(|delivery| delivery.metadata.uid.as_deref() == Some(&uid)).await;
    let Some((delivery, lie)) = found else { return answer(StatusCode::NOT_FOUND, json!({})) };
    let log = liar.read(&delivery);
    let mut custody: Vec<Vec<u8>> = log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    match lie {
        Lie::Withholds | Lie::Contradicts => custody.truncate(custody.len() / 2),
        Lie::Invents => {
            let mut said = log.entries().iter().filter_map(|entry| entry.event()).map(SignedEvent::event);
            let template = said.rfind(|event| event.author == Author::Transport).cloned();
            custody.extend(template.map(|event| liar.invented(&log, &event, DELIVERED).bytes().to_vec()));
        }
        Lie::Alters => custody.iter_mut().for_each(|bytes| *bytes.last_mut().unwrap() ^= 1),
        Lie::Repeats => custody.reverse(),
    }
    let custody: Vec<String> = custody.iter().map(|bytes| STANDARD.encode(bytes)).collect();
    answer(StatusCode::OK, json!({"custody": custody, "sellerStatement": STANDARD.encode(&liar.seller_statement)}))
}

async fn report(
    State(liar): State<Arc<Liar>>,
    Path(upc): Path<String>,
    _headers: HeaderMap,
    Json(body): Json<Value>,
) -> Response {
    let Some((delivery, lie)) = liar.find(|delivery| delivery.spec.upc == upc).await else {
        return answer(StatusCode::NOT_FOUND, json!({}));
    };
    let texts = body["events"].as_array().into_iter().flatten().filter_map(Value::as_str);
    let events: Vec<_> = texts.map(|text| SignedEvent::read(&STANDARD.decode(text).unwrap()).unwrap()).collect();
    let (log, others) = (liar.read(&delivery), known(&liar, &events));
    let Some(last) = events.last() else { return answer(StatusCode::BAD_REQUEST, json!({})) };
    match lie {
        Lie::Withholds => liar.counted(&upc),
        Lie::Contradicts => {
            liar.counted(&upc);
            let problem = json!({"type": "about:blank", "status": 409, "expected": {"seq": last.event().seq + 7, "previous": null}});
            return answer(StatusCode::CONFLICT, problem);
        }
        Lie::Invents => {
            let invented = liar.invented(&log, last.event(), DELIVERED);
            liar.write(&delivery, vec![entry(&invented, invented.bytes())]).await;
        }
        Lie::Alters => {
            let mut bytes = last.bytes().to_vec();
            *bytes.last_mut().unwrap() ^= 1;
            liar.write(&delivery, vec![entry(last, &bytes), entry(last, b"junk")]).await;
        }
        Lie::Repeats => {
            let there = log.entries().iter().rev().filter_map(|entry| entry.event()).take(2).cloned();
            let elsewhere = others.into_iter().filter(|other| other.event().delivery != last.event().delivery).take(3);
            let entries = there.chain(elsewhere).map(|event| entry(&event, event.bytes())).collect();
            liar.write(&delivery, entries).await;
        }
    }
    let accepted = events.iter().map(|event| json!({"id": event.id().to_string(), "position": 200, "new": true}));
    let accepted: Vec<_> = accepted.collect();
    answer(StatusCode::CREATED, json!({"accepted": accepted, "phase": "Delivered", "stage": "None", "attempt": 1}))
}

fn known(liar: &Liar, events: &[SignedEvent]) -> Vec<SignedEvent> {
    let mut told = liar.told.lock().unwrap_or_else(PoisonError::into_inner);
    for event in events {
        if !told.iter().any(|known| known.id() == event.id()) {
            told.push(event.clone());
        }
    }
    told.clone()
}

/// An entry that says of these bytes what a true one would say of that event.
pub(crate) fn entry(of: &SignedEvent, bytes: &[u8]) -> Value {
    let event = of.event();
    json!({"author": "Transport", "seq": event.seq, "event": event.kind().as_str(), "at": "2026-12-01T09:30:00.000000Z",
           "signed": STANDARD.encode(bytes), "id": of.id().to_string()})
}

fn answer(status: StatusCode, body: Value) -> Response {
    let now = httpdate::fmt_http_date(std::time::SystemTime::now());
    (status, [(header::DATE, now)], Json(body)).into_response()
}

struct Listener {
    listener: TcpListener,
    tls: TlsAcceptor,
}

impl axum::serve::Listener for Listener {
    type Io = TlsStream<TcpStream>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        loop {
            let (stream, addr) = self.listener.accept().await.unwrap();
            if let Ok(stream) = self.tls.accept(stream).await {
                return (stream, addr);
            }
        }
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

fn acceptor(certificate: &str, key: &str) -> TlsAcceptor {
    let chain = CertificateDer::pem_slice_iter(certificate.as_bytes()).map(Result::unwrap).collect();
    let config = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::aws_lc_rs::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(chain, PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}
