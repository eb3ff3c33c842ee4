//! Photos: brought by an agent, seen by viewers once the log names them.

use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use object_store::path::Path as ObjectPath;
use serde_json::json;
use waybill_chassis::problem::{Checked, Problem};

use super::access::{Agent, Viewer};
use super::problems::{PHOTO_REFUSED, PHOTO_TYPE, PHOTO_UNKNOWN, TOO_MANY_PHOTOS, of_store};
use crate::photo::{Media, clean};
use crate::service::{Service, Shared};
use crate::view::photos;

/// How many photos a delivery may have, so that no carrier fills the volume.
const MOST: usize = 16;

/// The folder of a delivery's photos.
pub(crate) fn folder(delivery: &str) -> ObjectPath {
    ObjectPath::from_iter(["photos", delivery])
}

fn path(delivery: &str, hash: &str, media: Media) -> ObjectPath {
    folder(delivery).join(format!("{hash}.{}", media.extension()))
}

/// D-54: keeps a picture, without what it says besides, under the hash of what is kept. The same one again is no change.
pub(super) async fn put(
    State(service): State<Service>,
    Checked(Path(uid)): Checked<Path<String>>,
    agent: Agent,
    headers: HeaderMap,
    Checked(body): Checked<Bytes>,
) -> Result<Response, Problem> {
    let delivery = agent.delivery_by_uid(&service, &uid)?;
    let log = agent.for_delivery(&service, &delivery)?;
    if log.state().forgotten().is_some() {
        return Err(Problem::new(PHOTO_REFUSED, "the order of this delivery is forgotten: nothing more is kept of it"));
    }
    let media = headers.get(header::CONTENT_TYPE).and_then(|text| Media::from_content_type(text.to_str().ok()?));
    let media = media.ok_or_else(|| Problem::new(PHOTO_TYPE, "a photo is image/jpeg or image/png"))?;
    let cleaned = tokio::task::spawn_blocking(move || clean(media, &body)).await;
    let photo = cleaned
        .map_err(|error| Problem::internal(&error))?
        .map_err(|refusal| Problem::new(PHOTO_REFUSED, refusal.to_string()))?;
    let hash = hex::encode(photo.hash);
    let place = path(&uid, &hash, media);
    let body = json!({"hash": hash, "size": photo.bytes.len(), "type": photo.media.content_type()});
    let there = service.store.list(&folder(&uid)).await.map_err(|error| of_store(&error))?;
    if there.contains(&place) {
        return Ok((StatusCode::OK, Json(body)).into_response());
    }
    if there.len() >= MOST {
        return Err(Problem::new(TOO_MANY_PHOTOS, format!("a delivery has at most {MOST} photos")));
    }
    service.store.put(&place, photo.bytes).await.map_err(|error| of_store(&error))?;
    tracing::info!(delivery = %uid, hash, "kept a photo");
    Ok((StatusCode::CREATED, Json(body)).into_response())
}

/// For the agent that brought it, so that it can check what was kept before it signs the hash.
pub(super) async fn get_own(
    State(service): State<Service>,
    Checked(Path((uid, hash))): Checked<Path<(String, String)>>,
    agent: Agent,
) -> Result<Response, Problem> {
    let delivery = agent.delivery_by_uid(&service, &uid)?;
    agent.for_delivery(&service, &delivery)?;
    serve(&service, &uid, &hash).await
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
    let is_hash = hash.len() == 64 && hash.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'));
    for media in Media::ALL.into_iter().filter(|_| is_hash) {
        let found = service.store.get(&path(uid, hash, media)).await.map_err(|error| of_store(&error))?;
        if let Some(bytes) = found {
            let kind = HeaderValue::from_static(media.content_type());
            // A picture opened by itself runs nothing.
            let policy = HeaderValue::from_static("default-src 'none'; sandbox");
            return Ok(
                ([(header::CONTENT_TYPE, kind), (header::CONTENT_SECURITY_POLICY, policy)], bytes).into_response()
            );
        }
    }
    Err(unknown())
}

fn unknown() -> Problem {
    Problem::new(PHOTO_UNKNOWN, "there is no such photo of this delivery")
}
