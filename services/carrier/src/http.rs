//! The Carrier API's routes. Everything else is answered by the chassis, in one shape.
//!
//! Three kinds of clients: agents (certificate and token), viewers (a view token or a Kubernetes token), users of the cluster (a
//! Kubernetes token).
//! Each route is described where it is added (`operations`, bodies in `said`). Handlers are thin: who asks is settled by an extractor, what follows by `report`, `view`, `photo`, `grants`, `bundle`.

mod access;
mod agent;
mod bundles;
mod declarations;
mod operations;
mod page;
mod photos;
mod problems;
mod renewal;
mod said;
mod shipment;
mod user;
mod viewers;
mod write;

use std::time::Duration;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::{Json, Router};
use waybill_chassis::api::Api;

use crate::service::Service;
use said::Alive;

pub(crate) use photos::{folder as photos_of, path as photo_at};
pub(crate) use said::{KeySet, PublicKey};

/// How long a photo may take over a slow link; a connection that stands still is closed long before.
pub(crate) const UPLOAD: Duration = Duration::from_secs(180);
/// How long everything else may take.
const REQUEST: Duration = Duration::from_secs(30);

/// All routes, without the layers every service has.
pub(crate) fn router(service: Service) -> Router {
    api().serve().with_state(service)
}

/// The API's description, OpenAPI 3.1, as it is committed in `docs/openapi`.
pub fn description() -> String {
    api().description()
}

fn api() -> Api<Service> {
    let quick = Api::new(operations::ABOUT)
        .route(operations::alive(), alive)
        .route(operations::open_deliveries(), agent::deliveries)
        .route(operations::log(), agent::log)
        .route(operations::own_photo(), photos::get_own)
        .route(operations::renew(), renewal::renew)
        .route(operations::shipments(), shipment::list)
        .route(operations::shipment(), shipment::get)
        .route(operations::report(), shipment::post)
        .route(operations::photo(), photos::get)
        .route(operations::bundle(), bundles::get)
        .route(operations::archive(), bundles::list)
        .route(operations::archived(), bundles::get_archived)
        .route(operations::grants(), viewers::list)
        .route(operations::grant(), viewers::grant)
        .route(operations::revoke(), viewers::revoke)
        .route(operations::declare(), declarations::declare)
        .route(operations::note(), declarations::note)
        .route(operations::view_token(), viewers::token)
        .route(operations::jwks(), viewers::jwks);
    quick
        .around(|routes| routes.layer(from_fn_with_state(REQUEST, in_time)))
        .route(operations::keep_photo(), photos::put)
}

/// The server's own limit is that of an upload; nobody else holds a request open for so long.
async fn in_time(State(limit): State<Duration>, request: Request, next: Next) -> Response {
    let answered = tokio::time::timeout(limit, next.run(request)).await;
    answered.unwrap_or_else(|_| StatusCode::REQUEST_TIMEOUT.into_response())
}

/// D-22: says that somebody is here, to anybody.
async fn alive() -> Json<Alive> {
    Json(Alive { carrier: "connected" })
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use axum::routing::get;
    use tower::ServiceExt;

    use super::*;

    #[tokio::test]
    async fn a_request_that_takes_too_long_is_told_so() {
        let routes = Router::new().route("/", get(std::future::pending::<()>));
        let limited = routes.layer(from_fn_with_state(Duration::from_millis(1), in_time));
        let answer = limited.oneshot(Request::new(Body::empty())).await.unwrap();
        assert_eq!(answer.status(), StatusCode::REQUEST_TIMEOUT);
    }

    /// A route is added with its description; one that is added past it shows here.
    #[test]
    fn every_route_is_described_and_nothing_else_is() {
        let said: serde_json::Value = serde_json::from_str(&description()).unwrap();
        let described = said["paths"].as_object().unwrap().keys().cloned().collect();
        assert_eq!(waybill_chassis::api::paths(&api().serve()), described);
    }
}
