//! Whose signatures count, and our own key.

use std::collections::HashMap;
use std::fmt;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header};
use serde::Serialize;
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

/// DER before a raw Ed25519 seed: PKCS#8 version 1 (RFC 8410).
const PKCS8: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];

/// The id a public key goes by in tokens: its SHA-256 in hexadecimal. Whoever signs and whoever checks must agree on it.
pub fn key_id(public: &[u8; 32]) -> String {
    Sha256::digest(public).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// A `jti` nobody has used before.
pub fn fresh_id() -> String {
    URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>())
}

/// A key that signs tokens for one issuer.
#[derive(Clone)]
pub struct SigningKey {
    kid: String,
    key: EncodingKey,
}

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("kid", &self.kid).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// From a raw 32-byte seed, under the id verifiers know it by.
    pub fn from_seed(kid: impl Into<String>, seed: &[u8; 32]) -> Self {
        let der = Zeroizing::new([PKCS8.as_slice(), seed].concat());
        Self { kid: kid.into(), key: EncodingKey::from_ed_der(&der) }
    }

    /// Signs claims as a token of the given `typ`.
    pub fn sign(&self, kind: &str, claims: &impl Serialize) -> Result<String, jsonwebtoken::errors::Error> {
        let mut header = Header::new(Algorithm::EdDSA);
        header.typ = Some(kind.to_owned());
        header.kid = Some(self.kid.clone());
        jsonwebtoken::encode(&header, claims, &self.key)
    }
}

/// The keys a verifier knows, by id. Immutable: a change is a new value, which also forgets what the old one accepted.
#[derive(Debug, Clone, Default)]
pub struct Keys {
    by_id: HashMap<String, Key>,
}

#[derive(Clone)]
pub(super) struct Key {
    pub(super) public: DecodingKey,
    pub(super) issuer: String,
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Key").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Keys {
    /// Adds the raw public key with which `issuer`, and nobody else, signs under this id.
    #[must_use]
    pub fn with(mut self, kid: impl Into<String>, issuer: impl Into<String>, public: &[u8; 32]) -> Self {
        let key = Key { public: DecodingKey::from_ed_der(public), issuer: issuer.into() };
        self.by_id.insert(kid.into(), key);
        self
    }

    pub(super) fn get(&self, kid: &str) -> Option<&Key> {
        self.by_id.get(kid)
    }
}
