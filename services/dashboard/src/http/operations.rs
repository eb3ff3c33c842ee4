//! Every operation as it is described: who may, what comes in, what goes out, what is refused.

use axum::http::StatusCode;
use waybill_chassis::api::{ANYBODY, About, Operation, Scheme, Who};
use waybill_chassis::jwt::{INVALID, MISSING};
use waybill_chassis::problem::generic;

use super::access::{CLUSTER_AWAY, LOGGED_OUT, UNKNOWN};
use super::events::From;
use super::login::{Brought, Offered};
use super::oidc::{ISSUER_AWAY, LOGIN_OVER, LOGIN_REFUSED};
use super::photos::{API_AWAY, BUNDLE_AWAY, PHOTO_AWAY};
use crate::oidc::{CALLBACK, Returned};
use crate::select::Asked;

/// Somebody who is logged in.
const PERSON: Who = Who { name: "person", shows: &["session"] };
/// One of them who may `get` this Delivery.
const READER: Who = Who { name: "reader", shows: &["session"] };
/// Somebody who has a tracking link open.
pub(crate) const VISITOR: Who = Who { name: "visitor", shows: &["visit"] };
const BEARER: Who = Who { name: "cluster-user", shows: &["kubernetesToken"] };

pub(crate) const HTML: [&str; 1] = ["text/html"];
pub(crate) const PICTURES: [&str; 2] = ["image/jpeg", "image/png"];
pub(crate) const BUNDLE: [&str; 1] = ["application/zip"];

pub(super) const ABOUT: About = About {
    title: "Waybill board",
    description: "Where deliveries are, live, for those who run them; the recipient's tracking page. Pages for people, on port 5002 over TLS.\n\n\
        `cluster-user`: whoever has a token of the cluster, to log in with. `person`: somebody who is logged in, `reader`: one of them who may `get` the Delivery; the API server decides. `visitor`: somebody who has a tracking link open.\n\n\
        Refusals are `application/problem+json` with a stable `type`, or a page for those who ask for `text/html`. Forms of other sites are refused (403).",
    schemes: &[
        (
            "kubernetesToken",
            Scheme::Bearer("JWT"),
            "A token of the cluster, of audience `waybill-board` or the API server's own",
        ),
        ("session", Scheme::Cookie(super::access::COOKIE), "Set by `POST /login`; 8 h"),
        ("visit", Scheme::Cookie(crate::track::COOKIE), "Set by `POST /track/session`"),
    ],
    parts: &[
        ("namespace", "The Delivery's namespace"),
        ("name", "The Delivery's name, or that of a file"),
        ("hash", "SHA-256 in hexadecimal"),
    ],
    always: &[],
};

/// A form of ours, or nothing: others' are refused.
pub(crate) fn form(operation: Operation) -> Operation {
    operation.for_people().refuses([generic(StatusCode::FORBIDDEN)])
}

fn page(path: &'static str, summary: &'static str) -> Operation {
    Operation::get(path, summary).for_people()
}

/// Whoever asks for a page and is not logged in is led to where one logs in.
fn for_person(operation: Operation) -> Operation {
    operation.who(&[PERSON]).leads_on("Log in first").refuses([LOGGED_OUT, CLUSTER_AWAY])
}

fn for_reader(operation: Operation) -> Operation {
    for_person(operation).who(&[READER]).refuses([UNKNOWN])
}

pub(super) fn board() -> Operation {
    for_person(page("/", "The rows somebody may see, in lanes"))
        .details("Pages end in a cursor: rows that come and go meanwhile shift nothing.")
        .query::<Asked>()
        .tagged()
        .answers_raw(200, "The board", &HTML)
}

pub(super) fn login() -> Operation {
    page("/login", "Where one logs in").who(&[ANYBODY]).tagged().answers_raw(200, "A form for a one-time code", &HTML)
}

pub(super) fn enter() -> Operation {
    form(Operation::post("/login", "Buys a session for a one-time code"))
        .details("The code is the credential.")
        .who(&[ANYBODY])
        .takes_form::<Brought>()
        .leads_on("Logged in, with the session's cookie")
        .answers_raw(200, "The code was not taken; the page says what to do", &HTML)
}

pub(super) fn begin() -> Operation {
    page("/login/oidc", "Out to the issuer, where one is configured")
        .who(&[ANYBODY])
        .leads_on("To the issuer, with a cookie for the way back")
        .refuses([generic(StatusCode::NOT_FOUND), ISSUER_AWAY, LOGIN_OVER, LOGIN_REFUSED])
}

pub(super) fn finish() -> Operation {
    page(CALLBACK, "Back from the issuer")
        .details("What the issuer gave is the credential, in the browser that was sent out.")
        .who(&[ANYBODY])
        .query::<Returned>()
        .answers_raw(200, "Logged in, with the session's cookie; the page goes on to the board", &HTML)
        .refuses([generic(StatusCode::NOT_FOUND), ISSUER_AWAY, LOGIN_OVER, LOGIN_REFUSED])
}

pub(super) fn leave() -> Operation {
    form(Operation::post("/logout", "Ends the session")).who(&[ANYBODY]).leads_on("Logged out")
}

pub(super) fn offer() -> Operation {
    form(Operation::post("/api/session", "Buys a one-time code for a Kubernetes token"))
        .who(&[BEARER])
        .answers::<Offered>(201, "Worth one browser, for a minute")
        .refuses([MISSING, INVALID, CLUSTER_AWAY])
}

pub(super) fn events() -> Operation {
    for_person(page("/events", "What changes, as it changes"))
        .details("Server-sent events: `rows`, `view`, `counts`, `resync`, `bye`. The page's own query filters them.")
        .query::<From>()
        .query::<Asked>()
        .header("Last-Event-ID", "The last event the browser has")
        .answers_raw(200, "Events, for as long as somebody listens", &["text/event-stream"])
}

pub(super) fn detail() -> Operation {
    for_reader(page("/d/{namespace}/{name}", "One delivery with everything that was signed about it, verified here"))
        .tagged()
        .answers_raw(200, "The timeline", &HTML)
}

pub(super) fn bundle() -> Operation {
    for_reader(page("/d/{namespace}/{name}/bundle", "The proof bundle"))
        .answers_raw(200, "The bundle", &BUNDLE)
        .refuses([BUNDLE_AWAY, API_AWAY])
}

pub(super) fn photo() -> Operation {
    for_reader(page("/d/{namespace}/{name}/photos/{hash}", "A picture"))
        .answers_raw(200, "The picture", &PICTURES)
        .refuses([PHOTO_AWAY, API_AWAY])
}

pub(super) fn thumb() -> Operation {
    for_reader(page("/d/{namespace}/{name}/photos/{hash}/small", "A picture, small"))
        .answers_raw(200, "The picture", &["image/jpeg"])
        .refuses([PHOTO_AWAY, API_AWAY])
}

pub(super) fn checker() -> Operation {
    page("/check", "Checks a proof bundle in the browser; no byte of it leaves")
        .who(&[ANYBODY])
        .tagged()
        .answers_raw(200, "The page", &HTML)
}

pub(super) fn asset() -> Operation {
    page("/assets/{name}", "Style, scripts and signs of the pages")
        .who(&[ANYBODY])
        .answers_raw(200, "The file", &["text/css", "text/javascript", "image/svg+xml", "application/octet-stream"])
        .tagged()
        .refuses([generic(StatusCode::NOT_FOUND)])
}
