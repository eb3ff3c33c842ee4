//! The door of a TLS listener: a place or none, a handshake in time, the client's identity noted for every request.

use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use axum::Extension;
use axum::middleware::AddExtension;
use axum_server::accept::{Accept, NoDelayAcceptor};
use axum_server::tls_rustls::{RustlsAcceptor, RustlsConfig};
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;
use tokio_rustls::server::TlsStream;
use tower::Layer;

use super::Limits;
use super::idle::Idle;
use crate::metrics::Metrics;
use crate::peer::{Connection, Peer};
use crate::telemetry::report;

/// What a TLS listener counts.
#[derive(Debug, Clone, Default)]
pub struct TlsMetrics {
    handshakes: Family<Handshake, Counter>,
    pub(super) not_after: Gauge,
    pub(super) reloads: Counter,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Handshake {
    outcome: Outcome,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
enum Outcome {
    Known,
    Anonymous,
    Refused,
    Full,
}

impl TlsMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self::default();
        metrics.register(|registry| {
            registry.register("tls_handshakes", "Handshakes by outcome", families.handshakes.clone());
            let help = "End of validity of the certificate being served";
            registry.register("tls_certificate_not_after_seconds", help, families.not_after.clone());
            registry.register("tls_reloads", "Certificates replaced without restart", families.reloads.clone());
        });
        families
    }

    fn count(&self, outcome: Outcome) {
        self.handshakes.get_or_create(&Handshake { outcome }).inc();
    }
}

#[derive(Clone)]
pub(super) struct Door {
    tls: RustlsAcceptor<NoDelayAcceptor>,
    places: Places,
    idle: Duration,
    metrics: TlsMetrics,
}

/// How many may be where. Who somebody is shows at the end of a handshake, and only then which place is taken for good.
#[derive(Clone)]
struct Places {
    arriving: Arc<Semaphore>,
    known: Arc<Semaphore>,
    anonymous: Arc<Semaphore>,
}

impl Places {
    fn new(limits: &Limits) -> Self {
        let places = |count| Arc::new(Semaphore::new(count));
        Self {
            arriving: places(limits.connections),
            known: places(limits.connections),
            anonymous: places(limits.anonymous),
        }
    }
}

impl Door {
    pub(super) fn new(config: RustlsConfig, limits: &Limits, metrics: TlsMetrics) -> Self {
        let tls = RustlsAcceptor::new(config).handshake_timeout(limits.handshake).acceptor(NoDelayAcceptor::new());
        Self { tls, places: Places::new(limits), idle: limits.idle, metrics }
    }
}

type Accepted<S> = (Idle<TlsStream<TcpStream>>, AddExtension<S, Connection>);

impl<S: Send + 'static> Accept<TcpStream, S> for Door {
    type Stream = Idle<TlsStream<TcpStream>>;
    type Service = AddExtension<S, Connection>;
    type Future = Pin<Box<dyn Future<Output = io::Result<Accepted<S>>> + Send>>;

    fn accept(&self, stream: TcpStream, service: S) -> Self::Future {
        let Ok(arriving) = Arc::clone(&self.places.arriving).try_acquire_owned() else {
            self.metrics.count(Outcome::Full);
            return Box::pin(async { Err(io::ErrorKind::ConnectionRefused.into()) });
        };
        let handshake = self.tls.accept(stream, service);
        let (metrics, idle, places) = (self.metrics.clone(), self.idle, self.places.clone());
        Box::pin(async move {
            let entered = match handshake.await {
                Ok((stream, service)) => enter(stream, service, (idle, &places)),
                Err(error) => Err(error),
            };
            drop(arriving);
            match &entered {
                Ok((_, peer, _)) => metrics.count(if *peer { Outcome::Known } else { Outcome::Anonymous }),
                Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => metrics.count(Outcome::Full),
                Err(error) => {
                    metrics.count(Outcome::Refused);
                    tracing::debug!(error = %report(error), "refused a connection");
                }
            }
            entered.map(|(stream, _, service)| (stream, service))
        })
    }
}

type Entered<S> = (Idle<TlsStream<TcpStream>>, bool, AddExtension<S, Connection>);

fn enter<S>(stream: TlsStream<TcpStream>, service: S, (idle, places): (Duration, &Places)) -> io::Result<Entered<S>> {
    let (tcp, session) = stream.get_ref();
    let address = tcp.peer_addr().ok().map(|address| address.ip());
    let leaf = session.peer_certificates().and_then(|chain| chain.first());
    let peer = leaf.map(|leaf| Peer::from_der(leaf)).transpose().map_err(io::Error::other)?.map(Arc::new);
    let known = peer.is_some();
    let place = Arc::clone(if known { &places.known } else { &places.anonymous }).try_acquire_owned();
    let place = place.map_err(|_| io::Error::from(io::ErrorKind::ConnectionRefused))?;
    let service = Extension(Connection { peer, address }).layer(service);
    Ok((Idle::new(stream, idle, place), known, service))
}
