//! What every answer says to the browser about itself, and errors as pages for people.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use waybill_chassis::problem::{Problem, generic};

use super::access::wants_page;
use crate::page::{self, Chrome, ErrorPage};

/// Nothing but our own files, no frame, no form to elsewhere.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; \
                      form-action 'self'; frame-ancestors 'none'; base-uri 'none'";

/// Outermost: a page may say something stricter of itself, or need more; what it says stays.
pub(crate) async fn around(request: Request, next: Next) -> Response {
    let asked = request.headers().clone();
    let response = next.run(request).await;
    let mut response = if response.status().as_u16() >= 400 && wants_page(&asked) { told(response) } else { response };
    let headers = response.headers_mut();
    default(headers, header::CONTENT_SECURITY_POLICY, POLICY);
    default(headers, header::REFERRER_POLICY, "no-referrer");
    default(headers, HeaderName::from_static("permissions-policy"), "camera=(), microphone=(), geolocation=()");
    default(headers, HeaderName::from_static("cross-origin-opener-policy"), "same-origin");
    default(headers, HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    response
}

fn default(headers: &mut HeaderMap, name: HeaderName, value: &'static str) {
    headers.entry(name).or_insert(HeaderValue::from_static(value));
}

/// A problem as a person reads it.
fn told(response: Response) -> Response {
    let status = response.status();
    let problem = response.extensions().get::<Problem>();
    let title = problem.map_or(generic(status).title, |problem| problem.kind().title);
    let detail = problem.map_or("Check the address, or go back to where you came from.", Problem::detail).to_owned();
    let request = response.headers().get("x-request-id").and_then(|id| id.to_str().ok()).unwrap_or_default().to_owned();
    let chrome = Chrome { title: title.to_owned(), ..Chrome::default() };
    let page = ErrorPage { chrome, status: status.as_u16(), detail, request };
    let mut shown = page::html(&HeaderMap::new(), &page);
    *shown.status_mut() = status;
    for name in [header::RETRY_AFTER, header::ALLOW, header::SET_COOKIE, HeaderName::from_static("x-request-id")] {
        if let Some(value) = response.headers().get(&name) {
            shown.headers_mut().insert(name, value.clone());
        }
    }
    shown.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    shown
}

/// Whatever changes something comes from a page of ours: browsers say from where.
pub(super) async fn same_site(request: Request, next: Next) -> Response {
    let from = request.headers().get("sec-fetch-site").and_then(|value| value.to_str().ok());
    let foreign = from.is_some_and(|from| !matches!(from, "same-origin" | "none"));
    if foreign && !matches!(*request.method(), Method::GET | Method::HEAD) {
        let kind = generic(StatusCode::FORBIDDEN);
        return Problem::new(kind, "this came from another site").into_response();
    }
    next.run(request).await
}

/// For answers with something in them that must be kept nowhere.
pub(crate) fn quiet() -> [(HeaderName, HeaderValue); 1] {
    [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]
}

/// A page for one person at one moment: kept nowhere.
pub(crate) fn unkept(mut page: Response) -> Response {
    for (name, value) in quiet() {
        page.headers_mut().insert(name, value);
    }
    page
}
