//! Tokens as their makers sign them (RFC 8037: EdDSA), and as those forge them who would like to.

use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use ed25519_dalek::{Signer, SigningKey};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

/// Seconds since the epoch.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_secs()
}

pub(crate) fn key(seed: &[u8]) -> SigningKey {
    SigningKey::from_bytes(seed.try_into().unwrap())
}

/// One JWT of this type with these claims.
pub(crate) fn sign(key: &SigningKey, kind: &str, claims: &Value) -> String {
    let kid: String = Sha256::digest(key.verifying_key().as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let text = format!("{}.{}", part(&json!({"alg": "EdDSA", "typ": kind, "kid": kid})), part(claims));
    let signature = URL_SAFE_NO_PAD.encode(key.sign(text.as_bytes()).to_bytes());
    format!("{text}.{signature}")
}

/// Whose token, for which audience, about which delivery (its uid and UPC); good for two minutes from `at`.
#[derive(Clone)]
pub(crate) struct About<'a> {
    pub(crate) issuer: &'a str,
    pub(crate) audience: &'a str,
    pub(crate) subject: &'a str,
    pub(crate) upc: Option<&'a str>,
    pub(crate) at: u64,
}

pub(crate) fn claims(about: &About<'_>) -> Value {
    let About { issuer, audience, subject, upc, at } = about;
    let mut claims =
        json!({"iss": issuer, "aud": audience, "sub": subject, "iat": at, "nbf": at, "exp": at + 120, "jti": "t"});
    if let Some(upc) = upc {
        claims["upc"] = json!(upc);
    }
    claims
}

/// The claims of somebody's token.
pub(crate) fn read(token: &str) -> Value {
    let claims = token.split('.').nth(1).unwrap();
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap()
}
