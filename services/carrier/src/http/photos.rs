//! Photos: brought by an agent, seen by viewers once the log names them.

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::{FromRequest, Path, Request, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use object_store::path::Path as ObjectPath;
use waybill_chassis::problem::{Checked, Problem};
use waybill_protocol::{Author, Fact, Log, Uid};

use super::access::{Agent, Viewer};
use super::problems::{BUSY, PHOTO_REFUSED, PHOTO_TYPE, PHOTO_UNKNOWN, TOO_MANY_PHOTOS};
use super::problems::{later, of_store, unknown_delivery};
use super::said::KeptPhoto;
use crate::photo::{Media, clean};
use crate::service::{Service, Shared};
use crate::store::is_hash;
use crate::view::photos;

/// How many photos a delivery may have, so that no carrier fills the volume.
const MOST: usize = 16;

/// The folder of a delivery's photos.
pub(crate) fn folder(delivery: &str) -> ObjectPath {
    ObjectPath::from_iter(["photos", delivery])
}

pub(crate) fn path(delivery: &str, hash: &str, media: Media) -> ObjectPath {
    folder(delivery).join(format!("{hash}.{}", media.extension()))
}

/// D-54: keeps a picture, without what it says besides, under the hash of what is kept. The same one again is no change.
pub(super) async fn put(
    State(service): State<Service>,
    Checked(Path(uid)): Checked<Path<String>>,
    agent: Agent,
    headers: HeaderMap,
    request: Request,
) -> Result<Response, Problem> {
    may_bring(&service, &agent, &uid)?;
    let media = headers.get(header::CONTENT_TYPE).and_then(|text| Media::from_content_type(text.to_str().ok()?));
    let media = media.ok_or_else(|| Problem::new(PHOTO_TYPE, "a photo is image/jpeg or image/png"))?;
    let busy = || later(BUSY, "too many photos are on their way; keep it and try again later");
    let _place = service.uploads.begin().ok_or_else(busy)?;
    let Checked(body) = Checked::<Bytes>::from_request(request, &service).await?;
    let cleaned = tokio::task::spawn_blocking(move || clean(media, &body)).await;
    let photo = cleaned
        .map_err(|error| Problem::internal(&error))?
        .map_err(|refusal| Problem::new(PHOTO_REFUSED, refusal.to_string()))?;
    let hash = hex::encode(photo.hash);
    let place = path(&uid, &hash, media);
    let body = KeptPhoto { hash: hash.clone(), size: photo.bytes.len(), media: photo.media.content_type() };
    let _folder = service.folders.of(&uid).await;
    // The body took its time, and so may have those before it.
    may_bring(&service, &agent, &uid)?;
    let there = service.store.list(&folder(&uid)).await.map_err(|error| of_store(&error))?;
    if there.contains(&place) {
        return Ok((StatusCode::OK, Json(body)).into_response());
    }
    if there.len() >= MOST {
        return Err(Problem::new(TOO_MANY_PHOTOS, format!("a delivery has at most {MOST} photos")));
    }
    service.store.put(&place, photo.bytes).await.map_err(|error| of_store(&error))?;
    if let Err(gone) = kept(&service, &uid) {
        // Whoever forgets may have looked into the folder before this was there.
        service.store.delete(&place).await.map_err(|error| of_store(&error))?;
        return Err(gone);
    }
    tracing::info!(delivery = %uid, hash, "kept a photo");
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// A carrier that is trusted, whose job the delivery is, while anything may be kept of it.
fn may_bring(service: &Shared, agent: &Agent, uid: &str) -> Result<(), Problem> {
    agent.still_trusted(service)?;
    let delivery = agent.delivery_by_uid(service, uid)?;
    agent.for_its_job(service, &delivery).and_then(|log| not_forgotten(&log))
}

/// The delivery is there, and anything may be kept of it.
fn kept(service: &Shared, uid: &str) -> Result<(), Problem> {
    let delivery = service.deliveries.get(uid).ok_or_else(unknown_delivery)?;
    // One that is there and can't be read now is no reason to remove anything.
    service.log(&delivery).map_or(Ok(()), |log| not_forgotten(&log))
}

fn not_forgotten(log: &Log) -> Result<(), Problem> {
    let words = "the order of this delivery is forgotten: nothing more is kept of it";
    if log.state().forgotten().is_some() { Err(Problem::new(PHOTO_REFUSED, words)) } else { Ok(()) }
}

/// For the agent that brought it, so that it can check what was kept before it signs the hash. One whose job it was
/// before sees what it signed, and nothing of those after it.
pub(super) async fn get_own(
    State(service): State<Service>,
    Checked(Path((uid, hash))): Checked<Path<(String, String)>>,
    agent: Agent,
) -> Result<Response, Problem> {
    let delivery = agent.delivery_by_uid(&service, &uid)?;
    let log = agent.for_delivery(&service, &delivery)?;
    if !signed(&log, &agent.uid, &hash) && agent.for_its_job(&service, &delivery).is_err() {
        return Err(unknown());
    }
    serve(&service, &uid, &hash).await
}

/// Whether a genuine event of this carrier names the photo.
fn signed(log: &Log, carrier: &Uid, hash: &str) -> bool {
    let genuine = log.entries().iter().filter(|entry| entry.verdict().is_genuine());
    genuine.filter_map(|entry| entry.event()).map(|signed| signed.event()).any(|event| {
        let named = matches!(&event.fact, Fact::ProofAttached { sha256, .. } if sha256.to_string() == hash);
        named && event.author == Author::Transport && event.uid == *carrier
    })
}

/// For a viewer, if the log names it.
pub(super) async fn get(
    State(service): State<Service>,
    Checked(Path((_, hash))): Checked<Path<(String, String)>>,
    viewer: Viewer,
) -> Result<Response, Problem> {
    if !photos(&viewer.log).any(|named| named == hash) {
        return Err(unknown());
    }
    let uid = viewer.delivery.metadata.uid.as_deref().unwrap_or_default();
    serve(&service, uid, &hash).await
}

async fn serve(service: &Shared, uid: &str, hash: &str) -> Result<Response, Problem> {
    for media in Media::ALL.into_iter().filter(|_| is_hash(hash)) {
        let found = service.store.read(&path(uid, hash, media)).await.map_err(|error| of_store(&error))?;
        if let Some((size, bytes)) = found {
            let kind = HeaderValue::from_static(media.content_type());
            // A picture opened by itself runs nothing.
            let policy = HeaderValue::from_static("default-src 'none'; sandbox");
            let about = [
                (header::CONTENT_TYPE, kind),
                (header::CONTENT_SECURITY_POLICY, policy),
                (header::CONTENT_LENGTH, HeaderValue::from(size)),
            ];
            return Ok((about, Body::from_stream(bytes)).into_response());
        }
    }
    Err(unknown())
}

fn unknown() -> Problem {
    Problem::new(PHOTO_UNKNOWN, "there is no such photo of this delivery")
}
