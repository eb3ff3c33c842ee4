//! Style, scripts and pictures of every page: embedded, compressed when the program was built, named by content so that a browser
//! never asks twice for what has not changed.

use axum::extract::{Path, RawQuery};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use waybill_chassis::etag::Tag;

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
pub(crate) async fn get(Path(name): Path<String>, RawQuery(tag): RawQuery, headers: HeaderMap) -> Response {
    let Some(asset) = ALL.iter().find(|asset| asset.name == name) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    // What a script imports is asked for without its tag: that name may mean something else after an upgrade.
    let kept = match tag.as_deref() == Some(asset.tag) {
        true => "public, max-age=31536000, immutable",
        false => "public, no-cache",
    };
    Tag::weak(asset.tag).answer_kept(kept, &headers, || {
        let about = [(header::CONTENT_TYPE, media(asset.name)), (header::VARY, "accept-encoding")];
        match takes_gzip(&headers) {
            true => (about, [(header::CONTENT_ENCODING, "gzip")], asset.packed).into_response(),
            false => (about, asset.plain).into_response(),
        }
    })
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
    use axum::http::HeaderValue;

    use super::*;

    async fn asked(tag: Option<&str>, headers: &HeaderMap) -> (u16, HeaderMap) {
        let answer = get(Path("board.css".into()), RawQuery(tag.map(str::to_owned)), headers.clone()).await;
        (answer.status().as_u16(), answer.headers().clone())
    }

    #[tokio::test]
    async fn an_asset_comes_packed_to_whom_that_suits() {
        let mut headers = HeaderMap::new();
        assert!(!asked(None, &headers).await.1.contains_key(header::CONTENT_ENCODING));
        headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("br, gzip;q=0.8"));
        assert_eq!(asked(None, &headers).await.1[header::CONTENT_ENCODING], "gzip");
    }

    #[tokio::test]
    async fn it_is_kept_for_good_under_the_name_of_its_content_alone() {
        let (url, mut headers) = (url("board.css"), HeaderMap::new());
        let tag = url.split_once('?').unwrap().1;
        let kept = |headers: &HeaderMap| headers[header::CACHE_CONTROL].to_str().unwrap().to_owned();
        assert!(kept(&asked(Some(tag), &headers).await.1).contains("immutable"));
        // After an upgrade the same name means something else.
        for other in [None, Some("0123456789abcdef")] {
            assert_eq!(kept(&asked(other, &headers).await.1), "public, no-cache");
        }
        headers.insert(header::IF_NONE_MATCH, HeaderValue::from_str(&format!("W/\"{tag}\"")).unwrap());
        assert_eq!(asked(None, &headers).await.0, 304);
    }
}
