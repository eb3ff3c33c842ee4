//! Every refusal has one shape, whoever made it.

use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{Request, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use tower::ServiceExt;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::problem::{Checked, Kind, Problem};
use waybill_chassis::revocation;
use waybill_chassis::server::{Limits, app};

const CLOSED: Kind = Kind { slug: "door-closed", title: "Door closed", status: StatusCode::FORBIDDEN };

#[derive(Debug, thiserror::Error)]
#[error("password of the database is swordfish")]
struct Cause;

#[derive(serde::Deserialize)]
struct Body1 {
    count: u8,
}

fn service() -> Router {
    let routes = Router::new()
        .route("/number/{n}", get(async |Checked(Path(n)): Checked<Path<u8>>| n.to_string()))
        .route("/json", post(async |Checked(Json(body)): Checked<Json<Body1>>| body.count.to_string()))
        .route("/closed", get(async || Problem::new(CLOSED, "come back later").with("stage", "Country")))
        .route("/broken", get(async || Problem::internal(&Cause)))
        .route("/panics", get(async || -> String { panic!("the code is 4711") }))
        .route("/text", get(async || (StatusCode::CONFLICT, "internal words")));
    let (_feed, revocations) = revocation::channel();
    app(routes, HttpMetrics::new(&Metrics::new("test")), revocations, &Limits { body: 64, ..Limits::default() })
}

struct Seen {
    status: u16,
    headers: axum::http::HeaderMap,
    body: Value,
}

async fn ask(request: Request<Body>) -> Seen {
    let response = service().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let bytes = to_bytes(body, 1 << 16).await.unwrap();
    let body = serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("not JSON: {bytes:?}"));
    let seen = Seen { status: parts.status.as_u16(), headers: parts.headers, body };
    shape(&seen);
    seen
}

/// What holds for every problem.
fn shape(seen: &Seen) {
    assert_eq!(seen.headers[header::CONTENT_TYPE], "application/problem+json");
    assert_eq!(seen.body["status"], seen.status);
    assert_eq!(seen.body["error"], seen.body["detail"]);
    assert!(seen.body["type"].as_str().unwrap().starts_with("https://waybill.dev/problems/"));
    assert!(!seen.body["title"].as_str().unwrap().is_empty());
    assert_eq!(seen.body["requestId"].as_str().unwrap().as_bytes(), seen.headers["x-request-id"].as_bytes());
}

fn get_(path: &str) -> Request<Body> {
    Request::get(path).body(Body::empty()).unwrap()
}

fn post_json(kind: &str, body: &'static str) -> Request<Body> {
    Request::post("/json").header(header::CONTENT_TYPE, kind).body(body.into()).unwrap()
}

fn slug(seen: &Seen) -> &str {
    seen.body["type"].as_str().unwrap().rsplit('/').next().unwrap()
}

#[tokio::test]
async fn refusals_of_router_and_extractors_are_problems() {
    let long: &'static str = r#"{"count": 1, "pad": "0123456789012345678901234567890123456789012345678901234567890"}"#;
    for (request, status, expected) in [
        (get_("/nowhere"), 404, "not-found"),
        (Request::delete("/closed").body(Body::empty()).unwrap(), 405, "method-not-allowed"),
        (get_("/number/many"), 400, "bad-request"),
        (post_json("application/json", "{"), 400, "bad-request"),
        (post_json("application/json", r#"{"count":"x"}"#), 422, "unprocessable"),
        (post_json("text/plain", "{}"), 415, "unsupported-media-type"),
        (post_json("application/json", long), 413, "too-large"),
        (get_("/text"), 409, "conflict"),
    ] {
        let seen = ask(request).await;
        assert_eq!((seen.status, slug(&seen)), (status, expected));
    }
    let seen = ask(Request::delete("/closed").body(Body::empty()).unwrap()).await;
    assert_eq!(seen.headers[header::ALLOW], "GET,HEAD");
}

#[tokio::test]
async fn a_services_own_problem_keeps_its_members() {
    let seen = ask(get_("/closed")).await;
    assert_eq!((seen.status, slug(&seen)), (403, "door-closed"));
    assert_eq!((&seen.body["stage"], &seen.body["detail"]), (&json!("Country"), &json!("come back later")));
    assert_eq!(seen.headers[header::CACHE_CONTROL], "no-store");
}

#[tokio::test]
async fn causes_and_panics_stay_inside() {
    for path in ["/broken", "/panics", "/text"] {
        let text = ask(get_(path)).await.body.to_string();
        for secret in ["swordfish", "4711", "internal words"] {
            assert!(!text.contains(secret), "{text}");
        }
    }
    assert_eq!(ask(get_("/panics")).await.status, 500);
}

#[tokio::test]
async fn a_callers_request_id_is_kept_when_it_is_plain() {
    let with = |id: &str| Request::get("/nowhere").header("x-request-id", id).body(Body::empty()).unwrap();
    assert_eq!(ask(with("abc-1")).await.body["requestId"], "abc-1");
    for odd in ["", "a b", "<script>", &"x".repeat(65)] {
        assert_ne!(ask(with(odd)).await.body["requestId"], odd);
    }
}
