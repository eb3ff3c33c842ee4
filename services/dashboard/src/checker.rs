//! The checker of proof bundles: a page that reads a bundle in the browser and sends it nowhere. It is `waybill-checker`'s; anybody may have
//! it, logged in or not.

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use waybill_checker::{PACKED, PAGE, POLICY, TAG};

use crate::assets::takes_gzip;

/// `GET /check`: the one page whose policy lets a module run. A frame is refused here: a page can't do that for itself.
pub(crate) async fn page(headers: HeaderMap) -> Response {
    let tag = format!("\"{TAG}\"");
    let known = headers.get(header::IF_NONE_MATCH).is_some_and(|known| known.as_bytes().ends_with(tag.as_bytes()));
    let about = [
        (header::CONTENT_SECURITY_POLICY, format!("{POLICY}; frame-ancestors 'none'")),
        (header::ETAG, tag),
        (header::CACHE_CONTROL, "no-cache".to_owned()),
        (header::VARY, "accept-encoding".to_owned()),
    ];
    if known {
        return (StatusCode::NOT_MODIFIED, about).into_response();
    }
    let media = [(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"))];
    if takes_gzip(&headers) {
        return (about, media, [(header::CONTENT_ENCODING, "gzip")], PACKED).into_response();
    }
    (about, media, PAGE).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_checker_may_run_its_module_and_ask_nobody() {
        let mut asked = HeaderMap::new();
        let plain = page(asked.clone()).await;
        let policy = plain.headers()[header::CONTENT_SECURITY_POLICY].to_str().unwrap();
        assert!(policy.contains("'wasm-unsafe-eval'") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("connect-src"), "{policy}");
        asked.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("gzip"));
        assert_eq!(page(asked.clone()).await.headers()[header::CONTENT_ENCODING], "gzip");
        asked.insert(header::IF_NONE_MATCH, plain.headers()[header::ETAG].clone());
        assert_eq!(page(asked).await.status(), StatusCode::NOT_MODIFIED);
    }
}
