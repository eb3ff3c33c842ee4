//! What a kubelet and a person may ask: `/healthz` (the process turns), `/readyz` (which gates are closed, as JSON)
//! and `/metrics`, on a plain listener of their own so that they work when TLS does not.
//!
//! A gate is a named precondition owned by the part that knows it. A closed gate answers 503; an open one shows a word
//! of state, so "ready" and "why" read in one place. State words are fixed texts, never data.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;

use crate::metrics::Metrics;

/// Where the probes listen.
#[derive(Debug, Clone, clap::Args)]
pub struct ProbeArgs {
    /// Address of the plain HTTP listener for /healthz, /readyz and /metrics
    #[arg(long = "probe-addr", env = "WAYBILL_PROBE_ADDR", default_value = "0.0.0.0:8080", value_name = "ADDR")]
    pub addr: SocketAddr,
}

/// Why the probe listener ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to bind the probe listener to {addr}")]
    Bind {
        addr: SocketAddr,
        #[source]
        source: io::Error,
    },
    #[error("failed to serve probes")]
    Serve(#[source] io::Error),
}

/// The gates of one process; cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Probes {
    gates: Arc<Mutex<BTreeMap<&'static str, GateState>>>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
struct GateState {
    open: bool,
    word: Cow<'static, str>,
}

/// The handle by which a part of the process opens and closes its own gate.
#[derive(Debug, Clone)]
pub struct Gate {
    name: &'static str,
    probes: Probes,
}

impl Probes {
    /// Gates named for what must be true, such as `tls` or `cache`, all closed: who asks before the last part of the
    /// process began must not hear that it is ready.
    pub fn new(names: &[&'static str]) -> Self {
        let probes = Self::default();
        for name in names {
            Gate { name, probes: probes.clone() }.close("starting");
        }
        probes
    }

    /// The handle of one of the gates.
    pub fn gate(&self, name: &'static str) -> Gate {
        assert!(self.word(name).is_some(), "a process names its gates before it asks for one: {name}");
        Gate { name, probes: self.clone() }
    }

    /// True when every gate is open.
    pub fn ready(&self) -> bool {
        self.read(|gates| gates.values().all(|gate| gate.open))
    }

    /// The word a gate shows now, for those who decide by it in tests and logs.
    pub fn word(&self, name: &str) -> Option<String> {
        self.read(|gates| gates.get(name).map(|gate| gate.word.to_string()))
    }

    /// The three routes.
    pub fn router(&self, metrics: Metrics) -> Router {
        Router::new()
            .route("/healthz", get(async || "ok\n"))
            .route("/readyz", get(readyz).with_state(self.clone()))
            .route("/metrics", get(scrape).with_state(metrics))
    }

    // No code that can panic runs under this lock, so a poisoned one still holds true states.
    fn read<T>(&self, look: impl FnOnce(&BTreeMap<&'static str, GateState>) -> T) -> T {
        look(&self.gates.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Gate {
    /// Opens the gate.
    pub fn open(&self) {
        self.open_as("ok");
    }

    /// Opens the gate and says in what state, e.g. `standby`.
    pub fn open_as(&self, word: impl Into<Cow<'static, str>>) {
        self.set(true, word.into());
    }

    /// Closes the gate and says what is missing.
    pub fn close(&self, word: impl Into<Cow<'static, str>>) {
        self.set(false, word.into());
    }

    fn set(&self, open: bool, word: Cow<'static, str>) {
        let next = GateState { open, word };
        let mut gates = self.probes.gates.lock().unwrap_or_else(PoisonError::into_inner);
        if gates.get(self.name) != Some(&next) {
            tracing::info!(gate = self.name, open, state = %next.word, "gate changed");
            gates.insert(self.name, next);
        }
    }
}

async fn readyz(State(probes): State<Probes>) -> Response {
    let (closed, words) = probes.read(|gates| {
        let closed: Vec<_> = gates.iter().filter(|(_, gate)| !gate.open).map(|(name, _)| *name).collect();
        let words: BTreeMap<_, _> = gates.iter().map(|(name, gate)| (*name, gate.word.clone())).collect();
        (closed, words)
    });
    let status = if closed.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(serde_json::json!({ "ready": closed.is_empty(), "notReady": closed, "gates": words })))
        .into_response()
}

async fn scrape(State(metrics): State<Metrics>) -> Response {
    match metrics.encode() {
        Ok(text) => ([(header::CONTENT_TYPE, crate::metrics::CONTENT_TYPE)], text).into_response(),
        Err(_) => StatusCode::INTERNAL_SERVER_ERROR.into_response(),
    }
}

/// Binds and serves the probes until `stop`; call it last to be stopped, so a draining process still answers.
pub async fn serve(args: &ProbeArgs, probes: &Probes, metrics: Metrics, stop: CancellationToken) -> Result<(), Error> {
    let listener = TcpListener::bind(args.addr).await.map_err(|source| Error::Bind { addr: args.addr, source })?;
    serve_on(listener, probes.router(metrics), stop).await
}

/// Serves any plain router on a bound listener until `stop`.
pub async fn serve_on(listener: TcpListener, router: Router, stop: CancellationToken) -> Result<(), Error> {
    // A probe client that keeps its connection must not hold up the end of the process: stop means stop.
    let ended = stop.clone();
    tokio::select! {
        served = axum::serve(listener, router).with_graceful_shutdown(stop.cancelled_owned()) => {
            served.map_err(Error::Serve)
        }
        () = ended.cancelled() => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::body::{Body, to_bytes};
    use axum::http::Request;
    use tower::ServiceExt;

    async fn ask(router: Router, path: &str) -> (StatusCode, String) {
        let response = router.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 20).await.unwrap();
        (status, String::from_utf8(body.to_vec()).unwrap())
    }

    #[tokio::test]
    async fn readiness_names_the_closed_gates_and_recovers() {
        let probes = Probes::new(&["tls", "broker"]);
        let (tls, broker) = (probes.gate("tls"), probes.gate("broker"));
        tls.open();
        assert!(!probes.ready(), "the broker's part has not begun");
        broker.close("connecting");
        let router = probes.router(Metrics::new("test"));
        let (status, body) = ask(router.clone(), "/readyz").await;
        assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
        let json: serde_json::Value = serde_json::from_str(&body).unwrap();
        assert_eq!(json["notReady"], serde_json::json!(["broker"]));
        assert_eq!(json["gates"]["broker"], "connecting");

        broker.open_as("standby");
        let (status, body) = ask(router.clone(), "/readyz").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains(r#""broker":"standby""#), "{body}");

        broker.close("lost");
        assert_eq!(ask(router, "/readyz").await.0, StatusCode::SERVICE_UNAVAILABLE);
    }

    #[tokio::test]
    async fn a_closed_gate_does_not_make_the_process_unhealthy() {
        let probes = Probes::new(&["cache"]);
        assert_eq!(ask(probes.router(Metrics::new("test")), "/healthz").await, (StatusCode::OK, "ok\n".into()));
    }

    #[tokio::test]
    async fn metrics_are_served_beside_the_probes() {
        let (status, body) = ask(Probes::new(&[]).router(Metrics::new("test")), "/metrics").await;
        assert_eq!(status, StatusCode::OK);
        assert!(body.contains("process_resident_memory_bytes"), "{body}");
        assert!(body.ends_with("# EOF\n"), "{body}");
    }

    #[tokio::test]
    async fn the_listener_ends_when_told_even_with_a_client_on_it() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let addr = listener.local_addr().unwrap();
        let stop = CancellationToken::new();
        let served = tokio::spawn(serve_on(listener, Probes::new(&[]).router(Metrics::new("test")), stop.clone()));
        let _idle = tokio::net::TcpStream::connect(addr).await.unwrap();
        stop.cancel();
        tokio::time::timeout(std::time::Duration::from_secs(5), served).await.unwrap().unwrap().unwrap();
    }
}
