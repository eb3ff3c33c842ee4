//! Thin skins: read the request, ask the domain, shape the answer.

use axum::Json;
use serde_json::{Value, json};

/// Says that somebody is here, to anybody.
pub(super) async fn alive() -> Json<Value> {
    Json(json!({ "seller": "connected" }))
}
