//! Every operation as it is described: who may, what comes in, what goes out, what is refused.

use waybill_chassis::api::{ANYBODY, About, Operation, Scheme, Who};
use waybill_chassis::idempotency;
use waybill_chassis::jwt::{EXPIRED, INVALID, MISSING};
use waybill_chassis::peer::CERTIFICATE_REQUIRED;
use waybill_chassis::problem::Kind;
use waybill_chassis::revocation;

use super::access::Which;
use super::page::Page;
use super::problems::{
    BUNDLE_UNKNOWN, BUSY, CHAIN_GAP, CLOCK_SKEW, CLUSTER_AWAY, DECLARATION_REFUSED, DELIVERY_UNKNOWN, EVENT_REFUSED,
    FOREIGN_EVENT, GRANT_INVALID, GRANT_REVOKED, GRANT_UNKNOWN, MALFORMED, NOT_PERMITTED, NOTE_UNKNOWN, NOTHING_POSTED,
    OUT_OF_PLACE, PHOTO_REFUSED, PHOTO_TYPE, PHOTO_UNKNOWN, RENEWAL_REFUSED, SIGNING_AWAY, STORAGE_AWAY, STORAGE_FULL,
    TOO_MANY_EVENTS, TOO_MANY_GRANTS, TOO_MANY_PHOTOS,
};
use super::renewal;
use super::said::{
    Alive, Archive, Declared, Granted, Grants, KeptPhoto, KeySet, NoteText, OpenDeliveries, OwnLog, Renewed, Reported,
    Shipments, ViewToken,
};
use super::viewers::{Shown, Wish};
use crate::declare::Asked;
use crate::photo::MAX_BYTES;
use crate::report::Report;
use crate::view::View;

/// Bytes of a body that somebody sends before we know who it is: a renewal is the longest of them, with 512 bytes in base64.
const SMALL: usize = 2 << 10;
/// Bytes of a declaration: its note, however much of it JSON writes in six characters.
const NOTED: usize = 16 << 10;

const AGENT: Who = Who { name: "agent", shows: &["agentCertificate", "agentToken"] };
const VIEWER: Who = Who { name: "viewer", shows: &["viewToken"] };
const READER: Who = Who { name: "reader", shows: &["kubernetesToken"] };
const LISTER: Who = Who { name: "lister", shows: &["kubernetesToken"] };
const DECLARER: Who = Who { name: "declarer", shows: &["kubernetesToken"] };
const NOTE_READER: Who = Who { name: "note-reader", shows: &["kubernetesToken"] };

pub(super) const ABOUT: About = About {
    title: "Waybill Carrier API",
    description: "Carriers report to it, permitted people read from it. One serves a namespace, on port 5001 over TLS.\n\n\
        `agent`: a carrier's program, about its own deliveries. `viewer`: whoever has a tracking link, about one delivery. `reader`, `lister`: a user of the \
        cluster who may `get`, or `list`, Deliveries. `declarer`, `note-reader`: one who may `create`, or `get`, `deliveries/declarations`.\n\n\
        Every refusal is `application/problem+json` with a stable `type`; decide by that.",
    schemes: &[
        ("agentCertificate", Scheme::Certificate, "The carrier's client certificate, of the namespace's authority"),
        (
            "agentToken",
            Scheme::Bearer("JWT"),
            "EdDSA, `typ` `wb-carrier-api+jwt`, `aud` `carrier-api`, signed by the carrier's key; at most 120 s",
        ),
        ("viewToken", Scheme::Bearer("JWT"), "EdDSA, `typ` `wb-view+jwt`, `aud` `view`; from `POST /api/view-token`"),
        (
            "kubernetesToken",
            Scheme::Bearer("JWT"),
            "A token of the cluster, of audience `waybill-carrier-api` or the API server's own",
        ),
    ],
    parts: &[
        ("upc", "The parcel's code; of several deliveries that had it, the one that runs or ended last"),
        ("uid", "The Delivery's uid"),
        ("hash", "SHA-256 in hexadecimal"),
        ("id", "The grant's id"),
    ],
    always: &revocation::KINDS,
};

const OF_AGENT: [Kind; 5] = [CERTIFICATE_REQUIRED, MISSING, INVALID, EXPIRED, DELIVERY_UNKNOWN];
const OF_USER: [Kind; 4] = [MISSING, INVALID, NOT_PERMITTED, CLUSTER_AWAY];
const OF_VIEWER: [Kind; 7] = [MISSING, INVALID, EXPIRED, NOT_PERMITTED, CLUSTER_AWAY, DELIVERY_UNKNOWN, MALFORMED];
const OF_STORE: [Kind; 2] = [STORAGE_FULL, STORAGE_AWAY];
const PICTURES: [&str; 2] = ["image/jpeg", "image/png"];
const BUNDLE: [&str; 1] = ["application/zip"];

pub(super) fn alive() -> Operation {
    Operation::get("/", "Says that somebody is here").who(&[ANYBODY]).answers::<Alive>(200, "Here")
}

pub(super) fn open_deliveries() -> Operation {
    Operation::get("/api/agent/deliveries", "An agent's own deliveries with something left to do, by uid")
        .who(&[AGENT])
        .query::<Page>()
        .tagged()
        .answers::<OpenDeliveries>(200, "Some of them")
        .refuses(OF_AGENT)
}

pub(super) fn log() -> Operation {
    Operation::get("/api/agent/deliveries/{uid}/log", "The whole log, for the agent that carries it")
        .who(&[AGENT])
        .tagged()
        .answers::<OwnLog>(200, "The log as it stands")
        .refuses(OF_AGENT)
}

pub(super) fn keep_photo() -> Operation {
    Operation::put("/api/agent/deliveries/{uid}/photos", "Brings a picture")
        .details(
            "Only what a decoder needs to show it is kept. The same one again is no change. Its media type decides how it is read.",
        )
        .who(&[AGENT])
        .takes_raw(&PICTURES)
        .limit(MAX_BYTES)
        .answers::<KeptPhoto>(201, "It is kept")
        .answers::<KeptPhoto>(200, "It was there")
        .refuses(OF_AGENT)
        .refuses(OF_STORE)
        .refuses([PHOTO_TYPE, PHOTO_REFUSED, TOO_MANY_PHOTOS, BUSY])
}

pub(super) fn own_photo() -> Operation {
    Operation::get(
        "/api/agent/deliveries/{uid}/photos/{hash}",
        "A picture as it is kept, for the agent that brought it",
    )
    .who(&[AGENT])
    .answers_raw(200, "The picture", &PICTURES)
    .refuses(OF_AGENT)
    .refuses(OF_STORE)
    .refuses([PHOTO_UNKNOWN])
}

pub(super) fn renew() -> Operation {
    Operation::post("/identity", "Renewal, without the cluster and without a valid certificate")
        .details("The request is signed with the key of the Carrier's statement; its time is within five minutes of ours. Nothing that is answered is secret.")
        .who(&[ANYBODY])
        .takes::<renewal::Asked>()
        .limit(SMALL)
        .answers::<Renewed>(200, "What the operator has signed")
        .refuses([MALFORMED, RENEWAL_REFUSED, CLOCK_SKEW])
}

pub(super) fn shipments() -> Operation {
    Operation::get("/api/shipment", "Deliveries of the namespace, by name")
        .who(&[LISTER])
        .query::<Page>()
        .tagged()
        .answers::<Shipments>(200, "Some of them")
        .refuses(OF_USER)
}

pub(super) fn shipment() -> Operation {
    Operation::get("/api/shipment/{upc}", "Where a delivery is and how it came there")
        .who(&[VIEWER, READER])
        .query::<Which>()
        .tagged()
        .answers::<View>(200, "As it stands")
        .refuses(OF_VIEWER)
        .refuses([NOTHING_POSTED])
}

pub(super) fn report() -> Operation {
    Operation::post("/api/shipment/{upc}", "Signed events of a carrier into the log: all of them or none")
        .details("What is in the log already is no error, so a report may be sent again. `409 chain-gap` says in `expected` where to go on.")
        .who(&[AGENT])
        .takes_json::<Report>(false)
        .answers::<Reported>(201, "Written")
        .answers::<Reported>(200, "All of it was there")
        .refuses(OF_AGENT)
        .refuses([MALFORMED, FOREIGN_EVENT, CHAIN_GAP, EVENT_REFUSED, TOO_MANY_EVENTS, CLUSTER_AWAY, BUSY])
}

pub(super) fn photo() -> Operation {
    Operation::get("/api/shipment/{upc}/photos/{hash}", "A picture the log names")
        .who(&[VIEWER, READER])
        .query::<Which>()
        .answers_raw(200, "The picture", &PICTURES)
        .refuses(OF_VIEWER)
        .refuses(OF_STORE)
        .refuses([PHOTO_UNKNOWN])
}

pub(super) fn bundle() -> Operation {
    Operation::get("/api/shipment/{upc}/bundle", "The proof bundle as of now")
        .details("Of a Delivery that is gone: the archived one, for a `reader`.")
        .who(&[VIEWER, READER])
        .query::<Which>()
        .tagged()
        .answers_raw(200, "The bundle", &BUNDLE)
        .refuses(OF_VIEWER)
        .refuses(OF_STORE)
        .refuses([NOTHING_POSTED, BUNDLE_UNKNOWN, BUSY])
}

pub(super) fn archive() -> Operation {
    Operation::get("/api/archive", "Archived bundles of the namespace, by uid")
        .who(&[LISTER])
        .query::<Page>()
        .tagged()
        .answers::<Archive>(200, "Some of them")
        .refuses(OF_USER)
        .refuses(OF_STORE)
}

pub(super) fn archived() -> Operation {
    Operation::get("/api/archive/{uid}/bundle", "An archived bundle")
        .who(&[READER])
        .tagged()
        .answers_raw(200, "The bundle", &BUNDLE)
        .refuses(OF_USER)
        .refuses(OF_STORE)
        .refuses([BUNDLE_UNKNOWN, BUSY])
}

pub(super) fn grants() -> Operation {
    Operation::get("/api/shipment/{upc}/grants", "What is granted and has not ended, by id")
        .details("For every delivery of this UPC that the bearer may read.")
        .who(&[READER])
        .query::<Page>()
        .answers::<Grants>(200, "Enough to revoke, nothing to look with")
        .refuses(OF_USER)
        .refuses(OF_STORE)
        .refuses([DELIVERY_UNKNOWN])
}

pub(super) fn grant() -> Operation {
    Operation::post("/api/shipment/{upc}/grants", "A new grant: what stands in a tracking link")
        .who(&[READER])
        .header(
            idempotency::HEADER,
            "The same key of the same user with the same wish is the same grant, for as long as that lives",
        )
        .takes_json::<Wish>(true)
        .limit(SMALL)
        .answers::<Granted>(201, "The grant, shown once")
        .refuses(OF_USER)
        .refuses(OF_STORE)
        .refuses(idempotency::KINDS)
        .refuses([DELIVERY_UNKNOWN, MALFORMED, TOO_MANY_GRANTS, GRANT_REVOKED, SIGNING_AWAY])
}

pub(super) fn revoke() -> Operation {
    Operation::delete("/api/shipment/{upc}/grants/{id}", "Takes a grant back")
        .details("View tokens made from it end by themselves, within two minutes.")
        .who(&[READER])
        .answers_nothing(204, "It opens nothing any more")
        .refuses(OF_USER)
        .refuses(OF_STORE)
        .refuses([DELIVERY_UNKNOWN, GRANT_UNKNOWN])
}

pub(super) fn declare() -> Operation {
    Operation::post("/api/shipment/{upc}/declarations", "The word of a person into the log")
        .details("The same fact, note and person again in the same attempt is the same declaration, so it may be sent again.")
        .who(&[DECLARER])
        .takes_json::<Asked>(false)
        .limit(NOTED)
        .answers::<Declared>(201, "Written")
        .answers::<Declared>(200, "It was there")
        .refuses(OF_USER)
        .refuses(OF_STORE)
        .refuses([DELIVERY_UNKNOWN, MALFORMED, DECLARATION_REFUSED, OUT_OF_PLACE, TOO_MANY_EVENTS, EVENT_REFUSED])
        .refuses([SIGNING_AWAY, BUSY])
}

pub(super) fn note() -> Operation {
    Operation::get("/api/shipment/{upc}/notes/{hash}", "The text of a note")
        .who(&[NOTE_READER])
        .answers::<NoteText>(200, "The text")
        .refuses(OF_USER)
        .refuses(OF_STORE)
        .refuses([DELIVERY_UNKNOWN, NOTE_UNKNOWN])
}

pub(super) fn view_token() -> Operation {
    Operation::post("/api/view-token", "A view token for a grant")
        .details("The grant is the credential; all reasons why not look the same.")
        .who(&[ANYBODY])
        .takes::<Shown>()
        .limit(SMALL)
        .answers::<ViewToken>(200, "Good for two minutes")
        .refuses(OF_STORE)
        .refuses([GRANT_INVALID])
}

pub(super) fn jwks() -> Operation {
    Operation::get("/.well-known/jwks.json", "The keys view tokens are checked with, old and coming ones included")
        .who(&[ANYBODY])
        .answers::<KeySet>(200, "Public keys")
}
