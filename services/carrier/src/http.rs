//! The Carrier API's routes. Everything else is answered by the chassis, in one shape.
//!
//! Three kinds of clients: agents (certificate and token), viewers (token alone), users of the cluster (a Kubernetes token).
//! Handlers are thin: who asks is settled by an extractor, what follows by `report`, `view`, `photo`, `grants`.

mod access;
mod agent;
mod photos;
mod problems;
mod renewal;
mod shipment;
mod viewers;

use axum::extract::DefaultBodyLimit;
use axum::routing::{delete, get, post, put};
use axum::{Json, Router};
use serde_json::{Value, json};

use crate::photo::MAX_BYTES;
use crate::service::Service;

pub(crate) use photos::folder as photos_of;

/// All routes, without the layers every service has.
pub(crate) fn router(service: Service) -> Router {
    let agents = Router::new()
        .route("/api/agent/deliveries", get(agent::deliveries))
        .route("/api/agent/deliveries/{uid}/log", get(agent::log))
        .route("/api/agent/deliveries/{uid}/photos", put(photos::put).layer(DefaultBodyLimit::max(MAX_BYTES)))
        .route("/api/agent/deliveries/{uid}/photos/{hash}", get(photos::get_own))
        .route("/identity", post(renewal::renew));
    let viewers = Router::new()
        .route("/api/shipment/{upc}", get(shipment::get).post(shipment::post))
        .route("/api/shipment/{upc}/photos/{hash}", get(photos::get))
        .route("/api/shipment/{upc}/grants", get(viewers::list).post(viewers::grant))
        .route("/api/shipment/{upc}/grants/{id}", delete(viewers::revoke))
        .route("/api/view-token", post(viewers::token))
        .route("/.well-known/jwks.json", get(viewers::jwks));
    Router::new().route("/", get(alive)).merge(agents).merge(viewers).with_state(service)
}

/// D-22: says that somebody is here, to anybody.
async fn alive() -> Json<Value> {
    Json(json!({ "carrier": "connected" }))
}
