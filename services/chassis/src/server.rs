//! One way to serve HTTP over TLS: certificates that reload, clients that are known, limits that hold, a drain that
//! ends.
//!
//! Order of the layers, outermost first: request id and span, metrics, the one error shape, the caller's quota, panics caught, time
//! limit, revocations, body limit, then the service's own routes. Whatever an inner one refuses, an outer one counts, logs and
//! shapes.

mod door;
mod idle;
mod request;

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::DefaultBodyLimit;
use axum::http::{HeaderValue, StatusCode, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum_server::Handle;
use axum_server::tls_rustls::RustlsConfig;
use hyper_util::rt::{TokioExecutor, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tower::ServiceBuilder;
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::set_header::SetResponseHeaderLayer;
use tower_http::timeout::TimeoutLayer;

use crate::limit::{self, Limit};
use crate::metrics::{HttpMetrics, track};
use crate::probes::Gate;
use crate::problem;
use crate::revocation::{Revocations, refuse_revoked};
use crate::telemetry::report;
use crate::tls::{self, ClientAuth, Material};

pub use door::TlsMetrics;

/// Why a server did not start or ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to bind to {addr}")]
    Bind {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("failed to configure the listener")]
    Tls(#[source] tls::Error),
    #[error("failed to take over the listener")]
    Listener(#[source] io::Error),
    #[error("failed to serve")]
    Serve(#[source] io::Error),
}

/// What one client may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Time for a TLS handshake.
    pub handshake: Duration,
    /// Time for a request's head; also how long an idle HTTP/1 connection is kept.
    pub head: Duration,
    /// Time from the head of a request to the head of its answer.
    pub request: Duration,
    /// A connection that moves no byte for so long is closed.
    pub idle: Duration,
    /// Bytes of a body, where a route does not say otherwise.
    pub body: usize,
    /// Requests a minute of one caller; 0 for no limit.
    pub requests: u32,
    /// Connections at once of clients that showed who they are; and as many under way to show it, before they cost a
    /// handshake.
    pub connections: usize,
    /// Connections at once of all others, who so take no place of those.
    pub anonymous: usize,
    /// How long requests under way may take once the process is told to end.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            handshake: Duration::from_secs(5),
            head: Duration::from_secs(30),
            request: Duration::from_secs(30),
            idle: Duration::from_secs(75),
            body: 64 << 10,
            requests: limit::PER_MINUTE,
            connections: 1024,
            anonymous: 512,
            drain: Duration::from_secs(20),
        }
    }
}

/// The outside of a service: its routes inside all layers, ready for a [`Server`] or for a test's `oneshot`.
pub fn app(routes: Router, http: HttpMetrics, revocations: Revocations, limits: &Limits) -> Router {
    // One stack, outermost first: each `Router::layer` would be another box to clone for every request.
    let layers = ServiceBuilder::new()
        .layer(from_fn(request::identify))
        .layer(from_fn_with_state(http, track))
        .layer(SetResponseHeaderLayer::overriding(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")))
        // Answers may hold what only this client may read: nobody stores them unless a route says so.
        .layer(SetResponseHeaderLayer::if_not_present(header::CACHE_CONTROL, HeaderValue::from_static("no-store")))
        .layer(from_fn(problem::finish))
        .layer(from_fn_with_state(Limit::per_minute(limits.requests), limit::within))
        .layer(CatchPanicLayer::custom(problem::from_panic))
        .layer(TimeoutLayer::with_status_code(StatusCode::REQUEST_TIMEOUT, limits.request))
        .layer(from_fn_with_state(revocations, refuse_revoked))
        .layer(DefaultBodyLimit::max(limits.body));
    routes.layer(layers)
}

/// Binds, with the address in the error.
pub async fn bind(addr: SocketAddr) -> Result<TcpListener, Error> {
    TcpListener::bind(addr).await.map_err(|source| Error::Bind { addr, source })
}

/// A TLS listener and all it needs.
#[derive(Debug)]
pub struct Server {
    pub listener: TcpListener,
    /// The routes inside their layers, as [`app`] makes them.
    pub app: Router,
    /// Leaf and roots; a new value is used from the next connection on, live ones go on.
    pub material: watch::Receiver<Arc<Material>>,
    pub clients: ClientAuth,
    pub limits: Limits,
    pub metrics: TlsMetrics,
    /// Open while new connections are welcome.
    pub gate: Gate,
}

impl Server {
    /// Serves until `shutdown`, then drains within the limit.
    pub async fn run(mut self, shutdown: CancellationToken) -> Result<(), Error> {
        let first = self.material.borrow_and_update().clone();
        self.metrics.not_after.set(first.not_after());
        let config = RustlsConfig::from_config(configuration(&first, self.clients).map_err(Error::Tls)?);
        let handle = Handle::new();
        let beside = async {
            tokio::join!(
                drain_at(shutdown, handle.clone(), (self.limits.drain, self.gate)),
                reload(self.material, self.clients, config.clone(), self.metrics.clone()),
            )
        };
        let listener = self.listener.into_std().map_err(Error::Listener)?;
        let server = axum_server::from_tcp(listener).map_err(Error::Listener)?;
        let door = door::Door::new(config.clone(), &self.limits, self.metrics.clone());
        let mut server = server.acceptor(door).handle(handle.clone());
        bound(server.http_builder(), self.limits.head);
        let serving = server.serve(self.app.into_make_service());
        tokio::select! {
            served = serving => served.map_err(Error::Serve),
            _ = async { beside.await; std::future::pending::<()>().await } => Ok(()),
        }
    }
}

fn bound(http: &mut Builder<TokioExecutor>, head: Duration) {
    http.http1().timer(TokioTimer::new()).header_read_timeout(head).max_buf_size(64 << 10);
    http.http2()
        .timer(TokioTimer::new())
        .keep_alive_interval(Some(head))
        .max_concurrent_streams(16)
        .max_header_list_size(32 << 10);
}

fn configuration(material: &Material, clients: ClientAuth) -> Result<Arc<rustls::ServerConfig>, tls::Error> {
    let mut config = material.server(clients)?;
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

async fn drain_at(shutdown: CancellationToken, handle: Handle<SocketAddr>, (limit, gate): (Duration, Gate)) {
    gate.open();
    shutdown.cancelled().await;
    gate.close("draining");
    tracing::info!(connections = handle.connection_count(), "draining");
    handle.graceful_shutdown(Some(limit));
}

async fn reload(
    mut material: watch::Receiver<Arc<Material>>,
    clients: ClientAuth,
    config: RustlsConfig,
    metrics: TlsMetrics,
) {
    while material.changed().await.is_ok() {
        let next = material.borrow_and_update().clone();
        match configuration(&next, clients) {
            Ok(next_config) => {
                config.reload_from_config(next_config);
                metrics.not_after.set(next.not_after());
                metrics.reloads.inc();
                tracing::info!(not_after = next.not_after(), "new certificate for connections from now on");
            }
            Err(error) => tracing::error!(error = %report(&error), "kept the old certificate"),
        }
    }
}
