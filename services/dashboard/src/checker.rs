//! The checker of proof bundles: a page that reads a bundle in the browser and sends it nowhere.

use axum::Router;

use crate::service::Service;

/// The routes under `/check`.
pub(crate) fn router() -> Router<Service> {
    Router::new()
}
