//! Logging in: a Kubernetes token buys a one-time code, a code buys a browser its session. With an issuer: `super::oidc`.

use axum::Json;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::{SignedDuration, Timestamp};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use waybill_chassis::jwt::{INVALID, bearer};
use waybill_chassis::problem::{Checked, Problem};

use super::access::{COOKIE, away, cookie};
use super::quiet;
use crate::page::{self, Chrome, LoginPage, Way};
use crate::service::{Service, Shared, place};
use crate::session::{CODE_LIFE, LIFE};

/// A one-time code.
#[derive(Serialize, JsonSchema)]
pub(super) struct Offered {
    code: String,
    #[schemars(extend("format" = "date-time"))]
    expires: String,
    /// Where it is redeemed, if the board knows where people reach it.
    url: Option<String>,
}

/// `POST /api/session`: whoever shows a Kubernetes token gets a code, worth one browser for a minute.
pub(super) async fn offer(State(service): State<Service>, headers: HeaderMap) -> Result<Response, Problem> {
    let token = bearer(&headers)?;
    let _place = place(&service.logins)?;
    let user = service.reviews.whose(token).await.map_err(|error| away(&error))?;
    let user = user.ok_or_else(|| Problem::new(INVALID, "the token is nobody's, or for something else"))?;
    tracing::info!("somebody logs in with a Kubernetes token");
    let life = SignedDuration::try_from(CODE_LIFE).unwrap_or_default();
    let expires = Timestamp::now().checked_add(life).unwrap_or(Timestamp::MAX);
    let url = service.external_url.as_ref().map(|url| format!("{url}/login"));
    let body = Offered { code: service.sessions.offer(user), expires: expires.to_string(), url };
    Ok((StatusCode::CREATED, quiet(), Json(body)).into_response())
}

/// `GET /login`: also for who is in already, because a code may wait in the address, which no server sees.
pub(super) async fn page(State(service): State<Service>) -> Response {
    shown(&service, false)
}

fn shown(service: &Shared, refused: bool) -> Response {
    let chrome = Chrome { title: "Log in".into(), user: None, script: Some("login.js") };
    let way = service.oidc.as_ref().map(|oidc| Way { url: oidc.begins.clone(), name: oidc.label().to_owned() });
    let page = LoginPage { chrome, refused, way };
    page::html(&HeaderMap::new(), &page)
}

/// The cookie of a session.
pub(super) fn session(id: &str) -> String {
    format!("{COOKIE}={id}; Path=/; Max-Age={}; HttpOnly; Secure; SameSite=Strict", LIFE.as_secs())
}

#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Code")]
pub(super) struct Brought {
    /// A one-time code.
    code: String,
}

/// `POST /login`
pub(super) async fn enter(State(service): State<Service>, Checked(Form(brought)): Checked<Form<Brought>>) -> Response {
    let Some(id) = service.sessions.redeem(brought.code.trim()) else {
        // Not as an error: the page says what to do.
        return (quiet(), shown(&service, true)).into_response();
    };
    (quiet(), [(header::SET_COOKIE, session(&id))], Redirect::to("/")).into_response()
}

/// `POST /logout`
pub(super) async fn leave(State(service): State<Service>, headers: HeaderMap) -> Response {
    if let Some(id) = cookie(&headers, COOKIE) {
        service.sessions.end(id);
    }
    let gone = format!("{COOKIE}=; Path=/; Max-Age=0; HttpOnly; Secure; SameSite=Strict");
    let forget = [("clear-site-data", "\"cache\"")];
    (quiet(), forget, [(header::SET_COOKIE, gone)], Redirect::to("/login")).into_response()
}
