//! The Carrier API's routes. Everything else is answered by the chassis, in one shape.

mod handlers;

use axum::Router;
use axum::routing::get;

/// All routes, without the layers every service has.
pub fn router() -> Router {
    Router::new().route("/", get(handlers::alive))
}

#[cfg(test)]
mod tests {
    use axum::body::{Body, to_bytes};
    use axum::http::{Request, StatusCode, header};
    use serde_json::{Value, json};
    use tower::ServiceExt;
    use waybill_chassis::metrics::{HttpMetrics, Metrics};
    use waybill_chassis::revocation;
    use waybill_chassis::server::{Limits, app};

    async fn get(path: &str) -> (StatusCode, String, Value) {
        let (_feed, revocations) = revocation::channel();
        let app = app(super::router(), HttpMetrics::new(&Metrics::new("test")), revocations, &Limits::default());
        let response = app.oneshot(Request::get(path).body(Body::empty()).unwrap()).await.unwrap();
        let kind = response.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
        let status = response.status();
        let body = to_bytes(response.into_body(), 1 << 16).await.unwrap();
        (status, kind, serde_json::from_slice(&body).unwrap())
    }

    #[tokio::test]
    async fn d22_anybody_may_ask_whether_somebody_is_here() {
        let (status, kind, body) = get("/").await;
        assert_eq!((status, kind.as_str()), (StatusCode::OK, "application/json"));
        assert_eq!(body, json!({ "carrier": "connected" }));
    }

    #[tokio::test]
    async fn an_unknown_path_is_a_problem() {
        let (status, kind, body) = get("/api/nothing").await;
        assert_eq!((status, kind.as_str()), (StatusCode::NOT_FOUND, "application/problem+json"));
        assert_eq!(body["type"], "https://waybill.dev/problems/not-found");
        assert_eq!(body["error"], body["detail"]);
    }
}
