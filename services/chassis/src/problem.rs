//! One shape for every refusal: `application/problem+json` (RFC 9457) with a stable `type`, and an `error` member for
//! clients of the older API.
//!
//! A problem has an outside and an inside. What the client reads is written for it; a cause is logged and never sent,
//! so nothing leaks which of two secrets was wrong. [`finish`] sees to it that no answer of 400 or above leaves in
//! another shape, whoever made it: a router's 404, a method's 405, a timeout, a limit, a panic.

mod extract;

use std::any::Any;
use std::error::Error as StdError;

use axum::body::Body;
use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use serde_json::{Map, Value, json};

use crate::telemetry::report;

pub use extract::Checked;

/// Where the descriptions of problem types live; the slug is appended.
pub(crate) const BASE: &str = "https://waybill.dev/problems/";
/// Media type of a problem.
pub const CONTENT_TYPE: &str = "application/problem+json";

/// A kind of problem: what its `type`, `title` and status always are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// Last part of the type's URI; never changes its meaning.
    pub slug: &'static str,
    /// The kind in a few words, the same for every occurrence.
    pub title: &'static str,
    /// The status it is sent with.
    pub status: StatusCode,
}

/// Something we did wrong; the log says what.
pub const INTERNAL: Kind =
    Kind { slug: "internal", title: "Internal error", status: StatusCode::INTERNAL_SERVER_ERROR };

/// The identity of one request, in the log and in what the client reads.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestId(pub String);

/// One occurrence of a kind.
#[derive(Debug, Clone)]
pub struct Problem {
    kind: Kind,
    detail: String,
    members: Map<String, Value>,
    headers: HeaderMap,
}

impl Problem {
    /// `detail` is for the client: what is wrong with this request and what would mend it.
    pub fn new(kind: Kind, detail: impl Into<String>) -> Self {
        Self { kind, detail: detail.into(), members: Map::new(), headers: HeaderMap::new() }
    }

    /// Our fault: the cause goes to the log, the client learns only that it happened.
    pub fn internal(cause: &(dyn StdError + 'static)) -> Self {
        tracing::error!(error = %report(cause), "request failed");
        Self::new(INTERNAL, "something went wrong here; the request id finds it in the log")
    }

    /// Adds a member of the kind's own, such as the next expected event.
    #[must_use]
    pub fn with(mut self, name: &str, value: impl Into<Value>) -> Self {
        self.members.insert(name.to_owned(), value.into());
        self
    }

    /// Adds a header, such as `WWW-Authenticate`.
    #[must_use]
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.insert(name, value);
        self
    }

    /// The problem's kind.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// What the client is told about this occurrence.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    fn body(&self, request: Option<&RequestId>) -> Body {
        let mut body = self.members.clone();
        body.insert("type".into(), json!(format!("{BASE}{}", self.kind.slug)));
        body.insert("title".into(), json!(self.kind.title));
        body.insert("status".into(), json!(self.kind.status.as_u16()));
        body.insert("detail".into(), json!(self.detail));
        body.insert("error".into(), json!(self.detail));
        if let Some(RequestId(id)) = request {
            body.insert("requestId".into(), json!(id));
        }
        Body::from(Value::Object(body).to_string())
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let mut response = Response::new(self.body(None));
        *response.status_mut() = self.kind.status;
        *response.headers_mut() = self.headers.clone();
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
        // Kept for `finish`, which knows the request's id.
        response.extensions_mut().insert(self);
        response
    }
}

/// Axum middleware: gives every answer of 400 or above the one shape, with the request's id.
pub async fn finish(request: Request, next: Next) -> Response {
    let id = request.extensions().get::<RequestId>().cloned();
    let response = next.run(request).await;
    let status = response.status();
    if !(status.is_client_error() || status.is_server_error()) {
        return response;
    }
    let problem = response.extensions().get::<Problem>().cloned();
    // Text somebody else wrote is not known to be fit for a client: only the status is kept of it.
    let problem = problem.unwrap_or_else(|| Problem::new(generic(status), sentence(status)));
    // What the refusing part said in headers (Allow, Retry-After, WWW-Authenticate) stays.
    let (mut parts, _) = response.into_parts();
    parts.headers.remove(header::CONTENT_LENGTH);
    parts.headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(CONTENT_TYPE));
    Response::from_parts(parts, problem.body(id.as_ref()))
}

/// For `CatchPanicLayer`: the hook of telemetry has logged where; the message may quote data and goes nowhere.
pub fn from_panic(_: Box<dyn Any + Send + 'static>) -> Response {
    Problem::new(INTERNAL, "something went wrong here; the request id finds it in the log").into_response()
}

/// The kind of a bare status.
pub fn generic(status: StatusCode) -> Kind {
    let (slug, title) = match status {
        StatusCode::BAD_REQUEST => ("bad-request", "Bad request"),
        StatusCode::UNAUTHORIZED => ("unauthorized", "Credentials required"),
        StatusCode::FORBIDDEN => ("forbidden", "Forbidden"),
        StatusCode::NOT_FOUND => ("not-found", "Not found"),
        StatusCode::METHOD_NOT_ALLOWED => ("method-not-allowed", "Method not allowed"),
        StatusCode::REQUEST_TIMEOUT => ("timeout", "Request took too long"),
        StatusCode::CONFLICT => ("conflict", "Conflict"),
        StatusCode::PAYLOAD_TOO_LARGE => ("too-large", "Body too large"),
        StatusCode::UNSUPPORTED_MEDIA_TYPE => ("unsupported-media-type", "Unsupported media type"),
        StatusCode::UNPROCESSABLE_ENTITY => ("unprocessable", "Body does not fit"),
        StatusCode::TOO_MANY_REQUESTS => ("too-many-requests", "Too many requests"),
        StatusCode::SERVICE_UNAVAILABLE => ("unavailable", "Unavailable"),
        other if other.is_client_error() => ("client-error", "Request refused"),
        _ => return Kind { status, ..INTERNAL },
    };
    Kind { slug, title, status }
}

fn sentence(status: StatusCode) -> &'static str {
    match status {
        StatusCode::NOT_FOUND => "there is nothing at this path",
        StatusCode::METHOD_NOT_ALLOWED => "this path does not answer that method; see the Allow header",
        StatusCode::REQUEST_TIMEOUT => "the request was not complete in time",
        StatusCode::PAYLOAD_TOO_LARGE => "the body is larger than this path accepts",
        other => generic(other).title,
    }
}
