//! The description as OpenAPI 3.1, written from the operations. Pure; the same operations give the same bytes.

use std::collections::BTreeMap;

use axum::http::StatusCode;
use schemars::SchemaGenerator;
use schemars::generate::SchemaSettings;
use serde_json::{Map, Value, json};

use super::operation::{Answer, Body, Operation};
use super::{About, Scheme, Who};
use crate::problem::{self, BASE, Kind, generic};

/// Headers of answers, said once.
const HEADERS: [(&str, &str); 5] = [
    ("ETag", "What tells this answer from another; `If-None-Match` with it is answered `304` until something changed"),
    ("Location", "Where to go on"),
    (
        "RateLimit",
        "How many requests are left to this caller (`r`), and in how many seconds all of them are again (`t`)",
    ),
    ("RateLimit-Policy", "How many requests (`q`) a caller has in how many seconds (`w`)"),
    ("Retry-After", "Seconds after which it may be tried again"),
];

pub(super) fn render(about: &About, operations: &[Operation]) -> Value {
    let mut schemas = Schemas::new();
    let mut paths: BTreeMap<&str, Map<String, Value>> = BTreeMap::new();
    for operation in operations {
        let said = schemas.operation(about, operation);
        paths.entry(operation.path).or_default().insert(operation.method.as_str().to_ascii_lowercase(), said);
    }
    let schemes: Map<String, Value> =
        about.schemes.iter().map(|(name, kind, means)| ((*name).to_owned(), scheme(*kind, means))).collect();
    let headers: Map<String, Value> = HEADERS.iter().map(|(name, means)| ((*name).to_owned(), header(means))).collect();
    sorted(json!({
        "openapi": "3.1.0",
        "info": {
            "title": about.title, "description": about.description, "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "paths": paths,
        "components": {"schemas": schemas.taken(), "securitySchemes": schemes, "headers": headers},
    }))
}

fn scheme(scheme: Scheme, means: &str) -> Value {
    match scheme {
        Scheme::Certificate => json!({"type": "mutualTLS", "description": means}),
        Scheme::Bearer(format) => {
            json!({"type": "http", "scheme": "bearer", "bearerFormat": format, "description": means})
        }
        Scheme::Cookie(name) => json!({"type": "apiKey", "in": "cookie", "name": name, "description": means}),
    }
}

fn header(means: &str) -> Value {
    json!({"description": means, "schema": {"type": "string"}})
}

/// Types of bodies, one generator for what is read and one for what is written: they differ in what may be left out.
struct Schemas {
    read: SchemaGenerator,
    written: SchemaGenerator,
}

impl Schemas {
    fn new() -> Self {
        let settings = || {
            SchemaSettings::draft2020_12().with(|settings| {
                settings.definitions_path = "/components/schemas".into();
                settings.meta_schema = None;
            })
        };
        Self {
            read: settings().for_deserialize().into_generator(),
            written: settings().for_serialize().into_generator(),
        }
    }

    fn taken(mut self) -> Map<String, Value> {
        let mut all = self.read.take_definitions(true);
        all.extend(self.written.take_definitions(true));
        all.insert("Problem".into(), problem_schema());
        all
    }

    fn operation(&mut self, about: &About, operation: &Operation) -> Value {
        let mut said = json!({
            "operationId": id(operation),
            "summary": operation.summary,
            "security": security(operation.who),
            "x-waybill-who": operation.who.iter().map(|who| who.name).collect::<Vec<_>>(),
            "responses": self.responses(about, operation),
        });
        let parameters = self.parameters(about, operation);
        let optional = [
            ("description", operation.details.into(), !operation.details.is_empty()),
            ("parameters", Value::from(parameters.clone()), !parameters.is_empty()),
            ("x-waybill-max-bytes", json!(operation.limit), operation.limit.is_some()),
        ];
        for (name, value, _) in optional.into_iter().filter(|(.., there)| *there) {
            said[name] = value;
        }
        if let Some(content) = content(operation.takes, &mut self.read) {
            said["requestBody"] = json!({"required": !operation.optional, "content": content});
        }
        said
    }

    fn parameters(&mut self, about: &About, operation: &Operation) -> Vec<Value> {
        let part = |name: &str| {
            let means = about.parts.iter().find(|(part, _)| *part == name).map_or("", |(_, means)| means);
            json!({"name": name, "in": "path", "required": true, "description": means,
                   "schema": {"type": "string", "minLength": 1}})
        };
        let mut all: Vec<Value> = parts(operation.path).map(part).collect();
        for query in &operation.query {
            all.extend(fields(query(&mut self.read).to_value()));
        }
        all.extend(operation.headers.iter().map(|header| {
            json!({"name": header.name, "in": "header", "description": header.means, "schema": {"type": "string"}})
        }));
        all
    }

    fn responses(&mut self, about: &About, operation: &Operation) -> Value {
        let mut all: BTreeMap<String, Value> = BTreeMap::new();
        for answer in &operation.answers {
            all.insert(answer.status.to_string(), self.answer(answer));
        }
        let always = [StatusCode::REQUEST_TIMEOUT, StatusCode::TOO_MANY_REQUESTS].map(generic);
        let always = always.into_iter().chain([problem::INTERNAL]).chain(about.always.iter().copied());
        let mut refusals: BTreeMap<u16, Vec<Kind>> = BTreeMap::new();
        for kind in operation.refuses.iter().copied().chain(always) {
            let kinds = refusals.entry(kind.status.as_u16()).or_default();
            if !kinds.iter().any(|known| known.slug == kind.slug) {
                kinds.push(kind);
            }
        }
        for (status, kinds) in refusals {
            all.insert(status.to_string(), refusal(&kinds, operation.pages));
        }
        json!(all)
    }

    fn answer(&mut self, answer: &Answer) -> Value {
        let mut headers = vec!["RateLimit", "RateLimit-Policy"];
        headers.extend(answer.headers);
        let mut said = json!({"description": answer.means, "headers": referred(&headers)});
        if let Some(content) = content(answer.body, &mut self.written) {
            said["content"] = content;
        }
        said
    }
}

/// What a client reads where it is refused: one shape, and by status which types.
fn refusal(kinds: &[Kind], pages: bool) -> Value {
    let types: Vec<String> = kinds.iter().map(|kind| format!("{BASE}{}", kind.slug)).collect();
    let means: Vec<&str> = kinds.iter().map(|kind| kind.title).collect();
    let schema =
        json!({"allOf": [{"$ref": "#/components/schemas/Problem"}, {"properties": {"type": {"enum": types}}}]});
    let mut content = json!({problem::CONTENT_TYPE: {"schema": schema}});
    if pages {
        content["text/html"] = json!({"schema": {"type": "string"}});
    }
    let mut said = json!({"description": means.join("; "), "content": content});
    let status = kinds.first().map_or(StatusCode::INTERNAL_SERVER_ERROR, |kind| kind.status);
    if status == StatusCode::TOO_MANY_REQUESTS {
        said["headers"] = referred(&["RateLimit", "RateLimit-Policy", "Retry-After"]);
    }
    said
}

fn referred(names: &[&str]) -> Value {
    let one = |name: &&str| ((*name).to_owned(), json!({"$ref": format!("#/components/headers/{name}")}));
    Value::Object(names.iter().map(one).collect())
}

fn content(body: Body, generator: &mut SchemaGenerator) -> Option<Value> {
    let one = |media: &str, schema: Value| json!({media: {"schema": schema}});
    match body {
        Body::Nothing => None,
        Body::Json(shape) => Some(one("application/json", shape(generator).to_value())),
        Body::Form(shape) => Some(one("application/x-www-form-urlencoded", shape(generator).to_value())),
        Body::Raw(media) => {
            let any = |media: &&str| ((*media).to_owned(), json!({}));
            Some(Value::Object(media.iter().map(any).collect()))
        }
    }
}

/// The varying parts of a path.
fn parts(path: &str) -> impl Iterator<Item = &str> {
    path.split('/').filter_map(|part| part.strip_prefix('{')?.strip_suffix('}'))
}

/// The fields of a query as parameters.
fn fields(mut schema: Value) -> Vec<Value> {
    let required: Vec<Value> = schema["required"].as_array().cloned().unwrap_or_default();
    let Some(fields) = schema["properties"].as_object_mut() else { return Vec::new() };
    let one = |(name, schema): (&String, &mut Value)| {
        let means = schema.as_object_mut().and_then(|schema| schema.remove("description"));
        json!({"name": name, "in": "query", "required": required.contains(&json!(name)),
               "description": means.unwrap_or_default(), "schema": schema})
    };
    fields.iter_mut().map(one).collect()
}

/// Any of these suffices; one that shows nothing is everybody.
fn security(who: &[Who]) -> Vec<Value> {
    let mut all: Vec<Value> = Vec::new();
    for who in who {
        let shown = Value::Object(who.shows.iter().map(|scheme| ((*scheme).to_owned(), json!([]))).collect());
        if !all.contains(&shown) {
            all.push(shown);
        }
    }
    all
}

/// By method and path: what a generated client calls it by.
fn id(operation: &Operation) -> String {
    let words = operation.path.split(|c: char| !c.is_ascii_alphanumeric()).filter(|word| !word.is_empty());
    let name: Vec<&str> = words.collect();
    format!("{}_{}", operation.method.as_str().to_ascii_lowercase(), name.join("_"))
}

/// Whatever order members come in elsewhere, here they come in this one.
fn sorted(value: Value) -> Value {
    match value {
        Value::Object(members) => {
            let ordered: BTreeMap<String, Value> = members.into_iter().map(|(name, one)| (name, sorted(one))).collect();
            Value::Object(ordered.into_iter().collect())
        }
        Value::Array(all) => all.into_iter().map(sorted).collect(),
        other => other,
    }
}

fn problem_schema() -> Value {
    json!({
        "type": "object",
        "description": "Why not (RFC 9457). Kinds may have members of their own.",
        "required": ["type", "title", "status", "detail", "error"],
        "properties": {
            "type": {"type": "string", "description": "Stable; decide by this"},
            "title": {"type": "string", "description": "The kind in a few words"},
            "status": {"type": "integer"},
            "detail": {"type": "string", "description": "What is wrong with this request and what would mend it"},
            "error": {"type": "string", "description": "The same as `detail`, for older clients"},
            "requestId": {"type": "string", "description": "Finds this request in the log"},
        },
    })
}
