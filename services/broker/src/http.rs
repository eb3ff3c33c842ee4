//! The plain listener: the chassis' probes, and `/mqtt`, which answers for the broker itself.

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Json, Router};
use serde_json::json;
use tokio::sync::{Mutex, watch};
use waybill_chassis::metrics::Metrics;
use waybill_chassis::probes::Probes;
use waybill_chassis::telemetry::report;

use crate::console::{Console, Error};
use crate::metrics::BrokerMetrics;

/// Whoever asks while a probe runs, or just after, gets its answer: asking often is no way to load the broker.
const FRESH: Duration = Duration::from_millis(500);

/// Probes the broker for whoever asks.
#[derive(Clone)]
pub(crate) struct Prober {
    console: watch::Receiver<Option<Console>>,
    metrics: BrokerMetrics,
    last: Arc<Mutex<Option<(Instant, Answer)>>>,
}

/// How long it took, or why there was none.
type Answer = Result<Duration, String>;

impl Prober {
    pub(crate) fn new(console: watch::Receiver<Option<Console>>, metrics: BrokerMetrics) -> Self {
        Self { console, metrics, last: Arc::default() }
    }

    async fn probe(&self) -> Answer {
        let mut last = self.last.lock().await;
        if let Some((_, result)) = last.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return result.clone();
        }
        let console = self.console.borrow().clone();
        let result = match console {
            Some(console) => console.round_trip().await,
            None => Err(Error::NoWay),
        };
        match &result {
            Ok(took) => self.metrics.round_trip.observe(took.as_secs_f64()),
            Err(_) => drop(self.metrics.round_trip_failures.inc()),
        }
        let result = result.map_err(|error| report(&error).to_string());
        *last = Some((Instant::now(), result.clone()));
        result
    }
}

/// `/healthz`, `/readyz`, `/metrics` of the sidecar; `/mqtt` of the broker.
pub(crate) fn router(probes: &Probes, metrics: Metrics, prober: Prober) -> Router {
    probes.router(metrics).route("/mqtt", get(mqtt).with_state(prober))
}

async fn mqtt(State(prober): State<Prober>) -> Response {
    match prober.probe().await {
        Ok(took) => Json(json!({ "roundTripSeconds": took.as_secs_f64() })).into_response(),
        Err(error) => (StatusCode::SERVICE_UNAVAILABLE, Json(json!({ "error": error }))).into_response(),
    }
}
