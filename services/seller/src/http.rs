//! The Seller API's routes (D-08 to D-14, and what is asked at the door). Everything else is answered by the chassis, in one shape.

mod door;
mod handlers;

use std::sync::Arc;

use axum::Router;
use axum::routing::{get, post};
use tokio::sync::watch;
use waybill_chassis::jwt::{self, Verifier};
use waybill_chassis::problem::Kind;
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::logs::Logs;
use waybill_protocol::{Trust, Uid};

use crate::colleague::Colleague;
use crate::door::Doors;
use crate::keys::Keys;
use crate::orders::Book;
use crate::token::{Pass, ViewPass};

/// What a request is judged by; everything in it is the latest known value.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The Seller whose orders these are.
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) verifier: Verifier<Pass>,
    pub(crate) book: watch::Receiver<Option<Arc<Book>>>,
    pub(crate) deliveries: Deliveries,
    pub(crate) logs: Logs,
    pub(crate) trust: watch::Receiver<Trust>,
    pub(crate) keys: watch::Receiver<Option<Arc<Keys>>>,
    /// Of view tokens, which the Carrier API signs.
    pub(crate) viewers: Verifier<ViewPass>,
    pub(crate) doors: Doors,
    /// Whether this replica distributes, and whom to ask where it does not.
    pub(crate) holds: watch::Receiver<bool>,
    pub(crate) colleague: Colleague,
}

/// What a request that was passed on may be refused with.
pub(crate) const KINDS: [Kind; 12] = [
    jwt::MISSING,
    jwt::INVALID,
    jwt::EXPIRED,
    handlers::NOT_READY,
    door::DELIVERY_UNKNOWN,
    door::NOT_SHARED,
    door::NO_POSITION,
    door::NO_COURIER,
    door::NO_CHALLENGE,
    door::TOO_MANY,
    door::NOT_AN_ANSWER,
    door::NOT_THE_RECIPIENT,
];

/// All routes, without the layers every service has.
pub(crate) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(handlers::alive))
        .route("/api/order/{upc}/country_destination", get(handlers::country))
        .route("/api/order/{upc}/postal_code_destination", get(handlers::postal_code))
        // As the first implementation spelled it (D-09).
        .route("/api/order/{upc}/postalcode_destination", get(handlers::postal_code))
        .route("/api/order/{upc}/door_destination", get(handlers::door))
        .route("/api/delivery/{upc}/position", get(door::position))
        .route("/api/delivery/{upc}/receipt-code", get(door::receipt_code))
        .route("/api/delivery/{upc}/courier-check", post(door::ask))
        .route("/api/delivery/{upc}/courier-check/{challenge}", get(door::look))
        .route("/api/delivery/{upc}/courier-check/answer", post(door::answer))
        .with_state(Arc::new(desk))
}
