//! Style, scripts and pictures of every page: embedded, compressed when the program was built, named by content so that a browser
//! never asks twice for what has not changed.

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};

include!(concat!(env!("OUT_DIR"), "/assets.rs"));

/// One file of `assets/`.
pub(crate) struct Asset {
    name: &'static str,
    /// Of its content.
    tag: &'static str,
    plain: &'static [u8],
    packed: &'static [u8],
}

/// Where a page finds this file; changes with its content.
pub(crate) fn url(name: &str) -> String {
    let tag = ALL.iter().find(|asset| asset.name == name).map_or("", |asset| asset.tag);
    format!("/assets/{name}?{tag}")
}

/// `GET /assets/{name}`
pub(crate) async fn get(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    let about = [
        (header::CONTENT_TYPE, HeaderValue::from_static(media(asset.name))),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
        (header::VARY, HeaderValue::from_static("accept-encoding")),
    ];
    if takes_gzip(&headers) {
        return (about, [(header::CONTENT_ENCODING, "gzip")], asset.packed).into_response();
    }
    (about, asset.plain).into_response()
}

/// Whether this browser wants things packed.
pub(crate) fn takes_gzip(headers: &HeaderMap) -> bool {
    let packs = headers.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    packs.is_some_and(|value| value.split(',').any(|one| one.trim().split(';').next() == Some("gzip")))
}

fn media(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn an_asset_comes_packed_to_whom_that_suits_and_for_good() {
        let mut headers = HeaderMap::new();
        let plain = get(Path("board.css".into()), headers.clone()).await;
        assert!(plain.headers().get(header::CONTENT_ENCODING).is_none());
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip;q=0.8"));
        let packed = get(Path("board.css".into()), headers).await;
        assert_eq!(packed.headers()[header::CONTENT_ENCODING], "gzip");
        assert!(packed.headers()[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
        assert!(url("board.css").len() > "/assets/board.css?".len());
    }
}
