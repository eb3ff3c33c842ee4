//! Who is on the other side: what the TLS handshake proved about the client's certificate, readable by handlers.
//!
//! Trust: everything here stands in a certificate that rustls verified against our bundle; the name is the one the
//! issuer set. It is the identity of the connection, so the revocation check looks at it again on every request.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;
use sha2::{Digest, Sha256};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::problem::{Kind, Problem};
use axum::http::StatusCode;

/// A handler that needs to know its client was called without a certificate.
pub const CERTIFICATE_REQUIRED: Kind =
    Kind { slug: "certificate-required", title: "Client certificate required", status: StatusCode::UNAUTHORIZED };

/// Why a certificate does not name anybody.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to parse the peer's certificate")]
    Parse,
    #[error("refused a peer certificate without exactly one common name")]
    Name,
}

/// The identity of the client's certificate.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Peer {
    /// Common name: the uid of the object the certificate was issued to.
    pub uid: String,
    /// Serial number in lower-case hex without leading zeros.
    pub serial: String,
    /// SHA-256 of the public key (SubjectPublicKeyInfo).
    pub spki_sha256: [u8; 32],
    /// Subject alternative names that are DNS names.
    pub dns_names: Vec<String>,
    /// Subject alternative names that are URIs.
    pub uris: Vec<String>,
    /// End of validity in seconds since the epoch.
    pub not_after: i64,
}

impl Peer {
    /// Reads a verified certificate.
    pub fn from_der(der: &[u8]) -> Result<Self, Error> {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Error::Parse)?;
        let mut names = certificate.subject().iter_common_name();
        let (Some(name), None) = (names.next(), names.next()) else { return Err(Error::Name) };
        let uid = name.as_str().map_err(|_| Error::Name)?.to_owned();
        let mut peer = Self {
            uid,
            serial: serial(certificate.raw_serial()),
            spki_sha256: Sha256::digest(certificate.public_key().raw).into(),
            dns_names: Vec::new(),
            uris: Vec::new(),
            not_after: certificate.validity().not_after.timestamp(),
        };
        let names = certificate.subject_alternative_name().map_err(|_| Error::Parse)?;
        for name in names.iter().flat_map(|names| &names.value.general_names) {
            match name {
                GeneralName::DNSName(name) => peer.dns_names.push((*name).to_owned()),
                GeneralName::URI(uri) => peer.uris.push((*uri).to_owned()),
                _ => {}
            }
        }
        Ok(peer)
    }
}

/// One spelling for serial numbers, whoever wrote them.
pub fn canonical_serial(text: &str) -> String {
    let hex: String = text.chars().filter(char::is_ascii_hexdigit).map(|c| c.to_ascii_lowercase()).collect();
    hex.trim_start_matches('0').to_owned()
}

fn serial(raw: &[u8]) -> String {
    canonical_serial(&raw.iter().map(|byte| format!("{byte:02x}")).collect::<String>())
}

/// What the listener puts into each request's extensions.
#[derive(Debug, Clone, Default)]
pub struct Connection {
    /// The client's identity; none where it showed no certificate.
    pub peer: Option<Arc<Peer>>,
    /// Where it called from.
    pub address: Option<IpAddr>,
}

impl<S: Sync> FromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let peer = <Self as OptionalFromRequestParts<S>>::from_request_parts(parts, state).await?;
        peer.ok_or_else(|| Problem::new(CERTIFICATE_REQUIRED, "this route needs a client certificate"))
    }
}

impl<S: Sync> OptionalFromRequestParts<S> for Peer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Problem> {
        let connection = parts.extensions.get::<Connection>();
        Ok(connection.and_then(|connection| connection.peer.as_deref().cloned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn serials_have_one_spelling() {
        for text in ["0A:0b:FF", "a0bff", "000a0bff", "A0BFF"] {
            assert_eq!(canonical_serial(text), "a0bff", "{text}");
        }
        assert_eq!(serial(&[0, 0x0a, 0x0b]), "a0b");
    }

    #[test]
    fn a_certificate_names_its_holder() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::new(vec!["door.example".into()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "uid-1");
        params.serial_number = Some(rcgen::SerialNumber::from_slice(&[0x0a, 0xbc]));
        let uri = "spiffe://waybill/ns/seller/shop";
        params.subject_alt_names.push(rcgen::SanType::URI(uri.try_into().unwrap()));
        let certificate = params.self_signed(&key).unwrap();
        let peer = Peer::from_der(certificate.der()).unwrap();
        assert_eq!((peer.uid.as_str(), peer.serial.as_str()), ("uid-1", "abc"));
        assert_eq!((peer.dns_names, peer.uris), (vec!["door.example".to_owned()], vec![uri.to_owned()]));
        assert_eq!(
            peer.spki_sha256,
            <[u8; 32]>::from(Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)))
        );
    }

    #[test]
    fn a_certificate_without_a_name_is_nobody() {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.distinguished_name = rcgen::DistinguishedName::new();
        let certificate = params.self_signed(&key).unwrap();
        assert!(matches!(Peer::from_der(certificate.der()), Err(Error::Name)));
        assert!(matches!(Peer::from_der(b"junk"), Err(Error::Parse)));
    }
}
