//! An OpenID Connect issuer that says whatever a test wants it to. A real one is asked by tests/browser.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock};

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Form, Json, Router};
use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD};
use jsonwebtoken::jwk::Jwk;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode, get_current_timestamp};
use reqwest::Url;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Characters that a form and a header must not spoil.
pub(crate) const SECRET: &str = "s3cret: +/%&=";

#[derive(Clone)]
pub(crate) struct Issuer(Arc<Inner>);

struct Inner {
    base: OnceLock<String>,
    key: Mutex<Pair>,
    /// What it gives for a code, once, to whoever has the verifier of this challenge.
    codes: Mutex<HashMap<String, (String, String)>>,
}

/// A key, and how it is published.
#[derive(Clone)]
pub(crate) struct Pair {
    signing: EncodingKey,
    public: Jwk,
}

impl Pair {
    pub(crate) fn new(kid: &str) -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let signing = EncodingKey::from_ec_der(&key.serialize_der());
        let mut public = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
        public.common.key_id = Some(kid.into());
        Self { signing, public }
    }

    pub(crate) fn sign(&self, claims: &Value) -> String {
        let header = Header { kid: self.public.common.key_id.clone(), ..Header::new(Algorithm::ES256) };
        encode(&header, claims, &self.signing).unwrap()
    }
}

/// Where the board sent somebody.
pub(crate) struct Asked(HashMap<String, String>);

impl Asked {
    pub(crate) fn of(location: &str) -> Self {
        let url = Url::parse(location).unwrap();
        Self(url.query_pairs().into_owned().collect())
    }

    pub(crate) fn get(&self, name: &str) -> &str {
        self.0.get(name).map(String::as_str).unwrap_or_default()
    }
}

impl Issuer {
    pub(crate) fn new() -> Self {
        let key = Mutex::new(Pair::new("k1"));
        Self(Arc::new(Inner { base: OnceLock::new(), key, codes: Mutex::default() }))
    }

    /// Under `/issuer` of the server these are part of.
    pub(crate) fn routes(&self) -> Router {
        Router::new()
            .route("/issuer/.well-known/openid-configuration", get(discovery))
            .route("/issuer/jwks", get(keys))
            .route("/issuer/token", post(token))
            .with_state(self.clone())
    }

    /// Its name, told once its server has an address.
    pub(crate) fn named(&self, server: &str) -> String {
        self.0.base.get_or_init(|| format!("{server}/issuer")).clone()
    }

    pub(crate) fn name(&self) -> &str {
        self.0.base.get().unwrap()
    }

    pub(crate) fn key(&self) -> Pair {
        self.0.key.lock().unwrap().clone()
    }

    pub(crate) fn rotate(&self, key: Pair) {
        *self.0.key.lock().unwrap() = key;
    }

    /// What a good ID token says of this person.
    pub(crate) fn claims(&self, asked: &Asked, sub: &str) -> Value {
        let now = get_current_timestamp();
        json!({"iss": self.name(), "aud": asked.get("client_id"), "sub": sub, "nonce": asked.get("nonce"),
               "iat": now, "exp": now + 60, "groups": ["couriers"]})
    }

    /// A code for this token.
    pub(crate) fn code(&self, asked: &Asked, token: String) -> String {
        let mut codes = self.0.codes.lock().unwrap();
        let code = format!("code-{}", codes.len());
        codes.insert(code.clone(), (asked.get("code_challenge").to_owned(), token));
        code
    }
}

async fn discovery(State(issuer): State<Issuer>) -> Json<Value> {
    let name = issuer.name();
    Json(
        json!({"issuer": name, "authorization_endpoint": format!("{name}/authorize?tenant=1"), "token_endpoint": format!("{name}/token"),
        "jwks_uri": format!("{name}/jwks"), "authorization_response_iss_parameter_supported": true}),
    )
}

async fn keys(State(issuer): State<Issuer>) -> Json<Value> {
    Json(json!({"keys": [{"kty": "of another kind"}, issuer.key().public]}))
}

async fn token(
    State(issuer): State<Issuer>,
    headers: HeaderMap,
    Form(form): Form<HashMap<String, String>>,
) -> (StatusCode, Json<Value>) {
    let secret: String = Url::parse_with_params("https://x", [("", SECRET)]).unwrap().query().unwrap()[1..].into();
    let ours = format!("Basic {}", STANDARD.encode(format!("board:{secret}")));
    let known = headers.get(header::AUTHORIZATION).is_some_and(|shown| shown == ours.as_str());
    let named = form["grant_type"] == "authorization_code"
        && form["redirect_uri"] == "https://board.example/login/oidc/callback";
    let given = issuer.0.codes.lock().unwrap().remove(&form["code"]);
    let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&form["code_verifier"]));
    match given.filter(|(wanted, _)| *wanted == challenge && known && named) {
        Some((_, token)) => {
            (StatusCode::OK, Json(json!({"id_token": token, "access_token": "a", "token_type": "Bearer"})))
        }
        None => (StatusCode::BAD_REQUEST, Json(json!({"error": "invalid_grant", "error_description": "<b>words</b>"}))),
    }
}
