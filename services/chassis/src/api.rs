//! An HTTP API and its description (OpenAPI 3.1), made together: a route is registered with what it takes, whom it lets in and
//! what it answers, so neither can be forgotten. Schemas come from the types that are read and written.
//!
//! [`Api::serve`] adds the description itself at `/openapi.json` and a page of it for people at `/docs`: rendered here, once, without a
//! script, and with nothing from elsewhere.

mod document;
mod operation;
mod page;

use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::DefaultBodyLimit;
use axum::handler::Handler;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodFilter, on};
use serde_json::Value;

use crate::etag::Tag;
use crate::problem::Kind;

pub use operation::{Operation, Shape, shape};

/// Where the description is.
pub const DESCRIPTION: &str = "/openapi.json";
/// Where people read it.
pub const PAGE: &str = "/docs";
/// Lets in anybody, with nothing to show.
pub const ANYBODY: Who = Who { name: "anybody", shows: &[] };

/// One kind of clients: by what it is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Who {
    /// As it stands in `x-waybill-who`.
    pub name: &'static str,
    /// The security schemes it shows, all of them together.
    pub shows: &'static [&'static str],
}

/// How clients show who they are.
#[derive(Debug, Clone, Copy)]
pub enum Scheme {
    /// A client certificate in the TLS handshake.
    Certificate,
    /// A token in the `Authorization` header, of this format.
    Bearer(&'static str),
    /// A cookie of this name.
    Cookie(&'static str),
}

/// What is said of an API as a whole.
#[derive(Debug, Clone, Copy)]
pub struct About {
    pub title: &'static str,
    pub description: &'static str,
    /// Name, kind and a sentence of each security scheme.
    pub schemes: &'static [(&'static str, Scheme, &'static str)],
    /// What the varying parts of paths mean.
    pub parts: &'static [(&'static str, &'static str)],
    /// What any request may be refused with, whatever it asks.
    pub always: &'static [Kind],
}

/// Routes and their descriptions, in one.
pub struct Api<S> {
    about: About,
    operations: Vec<Operation>,
    router: Router<S>,
}

impl<S: Clone + Send + Sync + 'static> Api<S> {
    pub fn new(about: About) -> Self {
        Self { about, operations: Vec::new(), router: Router::new() }
    }

    /// Adds a route as it is described.
    #[must_use]
    pub fn route<H, T>(mut self, operation: Operation, handler: H) -> Self
    where
        H: Handler<T, S>,
        T: 'static,
    {
        let filter = MethodFilter::try_from(operation.method.clone()).expect("one of HTTP's own methods");
        let route = on(filter, handler);
        let route = match operation.limit {
            Some(bytes) => route.layer(DefaultBodyLimit::max(bytes)),
            None => route,
        };
        self.router = self.router.route(operation.path, route);
        self.operations.push(operation);
        self
    }

    /// Both together.
    #[must_use]
    pub fn merge(mut self, other: Self) -> Self {
        self.operations.extend(other.operations);
        self.router = self.router.merge(other.router);
        self
    }

    /// Puts something around the routes there are by now; it adds none.
    #[must_use]
    pub fn around(mut self, layer: impl FnOnce(Router<S>) -> Router<S>) -> Self {
        self.router = layer(self.router);
        self
    }

    /// What is committed: the description, its members in order.
    pub fn description(self) -> String {
        let (_, document) = self.described();
        serde_json::to_string_pretty(&document).expect("JSON is written") + "\n"
    }

    /// All routes, with those of the description.
    pub fn serve(self) -> Router<S> {
        let (router, _) = self.described();
        router
    }

    fn described(self) -> (Router<S>, Value) {
        let json = Operation::get(DESCRIPTION, "This description, as OpenAPI 3.1")
            .who(&[ANYBODY])
            .tagged()
            .answers_raw(200, "OpenAPI 3.1", &["application/json"]);
        let page = Operation::get(PAGE, "This description, for people").who(&[ANYBODY]).tagged().answers_raw(
            200,
            "A page",
            &["text/html"],
        );
        let mut operations = self.operations;
        operations.extend([json.clone(), page.clone()]);
        let document = document::render(&self.about, &operations);
        let text = serde_json::to_vec(&document).expect("JSON is written");
        let served = Arc::new(Served::new(text, "application/json", None));
        let drawn = page::draw(&document);
        let shown = Arc::new(Served::new(drawn.html.into_bytes(), "text/html; charset=utf-8", Some(&drawn.policy)));
        let routes = Self { router: self.router, operations: Vec::new(), about: self.about }
            .route(json, move |asked: HeaderMap| async move { served.answer(&asked) })
            .route(page, move |asked: HeaderMap| async move { shown.answer(&asked) });
        (routes.router, document)
    }
}

/// Made once, told to anybody.
struct Served {
    body: Bytes,
    tag: Tag,
    kind: &'static str,
    policy: Option<HeaderValue>,
}

impl Served {
    fn new(body: Vec<u8>, kind: &'static str, policy: Option<&str>) -> Self {
        let policy = policy.map(|policy| HeaderValue::from_str(policy).expect("a policy is plain text"));
        Self { tag: Tag::of(&body), body: body.into(), kind, policy }
    }

    fn answer(&self, asked: &HeaderMap) -> Response {
        let mut answer = self.tag.answer(asked, || {
            let kind = (header::CONTENT_TYPE, HeaderValue::from_static(self.kind));
            ([kind], self.body.clone()).into_response()
        });
        let headers = answer.headers_mut();
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=60"));
        if let Some(policy) = &self.policy {
            headers.insert(header::CONTENT_SECURITY_POLICY, policy.clone());
            headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
        }
        answer
    }
}

/// For tests: the templates of all paths a router answers, as it shows them itself.
pub fn paths<S>(router: &Router<S>) -> std::collections::BTreeSet<String> {
    let shown = format!("{router:?}");
    let shown = shown.split("fallback_router").next().unwrap_or_default();
    let quoted = shown.split('"').skip(1).step_by(2);
    quoted.filter(|text| text.starts_with('/')).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests;
