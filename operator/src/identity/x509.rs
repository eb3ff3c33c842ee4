//! What we read from a certificate, in our own words. Pure: bytes in, facts out. `sign` makes certificates, `key` holds private keys.

pub(crate) mod key;
pub(crate) mod sign;

use std::collections::BTreeSet;
use std::fmt;
use std::net::IpAddr;

use jiff::Timestamp;
use sha2::{Digest, Sha256};
use x509_parser::extensions::{GeneralName, ParsedExtension};
use x509_parser::prelude::{FromDer, SubjectPublicKeyInfo, X509Certificate};

use super::pem;
use super::serial::Serial;

/// SHA-256 of a certificate's DER.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Fingerprint(pub(crate) [u8; 32]);

impl Fingerprint {
    pub(crate) fn of(der: &[u8]) -> Self {
        Self(Sha256::digest(der).into())
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Subject alternative names, as sets: their order in a certificate means nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Names {
    pub(crate) dns: BTreeSet<String>,
    pub(crate) uris: BTreeSet<String>,
    pub(crate) ips: BTreeSet<IpAddr>,
}

/// What a leaf may be used for. Nothing else is ever issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Usage {
    Server,
    Client,
    ServerAndClient,
}

impl Usage {
    pub(crate) fn server(self) -> bool {
        matches!(self, Self::Server | Self::ServerAndClient)
    }

    pub(crate) fn client(self) -> bool {
        matches!(self, Self::Client | Self::ServerAndClient)
    }
}

/// The parts of a certificate that decide anything here.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Facts {
    pub(crate) fingerprint: Fingerprint,
    /// `None`: a number this authority never gives.
    pub(crate) serial: Option<Serial>,
    pub(crate) common_name: String,
    pub(crate) names: Names,
    pub(crate) usage: Option<Usage>,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
    pub(crate) spki_sha256: [u8; 32],
    pub(crate) key_id: Option<Vec<u8>>,
    pub(crate) issuer_key_id: Option<Vec<u8>>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read certificate")]
    Pem(#[source] pem::Error),
    #[error("failed to parse certificate: {0}")]
    Der(String),
}

/// The first certificate of a PEM chain: the leaf.
pub(crate) fn first_of_chain(chain: &str) -> Result<Vec<u8>, Error> {
    let mut blocks = pem::decode_all(pem::CERTIFICATE, chain).map_err(Error::Pem)?;
    Ok(blocks.swap_remove(0))
}

pub(crate) fn facts(der: &[u8]) -> Result<Facts, Error> {
    let certificate = parse(der)?;
    let mut facts = Facts {
        fingerprint: Fingerprint::of(der),
        serial: Serial::from_der(certificate.raw_serial()),
        common_name: common_name(&certificate),
        names: Names::default(),
        usage: None,
        not_before: timestamp(certificate.validity().not_before.timestamp())?,
        not_after: timestamp(certificate.validity().not_after.timestamp())?,
        spki_sha256: Sha256::digest(certificate.public_key().raw).into(),
        key_id: None,
        issuer_key_id: None,
    };
    for extension in certificate.extensions() {
        match extension.parsed_extension() {
            ParsedExtension::SubjectAlternativeName(san) => facts.names = names(&san.general_names),
            ParsedExtension::ExtendedKeyUsage(usages) => {
                facts.usage = match (usages.server_auth, usages.client_auth) {
                    (true, true) => Some(Usage::ServerAndClient),
                    (true, false) => Some(Usage::Server),
                    (false, true) => Some(Usage::Client),
                    (false, false) => None,
                };
            }
            ParsedExtension::SubjectKeyIdentifier(id) => facts.key_id = Some(id.0.to_vec()),
            ParsedExtension::AuthorityKeyIdentifier(id) => {
                facts.issuer_key_id = id.key_identifier.as_ref().map(|id| id.0.to_vec());
            }
            _ => {}
        }
    }
    Ok(facts)
}

/// Did `issuer` sign `certificate`? Names are not compared, only the signature counts here.
pub(crate) fn signed_by(certificate: &[u8], issuer: &[u8]) -> bool {
    let (Ok(certificate), Ok(issuer)) = (parse(certificate), parse(issuer)) else { return false };
    certificate.verify_signature(Some(issuer.public_key())).is_ok()
}

/// Does something with a certificate's public key.
pub(crate) fn with_key<T>(der: &[u8], then: impl FnOnce(&SubjectPublicKeyInfo<'_>) -> T) -> Option<T> {
    parse(der).ok().map(|certificate| then(certificate.public_key()))
}

fn parse(der: &[u8]) -> Result<X509Certificate<'_>, Error> {
    let (rest, certificate) = X509Certificate::from_der(der).map_err(|error| Error::Der(error.to_string()))?;
    if rest.is_empty() { Ok(certificate) } else { Err(Error::Der("trailing bytes".into())) }
}

fn common_name(certificate: &X509Certificate<'_>) -> String {
    let name = certificate.subject().iter_common_name().next().and_then(|name| name.as_str().ok());
    name.unwrap_or_default().to_owned()
}

fn names(general: &[GeneralName<'_>]) -> Names {
    let mut names = Names::default();
    for name in general {
        match name {
            GeneralName::DNSName(name) => _ = names.dns.insert((*name).to_owned()),
            GeneralName::URI(uri) => _ = names.uris.insert((*uri).to_owned()),
            GeneralName::IPAddress(octets) => names.ips.extend(ip(octets)),
            _ => {}
        }
    }
    names
}

fn ip(octets: &[u8]) -> Option<IpAddr> {
    match octets.len() {
        4 => <[u8; 4]>::try_from(octets).ok().map(IpAddr::from),
        16 => <[u8; 16]>::try_from(octets).ok().map(IpAddr::from),
        _ => None,
    }
}

fn timestamp(seconds: i64) -> Result<Timestamp, Error> {
    Timestamp::from_second(seconds).map_err(|error| Error::Der(error.to_string()))
}

#[cfg(test)]
mod tests;
