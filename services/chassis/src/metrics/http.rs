//! Rate, errors, duration of HTTP requests, by route template.

use std::time::Instant;

use axum::extract::{MatchedPath, Request, State};
use axum::http::Method;
use axum::middleware::Next;
use axum::response::Response;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;

use super::Metrics;

/// From a cached answer to a client's patience.
const SECONDS: [f64; 11] = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.5, 2.5, 10.0];

/// Families of one HTTP server.
#[derive(Debug, Clone)]
pub struct HttpMetrics {
    requests: Family<Outcome, Counter>,
    seconds: Family<Endpoint, Histogram, fn() -> Histogram>,
    in_flight: Gauge,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Endpoint {
    method: &'static str,
    route: String,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Outcome {
    method: &'static str,
    route: String,
    status: u16,
}

impl HttpMetrics {
    /// Registers the families.
    pub fn new(metrics: &Metrics) -> Self {
        let families = Self {
            requests: Family::default(),
            seconds: Family::new_with_constructor(|| Histogram::new(SECONDS)),
            in_flight: Gauge::default(),
        };
        metrics.register(|registry| {
            registry.register("http_requests", "Answered requests", families.requests.clone());
            registry.register("http_request_seconds", "Time to the answer's head", families.seconds.clone());
            registry.register("http_requests_in_flight", "Requests being answered", families.in_flight.clone());
        });
        families
    }

    /// How many requests were answered so: for tests that ask whether something was counted.
    pub fn answered(&self, method: &'static str, route: &str, status: u16) -> u64 {
        self.requests.get(&Outcome { method, route: route.to_owned(), status }).map_or(0, |counter| counter.get())
    }
}

/// Axum middleware: counts a request under its route's template; what matched no route shares one label.
pub async fn track(State(metrics): State<HttpMetrics>, request: Request, next: Next) -> Response {
    let method = known(request.method());
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let _in_flight = InFlight::enter(&metrics.in_flight);
    let started = Instant::now();
    let response = next.run(request).await;
    let endpoint = Endpoint { method, route: route.clone() };
    metrics.seconds.get_or_create(&endpoint).observe(started.elapsed().as_secs_f64());
    metrics.requests.get_or_create(&Outcome { method, route, status: response.status().as_u16() }).inc();
    response
}

/// Counts down on drop, so a request its client abandoned is not in flight for ever.
struct InFlight(Gauge);

impl InFlight {
    fn enter(gauge: &Gauge) -> Self {
        gauge.inc();
        Self(gauge.clone())
    }
}

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// A client may send any word as a method; a label may not be any word.
fn known(method: &Method) -> &'static str {
    match method.as_str() {
        "GET" => "GET",
        "HEAD" => "HEAD",
        "POST" => "POST",
        "PUT" => "PUT",
        "PATCH" => "PATCH",
        "DELETE" => "DELETE",
        "OPTIONS" => "OPTIONS",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::Router;
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    #[tokio::test]
    async fn requests_are_counted_by_template_never_by_path() {
        let metrics = Metrics::new("test");
        let http = HttpMetrics::new(&metrics);
        let router = Router::new()
            .route("/things/{id}", get(async || "one"))
            .layer(axum::middleware::from_fn_with_state(http.clone(), track));
        for path in ["/things/a", "/things/b", "/nowhere/c"] {
            router.clone().oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        }
        let odd = Request::builder().method("BREW").uri("/things/a").body(Body::empty()).unwrap();
        router.oneshot(odd).await.unwrap();

        assert_eq!(http.answered("GET", "/things/{id}", 200), 2);
        assert_eq!(http.answered("GET", "unmatched", 404), 1);
        assert_eq!(http.answered("other", "/things/{id}", 405), 1);
        let text = metrics.encode().unwrap();
        assert!(text.contains("waybill_http_requests_total{"), "{text}");
        assert!(text.contains("waybill_http_requests_in_flight 0"), "{text}");
        assert!(!text.contains("BREW") && !text.contains("nowhere"), "{text}");
    }
}
