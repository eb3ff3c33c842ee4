//! What the operator publishes to everybody, signed by the CA that issues now, for those whom it reaches through hands that
//! must not change it: lists of revocations, certificates of former CAs.
//!
//! Signed is `waybill published 1`, a zero byte, the name, a zero byte, the content; the signature is 96 bytes: SHA-256 of the
//! CA's certificate, then ES256 in the one form that verifies.

use p256::ecdsa::{Signature, signature::Verifier};

use crate::{
    id::Hash,
    statement::{CaKey, StatementError},
};

const DOMAIN: &[u8] = b"waybill published 1\0";
const KID: usize = 32;

/// What the CA signs with ES256.
pub fn to_be_signed(name: &str, content: &[u8]) -> Vec<u8> {
    [DOMAIN, name.as_bytes(), b"\0", content].concat()
}

/// The signature as it travels, from either of the two equivalent ones.
pub fn assemble(kid: Hash, signature: &Signature) -> Vec<u8> {
    [kid.0.as_slice(), &signature.normalize_s().to_bytes()].concat()
}

/// Checks that one of these CAs published this content under this name.
pub fn verify(name: &str, content: &[u8], signature: &[u8], trusted: &[CaKey]) -> Result<(), StatementError> {
    let (kid, signature) = signature.split_at_checked(KID).ok_or(StatementError::BadSignature)?;
    let kid = Hash(kid.try_into().map_err(|_| StatementError::BadSignature)?);
    let signature = Signature::from_slice(signature).map_err(|_| StatementError::BadSignature)?;
    if signature.normalize_s() != signature {
        return Err(StatementError::BadSignature);
    }
    let ca = trusted.iter().find(|ca| ca.kid() == kid).ok_or(StatementError::UnknownCa(kid))?;
    ca.key().verify(&to_be_signed(name, content), &signature).map_err(|_| StatementError::BadSignature)
}
