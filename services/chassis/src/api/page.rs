//! The description as a page: HTML and a few lines of style, nothing to run and nothing from elsewhere.

use std::fmt::Write as _;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use sha2::{Digest, Sha256};

const STYLE: &str = include_str!("page.css");

pub(super) struct Drawn {
    pub(super) html: String,
    /// What the browser is to let in: the style in the page, by its hash.
    pub(super) policy: String,
}

pub(super) fn draw(document: &Value) -> Drawn {
    let digest = STANDARD.encode(Sha256::digest(STYLE));
    let policy = format!(
        "default-src 'none'; style-src 'sha256-{digest}'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'"
    );
    let mut html = String::with_capacity(64 << 10);
    let title = escaped(text(&document["info"]["title"]));
    html += "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\">";
    html += "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">";
    html += "<meta name=\"color-scheme\" content=\"light dark\">";
    html += &format!("<title>{title}</title><style>{STYLE}</style></head><body><main><h1>{title}</h1>");
    html += &prose(text(&document["info"]["description"]));
    html += "<p><a href=\"/openapi.json\">openapi.json</a>, for programs</p>";
    html += &schemes(&document["components"]["securitySchemes"]);
    html += "<h2>Routes</h2>";
    for (path, operations) in members(&document["paths"]) {
        for (method, operation) in members(operations) {
            html += &route(method, path, operation);
        }
    }
    html += "<h2>Types</h2>";
    for (name, schema) in members(&document["components"]["schemas"]) {
        let id = escaped(name);
        html += &format!("<details id=\"{id}\"><summary><code>{id}</code></summary>{}</details>", pretty(schema));
    }
    html += "</main></body></html>";
    Drawn { html, policy }
}

fn schemes(schemes: &Value) -> String {
    let mut html = String::from("<h2>Who asks</h2><dl>");
    for (name, scheme) in members(schemes) {
        let _ =
            write!(html, "<dt><code>{}</code></dt><dd>{}</dd>", escaped(name), inline(text(&scheme["description"])));
    }
    html + "</dl>"
}

fn route(method: &str, path: &str, operation: &Value) -> String {
    let mut html = format!(
        "<details class=\"route\" id=\"{}\"><summary><b class=\"{method}\">{}</b> <code>{}</code> <span>{}</span></summary>",
        escaped(text(&operation["operationId"])),
        method.to_ascii_uppercase(),
        escaped(path),
        inline(text(&operation["summary"])),
    );
    html += &prose(text(&operation["description"]));
    let _ = write!(html, "<p>For: {}</p>", who(operation));
    html += &parameters(&operation["parameters"]);
    if let Some(body) = operation.get("requestBody") {
        let optional = if body["required"] == true { "" } else { " (may be left out)" };
        let _ = write!(html, "<h3>Body{optional}</h3>{}", content(&body["content"]));
    }
    html += "<h3>Answers</h3><dl>";
    for (status, answer) in members(&operation["responses"]) {
        let means = inline(text(&answer["description"]));
        let _ = write!(html, "<dt><code>{status}</code></dt><dd>{means}{}</dd>", content(&answer["content"]));
    }
    html + "</dl></details>"
}

fn who(operation: &Value) -> String {
    let names = list(&operation["x-waybill-who"]).map(|name| escaped(text(name))).collect::<Vec<_>>().join(", ");
    let shown = |scheme: &Value| {
        members(scheme).map(|(name, _)| format!("<code>{}</code>", escaped(name))).collect::<Vec<_>>().join(" and ")
    };
    let shows: Vec<String> = list(&operation["security"]).map(shown).filter(|one| !one.is_empty()).collect();
    if shows.is_empty() { names } else { format!("{names}; shows {}", shows.join(", or ")) }
}

fn parameters(parameters: &Value) -> String {
    let mut rows = String::new();
    for one in list(parameters) {
        let (name, place) = (escaped(text(&one["name"])), escaped(text(&one["in"])));
        let means = inline(text(&one["description"]));
        let _ = write!(rows, "<dt><code>{name}</code> <small>{place}</small></dt><dd>{means}</dd>");
    }
    if rows.is_empty() { rows } else { format!("<h3>Parameters</h3><dl>{rows}</dl>") }
}

fn content(content: &Value) -> String {
    let mut html = String::new();
    for (media, one) in members(content) {
        let _ = write!(html, "<p><small>{}</small></p>", escaped(media));
        let kinds = &one["schema"]["allOf"][1]["properties"]["type"]["enum"];
        let kinds: Vec<String> = list(kinds).map(|kind| format!("<code>{}</code>", escaped(text(kind)))).collect();
        match one.get("schema") {
            Some(_) if !kinds.is_empty() => html += &format!("<p>{}</p>", kinds.join("<br>")),
            Some(schema) => html += &pretty(schema),
            None => {}
        }
    }
    html
}

fn pretty(schema: &Value) -> String {
    if let Some(name) = schema["$ref"].as_str().and_then(|name| name.rsplit('/').next()) {
        return format!("<p><a href=\"#{0}\"><code>{0}</code></a></p>", escaped(name));
    }
    format!("<pre tabindex=\"0\">{}</pre>", escaped(&serde_json::to_string_pretty(schema).unwrap_or_default()))
}

fn prose(text: &str) -> String {
    text.split("\n\n").filter(|one| !one.is_empty()).map(|one| format!("<p>{}</p>", inline(one))).collect()
}

/// Text with `code` in it.
fn inline(text: &str) -> String {
    let pieces = escaped(text);
    let mut html = String::new();
    for (at, piece) in pieces.split('`').enumerate() {
        html += &if at % 2 == 1 { format!("<code>{piece}</code>") } else { piece.to_owned() };
    }
    html
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().into_iter().flatten()
}

fn members(value: &Value) -> impl Iterator<Item = (&str, &Value)> {
    value.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}
