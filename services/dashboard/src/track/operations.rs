//! The tracking page's operations as they are described.

use axum::http::StatusCode;
use waybill_chassis::api::{ANYBODY, Operation};
use waybill_chassis::problem::{Kind, generic};

use super::door::Given;
use super::{API_AWAY, BUNDLE_AWAY, Brought, CODE_AWAY, PHOTO_AWAY};
use crate::http::operations::{BUNDLE, HTML, PICTURES, VISITOR, form};

fn page(path: &'static str, summary: &'static str) -> Operation {
    Operation::get(path, summary).for_people()
}

/// What an API behind the page may say of its visit.
fn behind() -> [Kind; 2] {
    [generic(StatusCode::FORBIDDEN), API_AWAY]
}

/// Whoever has no link open is led to where one is opened.
fn for_visitor(operation: Operation) -> Operation {
    operation.who(&[VISITOR]).leads_on("To `/track`").refuses(behind())
}

pub(super) fn shown() -> Operation {
    page("/track", "Where the parcel is and what comes next; for who has no link open, the form for one")
        .who(&[ANYBODY, VISITOR])
        .tagged()
        .answers_raw(200, "The page", &HTML)
        .refuses(behind())
}

pub(super) fn enter() -> Operation {
    form(Operation::post("/track/session", "Opens a tracking link"))
        .details("The link is the credential: it is the fragment of an address, and no server saw it before.")
        .who(&[ANYBODY])
        .takes_form::<Brought>()
        .leads_on("Open, with the visit's cookie")
        .answers_raw(200, "The link opens nothing; the page says what to do", &HTML)
        .refuses(behind())
}

pub(super) fn leave() -> Operation {
    form(Operation::post("/track/leave", "Ends the visit")).who(&[ANYBODY]).leads_on("Ended")
}

pub(super) fn code() -> Operation {
    for_visitor(page("/track/code", "The recipient's code, to show or to print"))
        .answers_raw(200, "The code", &HTML)
        .refuses([CODE_AWAY])
}

pub(super) fn bundle() -> Operation {
    for_visitor(page("/track/bundle", "The proof bundle"))
        .answers_raw(200, "The bundle", &BUNDLE)
        .refuses([BUNDLE_AWAY])
}

pub(super) fn photo() -> Operation {
    for_visitor(page("/track/photos/{hash}", "A picture"))
        .answers_raw(200, "The picture", &PICTURES)
        .refuses([PHOTO_AWAY])
}

pub(super) fn door() -> Operation {
    for_visitor(page("/track/door", "Is this my courier?")).answers_raw(200, "The page", &HTML)
}

pub(super) fn ask() -> Operation {
    for_visitor(form(Operation::post("/track/door", "A fresh challenge for whoever says to be the courier")))
        .answers_raw(200, "Why there is none", &HTML)
}

pub(super) fn answer() -> Operation {
    for_visitor(form(Operation::post("/track/door/answer", "The courier's answer"))).takes_form::<Given>().answers_raw(
        200,
        "What the check says",
        &HTML,
    )
}
