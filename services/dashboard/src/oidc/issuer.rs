//! What an issuer says of itself, its keys, and what it gives for a code.
//!
//! Trust: its answers are bounded, and come over TLS from the roots of the machine or from those configured for it. What it says of
//! itself counts only if it is of the very name that was configured.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jsonwebtoken::jwk::Jwk;
use reqwest::{RequestBuilder, StatusCode, Url, header};
use serde::de::{DeserializeOwned, Error as _};
use serde::{Deserialize, Deserializer};
use serde_json::Value;
use tokio::sync::Mutex;
use waybill_chassis::tls::{self, Bundle, anonymous_client};

use crate::backend::limited;
use crate::config::OidcArgs;

/// How long an answer may take from its beginning to its end.
const PATIENCE: Duration = Duration::from_secs(10);
/// The longest answer that is read.
const MAX_ANSWER: usize = 512 << 10;

/// How long one that did not answer is left alone.
const REST: Duration = Duration::from_secs(2);

/// Why the settings for an issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum Unusable {
    #[error("the issuer must be an https address without query or fragment")]
    Name,
    #[error("an issuer needs a client id")]
    NoClient,
    #[error("an issuer needs the board's external address: it sends people back there")]
    NoAddress,
    #[error("failed to read the issuer's roots")]
    Roots(#[source] std::io::Error),
    #[error("failed to use the issuer's roots")]
    Trust(#[source] tls::Error),
    #[error("failed to make a client for the issuer")]
    Client(#[source] reqwest::Error),
}

/// Why an issuer gave nothing that can be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to reach the issuer")]
    Unreachable(#[source] reqwest::Error),
    #[error("failed to read the client's secret")]
    Secret(#[source] std::io::Error),
    #[error("the issuer answered with status {0}")]
    Status(u16),
    #[error("the issuer gave nothing for the code: {0}")]
    Code(String),
    #[error("the issuer's answer is too long, or not what it should be")]
    Malformed,
    #[error("the issuer did not answer a moment ago")]
    Resting,
    #[error("the configured issuer says it is another one")]
    Foreign,
}

/// The parts of its discovery document that matter.
#[derive(Debug, Deserialize)]
pub(super) struct About {
    issuer: String,
    #[serde(deserialize_with = "address")]
    pub(super) authorization_endpoint: Url,
    #[serde(deserialize_with = "address")]
    token_endpoint: Url,
    #[serde(deserialize_with = "address")]
    jwks_uri: Url,
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    #[serde(default, rename = "authorization_response_iss_parameter_supported")]
    pub(super) names_itself: bool,
}

/// What is known of it, for a while.
#[derive(Debug, Clone)]
pub(super) struct Known {
    at: Instant,
    pub(super) about: Arc<About>,
    pub(super) keys: Arc<[Jwk]>,
}

#[derive(Default)]
struct Last {
    known: Option<Known>,
    failed: Option<Instant>,
}

/// A code, and what proves that it is ours.
pub(super) struct Exchange<'a> {
    pub(super) code: &'a str,
    pub(super) verifier: &'a str,
    pub(super) callback: &'a str,
}

pub(super) struct Issuer {
    name: String,
    discovery: String,
    label: String,
    client: String,
    secret: Option<PathBuf>,
    http: reqwest::Client,
    last: Mutex<Last>,
}

impl Issuer {
    pub(super) fn new(args: &OidcArgs) -> Result<Option<Self>, Unusable> {
        let Some(name) = args.issuer() else { return Ok(None) };
        let url = Url::parse(&name).ok().filter(|url| url.scheme() == "https" && url.query().is_none());
        let url = url.filter(|url| url.fragment().is_none()).ok_or(Unusable::Name)?;
        let port = url.port().map(|port| format!(":{port}")).unwrap_or_default();
        Ok(Some(Self {
            discovery: format!("{}/.well-known/openid-configuration", name.trim_end_matches('/')),
            label: format!("{}{port}", url.host_str().ok_or(Unusable::Name)?),
            client: args.client_id().ok_or(Unusable::NoClient)?,
            secret: args.client_secret_file(),
            http: http(args)?,
            last: Mutex::default(),
            name,
        }))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn label(&self) -> &str {
        &self.label
    }

    pub(super) fn client(&self) -> &str {
        &self.client
    }

    /// What it says of itself, not older than this.
    pub(super) async fn known(&self, age: Duration) -> Result<Known, Error> {
        let mut last = self.last.lock().await;
        if let Some(known) = last.known.as_ref().filter(|known| known.at.elapsed() < age) {
            return Ok(known.clone());
        }
        // Whoever waited while it did not answer does not wait for that again.
        if last.failed.is_some_and(|at| at.elapsed() < REST) {
            return Err(Error::Resting);
        }
        let asked = self.ask().await;
        last.failed = asked.is_err().then(Instant::now);
        Ok(last.known.insert(asked?).clone())
    }

    async fn ask(&self) -> Result<Known, Error> {
        let about: About = read(self.http.get(&self.discovery)).await?;
        if about.issuer != self.name {
            return Err(Error::Foreign);
        }
        let keys: Keys = read(self.http.get(about.jwks_uri.clone())).await?;
        // A key of a kind that is not known here spoils none of the others.
        let keys = keys.keys.into_iter().filter_map(|key| serde_json::from_value(key).ok()).collect();
        Ok(Known { at: Instant::now(), about: Arc::new(about), keys })
    }

    /// The ID token it gives for a code.
    pub(super) async fn exchange(&self, about: &About, with: Exchange<'_>) -> Result<String, Error> {
        let mut words = vec![
            ("grant_type", "authorization_code"),
            ("code", with.code),
            ("redirect_uri", with.callback),
            ("code_verifier", with.verifier),
        ];
        let mut request = self.http.post(about.token_endpoint.clone());
        let by_header = about.token_endpoint_auth_methods_supported.as_ref();
        // What an issuer takes that says nothing of it.
        let by_header = by_header.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"));
        let secret = self.secret().await?;
        match &secret {
            Some(secret) if by_header => request = request.basic_auth(encoded(&self.client), Some(encoded(secret))),
            secret => {
                words.push(("client_id", &self.client));
                words.extend(secret.as_ref().map(|secret| ("client_secret", secret.as_str())));
            }
        }
        let form = form_urlencoded::Serializer::new(String::new()).extend_pairs(words).finish();
        let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        let given: Given = read(request.body(form)).await?;
        Ok(given.id_token)
    }

    /// Read each time: a new one counts at once. None for a client without a secret, which PKCE alone protects.
    async fn secret(&self) -> Result<Option<String>, Error> {
        let Some(file) = &self.secret else { return Ok(None) };
        let secret = tokio::fs::read_to_string(file).await.map_err(Error::Secret)?;
        Ok(Some(secret.trim().to_owned()))
    }
}

#[derive(Deserialize)]
struct Keys {
    keys: Vec<Value>,
}

#[derive(Deserialize)]
struct Given {
    id_token: String,
}

#[derive(Deserialize)]
struct Wrong {
    error: String,
}

/// Nothing of a login goes anywhere else but over TLS.
fn address<'de, D: Deserializer<'de>>(from: D) -> Result<Url, D::Error> {
    let url = Url::parse(&String::deserialize(from)?).map_err(D::Error::custom)?;
    if url.scheme() == "https" { Ok(url) } else { Err(D::Error::custom("not an https address")) }
}

fn http(args: &OidcArgs) -> Result<reqwest::Client, Unusable> {
    // Nobody else is asked, whoever redirects there.
    let builder = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none()).no_proxy();
    let builder = builder.https_only(true).timeout(PATIENCE).user_agent("waybill");
    let builder = match args.ca_file() {
        None => builder,
        Some(file) => {
            let roots = Bundle::from_pem(&std::fs::read(file).map_err(Unusable::Roots)?).map_err(Unusable::Trust)?;
            builder.tls_backend_preconfigured(anonymous_client(&roots).map_err(Unusable::Trust)?)
        }
    };
    builder.build().map_err(Unusable::Client)
}

async fn read<T: DeserializeOwned>(request: RequestBuilder) -> Result<T, Error> {
    let answer = request.header(header::ACCEPT, "application/json").send().await.map_err(Error::Unreachable)?;
    let status = answer.status();
    let body = limited(answer, MAX_ANSWER).await.ok_or(Error::Malformed)?;
    match status {
        StatusCode::OK => serde_json::from_slice(&body).map_err(|_| Error::Malformed),
        StatusCode::BAD_REQUEST | StatusCode::UNAUTHORIZED => {
            let wrong = serde_json::from_slice::<Wrong>(&body).map_err(|_| Error::Status(status.as_u16()))?;
            Err(Error::Code(word(&wrong.error)))
        }
        _ => Err(Error::Status(status.as_u16())),
    }
}

/// RFC 6749, 2.3.1: before they are joined.
fn encoded(text: &str) -> String {
    form_urlencoded::byte_serialize(text.as_bytes()).collect()
}

/// An error as OAuth names them, fit for a log; anything else is not repeated.
pub(super) fn word(text: &str) -> String {
    let plain = text.len() <= 64 && text.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if plain { text } else { "something that is no error of OAuth" }.to_owned()
}
