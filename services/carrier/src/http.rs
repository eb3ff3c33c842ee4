//! The Carrier API's routes. Everything else is answered by the chassis, in one shape.
//!
//! Three kinds of clients: agents (certificate and token), viewers (a view token or a Kubernetes token), users of the cluster (a
//! Kubernetes token).
//! Handlers are thin: who asks is settled by an extractor, what follows by `report`, `view`, `photo`, `grants`, `bundle`.

mod access;
mod agent;
mod bundles;
mod declarations;
mod etag;
mod page;
mod photos;
mod problems;
mod renewal;
mod shipment;
mod user;
mod viewers;
mod write;

use std::time::Duration;

use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::photo::MAX_BYTES;
use crate::service::Service;

pub(crate) use etag::Tagged;
pub(crate) use photos::{folder as photos_of, path as photo_at};

/// How long a photo may take over a slow link; a connection that stands still is closed long before.
pub(crate) const UPLOAD: Duration = Duration::from_secs(180);
/// How long everything else may take.
const REQUEST: Duration = Duration::from_secs(30);
/// Bytes of a body that somebody sends before we know who it is: a renewal is the longest of them, with 512 bytes in base64.
const SMALL: usize = 2 << 10;
/// Bytes of a declaration: its note, however much of it JSON writes in six characters.
const NOTED: usize = 16 << 10;

/// All routes, without the layers every service has.
pub(crate) fn router(service: Service) -> Router {
    let small = || DefaultBodyLimit::max(SMALL);
    let uploads = Router::new()
        .route("/api/agent/deliveries/{uid}/photos", put(photos::put).layer(DefaultBodyLimit::max(MAX_BYTES)));
    let agents = Router::new()
        .route("/api/agent/deliveries", get(agent::deliveries))
        .route("/api/agent/deliveries/{uid}/log", get(agent::log))
        .route("/api/agent/deliveries/{uid}/photos/{hash}", get(photos::get_own))
        .route("/identity", post(renewal::renew).layer(small()));
    let viewers = Router::new()
        .route("/api/shipment", get(shipment::list))
        .route("/api/shipment/{upc}", get(shipment::get).post(shipment::post))
        .route("/api/shipment/{upc}/photos/{hash}", get(photos::get))
        .route("/api/shipment/{upc}/bundle", get(bundles::get))
        .route("/api/archive", get(bundles::list))
        .route("/api/archive/{uid}/bundle", get(bundles::get_archived))
        .route("/api/shipment/{upc}/grants", get(viewers::list).post(viewers::grant).layer(small()))
        .route("/api/shipment/{upc}/grants/{id}", delete(viewers::revoke))
        .route("/api/shipment/{upc}/declarations", post(declarations::declare).layer(DefaultBodyLimit::max(NOTED)))
        .route("/api/shipment/{upc}/notes/{hash}", get(declarations::note))
        .route("/api/view-token", post(viewers::token).layer(small()))
        .route("/.well-known/jwks.json", get(viewers::jwks));
    let quick =
        Router::new().route("/", get(alive)).merge(agents).merge(viewers).layer(from_fn_with_state(REQUEST, in_time));
    quick.merge(uploads).with_state(service)
}

/// The server's own limit is that of an upload; nobody else holds a request open for so long.
async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    answered.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// D-22: says that somebody is here, to anybody.
async fn alive() -> Json<Value> {
    Json(json!({ "carrier": "connected" }))
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_told_so() {
        let routes = Router::new().route("/", get(std::future::pending::<()>));
        let limited = routes.layer(from_fn_with_state(Duration::from_millis(1), in_time));
        let answer = limited.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    }
}
