//! Logging in with an issuer: out to it, and back.
//!
//! The way back is a navigation from another site. The session's cookie goes along with no such thing (`SameSite=Strict`), so a cookie of
//! its own, for this and nothing else, says that it is the browser that was sent out; and the answer is a page that goes on to the board
//! by itself, because a redirect would count as the other site's still. Where anybody goes next is never in what they bring.

use axum::extract::{Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{AppendHeaders, IntoResponse, Redirect, Response};
use waybill_chassis::problem::{Checked, Kind, Problem, generic};
use waybill_chassis::telemetry::report;

use super::access::cookie;
use super::{login, quiet, unkept};
use crate::oidc::{LIFE, Oidc, Refusal, Returned};
use crate::page::{self, Chrome, EnteredPage};
use crate::service::{Service, Shared, place};

pub(super) const ISSUER_AWAY: Kind = Kind {
    slug: "issuer-unavailable",
    title: "The login service does not answer",
    status: StatusCode::SERVICE_UNAVAILABLE,
};
pub(super) const LOGIN_OVER: Kind =
    Kind { slug: "login-over", title: "This login is over", status: StatusCode::BAD_REQUEST };
pub(super) const LOGIN_REFUSED: Kind =
    Kind { slug: "login-refused", title: "You are not logged in", status: StatusCode::FORBIDDEN };

/// The cookie of a browser that is at the issuer: of this host alone, whatever else is below its name.
const COOKIE: &str = "__Host-wb_login";

fn configured(service: &Shared) -> Result<&Oidc, Problem> {
    let none = || Problem::new(generic(StatusCode::NOT_FOUND), "No issuer is configured: log in with a one-time code.");
    service.oidc.as_ref().ok_or_else(none)
}

/// `GET /login/oidc`
pub(super) async fn begin(State(service): State<Service>) -> Result<Response, Problem> {
    let oidc = configured(&service)?;
    let _place = place(&oidc.places)?;
    let (to, browser) = oidc.begin().await.map_err(|refusal| problem(&refusal))?;
    Ok((quiet(), [(header::SET_COOKIE, bound(&browser, LIFE.as_secs()))], Redirect::to(to.as_str())).into_response())
}

/// `GET /login/oidc/callback`
pub(super) async fn finish(
    State(service): State<Service>,
    headers: HeaderMap,
    Checked(Query(returned)): Checked<Query<Returned>>,
) -> Result<Response, Problem> {
    let oidc = configured(&service)?;
    let _place = place(&oidc.places)?;
    let user = oidc.finish(returned, cookie(&headers, COOKIE)).await.map_err(|refusal| problem(&refusal))?;
    tracing::info!("somebody logs in with the issuer");
    let chrome = Chrome { title: "You are logged in".into(), ..Chrome::default() };
    let cookies = [login::session(&service.sessions.open(user)), bound("", 0)].map(|one| (header::SET_COOKIE, one));
    let page = page::html(&HeaderMap::new(), &EnteredPage { chrome });
    Ok((AppendHeaders(cookies), unkept(page)).into_response())
}

/// The browser's cookie for as long as somebody may take.
fn bound(value: &str, seconds: u64) -> String {
    format!("{COOKIE}={value}; Path=/; Max-Age={seconds}; HttpOnly; Secure; SameSite=Lax")
}

/// What a person is told: what to do next, and nothing the issuer or anybody else wrote.
fn problem(refusal: &Refusal) -> Problem {
    tracing::warn!(error = %report(refusal), "nobody is logged in by the issuer");
    match refusal {
        Refusal::Over => Problem::new(
            LOGIN_OVER,
            "It was used already, took more than ten minutes, or was begun in another browser. Nothing happened: log in again.",
        ),
        Refusal::Away(_) => Problem::new(
            ISSUER_AWAY,
            "Who says who you are cannot be asked at this moment. Try again, or log in with a one-time code: kubectl waybill board.",
        )
        .header(header::RETRY_AFTER, HeaderValue::from_static("5")),
        Refusal::Declined(_) => Problem::new(
            LOGIN_REFUSED,
            "The login service let nobody in. Perhaps you went back, or this board is not for you there: ask whoever runs it.",
        ),
        Refusal::Mixed | Refusal::Token(_) => Problem::new(
            LOGIN_REFUSED,
            "What the login service said of you cannot be believed. Log in again; if it stays so, whoever runs the board finds the reason in its log.",
        ),
        Refusal::Nobody(_) => Problem::new(
            LOGIN_REFUSED,
            "The login service knows you, but gives no name the cluster could know you by. Whoever runs the board finds the reason in its log.",
        ),
    }
}
