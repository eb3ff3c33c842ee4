//! The courier checked at the door: a fresh challenge, and the answer of the device that accepted this very attempt, as six digits or as a scanned
//! code. The Seller judges; the page says what it said, in words. Limits are the Seller's.

use askama::Template;
use axum::extract::{Form, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue};
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use reqwest::Method;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::{Value, json};
use std::sync::PoisonError;
use waybill_chassis::problem::Checked;

use super::visit::{Away, COOKIE, Visit};
use super::{Answer, first, problem, unkept};
use crate::http::access::cookie;
use crate::http::quiet;
use crate::page::{self, Chrome, qr};
use crate::service::Service;

/// A challenge that can be answered.
struct Open {
    text: String,
    qr: String,
    until: String,
    tries: String,
    /// The courier's device is online and knows of the check.
    heard: bool,
}

/// What the check said.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Said {
    Nothing,
    Yours,
    /// So many tries are left.
    NotYours(u64),
    /// Not now, and why.
    Not(&'static str),
}

#[derive(Template)]
#[template(path = "track_door.html")]
struct DoorPage {
    chrome: Chrome,
    upc: String,
    open: Option<Open>,
    said: Said,
}

impl DoorPage {
    const fn is_yours(&self) -> bool {
        matches!(self.said, Said::Yours)
    }

    /// What is left, where it is not.
    fn is_not(&self) -> Option<String> {
        match self.said {
            Said::NotYours(0) => Some("Keep the door closed and ask the sender.".into()),
            Said::NotYours(1) => Some("1 try is left.".into()),
            Said::NotYours(left) => Some(format!("{left} tries are left.")),
            _ => None,
        }
    }

    const fn trouble(&self) -> Option<&'static str> {
        match self.said {
            Said::Not(why) => Some(why),
            _ => None,
        }
    }
}

/// What the Seller refuses, in the recipient's words.
fn why(body: &Value) -> &'static str {
    match body["type"].as_str().and_then(|kind| kind.rsplit('/').next()) {
        Some("no-courier") => "Nobody is on the way with this parcel now, so there is nobody to check.",
        Some("too-many-checks") => {
            "There were too many checks of this courier. Ask the sender before you take the parcel."
        }
        Some("challenge-over") => "This check is over. Begin a new one.",
        Some("bad-request") => "That is no answer: type the six digits the courier reads out.",
        _ => "The check cannot be made at this moment. Try again.",
    }
}

/// `GET /track/door`
pub(super) async fn page(State(service): State<Service>, headers: HeaderMap) -> Answer {
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(first()) };
    match look(&service, &visit).await {
        Err(Away::Closed) => Ok(first()),
        Err(away) => Err(problem(away)),
        Ok(open) => Ok(shown(&visit, open, Said::Nothing)),
    }
}

/// `POST /track/door`: a fresh challenge.
pub(super) async fn ask(State(service): State<Service>, headers: HeaderMap) -> Answer {
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(first()) };
    match visit.ask_seller(&service, (Method::POST, "courier-check"), None).await {
        Err(Away::Closed) => Ok(first()),
        Err(away) => Err(problem(away)),
        Ok((201, body)) => {
            set(&visit, body["text"].as_str());
            // A reload asks for nothing new.
            Ok((quiet(), Redirect::to("/track/door")).into_response())
        }
        Ok((_, body)) => Ok(shown(&visit, None, Said::Not(why(&body)))),
    }
}

/// What the recipient gives: typed digits, or the text of the courier's code.
#[derive(Deserialize, JsonSchema)]
#[schemars(rename = "CourierAnswer")]
pub(super) struct Given {
    #[serde(default)]
    digits: String,
    #[serde(default)]
    code: String,
}

/// `POST /track/door/answer`
pub(super) async fn answer(
    State(service): State<Service>,
    headers: HeaderMap,
    Checked(Form(given)): Checked<Form<Given>>,
) -> Answer {
    let Some(visit) = service.visits.find(cookie(&headers, COOKIE)) else { return Ok(first()) };
    let Some(challenge) = known(&visit) else { return Ok(shown(&visit, None, Said::Not(why(&Value::Null)))) };
    let body = match given.code.trim() {
        "" => json!({"challenge": challenge, "digits": given.digits.trim()}),
        code => json!({"challenge": challenge, "signature": code}),
    };
    match visit.ask_seller(&service, (Method::POST, "courier-check/answer"), Some(body)).await {
        Err(Away::Closed) => Ok(first()),
        Err(away) => Err(problem(away)),
        Ok((200, body)) if body["courier"] == "yours" => {
            set(&visit, None);
            Ok(shown(&visit, None, Said::Yours))
        }
        Ok((200, body)) => {
            let left = body["triesLeft"].as_u64().unwrap_or_default();
            let open = look(&service, &visit).await.unwrap_or_default();
            Ok(shown(&visit, open, Said::NotYours(left)))
        }
        Ok((_, body)) => {
            let open = look(&service, &visit).await.unwrap_or_default();
            Ok(shown(&visit, open, Said::Not(why(&body))))
        }
    }
}

/// The challenge of this visit, if it can still be answered.
async fn look(service: &Service, visit: &Visit) -> Result<Option<Open>, Away> {
    let Some(text) = known(visit) else { return Ok(None) };
    let (status, body) = visit.ask_seller(service, (Method::GET, &format!("courier-check/{text}")), None).await?;
    if status != 200 {
        set(visit, None);
        return Ok(None);
    }
    let until = body["expiresAt"].as_str().unwrap_or_default();
    Ok(Some(Open {
        qr: qr(&text, "The challenge, for the courier's device"),
        until: until.parse::<Timestamp>().map(|at| at.to_string()).unwrap_or_default(),
        tries: tries(body["triesLeft"].as_u64().unwrap_or_default()),
        heard: body["device"] == "answered",
        text,
    }))
}

fn tries(left: u64) -> String {
    if left == 1 { "1 try".into() } else { format!("{left} tries") }
}

fn known(visit: &Visit) -> Option<String> {
    visit.challenge.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

fn set(visit: &Visit, challenge: Option<&str>) {
    *visit.challenge.lock().unwrap_or_else(PoisonError::into_inner) = challenge.map(str::to_owned);
}

fn shown(visit: &Visit, open: Option<Open>, said: Said) -> Response {
    let chrome = Chrome { title: "Is this my courier?".into(), user: None, script: Some("door.js") };
    let page = DoorPage { chrome, upc: visit.upc.clone(), open, said };
    let mut page = unkept(page::html(&HeaderMap::new(), &page));
    // The one page that may look through the camera: at the courier's code.
    let camera = HeaderValue::from_static("camera=(self), microphone=(), geolocation=()");
    page.headers_mut().insert(HeaderName::from_static("permissions-policy"), camera);
    page
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rendered(open: Option<Open>, said: Said) -> String {
        let chrome = Chrome::default();
        DoorPage { chrome, upc: "UPC_1".into(), open, said }.render().unwrap()
    }

    fn open() -> Open {
        let text = "K7QF-2M9X".to_owned();
        Open { qr: qr(&text, "challenge"), until: "2026-01-01T10:02:00Z".into(), tries: tries(2), heard: false, text }
    }

    #[test]
    fn the_page_says_yes_no_or_why_not_and_never_two_of_them() {
        let (yes, no) = ("This is your courier", "This is not your courier");
        let page = rendered(None, Said::Yours);
        assert!(page.contains(yes) && !page.contains(no));
        let page = rendered(Some(open()), Said::NotYours(2));
        assert!(page.contains(no) && !page.contains(yes) && page.contains("K7QF-2M9X"), "{page}");
        let page = rendered(None, Said::Not("Nobody is on the way"));
        assert!(page.contains("Nobody is on the way") && !page.contains(yes) && !page.contains(no));
    }

    /// An online device is no courier at the door, and the page must not let anybody believe so.
    #[test]
    fn that_the_device_is_online_is_no_verdict() {
        let page = rendered(Some(Open { heard: true, ..open() }), Said::Nothing);
        assert!(!page.contains("This is your courier") && page.contains("does not say who stands at your door"));
    }
}
