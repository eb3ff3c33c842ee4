//! Pages: templates and what they are given. The frame every page stands in is [`Chrome`] with `layout.html`.

mod lane;
pub(crate) mod row;
pub(crate) mod shown;
pub(crate) mod words;

use std::sync::Arc;

use askama::Template;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use qrcode::render::svg;
use qrcode::{EcLevel, QrCode};
use waybill_chassis::etag::Tag;

use crate::assets;
use crate::feed::row::Row;

pub(crate) use lane::{BoardPage, LaneView, Link, View};
pub(crate) use shown::summary;

/// What stands around the content of a page: `{% extends "layout.html" %}`, with the field `chrome` in the template's struct.
#[derive(Debug, Clone, Default)]
pub(crate) struct Chrome {
    pub(crate) title: String,
    /// Who is logged in; `None` on pages for everybody.
    pub(crate) user: Option<String>,
    /// A module of `assets/`.
    pub(crate) script: Option<&'static str>,
}

impl Chrome {
    pub(crate) fn asset(&self, name: &str) -> String {
        assets::url(name)
    }
}

/// A page with a tag of its content: who has it already gets no more than that word.
pub(crate) fn html(asked: &HeaderMap, page: &impl Template) -> Response {
    let body = page.render().expect("a page without I/O is always written");
    Tag::of(body.as_bytes()).answer(asked, || {
        let about = [
            (header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8")),
            (header::VARY, HeaderValue::from_static("cookie")),
        ];
        (about, body).into_response()
    })
}

#[derive(Template)]
#[template(path = "login.html")]
pub(crate) struct LoginPage {
    pub(crate) chrome: Chrome,
    /// Why a code was not taken.
    pub(crate) refused: bool,
    /// To the issuer, where there is one.
    pub(crate) way: Option<Way>,
}

/// Where somebody may log in instead.
pub(crate) struct Way {
    pub(crate) url: String,
    pub(crate) name: String,
}

#[derive(Template)]
#[template(path = "entered.html")]
pub(crate) struct EnteredPage {
    pub(crate) chrome: Chrome,
}

#[derive(Template)]
#[template(path = "error.html")]
pub(crate) struct ErrorPage {
    pub(crate) chrome: Chrome,
    pub(crate) status: u16,
    pub(crate) detail: String,
    pub(crate) request: String,
}

#[derive(Template)]
#[template(path = "detail.html")]
pub(crate) struct DetailPage {
    pub(crate) chrome: Chrome,
    pub(crate) row: Arc<Row>,
    /// Where its changes come from.
    pub(crate) events: String,
    pub(crate) entries: Vec<shown::Shown>,
    pub(crate) photos: Vec<shown::Photo>,
    pub(crate) summary: String,
    /// Why the log cannot be checked.
    pub(crate) unread: Option<&'static str>,
    pub(crate) qr: String,
    pub(crate) qr_text: String,
}

/// A QR code as markup, with its name for those who do not see it. Four modules of quiet around it.
pub(crate) fn qr(text: &str, name: &str) -> String {
    let Ok(code) = QrCode::with_error_correction_level(text, EcLevel::M) else { return String::new() };
    let drawn = code.render::<svg::Color<'_>>().min_dimensions(180, 180).quiet_zone(true).build();
    let drawn = drawn.split_once("?>").map_or(drawn.as_str(), |(_, rest)| rest);
    let name = name.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
    drawn.replacen("<svg ", &format!("<svg role=\"img\" aria-label=\"{name}\" "), 1)
}
