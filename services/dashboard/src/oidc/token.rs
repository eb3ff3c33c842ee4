//! Whether an ID token is good (OpenID Connect Core 3.1.3.7, RFC 8725).
//!
//! Trust: nothing in it before its signature, and nothing in its header but `kid`, which chooses among the issuer's own keys. Only
//! signatures anybody can check count: with a shared secret whoever checks could have signed.

use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, KeyOperations, PublicKeyUse};
use jsonwebtoken::{
    Algorithm, AlgorithmFamily, DecodingKey, Header, Validation, decode, decode_header, get_current_timestamp,
};
use serde_json::{Map, Value};

/// Longer than one with some hundred groups in it.
const MAX_TOKEN: usize = 64 << 10;
/// Clocks of two machines agree this well, in seconds.
const LEEWAY: u64 = 30;
const ALGORITHMS: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

pub(super) type Claims = Map<String, Value>;

/// Why a token was refused; for the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refusal {
    #[error("the token is too long, or its header is not one of an ID token")]
    Header,
    #[error("the token is not signed by an algorithm anybody can check")]
    Algorithm,
    #[error("the token names a key the issuer does not publish for this")]
    Key,
    #[error("the token is not signed by its key")]
    Signature,
    #[error("the token is of another issuer")]
    Issuer,
    #[error("the token is for somebody else")]
    Audience,
    #[error("the token has no subject")]
    Subject,
    #[error("the token is for another login")]
    Nonce,
    #[error("the token is not valid yet, or says not when it was made")]
    Early,
    #[error("the token has expired")]
    Expired,
}

/// What a token must say.
pub(super) struct Wanted<'a> {
    pub(super) issuer: &'a str,
    pub(super) client: &'a str,
    pub(super) nonce: &'a str,
}

/// The claims of a token that is good now.
pub(super) fn check(token: &str, keys: &[Jwk], wanted: &Wanted<'_>) -> Result<Claims, Refusal> {
    if token.len() > MAX_TOKEN {
        return Err(Refusal::Header);
    }
    let header = decode_header(token).map_err(|_| Refusal::Header)?;
    // A token made for another use says so; and what must be understood (`crit`) nobody here understands.
    let is_id_token = header.typ.as_deref().is_none_or(|typ| typ.eq_ignore_ascii_case("JWT"));
    if !is_id_token || header.crit.is_some() || header.enc.is_some() || header.zip.is_some() {
        return Err(Refusal::Header);
    }
    if !ALGORITHMS.contains(&header.alg) {
        return Err(Refusal::Algorithm);
    }
    let key = DecodingKey::from_jwk(chosen(&header, keys).ok_or(Refusal::Key)?).map_err(|_| Refusal::Key)?;
    let decoded = decode::<Claims>(token, &key, &validation(header.alg, wanted));
    let claims = decoded.map_err(|error| refusal(error.kind()))?.claims;
    verdict(&claims, wanted)?;
    Ok(claims)
}

/// The key a header names; where it names none, the only one that could be meant.
fn chosen<'k>(header: &Header, keys: &'k [Jwk]) -> Option<&'k Jwk> {
    let mut fitting = keys.iter().filter(|key| fits(key, header.alg));
    match &header.kid {
        Some(kid) => fitting.find(|key| key.common.key_id.as_ref() == Some(kid)),
        None => fitting.next().filter(|_| fitting.next().is_none()),
    }
}

/// Whether a key is for signatures by this algorithm.
fn fits(key: &Jwk, alg: Algorithm) -> bool {
    let common = &key.common;
    let signs = common.public_key_use.as_ref().is_none_or(|one| *one == PublicKeyUse::Signature);
    let verifies = common.key_operations.as_ref().is_none_or(|all| all.contains(&KeyOperations::Verify));
    let named = common.key_algorithm.is_none_or(|named| named == KeyAlgorithm::from(alg));
    let shaped = match (&key.algorithm, alg.family()) {
        (AlgorithmParameters::RSA(_), AlgorithmFamily::Rsa) => true,
        (AlgorithmParameters::EllipticCurve(ec), AlgorithmFamily::Ec) => {
            ec.curve == if alg == Algorithm::ES384 { EllipticCurve::P384 } else { EllipticCurve::P256 }
        }
        (AlgorithmParameters::OctetKeyPair(pair), AlgorithmFamily::Ed) => pair.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    signs && verifies && named && shaped
}

fn validation(alg: Algorithm, wanted: &Wanted<'_>) -> Validation {
    let mut validation = Validation::new(alg);
    validation.leeway = LEEWAY;
    validation.validate_nbf = true;
    validation.set_issuer(&[wanted.issuer]);
    validation.set_audience(&[wanted.client]);
    validation.set_required_spec_claims(&["exp", "iss", "aud", "sub"]);
    validation
}

fn refusal(kind: &ErrorKind) -> Refusal {
    match kind {
        ErrorKind::ExpiredSignature => Refusal::Expired,
        ErrorKind::ImmatureSignature => Refusal::Early,
        ErrorKind::InvalidAudience => Refusal::Audience,
        ErrorKind::InvalidIssuer => Refusal::Issuer,
        ErrorKind::MissingRequiredClaim(name) => match name.as_str() {
            "exp" => Refusal::Expired,
            "iss" => Refusal::Issuer,
            "aud" => Refusal::Audience,
            _ => Refusal::Subject,
        },
        _ => Refusal::Signature,
    }
}

/// What the library leaves to us, and what it takes more shapes of than there should be.
fn verdict(claims: &Claims, wanted: &Wanted<'_>) -> Result<(), Refusal> {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    if text("iss") != Some(wanted.issuer) {
        return Err(Refusal::Issuer);
    }
    let several = claims.get("aud").and_then(Value::as_array).is_some_and(|all| all.len() > 1);
    let azp = claims.get("azp");
    if (several && azp.is_none()) || azp.is_some_and(|azp| azp != wanted.client) {
        return Err(Refusal::Audience);
    }
    if text("sub").is_none_or(str::is_empty) {
        return Err(Refusal::Subject);
    }
    if text("nonce") != Some(wanted.nonce) {
        return Err(Refusal::Nonce);
    }
    let made = claims.get("iat").and_then(Value::as_f64).ok_or(Refusal::Early)?;
    if made > (get_current_timestamp() + LEEWAY) as f64 {
        return Err(Refusal::Early);
    }
    Ok(())
}

#[cfg(test)]
#[path = "token_tests.rs"]
mod tests;
