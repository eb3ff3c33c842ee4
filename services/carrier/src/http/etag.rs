//! Answers that are asked for again and again: told once, and then only when they changed (RFC 9110, 13.1.2).

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};
use waybill_chassis::problem::Problem;

/// The body, or `304` where the asker has this very one.
pub(super) fn tagged(asked: &HeaderMap, body: &impl Serialize) -> Result<Response, Problem> {
    let bytes = serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?;
    let tag = Tag::of(&bytes);
    Ok(tag.answer(asked, || {
        let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        ([kind], bytes).into_response()
    }))
}

/// What tells one body from another.
pub(super) struct Tag(String);

impl Tag {
    pub(super) fn of(bytes: &[u8]) -> Self {
        Self(format!("\"{}\"", hex::encode(&Sha256::digest(bytes)[..16])))
    }

    /// The answer with this tag, or `304` where the asker has its body.
    pub(super) fn answer(&self, asked: &HeaderMap, whole: impl FnOnce() -> Response) -> Response {
        let about = [
            (header::ETAG, HeaderValue::from_str(&self.0).expect("hexadecimal digits in quotes")),
            // Kept by its asker alone, and never shown without asking again.
            (header::CACHE_CONTROL, HeaderValue::from_static("private, no-cache")),
        ];
        match self.is_known(asked) {
            true => (StatusCode::NOT_MODIFIED, about).into_response(),
            false => (about, whole()).into_response(),
        }
    }

    fn is_known(&self, asked: &HeaderMap) -> bool {
        let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = values.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
        tags.any(|one| one == "*" || one == self.0)
    }
}
