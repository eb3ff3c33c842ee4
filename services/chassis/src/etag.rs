//! Answers that are asked for again and again: told once, and then only when they changed (RFC 9110, 13.1.2).

use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use sha2::{Digest, Sha256};

use crate::problem::Problem;

/// JSON, and what it is told from another by.
#[derive(Debug)]
pub struct Tagged {
    body: Bytes,
    tag: Tag,
}

impl Tagged {
    pub fn new(body: &impl Serialize) -> Result<Self, Problem> {
        let body = Bytes::from(serde_json::to_vec(body).map_err(|error| Problem::internal(&error))?);
        Ok(Self { tag: Tag::of(&body), body })
    }

    /// The body, or `304` where the asker has this very one.
    pub fn answer(&self, asked: &HeaderMap) -> Response {
        self.tag.answer(asked, || {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
            ([kind], self.body.clone()).into_response()
        })
    }
}

/// The body, or `304` where the asker has this very one.
pub fn tagged(asked: &HeaderMap, body: &impl Serialize) -> Result<Response, Problem> {
    Ok(Tagged::new(body)?.answer(asked))
}

/// What tells one body from another.
#[derive(Debug)]
pub struct Tag(HeaderValue);

impl Tag {
    pub fn of(bytes: &[u8]) -> Self {
        let digest = Sha256::digest(bytes);
        let digits: String = digest[..16].iter().map(|byte| format!("{byte:02x}")).collect();
        Self(HeaderValue::try_from(format!("\"{digits}\"")).expect("hexadecimal digits in quotes"))
    }

    /// A name for a content that is sent packed or not, as it suits.
    pub fn weak(name: &str) -> Self {
        Self(HeaderValue::try_from(format!("W/\"{name}\"")).expect("a plain name in quotes"))
    }

    /// The answer with this tag, or `304` where the asker has its body. Kept by its asker alone, and never shown without
    /// asking again.
    pub fn answer(&self, asked: &HeaderMap, whole: impl FnOnce() -> Response) -> Response {
        self.answer_kept("private, no-cache", asked, whole)
    }

    /// The same, kept as `Cache-Control` says.
    pub fn answer_kept(&self, kept: &'static str, asked: &HeaderMap, whole: impl FnOnce() -> Response) -> Response {
        let about = [(header::ETAG, self.0.clone()), (header::CACHE_CONTROL, HeaderValue::from_static(kept))];
        match self.is_known(asked) {
            true => (StatusCode::NOT_MODIFIED, about).into_response(),
            false => (about, whole()).into_response(),
        }
    }

    fn is_known(&self, asked: &HeaderMap) -> bool {
        let values = asked.get_all(header::IF_NONE_MATCH).iter().filter_map(|value| value.to_str().ok());
        let mut tags = values.flat_map(|value| value.split(',')).map(|one| one.trim().trim_start_matches("W/"));
        let own = self.0.as_bytes();
        tags.any(|one| one == "*" || one.as_bytes() == own.strip_prefix(b"W/").unwrap_or(own))
    }
}
