//! The custody log of a Delivery: read from its status, appended to by one JSON Patch.
//!
//! Append writes the new events together with everything that follows from the log ([`derive`]) under the resource version
//! the caller decided on: a race is a [`AppendError::Conflict`], after which the caller reads again and decides anew. So two
//! writers that act at one moment write nothing twice. Trust: none is needed to read; what counts in a log is what
//! [`Log`] verifies.

mod derive;
mod patch;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use waybill_crds::Delivery;
use waybill_crds::phase::MAX_NEW_EVENTS;
use waybill_protocol::{Log, Name, NameError, SignedEvent, StatementError, Subject, Trust, Uid};

pub use derive::{Fields, derive};

/// Field manager of the Carrier API's writes; the Seller's is [`waybill_crds::SELLER_FIELD_MANAGER`].
pub const CARRIER_API_FIELD_MANAGER: &str = "waybill-carrier-api";

/// Why a Delivery has no log that could be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    #[error("failed to read the {field} of a Delivery")]
    Name {
        field: &'static str,
        #[source]
        source: NameError,
    },
}

/// Why events were not appended.
#[derive(Debug, thiserror::Error)]
pub enum AppendError {
    /// Somebody wrote first: read again, decide anew.
    #[error("the Delivery has changed since it was read")]
    Conflict,
    /// The API server found it against the rules of the schema. That is a mistake of ours, and trying again is none the better.
    #[error("the API server refused the events")]
    Refused(#[source] kube::Error),
    /// This account may not write these events.
    #[error("this account may not append the events")]
    Forbidden(#[source] kube::Error),
    /// There is no such Delivery any more.
    #[error("the Delivery is gone")]
    Gone,
    /// An event whose author's keys nobody states who counts now.
    #[error("the event's key statement is none that counts now")]
    Statement(#[source] StatementError),
    /// More events than one write may append: see [`MAX_NEW_EVENTS`].
    #[error("{count} events are more than one write may append")]
    TooMany { count: usize },
    /// The API server did not answer, or not as it should; the events may be there all the same. Read again.
    #[error("failed to append events")]
    Api(#[source] kube::Error),
}

/// Which delivery the log of this object is about.
pub fn subject(delivery: &Delivery, seller: &Uid) -> Result<Subject, ReadError> {
    let name = |field, source| ReadError::Name { field, source };
    let uid = delivery.metadata.uid.as_deref().unwrap_or_default();
    let namespace = delivery.metadata.namespace.as_deref().unwrap_or_default();
    Ok(Subject {
        delivery: Uid::new(uid).map_err(|source| name("uid", source))?,
        namespace: Name::new(namespace).map_err(|source| name("namespace", source))?,
        seller: seller.clone(),
    })
}

/// The uid of the Seller its topics were made for: the one, even if another has its name by now. `None` before there are topics.
pub fn seller_of_topics(delivery: &Delivery) -> Option<Uid> {
    let topics = delivery.status.as_ref()?.topics.as_ref()?;
    Uid::new(topics.down.split('/').nth(1)?).ok()
}

/// What the log of a Delivery says. `seller` is the uid of the Seller it names; with a [`Trust`] that remembers, each
/// signature is paid for once.
pub fn read(delivery: &Delivery, seller: &Uid, trust: &Trust) -> Result<Log, ReadError> {
    let mut log = Log::new(subject(delivery, seller)?, trust);
    for entry in delivery.status.iter().flat_map(|status| &status.custody) {
        // What is no base64 is no event either; it keeps its place and is shown as unreadable.
        let bytes = STANDARD.decode(&entry.signed).unwrap_or_else(|_| entry.signed.clone().into_bytes());
        log.push(&bytes);
    }
    Ok(log)
}

/// Appends `new` to the log of `delivery`, of which `before` is what [`read`] made: one patch of its status.
///
/// Answers with the object as it is now. `who` is the field manager. The caller has made sure that each event is genuine
/// in this log ([`Log::push`]), or has signed it itself ([`Log::sign`]).
pub async fn append(
    api: &Api<Delivery>,
    delivery: &Delivery,
    before: &Log,
    new: &[SignedEvent],
    who: &str,
) -> Result<Delivery, AppendError> {
    if new.len() > MAX_NEW_EVENTS {
        return Err(AppendError::TooMany { count: new.len() });
    }
    let mut log = before.clone();
    for event in new {
        before.check_new(event).map_err(AppendError::Statement)?;
        log.push(event.bytes());
    }
    let fields = derive(&log, delivery, Timestamp::now());
    let operations =
        serde_json::from_value(patch::build(delivery, new, &fields)).expect("what is built is a JSON Patch");
    let patch: Patch<()> = Patch::Json(operations);
    let params = PatchParams { field_manager: Some(who.to_owned()), ..PatchParams::default() };
    let name = delivery.metadata.name.as_deref().unwrap_or_default();
    api.patch_status(name, &params, &patch).await.map_err(refusal)
}

fn refusal(error: kube::Error) -> AppendError {
    match &error {
        kube::Error::Api(status) if status.is_conflict() => AppendError::Conflict,
        kube::Error::Api(status) if status.is_not_found() => AppendError::Gone,
        kube::Error::Api(status) if status.is_forbidden() => AppendError::Forbidden(error),
        kube::Error::Api(status) if status.is_invalid() => AppendError::Refused(error),
        _ => AppendError::Api(error),
    }
}
