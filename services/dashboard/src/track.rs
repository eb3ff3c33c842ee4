//! The recipient's tracking page: one delivery, read only, for whoever has a link.
//!
//! - `visit`: who is here, and the way to the APIs behind it. `view`: what is shown, in words; pure. `door`: the courier checked at the door.
//!
//! Trust: what a link opens the namespace's Carrier API decides, again every two minutes. The link itself comes as the fragment of an address, which
//! no server sees; the page's script takes it out of the address bar and hands it in, once. The browser then has a cookie with a random name and
//! nothing else; link and view token stay in the memory of the board, are in no log, and go with it.

mod door;
mod operations;
mod view;
mod visit;

use axum::extract::{Form, Path, State};
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use schemars::JsonSchema;
use serde::Deserialize;
use waybill_chassis::api::{About, Api};
use waybill_chassis::problem::{Checked, Kind, Problem, generic};

use crate::http::access::cookie;
use crate::http::photos::{attached, is_hash, picture};
use crate::http::{quiet, unkept};
use crate::page::{self, Chrome, qr};
use crate::service::{Service, place};
use view::{CodePage, EnterPage, TrackPage};
use visit::{Away, LIFE, Visit};

pub(crate) use visit::{COOKIE, Visits};

const PHOTO_AWAY: Kind =
    Kind { slug: "photo-unavailable", title: "The picture is not here", status: StatusCode::NOT_FOUND };
const BUNDLE_AWAY: Kind =
    Kind { slug: "bundle-unavailable", title: "The proof is not here", status: StatusCode::NOT_FOUND };
const API_AWAY: Kind = Kind {
    slug: "carrier-api-unavailable",
    title: "Nothing can be said at this moment",
    status: StatusCode::SERVICE_UNAVAILABLE,
};
const CODE_AWAY: Kind =
    Kind { slug: "code-unavailable", title: "There is no code here", status: StatusCode::NOT_FOUND };

/// The routes under `/track`.
pub(crate) fn api(about: About) -> Api<Service> {
    Api::new(about)
        .route(operations::shown(), shown)
        .route(operations::enter(), enter)
        .route(operations::leave(), leave)
        .route(operations::code(), code)
        .route(operations::bundle(), bundle)
        .route(operations::photo(), photo)
        .route(operations::door(), door::page)
        .route(operations::ask(), door::ask)
        .route(operations::answer(), door::answer)
}

/// What an answer of these routes is: for one person, at one moment.
type Answer = Result<Response, Problem>;

/// `GET /track`
async fn shown(State(service): State<Service>, headers: HeaderMap) -> Answer {
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(entrance(None)) };
    let shipment = match visit.shipment(&service).await {
        Err(Away::Closed) => return Ok(closed(&service, &headers)),
        other => other.map_err(problem)?,
    };
    let position = match shipment.is_moving() && shipment.shares() {
        true => visit.position(&service).await,
        false => None,
    };
    let page = TrackPage::of(&visit, shipment, position, Timestamp::now());
    Ok(unkept(page::html(&headers, &page)))
}

/// The page for who has no visit: the script hands the link in, and whoever has none pastes it.
fn entrance(refused: Option<&'static str>) -> Response {
    let chrome = Chrome { title: "Follow your parcel".into(), user: None, script: Some("track.js") };
    unkept(page::html(&HeaderMap::new(), &EnterPage { chrome, refused }))
}

/// Whoever has no link open goes to where one is opened, or is told that it ended.
fn first() -> Response {
    (quiet(), Redirect::to("/track")).into_response()
}

/// A link that worked once.
fn closed(service: &Service, headers: &HeaderMap) -> Response {
    let mut page = entrance(Some(visit::ENDED));
    page.headers_mut().insert(header::SET_COOKIE, end(service, headers));
    page
}

/// Ends the visit; the answer takes its cookie back.
fn end(service: &Service, headers: &HeaderMap) -> HeaderValue {
    service.visits.end(cookie(headers, COOKIE));
    let gone = format!("{COOKIE}=; Path=/track; Max-Age=0; HttpOnly; Secure; SameSite=Strict");
    HeaderValue::from_str(&gone).expect("plain words")
}

/// A link, or what follows its `#`.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "Link")]
struct Brought {
    /// As it was sent, or what follows its `#`.
    link: String,
}

/// `POST /track/session`
async fn enter(State(service): State<Service>, Checked(Form(brought)): Checked<Form<Brought>>) -> Answer {
    let Some((namespace, grant)) = visit::read_link(&brought.link) else {
        return Ok(entrance(Some(visit::NO_LINK)));
    };
    let _place = place(&service.logins)?;
    // The same words whether there is no such namespace or no such link.
    let opened = match service.covers(namespace) {
        true => Visit::open(&service, namespace, grant).await,
        false => Err(Away::Closed),
    };
    match opened {
        Err(Away::Closed) => Ok(entrance(Some(visit::ENDED))),
        Err(away) => Err(problem(away)),
        Ok(visit) => {
            let id = service.visits.keep(visit);
            let life = LIFE.as_secs();
            let cookie = format!("{COOKIE}={id}; Path=/track; Max-Age={life}; HttpOnly; Secure; SameSite=Strict");
            Ok((quiet(), [(header::SET_COOKIE, cookie)], Redirect::to("/track")).into_response())
        }
    }
}

/// `POST /track/leave`: for a browser that is not one's own.
async fn leave(State(service): State<Service>, headers: HeaderMap) -> Response {
    let gone = [(header::SET_COOKIE, end(&service, &headers))];
    (quiet(), [("clear-site-data", "\"cache\"")], gone, Redirect::to("/track")).into_response()
}

/// `GET /track/code`: the recipient's code, to show or to print.
async fn code(State(service): State<Service>, headers: HeaderMap) -> Answer {
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(first()) };
    let text = match visit.receipt_code(&service).await {
        Err(Away::Closed) => return Ok(first()),
        other => other.map_err(problem)?,
    };
    let text =
        text.ok_or_else(|| Problem::new(CODE_AWAY, "Only the link that was made for the recipient shows it."))?;
    let chrome = Chrome { title: format!("Code for {}", visit.upc), user: None, script: Some("print.js") };
    let page = CodePage { chrome, upc: visit.upc.clone(), qr: qr(&text, "The code that proves receipt") };
    Ok(unkept(page::html(&HeaderMap::new(), &page)))
}

/// `GET /track/photos/{hash}`
async fn photo(State(service): State<Service>, headers: HeaderMap, hash: Checked<Path<String>>) -> Answer {
    let away = || Problem::new(PHOTO_AWAY, "There is no such picture of this parcel, or it was erased.");
    let Checked(Path(hash)) = hash;
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(first()) };
    if !is_hash(&hash) {
        return Err(away());
    }
    let path = format!("/api/shipment/{}/photos/{hash}", visit.upc);
    let answer = visit.ask(&service, Method::GET, &path).await.map_err(problem)?.ok_or_else(away)?;
    let (bytes, media) = picture(answer, &hash).await.ok_or_else(away)?;
    Ok((quiet(), [(header::CONTENT_TYPE, media)], bytes).into_response())
}

/// `GET /track/bundle`
async fn bundle(State(service): State<Service>, headers: HeaderMap) -> Answer {
    let away = || Problem::new(BUNDLE_AWAY, "There is no proof of this parcel yet.");
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(first()) };
    let path = format!("/api/shipment/{}/bundle", visit.upc);
    let answer = visit.ask(&service, Method::GET, &path).await.map_err(problem)?.ok_or_else(away)?;
    Ok((quiet(), attached(&visit.upc, answer)).into_response())
}

/// What a page cannot show, as a problem.
fn problem(away: Away) -> Problem {
    match away {
        Away::Closed => Problem::new(generic(StatusCode::FORBIDDEN), visit::ENDED),
        Away::Silent => Problem::new(API_AWAY, "What knows about your parcel does not answer. Try again in a moment."),
    }
}
