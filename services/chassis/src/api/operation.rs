//! One operation: whom it lets in, what it takes, what it answers and what it refuses.

use axum::http::{Method, StatusCode};
use schemars::{JsonSchema, Schema, SchemaGenerator};

use super::Who;
use crate::problem::{Kind, generic};

/// The schema of a type, made when the document is.
pub type Shape = fn(&mut SchemaGenerator) -> Schema;

/// The shape of `T`.
pub fn shape<T: JsonSchema>(generator: &mut SchemaGenerator) -> Schema {
    generator.subschema_for::<T>()
}

/// A body, by how it is written.
#[derive(Debug, Clone, Copy)]
pub(super) enum Body {
    Nothing,
    Json(Shape),
    Form(Shape),
    /// Something else, of one of these media types.
    Raw(&'static [&'static str]),
}

#[derive(Debug, Clone)]
pub(super) struct Answer {
    pub(super) status: u16,
    pub(super) means: &'static str,
    pub(super) body: Body,
    /// Names of headers that are always there.
    pub(super) headers: &'static [&'static str],
}

/// A header a client may send.
#[derive(Debug, Clone, Copy)]
pub(super) struct Header {
    pub(super) name: &'static str,
    pub(super) means: &'static str,
}

/// One method of one path.
#[derive(Debug, Clone)]
pub struct Operation {
    pub(super) method: Method,
    pub(super) path: &'static str,
    pub(super) summary: &'static str,
    pub(super) details: &'static str,
    pub(super) who: &'static [Who],
    pub(super) query: Vec<Shape>,
    pub(super) headers: Vec<Header>,
    pub(super) takes: Body,
    /// Whether nothing will do as well.
    pub(super) optional: bool,
    pub(super) answers: Vec<Answer>,
    pub(super) refuses: Vec<Kind>,
    pub(super) limit: Option<usize>,
    /// Refusals are pages for those who ask for pages.
    pub(super) pages: bool,
}

impl Operation {
    fn new(method: Method, path: &'static str, summary: &'static str) -> Self {
        let nothing = Vec::new;
        Self {
            method,
            path,
            summary,
            details: "",
            who: &[],
            query: Vec::new(),
            headers: nothing(),
            takes: Body::Nothing,
            optional: false,
            answers: Vec::new(),
            refuses: Vec::new(),
            limit: None,
            pages: false,
        }
        .of_path()
    }

    pub fn get(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::GET, path, summary)
    }

    pub fn post(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::POST, path, summary)
    }

    pub fn put(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::PUT, path, summary)
    }

    pub fn delete(path: &'static str, summary: &'static str) -> Self {
        Self::new(Method::DELETE, path, summary)
    }

    fn of_path(self) -> Self {
        // A varying part may be written so that it is no text.
        if self.path.contains('{') { self.refuses([generic(StatusCode::BAD_REQUEST)]) } else { self }
    }

    /// More than the summary says.
    #[must_use]
    pub fn details(mut self, details: &'static str) -> Self {
        self.details = details;
        self
    }

    /// Any of these is let in, and nobody else.
    #[must_use]
    pub fn who(mut self, who: &'static [Who]) -> Self {
        self.who = who;
        self
    }

    /// Parameters of the query: the fields of `T`.
    #[must_use]
    pub fn query<T: JsonSchema>(mut self) -> Self {
        self.query.push(T::json_schema);
        self.refuses([generic(StatusCode::BAD_REQUEST)])
    }

    /// A header that means something here.
    #[must_use]
    pub fn header(mut self, name: &'static str, means: &'static str) -> Self {
        self.headers.push(Header { name, means });
        self
    }

    /// Answers have a tag, and `304` is one of them.
    #[must_use]
    pub fn tagged(self) -> Self {
        let operation = self.header("If-None-Match", "The `ETag` of the answer the client has");
        operation.answers_with(304, "It is the one the client has", Body::Nothing, &["ETag"])
    }

    /// A body of JSON.
    #[must_use]
    pub fn takes<T: JsonSchema>(self) -> Self {
        self.takes_body(Body::Json(shape::<T>)).refuses([
            generic(StatusCode::BAD_REQUEST),
            generic(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            generic(StatusCode::UNPROCESSABLE_ENTITY),
        ])
    }

    /// A body of JSON whatever its media type is said to be; or none, where `optional`.
    #[must_use]
    pub fn takes_json<T: JsonSchema>(mut self, optional: bool) -> Self {
        self.optional = optional;
        self.takes_body(Body::Json(shape::<T>))
    }

    /// The fields of a form.
    #[must_use]
    pub fn takes_form<T: JsonSchema>(self) -> Self {
        self.takes_body(Body::Form(shape::<T>)).refuses([
            generic(StatusCode::BAD_REQUEST),
            generic(StatusCode::UNSUPPORTED_MEDIA_TYPE),
            generic(StatusCode::UNPROCESSABLE_ENTITY),
        ])
    }

    /// A body of one of these media types.
    #[must_use]
    pub fn takes_raw(self, media: &'static [&'static str]) -> Self {
        self.takes_body(Body::Raw(media))
    }

    fn takes_body(mut self, body: Body) -> Self {
        self.takes = body;
        self.refuses([generic(StatusCode::BAD_REQUEST), generic(StatusCode::PAYLOAD_TOO_LARGE)])
    }

    /// The longest body, in bytes.
    #[must_use]
    pub fn limit(mut self, bytes: usize) -> Self {
        self.limit = Some(bytes);
        self
    }

    /// An answer of JSON.
    #[must_use]
    pub fn answers<T: JsonSchema>(self, status: u16, means: &'static str) -> Self {
        self.answers_with(status, means, Body::Json(shape::<T>), &[])
    }

    /// An answer of one of these media types.
    #[must_use]
    pub fn answers_raw(self, status: u16, means: &'static str, media: &'static [&'static str]) -> Self {
        self.answers_with(status, means, Body::Raw(media), &[])
    }

    /// An answer without a body.
    #[must_use]
    pub fn answers_nothing(self, status: u16, means: &'static str) -> Self {
        self.answers_with(status, means, Body::Nothing, &[])
    }

    /// To another page of ours.
    #[must_use]
    pub fn leads_on(self, means: &'static str) -> Self {
        self.answers_with(303, means, Body::Nothing, &["Location"])
    }

    fn answers_with(mut self, status: u16, means: &'static str, body: Body, headers: &'static [&'static str]) -> Self {
        self.answers.push(Answer { status, means, body, headers });
        self
    }

    /// What it may say no with, besides what every request may be refused with.
    #[must_use]
    pub fn refuses(mut self, kinds: impl IntoIterator<Item = Kind>) -> Self {
        self.refuses.extend(kinds);
        self
    }

    /// Refusals are pages for those who ask for pages.
    #[must_use]
    pub fn for_people(mut self) -> Self {
        self.pages = true;
        self
    }
}
