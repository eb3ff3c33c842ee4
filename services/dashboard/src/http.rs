//! The board's routes, and what stands around every answer.
//!
//! Trust: a browser is known by its cookie alone, and what it may see is asked of the API server again and again
//! ([`crate::service::Shared::visible`]). Whatever the cluster says is text: templates escape it, and the policy of every page lets no
//! script in but our own.

pub(crate) mod access;
mod board;
mod detail;
mod events;
mod headers;
mod login;
mod oidc;
pub(crate) mod operations;
pub(crate) mod photos;
pub(crate) mod thumbs;
pub(crate) mod words;

use axum::Router;
use axum::middleware::from_fn;
use waybill_chassis::api::Api;

use crate::service::Service;
use crate::{assets, checker, track};

pub(crate) use headers::{around, quiet, unkept};

/// All routes, without the layers every service has.
pub(crate) fn router(service: Service) -> Router {
    api().serve().layer(from_fn(headers::same_site)).with_state(service)
}

/// The board's description, OpenAPI 3.1, as it is committed in `docs/openapi`.
pub fn description() -> String {
    api().description()
}

fn api() -> Api<Service> {
    Api::new(operations::ABOUT)
        .route(operations::board(), board::page)
        .route(operations::login(), login::page)
        .route(operations::enter(), login::enter)
        .route(operations::begin(), oidc::begin)
        .route(operations::finish(), oidc::finish)
        .route(operations::leave(), login::leave)
        .route(operations::offer(), login::offer)
        .route(operations::events(), events::stream)
        .route(operations::detail(), detail::page)
        .route(operations::bundle(), photos::bundle)
        .route(operations::photo(), photos::whole)
        .route(operations::thumb(), photos::small)
        .route(operations::asset(), assets::get)
        .route(operations::checker(), checker::page)
        .merge(track::api(operations::ABOUT))
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
