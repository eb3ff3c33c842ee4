//! Signed tokens (RFC 8725): Ed25519 only, keys from our own map, every claim required and typed.
//!
//! Trust: nothing in a token is believed before its signature, and nothing in its header but `kid`, which chooses among
//! keys we were given beforehand; each of those may speak for one issuer. `alg` and `typ` must be what the verifier is
//! for; any other header member refuses the token. The caller brings the time, so a device with a bad clock can follow
//! somebody else's.

mod cache;
mod keys;

use std::sync::Arc;

use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use serde::de::DeserializeOwned;
use tokio::sync::watch;

use crate::problem::{Kind, Problem};
use cache::Cache;

pub use keys::{Keys, SigningKey, fresh_id, key_id};

/// No token came with the request.
pub const MISSING: Kind = Kind { slug: "token-missing", title: "Token required", status: StatusCode::UNAUTHORIZED };
/// The token is not one this route accepts; which part of it is wrong stays with us.
pub const INVALID: Kind = Kind { slug: "token-invalid", title: "Token not accepted", status: StatusCode::FORBIDDEN };
/// The token was good once.
pub const EXPIRED: Kind = Kind { slug: "token-expired", title: "Token expired", status: StatusCode::FORBIDDEN };

/// Longer than any token we make.
const MAX_TOKEN: usize = 4096;
/// Clocks of two machines agree this well, in seconds.
const LEEWAY: u64 = 5;

/// The claims every token must have; a service's own claims type brings them and whatever else it demands.
///
/// Implementors should be strict: `deny_unknown_fields`, `u64` for times, `String` for names, so that a claim of the
/// wrong type refuses the token instead of counting as absent.
pub trait Claims: DeserializeOwned + Send + Sync {
    fn issuer(&self) -> &str;
    fn audience(&self) -> &str;
    fn subject(&self) -> &str;
    /// Seconds since the epoch.
    fn not_before(&self) -> u64;
    /// Seconds since the epoch.
    fn expires(&self) -> u64;
}

/// Implements [`Claims`](crate::jwt::Claims) for a struct whose fields bear the registered names `iss`, `aud`, `sub`, `nbf` and `exp`.
/// Written out there rather than flattened in from here, so that the struct can be closed with `deny_unknown_fields`.
#[macro_export]
macro_rules! registered_claims {
    ($claims:ty) => {
        impl $crate::jwt::Claims for $claims {
            fn issuer(&self) -> &str {
                &self.iss
            }
            fn audience(&self) -> &str {
                &self.aud
            }
            fn subject(&self) -> &str {
                &self.sub
            }
            fn not_before(&self) -> u64 {
                self.nbf
            }
            fn expires(&self) -> u64 {
                self.exp
            }
        }
    };
}

/// Why a token was refused; for the log, not for its bearer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    #[error("token is too long or not three parts")]
    Shape,
    #[error("token header is not what this verifier is for")]
    Header,
    #[error("token names a key that is not known here")]
    Key,
    #[error("token signature or claims do not verify")]
    Signature,
    #[error("token is for another audience")]
    Audience,
    #[error("token names an issuer its key does not speak for")]
    Issuer,
    #[error("token has no subject")]
    Subject,
    #[error("token lives longer than allowed")]
    Life,
    #[error("token is not valid yet")]
    Early,
    #[error("token has expired")]
    Expired,
}

impl Refusal {
    /// What the bearer is told.
    pub fn problem(self) -> Problem {
        match self {
            Self::Expired => Problem::new(EXPIRED, "the token has expired; ask for a new one"),
            _ => Problem::new(INVALID, "the token is not valid for this request"),
        }
    }
}

/// What a verifier accepts: one audience, one type of token.
#[derive(Debug, Clone)]
pub struct Policy {
    pub audience: &'static str,
    /// The header's `typ`, such as `wb-view+jwt`: a token made for one use is none for another.
    pub kind: &'static str,
    /// Longest accepted span from `nbf` to `exp`, in seconds.
    pub max_life: u64,
}

/// Checks tokens of one kind; remembers the good ones until they expire or the keys change.
#[derive(Debug)]
pub struct Verifier<C> {
    policy: Policy,
    keys: watch::Receiver<Arc<Keys>>,
    cache: Cache<C>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Header {
    alg: String,
    typ: String,
    kid: String,
}

impl<C: Claims> Verifier<C> {
    /// A verifier that follows `keys`.
    pub fn new(policy: Policy, keys: watch::Receiver<Arc<Keys>>) -> Self {
        Self { policy, keys, cache: Cache::default() }
    }

    /// The claims of a token that is good at `now` (seconds since the epoch).
    pub fn verify(&self, token: &str, now: u64) -> Result<Arc<C>, Refusal> {
        if token.len() > MAX_TOKEN {
            return Err(Refusal::Shape);
        }
        let keys = self.keys.borrow().clone();
        let claims = match self.cache.get(token, &keys) {
            Some(claims) => claims,
            None => {
                let claims = Arc::new(self.check(token, &keys)?);
                self.cache.put(token, &keys, &claims, now);
                claims
            }
        };
        if now > claims.expires().saturating_add(LEEWAY) {
            return Err(Refusal::Expired);
        }
        if now.saturating_add(LEEWAY) < claims.not_before() {
            return Err(Refusal::Early);
        }
        Ok(claims)
    }

    /// Everything about a token that does not change with time.
    fn check(&self, token: &str, keys: &Keys) -> Result<C, Refusal> {
        let header = header(token)?;
        if header.alg != "EdDSA" || header.typ != self.policy.kind {
            return Err(Refusal::Header);
        }
        let key = keys.get(&header.kid).ok_or(Refusal::Key)?;
        let decoded = jsonwebtoken::decode::<C>(token, &key.public, &signature_only());
        let claims = decoded.map_err(|_| Refusal::Signature)?.claims;
        if claims.audience() != self.policy.audience {
            return Err(Refusal::Audience);
        }
        if claims.issuer() != key.issuer {
            return Err(Refusal::Issuer);
        }
        if claims.subject().is_empty() {
            return Err(Refusal::Subject);
        }
        match claims.expires().checked_sub(claims.not_before()) {
            Some(life) if life <= self.policy.max_life => Ok(claims),
            _ => Err(Refusal::Life),
        }
    }
}

/// The library checks algorithm and signature; the claims are ours to check, on types that cannot be absent.
fn signature_only() -> Validation {
    let mut validation = Validation::new(Algorithm::EdDSA);
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    validation
}

fn header(token: &str) -> Result<Header, Refusal> {
    let mut parts = token.split('.');
    let (Some(header), Some(_), Some(_), None) = (parts.next(), parts.next(), parts.next(), parts.next()) else {
        return Err(Refusal::Shape);
    };
    let json = URL_SAFE_NO_PAD.decode(header).map_err(|_| Refusal::Header)?;
    serde_json::from_slice(&json).map_err(|_| Refusal::Header)
}

/// The token of a request: the whole `Authorization` value, with or without the word `Bearer` before it.
pub fn bearer(headers: &HeaderMap) -> Result<&str, Problem> {
    let challenge = || {
        Problem::new(MISSING, "this route needs a token in the Authorization header")
            .header(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    };
    let value = headers.get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).ok_or_else(challenge)?;
    let token = match value.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim(),
        _ => value.trim(),
    };
    if token.is_empty() { Err(challenge()) } else { Ok(token) }
}

#[cfg(test)]
mod tests;
