//! The recipient's tracking page: one delivery, read only, for whoever has a link.

use axum::Router;

use crate::service::Service;

/// The routes under `/track`.
pub(crate) fn router() -> Router<Service> {
    Router::new()
}
