//! One wrapper for every extractor, so that whatever it refuses has our shape.

use axum::body::to_bytes;
use axum::extract::{FromRequest, FromRequestParts, Request};
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};

use super::{Problem, generic};

/// `Checked(Json(body)): Checked<Json<T>>`: the extractor's own refusal becomes a problem with the same status.
#[derive(Debug, Clone, Copy, Default)]
pub struct Checked<E>(pub E);

/// A refusal's own words are one sentence.
const MAX_WORDS: usize = 512;

impl<S, E> FromRequest<S> for Checked<E>
where
    S: Send + Sync,
    E: FromRequest<S>,
{
    type Rejection = Problem;

    async fn from_request(request: Request, state: &S) -> Result<Self, Problem> {
        let refusal = match E::from_request(request, state).await {
            Ok(value) => return Ok(Self(value)),
            Err(rejection) => rejection.into_response(),
        };
        Err(problem(refusal).await)
    }
}

impl<S, E> FromRequestParts<S> for Checked<E>
where
    S: Send + Sync,
    E: FromRequestParts<S>,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let refusal = match E::from_request_parts(parts, state).await {
            Ok(value) => return Ok(Self(value)),
            Err(rejection) => rejection.into_response(),
        };
        Err(problem(refusal).await)
    }
}

async fn problem(rejection: Response) -> Problem {
    if let Some(problem) = rejection.extensions().get::<Problem>() {
        return problem.clone();
    }
    let kind = generic(rejection.status());
    // What an extractor says of a client's fault is about the client's own bytes, and goes back to it alone.
    let words = match kind.status.is_client_error() {
        true => to_bytes(rejection.into_body(), MAX_WORDS).await.unwrap_or_default(),
        false => Default::default(),
    };
    match std::str::from_utf8(&words) {
        Ok(words) if !words.trim().is_empty() => Problem::new(kind, words.trim()),
        _ => Problem::new(kind, kind.title),
    }
}
