//! The Seller API's routes. Everything else is answered by the chassis, in one shape.

mod handlers;

use axum::Router;
use axum::routing::get;

/// All routes, without the layers every service has.
pub fn router() -> Router {
    Router::new().route("/", get(handlers::alive))
}
