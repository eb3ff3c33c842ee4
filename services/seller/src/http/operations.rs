//! Every operation as it is described: who may, what comes in, what goes out, what is refused.

use schemars::JsonSchema;
use waybill_chassis::api::{ANYBODY, About, Operation, Scheme, Who};
use waybill_chassis::idempotency;
use waybill_chassis::jwt::{EXPIRED, INVALID, MISSING};
use waybill_chassis::problem::Kind;
use waybill_chassis::revocation;

use super::door::{
    DELIVERY_UNKNOWN, Given, NO_CHALLENGE, NO_COURIER, NO_POSITION, NOT_AN_ANSWER, NOT_SHARED, NOT_THE_RECIPIENT,
    TOO_MANY,
};
use super::handlers::{NOT_READY, ORDER_UNKNOWN, PART_NOT_OPEN};
use super::said::{Alive, Challenged, Country, Door, Part, Place, PostalCode, ReceiptCode, Verdict};

const DISTRIBUTION: Who = Who { name: "distribution", shows: &["partToken"] };
const VIEWER: Who = Who { name: "viewer", shows: &["viewToken"] };
const RECIPIENT: Who = Who { name: "recipient", shows: &["viewToken"] };

pub(super) const ABOUT: About = About {
    title: "Waybill Seller API",
    description: "Every Seller serves its orders on port 5000 over TLS, one part at a time, and what is asked at the recipient's door.\n\n\
        `distribution`: the Seller's own, with a token it signs for one part of one delivery; nobody else has one. `viewer`: whoever has a tracking link, with a \
        view token of the Carrier API; `recipient`: one whose link was made for the recipient.\n\n\
        Every refusal is `application/problem+json` with a stable `type`; decide by that.",
    schemes: &[
        (
            "partToken",
            Scheme::Bearer("JWT"),
            "EdDSA, `typ` `wb-seller-api+jwt`, `aud` `seller-api`, signed by the Seller's key; at most 120 s",
        ),
        (
            "viewToken",
            Scheme::Bearer("JWT"),
            "EdDSA, `typ` `wb-view+jwt`, `aud` `view`; from the Carrier API's `POST /api/view-token`",
        ),
    ],
    parts: &[("upc", "The parcel's code"), ("challenge", "The challenge's text")],
    always: &revocation::KINDS,
};

const OF_TOKEN: [Kind; 4] = [MISSING, INVALID, EXPIRED, NOT_READY];

pub(super) fn alive() -> Operation {
    Operation::get("/", "Says that somebody is here").who(&[ANYBODY]).answers::<Alive>(200, "Here")
}

fn part<T: JsonSchema>(path: &'static str, summary: &'static str) -> Operation {
    Operation::get(path, summary)
        .details("Only while the custody log has that part due or open; `403 part-not-open` says in `open` which is, and in `due` which comes next.")
        .who(&[DISTRIBUTION])
        .answers::<Part<T>>(200, "The part")
        .refuses(OF_TOKEN)
        .refuses([ORDER_UNKNOWN, PART_NOT_OPEN])
}

pub(super) fn country() -> Operation {
    part::<Country>("/api/order/{upc}/country_destination", "Country, province and city")
}

pub(super) fn postal_code() -> Operation {
    part::<PostalCode>("/api/order/{upc}/postal_code_destination", "The postal code")
}

pub(super) fn postalcode() -> Operation {
    part::<PostalCode>(
        "/api/order/{upc}/postalcode_destination",
        "The postal code, as the first implementation spelled it",
    )
}

pub(super) fn door() -> Operation {
    part::<Door>("/api/order/{upc}/door_destination", "Name, door and telephone number")
}

fn of_visit(operation: Operation) -> Operation {
    operation.refuses(OF_TOKEN).refuses([DELIVERY_UNKNOWN])
}

pub(super) fn position() -> Operation {
    of_visit(Operation::get("/api/delivery/{upc}/position", "Where the carrier last said the parcel is"))
        .who(&[VIEWER, RECIPIENT])
        .tagged()
        .answers::<Place>(200, "The last position of the attempt that runs")
        .refuses([NOT_SHARED, NO_POSITION, NO_COURIER])
}

pub(super) fn receipt_code() -> Operation {
    of_visit(Operation::get("/api/delivery/{upc}/receipt-code", "The recipient's code, for the recipient alone"))
        .who(&[RECIPIENT])
        .answers::<ReceiptCode>(200, "The code")
        .refuses([NOT_THE_RECIPIENT])
}

pub(super) fn ask() -> Operation {
    of_visit(Operation::post(
        "/api/delivery/{upc}/courier-check",
        "A fresh challenge for whoever says to be the courier",
    ))
    .who(&[VIEWER, RECIPIENT])
    .header(idempotency::HEADER, "The same key is the same challenge, for as long as that can be answered")
    .answers::<Challenged>(201, "The challenge; it lives for two minutes")
    .refuses([NO_COURIER, TOO_MANY, idempotency::INVALID])
}

pub(super) fn look() -> Operation {
    of_visit(Operation::get("/api/delivery/{upc}/courier-check/{challenge}", "How a challenge stands"))
        .who(&[VIEWER, RECIPIENT])
        .answers::<Challenged>(200, "It can be answered")
        .refuses([NO_COURIER, NO_CHALLENGE])
}

pub(super) fn answer() -> Operation {
    of_visit(Operation::post("/api/delivery/{upc}/courier-check/answer", "Tries an answer: digits or a signature"))
        .details("Each answer takes one of three tries; a right one ends the challenge.")
        .who(&[VIEWER, RECIPIENT])
        .takes_json::<Given>(false)
        .answers::<Verdict>(200, "Whether it is the courier")
        .refuses([NO_COURIER, NO_CHALLENGE, NOT_AN_ANSWER, TOO_MANY])
}
