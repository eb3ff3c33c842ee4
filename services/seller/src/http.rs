//! The Seller API's routes (D-08 to D-14, and what is asked at the door). Everything else is answered by the chassis, in one shape.

mod door;
mod handlers;
mod operations;
mod said;

use std::sync::Arc;

use axum::Router;
use tokio::sync::watch;
use waybill_chassis::api::Api;
use waybill_chassis::idempotency;
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
pub(crate) const KINDS: [Kind; 13] = [
    idempotency::INVALID,
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
    api().serve().with_state(Arc::new(desk))
}

/// The API's description, OpenAPI 3.1, as it is committed in `docs/openapi`.
pub fn description() -> String {
    api().description()
}

fn api() -> Api<Arc<Desk>> {
    Api::new(operations::ABOUT)
        .route(operations::alive(), handlers::alive)
        .route(operations::country(), handlers::country)
        .route(operations::postal_code(), handlers::postal_code)
        // As the first implementation spelled it (D-09).
        .route(operations::postalcode(), handlers::postal_code)
        .route(operations::door(), handlers::door)
        .route(operations::position(), door::position)
        .route(operations::receipt_code(), door::receipt_code)
        .route(operations::ask(), door::ask)
        .route(operations::look(), door::look)
        .route(operations::answer(), door::answer)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A route is added with its description; one that is added past it shows here.
    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let said: serde_json::Value = serde_json::from_str(&description()).unwrap();
        let described = said["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(waybill_chassis::api::paths(&api().serve()), described);
    }
}
