//! Gives each request an identity and a span. The span names the route's template, never the path: paths are input.

use axum::extract::{MatchedPath, Request};
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;
use tracing::Instrument;

use crate::peer::Connection;
use crate::problem::RequestId;

const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// A caller's own id is kept so that its log and ours meet, if it is short and plain enough to be a log field.
const MAX_ID: usize = 64;

pub(super) async fn identify(mut request: Request, next: Next) -> Response {
    let id = given(&request).unwrap_or_else(|| format!("{:032x}", rand::random::<u128>()));
    let route = request.extensions().get::<MatchedPath>().map_or("unmatched", MatchedPath::as_str).to_owned();
    let peer = request.extensions().get::<Connection>().and_then(|connection| connection.peer.clone());
    let peer = peer.as_ref().map_or("anonymous", |peer| peer.uid.as_str());
    let span = tracing::info_span!("request", id, method = %request.method(), route, peer);
    request.extensions_mut().insert(RequestId(id.clone()));
    async {
        let mut response = next.run(request).await;
        let status = response.status().as_u16();
        if response.status().is_server_error() {
            tracing::warn!(status, "answered");
        } else {
            tracing::debug!(status, "answered");
        }
        if let Ok(value) = HeaderValue::try_from(id) {
            response.headers_mut().insert(HEADER, value);
        }
        response
    }
    .instrument(span)
    .await
}

fn given(request: &Request) -> Option<String> {
    let id = request.headers().get(HEADER)?.to_str().ok()?;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=MAX_ID).contains(&id.len()) && id.chars().all(plain)).then(|| id.to_owned())
}
