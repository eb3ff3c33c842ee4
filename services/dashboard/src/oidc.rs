//! Logging in with an OpenID Connect issuer: authorization code flow, with PKCE, state and nonce.
//!
//! - `issuer`: what it says of itself, its keys, and what it gives for a code. `token`: whether an ID token is good. `person`: who that
//!   is to Kubernetes. The last two are pure.
//!
//! Trust: the issuer, over TLS, for who somebody is, and nobody but the API server for what they may see. What the browser brings back
//! counts only in the browser that was sent out, once, within ten minutes. Codes, tokens and the client's secret are kept nowhere and are
//! in no log.

mod issuer;
mod person;
mod token;

use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use k8s_openapi::api::authentication::v1::UserInfo;
use reqwest::Url;
use schemars::JsonSchema;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use tokio::sync::Semaphore;

use crate::config::OidcArgs;
use crate::timed::Timed;
use issuer::{Exchange, Issuer};
use person::Naming;
use token::Wanted;

pub use issuer::Unusable;

/// Where the issuer sends people back to, below the board's own address.
pub(crate) const CALLBACK: &str = "/login/oidc/callback";
/// How long somebody may take to log in at the issuer.
pub(crate) const LIFE: Duration = Duration::from_secs(600);
/// More than log in at once; then whoever began first begins anew.
const MOST: usize = 10_000;
/// How many may wait for the issuer.
const AT_ONCE: usize = 16;
/// What is known of an issuer is asked for anew after this time.
const KEPT: Duration = Duration::from_secs(300);
/// Or when a key is named that is not known: after a rotation, but not as often as somebody likes.
const AT_LEAST: Duration = Duration::from_secs(5);

/// The issuer people may log in with.
pub(crate) struct Oidc {
    issuer: Issuer,
    naming: Naming,
    /// Where people begin: the address the browser's cookie is then bound to.
    pub(crate) begins: String,
    callback: String,
    scope: String,
    /// Of its own: an issuer that is slow keeps nobody else from coming in.
    pub(crate) places: Semaphore,
    flows: Timed<Flow>,
}

/// Somebody who was sent to the issuer.
#[derive(Clone)]
struct Flow {
    browser: String,
    nonce: String,
    verifier: String,
}

/// What the browser brings back.
#[derive(Deserialize, JsonSchema)]
pub(crate) struct Returned {
    /// What the browser was sent out with
    state: Option<String>,
    /// What the issuer gave
    code: Option<String>,
    /// Why the issuer gave nothing
    error: Option<String>,
    /// Which issuer it is
    iss: Option<String>,
}

/// Why nobody is logged in; for the log.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the login was used, is too old, or was begun in another browser")]
    Over,
    #[error("the answer names another issuer")]
    Mixed,
    #[error("the issuer lets nobody in: {0}")]
    Declined(String),
    #[error("failed to ask the issuer")]
    Away(#[source] issuer::Error),
    #[error("failed to believe the ID token")]
    Token(#[source] token::Refusal),
    #[error("failed to name the person")]
    Nobody(#[source] person::Refusal),
}

impl Oidc {
    /// None where no issuer is configured. `external` is where people reach the board.
    pub(crate) fn new(args: &OidcArgs, external: Option<&str>) -> Result<Option<Self>, Unusable> {
        let Some(issuer) = Issuer::new(args)? else { return Ok(None) };
        let external = external.ok_or(Unusable::NoAddress)?;
        Ok(Some(Self {
            naming: Naming::new(issuer.name(), args),
            begins: format!("{external}/login/oidc"),
            callback: format!("{external}{CALLBACK}"),
            scope: args.scope(),
            places: Semaphore::new(AT_ONCE),
            flows: Timed::new(MOST),
            issuer,
        }))
    }

    /// What people know the issuer by.
    pub(crate) fn label(&self) -> &str {
        self.issuer.label()
    }

    /// Where to send somebody, and what their browser must show when it comes back.
    pub(crate) async fn begin(&self) -> Result<(Url, String), Refusal> {
        let known = self.issuer.known(KEPT).await.map_err(Refusal::Away)?;
        let flow = Flow { browser: random(), nonce: random(), verifier: random() };
        let challenge = URL_SAFE_NO_PAD.encode(Sha256::digest(&flow.verifier));
        let (browser, nonce) = (flow.browser.clone(), flow.nonce.clone());
        let state = self.flows.put(flow, LIFE);
        let mut to = known.about.authorization_endpoint.clone();
        to.query_pairs_mut().extend_pairs([
            ("response_type", "code"),
            ("client_id", self.issuer.client()),
            ("redirect_uri", &self.callback),
            ("scope", &self.scope),
            ("state", &state),
            ("nonce", &nonce),
            ("code_challenge", &challenge),
            ("code_challenge_method", "S256"),
        ]);
        Ok((to, browser))
    }

    /// Who came back in this browser.
    pub(crate) async fn finish(&self, returned: Returned, browser: Option<&str>) -> Result<UserInfo, Refusal> {
        let state = returned.state.unwrap_or_default();
        // Looked at before it is taken: whoever sends somebody here with another's answer ends nothing.
        let flow = self.flows.get(&state).filter(|flow| browser == Some(&flow.browser)).ok_or(Refusal::Over)?;
        self.flows.take(&state).ok_or(Refusal::Over)?;
        let known = self.issuer.known(KEPT).await.map_err(Refusal::Away)?;
        // RFC 9207: an issuer that says so names itself in its answers, and one that is named is ours.
        let named = returned.iss.as_deref();
        if named.is_some_and(|named| named != self.issuer.name()) || (named.is_none() && known.about.names_itself) {
            return Err(Refusal::Mixed);
        }
        if let Some(error) = returned.error {
            return Err(Refusal::Declined(issuer::word(&error)));
        }
        let code = returned.code.ok_or(Refusal::Over)?;
        let exchange = Exchange { code: &code, verifier: &flow.verifier, callback: &self.callback };
        let token = self.issuer.exchange(&known.about, exchange).await.map_err(refused)?;
        let wanted = Wanted { issuer: self.issuer.name(), client: self.issuer.client(), nonce: &flow.nonce };
        let claims = match token::check(&token, &known.keys, &wanted) {
            Err(token::Refusal::Key) => {
                let known = self.issuer.known(AT_LEAST).await.map_err(Refusal::Away)?;
                token::check(&token, &known.keys, &wanted)
            }
            checked => checked,
        };
        self.naming.person(&claims.map_err(Refusal::Token)?).map_err(Refusal::Nobody)
    }
}

/// What it gives nothing for it has declined.
fn refused(error: issuer::Error) -> Refusal {
    match error {
        issuer::Error::Code(word) => Refusal::Declined(word),
        error => Refusal::Away(error),
    }
}

/// 256 bits nobody can guess, of letters every part of an address may have.
fn random() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 32]>())
}
