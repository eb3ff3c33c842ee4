//! Pictures and bundles, brought from the namespace's Carrier API under the board's own name once the viewer's right was looked at.
//!
//! A picture is what its hash says, whoever sent it: the board compares before it shows one.

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures::stream;
use reqwest::Method;
use sha2::{Digest, Sha256};
use waybill_chassis::problem::{Checked, Kind, Problem};
use waybill_chassis::telemetry::report;

use super::access::{Viewer, row};
use crate::backend::limited;
use crate::feed::row::Row;
use crate::service::{Service, Shared};

pub(super) const PHOTO_AWAY: Kind =
    Kind { slug: "photo-unavailable", title: "The picture is not here", status: StatusCode::NOT_FOUND };
pub(super) const BUNDLE_AWAY: Kind =
    Kind { slug: "bundle-unavailable", title: "The bundle is not here", status: StatusCode::NOT_FOUND };
pub(super) const API_AWAY: Kind = Kind {
    slug: "carrier-api-unavailable",
    title: "The Carrier API does not answer",
    status: StatusCode::SERVICE_UNAVAILABLE,
};

/// Larger than any picture a Carrier API takes.
const MAX_PHOTO: usize = 16 << 20;

type Named = (String, String, String);

/// `GET …/photos/{hash}`
pub(super) async fn whole(
    State(service): State<Service>,
    Viewer(viewer): Viewer,
    Checked(Path((namespace, name, hash))): Checked<Path<Named>>,
) -> Result<Response, Problem> {
    let row = row(&service, &viewer, (&namespace, &name)).await?;
    let (bytes, media) = photo(&service, &row, &hash).await?;
    Ok((kept(), [(header::CONTENT_TYPE, HeaderValue::from_static(media))], bytes).into_response())
}

/// `GET …/photos/{hash}/small`
pub(super) async fn small(
    State(service): State<Service>,
    Viewer(viewer): Viewer,
    Checked(Path((namespace, name, hash))): Checked<Path<Named>>,
) -> Result<Response, Problem> {
    // The right first: what is remembered is not for everybody.
    let row = row(&service, &viewer, (&namespace, &name)).await?;
    let key = format!("{namespace}/{name}/{hash}");
    let drawn = match service.thumbs.find(&key) {
        Some(drawn) => drawn,
        None => {
            let (bytes, _) = photo(&service, &row, &hash).await?;
            let drawn = service.thumbs.draw(key, bytes).await;
            drawn.ok_or_else(|| Problem::new(PHOTO_AWAY, "The picture cannot be read."))?
        }
    };
    Ok((kept(), [(header::CONTENT_TYPE, HeaderValue::from_static("image/jpeg"))], drawn).into_response())
}

/// What a hash names never changes; it is for this browser alone.
fn kept() -> [(header::HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("private, max-age=31536000, immutable"))]
}

async fn photo(service: &Shared, row: &Row, hash: &str) -> Result<(Bytes, &'static str), Problem> {
    let away = || Problem::new(PHOTO_AWAY, "There is no such picture of this delivery, or it was erased.");
    if !is_hash(hash) {
        return Err(away());
    }
    let answer = ask(service, &row.namespace, &format!("/api/shipment/{}/photos/{hash}", row.upc)).await?;
    picture(answer.ok_or_else(away)?, hash).await.ok_or_else(away)
}

/// Whether this may be the name of a picture; only what may is put into a path.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// The picture of this hash, whoever sent it, and what kind it is; `None` for anything else.
pub(crate) async fn picture(answer: reqwest::Response, hash: &str) -> Option<(Bytes, &'static str)> {
    let media = match answer.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()) {
        Some("image/jpeg") => "image/jpeg",
        Some("image/png") => "image/png",
        _ => return None,
    };
    let bytes = limited(answer, MAX_PHOTO).await?;
    if hex::encode(Sha256::digest(&bytes)) != hash {
        tracing::warn!("refused a picture: it is not the one its hash names");
        return None;
    }
    Some((bytes, media))
}

/// `GET …/bundle`
pub(super) async fn bundle(
    State(service): State<Service>,
    Viewer(viewer): Viewer,
    Checked(Path((namespace, name))): Checked<Path<(String, String)>>,
) -> Result<Response, Problem> {
    let row = row(&service, &viewer, (&namespace, &name)).await?;
    let answer = ask(&service, &namespace, &format!("/api/shipment/{}/bundle", row.upc)).await?;
    let answer = answer.ok_or_else(|| Problem::new(BUNDLE_AWAY, "There is no proof bundle of this delivery yet."))?;
    Ok(attached(&row.upc, answer))
}

/// A bundle as a file, passed on as it comes.
pub(crate) fn attached(upc: &str, answer: reqwest::Response) -> Response {
    let file = format!("attachment; filename=\"{upc}.waybill.zip\"");
    let about = [(header::CONTENT_TYPE, "application/zip".to_owned()), (header::CONTENT_DISPOSITION, file)];
    let parts = stream::try_unfold(answer, |mut answer| async {
        Ok::<_, reqwest::Error>(answer.chunk().await?.map(|part| (part, answer)))
    });
    (about, Body::from_stream(parts)).into_response()
}

/// `None`: the Carrier API has none, or does not give it.
async fn ask(service: &Shared, namespace: &str, path: &str) -> Result<Option<reqwest::Response>, Problem> {
    let away = |error: &(dyn std::error::Error + 'static)| {
        tracing::warn!(error = %report(error), "failed to ask a Carrier API");
        Problem::new(API_AWAY, "The Carrier API of this namespace does not answer. Try again in a moment.")
    };
    let published = service.trusts.of(namespace).published;
    let request = service.backends.carrier_api_as_board(&published, (namespace, Method::GET, path)).await;
    let answer = request.map_err(|error| away(&error))?.send().await.map_err(|error| away(&error))?;
    match answer.status() {
        status if status.is_success() => Ok(Some(answer)),
        status if status.is_server_error() => Err(Problem::new(API_AWAY, "The Carrier API of this namespace failed.")),
        status => {
            tracing::info!(status = status.as_u16(), "a Carrier API did not give what was asked");
            Ok(None)
        }
    }
}
