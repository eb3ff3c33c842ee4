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
pub(crate) mod photos;
pub(crate) mod thumbs;

use axum::Router;
use axum::middleware::from_fn;
use axum::routing::{get, post};

use crate::oidc::CALLBACK;
use crate::service::Service;
use crate::{assets, checker, track};

pub(crate) use headers::{around, quiet, unkept};

/// All routes, without the layers every service has.
pub(crate) fn router(service: Service) -> Router {
    Router::new()
        .route("/", get(board::page))
        .route("/login", get(login::page).post(login::enter))
        .route("/login/oidc", get(oidc::begin))
        .route(CALLBACK, get(oidc::finish))
        .route("/logout", post(login::leave))
        .route("/api/session", post(login::offer))
        .route("/events", get(events::stream))
        .route("/d/{namespace}/{name}", get(detail::page))
        .route("/d/{namespace}/{name}/bundle", get(photos::bundle))
        .route("/d/{namespace}/{name}/photos/{hash}", get(photos::whole))
        .route("/d/{namespace}/{name}/photos/{hash}/small", get(photos::small))
        .route("/assets/{name}", get(assets::get))
        .merge(checker::router())
        .merge(track::router())
        .layer(from_fn(headers::same_site))
        .with_state(service)
}
