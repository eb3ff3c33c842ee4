//! Who asks, by the cookie of their session, and what they may see.

use std::sync::Arc;

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use waybill_chassis::problem::{Kind, Problem};
use waybill_chassis::telemetry::report;
use waybill_cluster::permission::READ;

use crate::feed::row::Row;
use crate::service::{Service, Shared};
use crate::session::Session;

/// Nobody is logged in.
pub(super) const LOGGED_OUT: Kind =
    Kind { slug: "logged-out", title: "You are not logged in", status: StatusCode::UNAUTHORIZED };
/// The same words whether there is none or it is not for the asker.
pub(super) const UNKNOWN: Kind =
    Kind { slug: "delivery-unknown", title: "No such delivery here", status: StatusCode::NOT_FOUND };
pub(super) const CLUSTER_AWAY: Kind =
    Kind { slug: "cluster-unavailable", title: "The cluster does not answer", status: StatusCode::SERVICE_UNAVAILABLE };

/// The cookie of a session of the board.
pub(super) const COOKIE: &str = "wb_board";

/// Somebody who is logged in.
pub(crate) struct Viewer(pub(crate) Session);

impl FromRequestParts<Service> for Viewer {
    type Rejection = Response;

    async fn from_request_parts(parts: &mut Parts, service: &Service) -> Result<Self, Response> {
        let session = cookie(&parts.headers, COOKIE).and_then(|id| service.sessions.find(id));
        session.map(Self).ok_or_else(|| refusal(&parts.headers))
    }
}

/// A page asks to log in; a program is told that nobody is.
fn refusal(headers: &HeaderMap) -> Response {
    if wants_page(headers) {
        return Redirect::to("/login").into_response();
    }
    Problem::new(LOGGED_OUT, "log in first: kubectl waybill board").into_response()
}

/// Whether a person looks at the answer.
pub(super) fn wants_page(headers: &HeaderMap) -> bool {
    headers.get_all(header::ACCEPT).iter().any(|value| value.to_str().is_ok_and(|value| value.contains("text/html")))
}

/// The value of a cookie.
pub(crate) fn cookie<'h>(headers: &'h HeaderMap, name: &str) -> Option<&'h str> {
    let all = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let mut pairs = all.flat_map(|value| value.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, value)| value)
}

/// The row of a Delivery this viewer has the right to read.
pub(super) async fn row(
    service: &Shared,
    viewer: &Session,
    (namespace, name): (&str, &str),
) -> Result<Arc<Row>, Problem> {
    if !service.covers(namespace) {
        return Err(unknown());
    }
    let may = service.reviews.may(&viewer.user, READ, (namespace, name)).await.map_err(|error| away(&error))?;
    let found = service.feed.find(namespace, name);
    found.filter(|_| may).ok_or_else(unknown)
}

pub(super) fn unknown() -> Problem {
    Problem::new(UNKNOWN, "There is no such delivery, or you may not see it.")
}

pub(super) fn away(error: &kube::Error) -> Problem {
    tracing::warn!(error = %report(error), "the API server failed");
    let later = HeaderValue::from_static("2");
    Problem::new(CLUSTER_AWAY, "The cluster does not answer. Try again in a moment; nothing is lost.")
        .header(header::RETRY_AFTER, later)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cookie_is_found_by_its_whole_name_among_others() {
        let mut headers = HeaderMap::new();
        headers.append(header::COOKIE, HeaderValue::from_static("xwb_board=1; wb_board=2"));
        headers.append(header::COOKIE, HeaderValue::from_static("wb_track=3"));
        assert_eq!((cookie(&headers, "wb_board"), cookie(&headers, "wb_track")), (Some("2"), Some("3")));
        assert_eq!(cookie(&headers, "board"), None);
    }
}
