use axum::Json;
use axum::body::{Body, to_bytes};
use axum::extract::{Path, Query};
use axum::http::{Request, StatusCode};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tower::ServiceExt;

use super::*;

#[derive(Serialize, JsonSchema)]
struct Thing {
    /// What it is <called>.
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    note: Option<String>,
}

#[derive(Deserialize, JsonSchema)]
struct Wish {
    /// How many
    #[serde(default)]
    count: Option<u8>,
}

const OWNER: Who = Who { name: "owner", shows: &["certificate", "token"] };
const GUEST: Who = Who { name: "guest", shows: &["token"] };
const GONE: Kind = Kind { slug: "gone", title: "No longer here", status: StatusCode::NOT_FOUND };
const ABOUT: About = About {
    title: "Things & more",
    description: "What `they` are.",
    schemes: &[
        ("certificate", Scheme::Certificate, "a certificate"),
        ("token", Scheme::Bearer("JWT"), "a token"),
        ("cookie", Scheme::Cookie("c"), "a cookie"),
    ],
    parts: &[("id", "which")],
    always: &[],
};

fn api() -> Api<()> {
    Api::new(ABOUT)
        .route(
            Operation::get("/things/{id}", "One")
                .who(&[OWNER, GUEST])
                .query::<Wish>()
                .tagged()
                .answers::<Thing>(200, "it")
                .refuses([GONE]),
            async |Path(id): Path<String>, Query(wish): Query<Wish>| {
                Json(Thing { name: id, note: wish.count.map(|count| count.to_string()) })
            },
        )
        .route(
            Operation::put("/things/{id}", "Keep").who(&[OWNER]).takes::<Wish>().limit(8).answers_nothing(204, "kept"),
            async |_: Bytes| StatusCode::NO_CONTENT,
        )
}

async fn ask(router: &Router, request: Request<Body>) -> (StatusCode, HeaderMap, String) {
    let answer = router.clone().oneshot(request).await.unwrap();
    let (parts, body) = answer.into_parts();
    let body = to_bytes(body, 1 << 20).await.unwrap();
    (parts.status, parts.headers, String::from_utf8(body.to_vec()).unwrap())
}

#[test]
fn an_operation_says_whom_it_lets_in_and_what_it_answers() {
    let said: Value = serde_json::from_str(&api().description()).unwrap();
    assert_eq!(said["openapi"], "3.1.0");
    let one = &said["paths"]["/things/{id}"]["get"];
    assert_eq!(one["x-waybill-who"], serde_json::json!(["owner", "guest"]));
    assert_eq!(one["security"], serde_json::json!([{"certificate": [], "token": []}, {"token": []}]));
    assert_eq!(one["parameters"][0]["name"], "id");
    assert_eq!(one["parameters"][1]["name"], "count");
    assert_eq!(one["responses"]["200"]["content"]["application/json"]["schema"]["$ref"], "#/components/schemas/Thing");
    assert!(one["responses"]["304"].is_object() && one["responses"]["429"]["headers"]["Retry-After"].is_object());
    let gone = &one["responses"]["404"]["content"]["application/problem+json"]["schema"]["allOf"][1];
    assert_eq!(gone["properties"]["type"]["enum"], serde_json::json!(["https://waybill.dev/problems/gone"]));
    assert_eq!(said["components"]["schemas"]["Thing"]["required"], serde_json::json!(["name"]));
    assert_eq!(said["paths"]["/openapi.json"]["get"]["security"], serde_json::json!([{}]));
}

#[tokio::test]
async fn what_is_described_is_served_and_nothing_else_is() {
    let said: Value = serde_json::from_str(&api().description()).unwrap();
    let router = api().serve();
    let described = said["paths"].as_object().unwrap().keys().cloned().collect();
    assert_eq!(paths(&router), described);
    let more = router.clone().route("/more", axum::routing::get(async || ""));
    assert_ne!(paths(&more), described, "one that is not described shows");
    let put = |body: &'static str| Request::put("/things/1").body(Body::from(body)).unwrap();
    assert_eq!(ask(&router, put("{}")).await.0, StatusCode::NO_CONTENT);
    assert_eq!(ask(&router, put("longer than eight")).await.0, StatusCode::PAYLOAD_TOO_LARGE);
}

#[tokio::test]
async fn the_description_is_told_once_and_the_page_runs_nothing() {
    let router = api().serve();
    let (status, headers, text) = ask(&router, Request::get(DESCRIPTION).body(Body::empty()).unwrap()).await;
    assert_eq!((status, &headers["content-type"]), (StatusCode::OK, &HeaderValue::from_static("application/json")));
    assert_eq!(
        serde_json::from_str::<Value>(&text).unwrap(),
        serde_json::from_str::<Value>(&api().description()).unwrap()
    );
    let again = Request::get(DESCRIPTION).header("if-none-match", &headers["etag"]).body(Body::empty()).unwrap();
    assert_eq!(ask(&router, again).await.0, StatusCode::NOT_MODIFIED);

    let (status, headers, page) = ask(&router, Request::get(PAGE).body(Body::empty()).unwrap()).await;
    assert_eq!(status, StatusCode::OK);
    let policy = headers["content-security-policy"].to_str().unwrap();
    assert!(policy.starts_with("default-src 'none'; style-src 'sha256-") && !policy.contains("unsafe"), "{policy}");
    for wanted in
        ["Things &amp; more", "<code>/things/{id}</code>", "<code>they</code>", "&lt;called&gt;", "owner, guest"]
    {
        assert!(page.contains(wanted), "{wanted}: {page}");
    }
    for none in ["<script", "style=\"", "http-equiv", "src=", "@import"] {
        assert!(!page.contains(none), "{none}");
    }
}
