//! The word of a person: declared by somebody with the right to, signed by the Carrier API in that person's name, standing
//! in the log until the seller countersigns it. It releases nothing.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use waybill_chassis::problem::{Checked, Problem};
use waybill_crds::Delivery;
use waybill_protocol::fact::reason::DeclaredFact;
use waybill_protocol::{Log, PersonName, SignError};

use super::problems::{
    DECLARATION_REFUSED, EVENT_REFUSED, MALFORMED, NOTE_UNKNOWN, OUT_OF_PLACE, SIGNING_AWAY, TOO_MANY_EVENTS, later,
    of_store,
};
use super::said::{Declared, NoteText};
use super::user::{permitted, user};
use super::write;
use crate::declare::{self, Asked, Declaration, Judged, MAX_NOTE, Note, Refused, judge};
use crate::service::{Service, Shared, now_millis};
use crate::store::is_hash;
use waybill_cluster::permission::{DECLARE, READ_NOTES};

/// One declaration into the log. The same again is no other one.
pub(super) async fn declare(
    State(service): State<Service>,
    Checked(Path(upc)): Checked<Path<String>>,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    let user = user(&service, &headers).await?;
    let delivery = permitted(&service, &user, DECLARE, (&upc, 1)).await?.swap_remove(0);
    // Only now: nothing of somebody unknown is held.
    let Checked(body) = Checked::<Bytes>::from_request(request, &service).await?;
    let asked: Asked = serde_json::from_slice(&body)
        .map_err(|error| Problem::new(MALFORMED, format!("the declaration can't be read: {error}")))?;
    let uid = delivery.metadata.uid.clone().unwrap_or_default();
    let (wanted, note) = read(&service, &uid, asked, user.username.unwrap_or_default())?;
    let signer = service.person().ok_or_else(no_signer)?;
    let judged = |log: &Log| judge(log, &wanted, &signer, now_millis());
    if let Some(note) = note {
        // Before the log names it, and only if it will.
        let refused = service.log(&delivery).map(|log| judged(&log).err()).unwrap_or_default();
        if refused.is_none() {
            keep(&service, &uid, &note).await?;
        }
    }
    let decide = |_: &Delivery, log: &Log| {
        let judged = judged(log).map_err(|refused| write::Refused::Now(problem(&refused, log)))?;
        Ok(write::Decided { new: judged.new.clone().into_iter().collect(), told: judged })
    };
    let (status, judged) = write::write(&service, &uid, decide).await?;
    tracing::info!(delivery = %uid, fact = %wanted.fact, new = status == StatusCode::CREATED, "a person declared");
    Ok((status, Json(answer(&wanted, &judged))).into_response())
}

/// What is declared, and the note to keep for it.
fn read(service: &Shared, uid: &str, asked: Asked, by: String) -> Result<(Declaration, Option<Note>), Problem> {
    let refuse = |words: String| Problem::new(DECLARATION_REFUSED, words);
    let fact: DeclaredFact = asked.fact.parse().map_err(|error| refuse(format!("{error}")))?;
    let by = PersonName::new(by).map_err(|_| refuse("the name of this token's bearer has no place in a log".into()))?;
    let text = asked.note.filter(|text| !text.is_empty());
    if text.as_ref().is_some_and(|text| text.len() > MAX_NOTE) {
        return Err(refuse(format!("a note may have {MAX_NOTE} bytes")));
    }
    let note = match text {
        Some(text) => Some(Note::new(&*service.seed().ok_or_else(no_signer)?, uid, &text)),
        None => None,
    };
    Ok((Declaration { fact, by, note: note.as_ref().map(Note::hash) }, note))
}

async fn keep(service: &Shared, uid: &str, note: &Note) -> Result<(), Problem> {
    let place = declare::path(uid, &note.hash().to_string());
    if service.store.has(&place).await.map_err(|error| of_store(&error))? {
        return Ok(());
    }
    service.store.put(&place, note.0.clone()).await.map_err(|error| of_store(&error))
}

fn answer(wanted: &Declaration, judged: &Judged) -> Declared {
    Declared {
        id: judged.id.to_string(),
        position: judged.position,
        new: judged.new.is_some(),
        fact: wanted.fact.as_str(),
        by: wanted.by.as_str().to_owned(),
        note: wanted.note.map(|hash| hash.to_string()),
        phase: judged.after.phase().as_str(),
    }
}

fn problem(refused: &Refused, log: &Log) -> Problem {
    match refused {
        Refused::OutOfPlace(refusal) => Problem::new(OUT_OF_PLACE, refused.to_string())
            .with("reason", refusal.code())
            .with("phase", log.phase().as_str()),
        Refused::TooMany => Problem::new(TOO_MANY_EVENTS, refused.to_string()),
        Refused::Sign(SignError::NoPlace(_)) => {
            Problem::new(EVENT_REFUSED, "the log has no place left but for endings").with("reason", "Reserved")
        }
        Refused::Sign(error) => Problem::internal(error),
    }
}

/// The identity of this Carrier API is being made, or its authority is not known here yet.
fn no_signer() -> Problem {
    later(SIGNING_AWAY, "this Carrier API has no statement of its own key yet; try again later")
}

/// The text of a note, for those who may read declarations.
pub(super) async fn note(
    State(service): State<Service>,
    Checked(Path((upc, hash))): Checked<Path<(String, String)>>,
    headers: HeaderMap,
) -> Result<Json<NoteText>, Problem> {
    let user = user(&service, &headers).await?;
    for delivery in permitted(&service, &user, READ_NOTES, (&upc, usize::MAX)).await? {
        let uid = delivery.metadata.uid.as_deref().unwrap_or_default();
        if !is_hash(&hash) {
            break;
        }
        let kept = service.store.get(&declare::path(uid, &hash)).await.map_err(|error| of_store(&error))?;
        if let Some(text) = kept.as_deref().and_then(Note::text) {
            return Ok(Json(NoteText { note: text.to_owned() }));
        }
    }
    Err(Problem::new(NOTE_UNKNOWN, "there is no such note of this delivery"))
}
