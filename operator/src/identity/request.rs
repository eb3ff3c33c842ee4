//! What an external carrier hands in: a signing request and its public keys with a proof that it holds the private ones. Pure.
//!
//! Of the request only key and signature count: names, usages and extensions are the operator's business. Everything here comes from
//! outside and is refused with a sentence its author can act on.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ed25519_dalek::{Signature, VerifyingKey};
use rcgen::SubjectPublicKeyInfo;
use sha2::{Digest, Sha256};
use waybill_crds::carrier::{External, proof_message};
use waybill_crds::condition::Reason;
use waybill_protocol::{Ed25519Key, X25519Key};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::oid_registry::{OID_EC_P256, OID_KEY_TYPE_EC_PUBLIC_KEY, OID_NIST_EC_P384, OID_SIG_ED25519};
use x509_parser::oid_registry::{OID_PKCS1_RSAENCRYPTION, OID_PKCS1_SHA1WITHRSA, OID_SHA1_WITH_RSA};
use x509_parser::prelude::FromDer;
use x509_parser::public_key::PublicKey;
use x509_parser::x509::SubjectPublicKeyInfo as ParsedKey;

use super::keys::PublicKeys;
use super::pem;

/// RSA keys below this are refused; above 8192 bits nobody checks a signature in reasonable time.
const RSA_BITS: std::ops::RangeInclusive<usize> = 3072..=8192;

/// An accepted request.
pub(crate) struct Enrolled {
    pub(crate) tls: SubjectPublicKeyInfo,
    pub(crate) tls_spki_sha256: [u8; 32],
    pub(crate) keys: PublicKeys,
}

/// Why no certificate is given, for the condition `CertificatesIssued`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    pub reason: Reason,
    pub message: String,
}

impl Refusal {
    fn csr(message: impl Into<String>) -> Self {
        Self { reason: Reason::CsrRejected, message: format!("spec.transport.external.csr: {}", message.into()) }
    }

    fn key(field: &str, message: impl Into<String>) -> Self {
        let message = format!("spec.transport.external.keys.{field}: {}", message.into());
        Self { reason: Reason::KeyRejected, message }
    }
}

pub(crate) fn check(external: &External, namespace: &str, name: &str) -> Result<Enrolled, Refusal> {
    let der = pem::decode_one(pem::REQUEST, &external.csr).map_err(|error| Refusal::csr(error.to_string()))?;
    let (tls, tls_spki_sha256) = check_request(&der)?;
    let keys = check_keys(external, namespace, name, &der)?;
    Ok(Enrolled { tls, tls_spki_sha256, keys })
}

fn check_request(der: &[u8]) -> Result<(SubjectPublicKeyInfo, [u8; 32]), Refusal> {
    let (rest, request) =
        X509CertificationRequest::from_der(der).map_err(|_| Refusal::csr("it is no PKCS#10 signing request"))?;
    if !rest.is_empty() {
        return Err(Refusal::csr("there are bytes behind the request"));
    }
    let key = &request.certification_request_info.subject_pki;
    check_strength(key)?;
    let algorithm = &request.signature_algorithm.algorithm;
    if *algorithm == OID_PKCS1_SHA1WITHRSA || *algorithm == OID_SHA1_WITH_RSA {
        return Err(Refusal::csr("it is signed with SHA-1; sign it with SHA-256"));
    }
    request.verify_signature().map_err(|_| Refusal::csr("its signature does not fit its key; make it again"))?;
    let tls = SubjectPublicKeyInfo::from_der(key.raw)
        .map_err(|_| Refusal::csr("its key is of a kind no certificate can be made for"))?;
    Ok((tls, Sha256::digest(key.raw).into()))
}

fn check_strength(key: &ParsedKey<'_>) -> Result<(), Refusal> {
    let algorithm = &key.algorithm.algorithm;
    if *algorithm == OID_SIG_ED25519 {
        return Ok(());
    }
    if *algorithm == OID_KEY_TYPE_EC_PUBLIC_KEY {
        let curve = key.algorithm.parameters.as_ref().and_then(|parameters| parameters.as_oid().ok());
        return match curve {
            Some(curve) if curve == OID_EC_P256 || curve == OID_NIST_EC_P384 => Ok(()),
            _ => Err(Refusal::csr("its curve is not accepted; use P-256 or P-384")),
        };
    }
    if *algorithm == OID_PKCS1_RSAENCRYPTION {
        let Ok(PublicKey::RSA(rsa)) = key.parsed() else { return Err(Refusal::csr("its RSA key cannot be read")) };
        let odd = rsa.try_exponent().is_ok_and(|exponent| exponent >= 65_537 && exponent % 2 == 1);
        let bits = bits(rsa.modulus);
        return if RSA_BITS.contains(&bits) && odd {
            Ok(())
        } else {
            Err(Refusal::csr(format!("its RSA key is weak ({bits} bits); use P-256, or RSA with at least 3072 bits")))
        };
    }
    Err(Refusal::csr("its key is of a kind that is not accepted; use P-256, P-384 or Ed25519"))
}

fn bits(modulus: &[u8]) -> usize {
    let significant = modulus.iter().position(|&byte| byte != 0).map_or(&[][..], |start| &modulus[start..]);
    significant.first().map_or(0, |first| significant.len() * 8 - first.leading_zeros() as usize)
}

fn check_keys(external: &External, namespace: &str, name: &str, csr: &[u8]) -> Result<PublicKeys, Refusal> {
    let keys = &external.keys;
    let signing: [u8; 32] = bytes("ed25519", &keys.ed25519)?;
    let sealing: [u8; 32] = bytes("x25519", &keys.x25519)?;
    let proof: [u8; 64] = bytes("proof", &keys.proof)?;
    let ed25519 = Ed25519Key::from_bytes(&signing).map_err(|error| Refusal::key("ed25519", error.to_string()))?;
    let x25519 = X25519Key::from_bytes(&sealing).map_err(|error| Refusal::key("x25519", error.to_string()))?;
    let message = proof_message(namespace, name, &signing, &sealing, &Sha256::digest(csr).into());
    let verified = VerifyingKey::from_bytes(&signing)
        .is_ok_and(|key| key.verify_strict(&message, &Signature::from_bytes(&proof)).is_ok());
    if !verified {
        let why = "it does not prove that this Carrier's agent holds these keys; enrol again with `kubectl waybill carrier enroll` \
                   for this namespace and name";
        return Err(Refusal::key("proof", why));
    }
    Ok(PublicKeys { ed25519, x25519: Some(x25519) })
}

fn bytes<const N: usize>(field: &str, text: &str) -> Result<[u8; N], Refusal> {
    let decoded = STANDARD.decode(text).ok().and_then(|bytes| bytes.try_into().ok());
    decoded.ok_or_else(|| Refusal::key(field, format!("it is not {N} bytes in base64")))
}

#[cfg(test)]
mod tests;
