//! Answers that are asked for again and again: told once, and then only when they changed (RFC 9110, 13.1.2).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use waybill_chassis::problem::Problem;

/// The body, or `304` where the asker has this very one.
pub(super) fn tagged(asked: &HeaderMap, body: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
    let tag = format!("\"{}\"", hex::encode(&Sha256::digest(&bytes)[..16]));
    let same = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
    let same = same.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
    let known = same.into_iter().any(|one| one == "*" || one == tag);
    let about = [
        (header::ETAG, HeaderValue::from_str(&tag).expect("hexadecimal digits in quotes")),
        // Kept by its asker alone, and never shown without asking again.
        (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
    ];
    Ok(match known {
        true => (StatusCode::NOT_MODIFIED, about).into_response(),
        false => {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            (about, [kind], bytes).into_response()
        }
    })
}
