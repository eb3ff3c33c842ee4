//! What a request can be refused with. Slugs never change their meaning; no text names a person or a place.

use axum::http::{HeaderValue, StatusCode, header};
use waybill_chassis::problem::{Kind, Problem};
use waybill_chassis::telemetry::report;

use crate::store;

pub(super) const DELIVERY_UNKNOWN: Kind =
    Kind { slug: "delivery-unknown", title: "No such delivery here", status: StatusCode::NOT_FOUND };
pub(super) const NOTHING_POSTED: Kind =
    Kind { slug: "nothing-posted", title: "Nothing reported yet", status: StatusCode::NOT_FOUND };
pub(super) const BUNDLE_UNKNOWN: Kind =
    Kind { slug: "bundle-unknown", title: "No such bundle here", status: StatusCode::NOT_FOUND };
pub(super) const PHOTO_UNKNOWN: Kind =
    Kind { slug: "photo-unknown", title: "No such photo here", status: StatusCode::NOT_FOUND };
pub(super) const MALFORMED: Kind =
    Kind { slug: "malformed", title: "Body can not be read", status: StatusCode::BAD_REQUEST };
pub(super) const FOREIGN_EVENT: Kind =
    Kind { slug: "foreign-event", title: "Event of somebody else", status: StatusCode::FORBIDDEN };
pub(super) const CHAIN_GAP: Kind =
    Kind { slug: "chain-gap", title: "Event does not follow the log", status: StatusCode::CONFLICT };
pub(super) const EVENT_REFUSED: Kind =
    Kind { slug: "event-refused", title: "Event has no place in the log", status: StatusCode::UNPROCESSABLE_ENTITY };
pub(super) const TOO_MANY_EVENTS: Kind =
    Kind { slug: "too-many-events", title: "Too many events", status: StatusCode::UNPROCESSABLE_ENTITY };
pub(super) const DECLARATION_REFUSED: Kind =
    Kind { slug: "declaration-refused", title: "Declaration not accepted", status: StatusCode::UNPROCESSABLE_ENTITY };
pub(super) const OUT_OF_PLACE: Kind =
    Kind { slug: "declaration-out-of-place", title: "Declaration does not fit now", status: StatusCode::CONFLICT };
pub(super) const NOTE_UNKNOWN: Kind =
    Kind { slug: "note-unknown", title: "No such note here", status: StatusCode::NOT_FOUND };
pub(super) const SIGNING_AWAY: Kind =
    Kind { slug: "identity-unavailable", title: "No identity yet", status: StatusCode::SERVICE_UNAVAILABLE };
pub(super) const PHOTO_TYPE: Kind =
    Kind { slug: "photo-type", title: "Not a kind of photo", status: StatusCode::UNSUPPORTED_MEDIA_TYPE };
pub(super) const PHOTO_REFUSED: Kind =
    Kind { slug: "photo-refused", title: "Photo not accepted", status: StatusCode::UNPROCESSABLE_ENTITY };
pub(super) const TOO_MANY_PHOTOS: Kind =
    Kind { slug: "too-many-photos", title: "Too many photos", status: StatusCode::UNPROCESSABLE_ENTITY };
pub(super) const STORAGE_FULL: Kind =
    Kind { slug: "storage-full", title: "Storage is full", status: StatusCode::INSUFFICIENT_STORAGE };
pub(super) const STORAGE_AWAY: Kind =
    Kind { slug: "storage-unavailable", title: "Storage is unavailable", status: StatusCode::SERVICE_UNAVAILABLE };
pub(super) const CLUSTER_AWAY: Kind =
    Kind { slug: "cluster-unavailable", title: "Cluster is unavailable", status: StatusCode::SERVICE_UNAVAILABLE };
pub(super) const BUSY: Kind =
    Kind { slug: "busy", title: "Too many writes at once", status: StatusCode::SERVICE_UNAVAILABLE };
pub(super) const GRANT_INVALID: Kind =
    Kind { slug: "grant-invalid", title: "Grant not accepted", status: StatusCode::FORBIDDEN };
pub(super) const GRANT_UNKNOWN: Kind =
    Kind { slug: "grant-unknown", title: "No such grant", status: StatusCode::NOT_FOUND };
pub(super) const GRANT_REVOKED: Kind =
    Kind { slug: "grant-revoked", title: "Grant taken back", status: StatusCode::CONFLICT };
pub(super) const TOO_MANY_GRANTS: Kind =
    Kind { slug: "too-many-grants", title: "Too many grants", status: StatusCode::UNPROCESSABLE_ENTITY };
pub(super) const NOT_PERMITTED: Kind =
    Kind { slug: "not-permitted", title: "Not permitted", status: StatusCode::FORBIDDEN };
pub(super) const RENEWAL_REFUSED: Kind =
    Kind { slug: "renewal-refused", title: "Renewal not accepted", status: StatusCode::FORBIDDEN };
pub(super) const CLOCK_SKEW: Kind =
    Kind { slug: "clock-skew", title: "Clocks differ too much", status: StatusCode::FORBIDDEN };

/// The same words whether there is none or it is not the asker's.
pub(super) fn unknown_delivery() -> Problem {
    Problem::new(DELIVERY_UNKNOWN, "there is no delivery here that this client has to do with")
}

/// Come back soon: nothing was lost.
pub(super) fn later(kind: Kind, detail: &str) -> Problem {
    Problem::new(kind, detail).header(header::RETRY_AFTER, HeaderValue::from_static("1"))
}

pub(super) fn of_store(error: &store::Error) -> Problem {
    tracing::warn!(error = %report(error), "the store failed");
    match error {
        store::Error::Full(_) => later(STORAGE_FULL, "there is no room for it; keep it and try again later"),
        store::Error::Failed { .. } => later(STORAGE_AWAY, "the store does not answer; keep it and try again later"),
    }
}

pub(super) fn of_cluster(error: &kube::Error) -> Problem {
    tracing::warn!(error = %report(error), "the API server failed");
    later(CLUSTER_AWAY, "the cluster does not answer; try again later")
}
