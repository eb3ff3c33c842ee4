//! The Seller API's routes (D-08 to D-14). Everything else is answered by the chassis, in one shape.

mod handlers;

use std::sync::Arc;

use axum::Router;
use axum::routing::get;
use tokio::sync::watch;
use waybill_chassis::jwt::Verifier;
use waybill_cluster::deliveries::Deliveries;
use waybill_protocol::{Trust, Uid};

use crate::orders::Book;
use crate::token::Pass;

/// What a request is judged by; everything in it is the latest known value.
#[derive(Debug)]
pub(crate) struct Desk {
    /// The Seller whose orders these are.
    pub(crate) name: String,
    pub(crate) uid: Uid,
    pub(crate) verifier: Verifier<Pass>,
    pub(crate) book: watch::Receiver<Option<Arc<Book>>>,
    pub(crate) deliveries: Deliveries,
    pub(crate) trust: watch::Receiver<Trust>,
}

/// All routes, without the layers every service has.
pub(crate) fn router(desk: Desk) -> Router {
    Router::new()
        .route("/", get(handlers::alive))
        .route("/api/order/{upc}/country_destination", get(handlers::country))
        .route("/api/order/{upc}/postal_code_destination", get(handlers::postal_code))
        // As the first implementation spelled it (D-09).
        .route("/api/order/{upc}/postalcode_destination", get(handlers::postal_code))
        .route("/api/order/{upc}/door_destination", get(handlers::door))
        .with_state(Arc::new(desk))
}
