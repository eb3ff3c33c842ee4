//! Makes certificates: roots, cross-certificates, leafs. Every field rcgen would fill with a default of its own (dates 1975 to 4096,
//! a serial derived from the key, no usages, no key identifiers) is set here.

use jiff::Timestamp;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyIdMethod,
    KeyUsagePurpose, PublicKeyData, SanType, SerialNumber, SigningKey,
};
use time::OffsetDateTime;

use super::{Names, Usage};
use crate::identity::serial::Serial;

/// Roots may stand above two cross-certificates: a leaf, two rotations later, still verifies for who knows only the first root.
const ROOT_PATH: u8 = 2;
const CROSS_PATH: u8 = 1;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to put name {name} into a certificate")]
    Name {
        name: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("failed to put date {at} into a certificate")]
    Date { at: Timestamp },
    #[error("failed to sign certificate")]
    Sign(#[source] rcgen::Error),
}

/// What every certificate has.
#[derive(Clone, Debug)]
pub(crate) struct Subject {
    pub(crate) common_name: String,
    pub(crate) serial: Serial,
    pub(crate) not_before: Timestamp,
    pub(crate) not_after: Timestamp,
}

pub(crate) fn root(subject: &Subject, key: &impl SigningKey) -> Result<Vec<u8>, Error> {
    let certificate = authority(subject, ROOT_PATH)?.self_signed(key).map_err(Error::Sign)?;
    Ok(certificate.der().to_vec())
}

/// The subject's key signed by another authority: a bridge for whoever knows only that one.
pub(crate) fn cross(
    subject: &Subject,
    key: &impl PublicKeyData,
    issuer: &Issuer<'_, impl SigningKey>,
) -> Result<Vec<u8>, Error> {
    let certificate = authority(subject, CROSS_PATH)?.signed_by(key, issuer).map_err(Error::Sign)?;
    Ok(certificate.der().to_vec())
}

pub(crate) fn leaf(
    subject: &Subject,
    names: &Names,
    usage: Usage,
    key: &impl PublicKeyData,
    issuer: &Issuer<'_, impl SigningKey>,
) -> Result<Vec<u8>, Error> {
    let mut params = params(subject)?;
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    if usage.server() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    }
    if usage.client() {
        params.extended_key_usages.push(ExtendedKeyUsagePurpose::ClientAuth);
    }
    params.subject_alt_names = alternative_names(names)?;
    Ok(params.signed_by(key, issuer).map_err(Error::Sign)?.der().to_vec())
}

/// The issuer as rcgen wants it: its certificate's name, key identifier and usages, with its key.
pub(crate) fn issuer<K: SigningKey>(certificate: &[u8], key: K) -> Result<Issuer<'static, K>, Error> {
    Issuer::from_ca_cert_der(&certificate.into(), key).map_err(Error::Sign)
}

pub(crate) fn date(at: Timestamp) -> Result<OffsetDateTime, Error> {
    OffsetDateTime::from_unix_timestamp(at.as_second()).map_err(|_| Error::Date { at })
}

fn authority(subject: &Subject, path: u8) -> Result<CertificateParams, Error> {
    let mut params = params(subject)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(path));
    // DigitalSignature: the same key signs key statements.
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign, KeyUsagePurpose::DigitalSignature];
    Ok(params)
}

fn params(subject: &Subject) -> Result<CertificateParams, Error> {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, subject.common_name.as_str());
    params.serial_number = Some(SerialNumber::from_slice(subject.serial.as_bytes()));
    params.not_before = date(subject.not_before)?;
    params.not_after = date(subject.not_after)?;
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::Sha256;
    Ok(params)
}

fn alternative_names(names: &Names) -> Result<Vec<SanType>, Error> {
    let text = |name: &String| name.as_str().try_into().map_err(|source| Error::Name { name: name.clone(), source });
    let dns = names.dns.iter().map(|name| text(name).map(SanType::DnsName));
    let uris = names.uris.iter().map(|uri| text(uri).map(SanType::URI));
    let ips = names.ips.iter().map(|ip| Ok(SanType::IpAddress(*ip)));
    dns.chain(uris).chain(ips).collect()
}
