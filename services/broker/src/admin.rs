//! The sidecar's own way into the broker: a certificate of an authority that nobody else has. Pure.

use rustls::ClientConfig;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use waybill_chassis::tls::{self, Material};
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::GeneralName;
use x509_parser::prelude::FromDer;

use crate::inputs::{Data, entry};

/// Why the certificate is not used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to find {0} of the admin certificate")]
    Missing(&'static str),
    #[error("failed to use the admin certificate")]
    Material(#[source] tls::Error),
    #[error("the admin certificate is not of the admin authority: the listener would refuse it")]
    Issuer,
}

impl Error {
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "no admin certificate",
            Self::Material(_) | Self::Issuer => "damaged admin certificate",
        }
    }
}

/// Client certificate, key, and the authority the admin listener trusts.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Admin {
    authority: Vec<u8>,
    chain: Vec<u8>,
    key: Vec<u8>,
}

impl Admin {
    pub(crate) fn new(data: Option<&Data>) -> Result<Self, Error> {
        let part = |key| entry(data, key).map(<[u8]>::to_vec).ok_or(Error::Missing(key));
        let admin = Self { authority: part("ca.crt")?, chain: part("tls.crt")?, key: part("tls.key")? };
        Material::from_pem(&admin.chain, &admin.key, &admin.authority).map_err(Error::Material)?;
        if issued(&admin.chain, &admin.authority) { Ok(admin) } else { Err(Error::Issuer) }
    }

    pub(crate) fn authority(&self) -> &[u8] {
        &self.authority
    }

    /// Presents the certificate, and checks the broker's against `bundle`.
    pub(crate) fn client(&self, bundle: &[u8]) -> Result<ClientConfig, tls::Error> {
        Material::from_pem(&self.chain, &self.key, bundle)?.client()
    }
}

/// The first name in the broker's certificate: the listener on loopback has no other.
pub(crate) fn server_name(chain: &[u8]) -> Option<String> {
    let leaf = CertificateDer::from_pem_slice(chain).ok()?;
    let (_, leaf) = X509Certificate::from_der(&leaf).ok()?;
    let names = leaf.subject_alternative_name().ok()??;
    names.value.general_names.iter().find_map(|name| match name {
        GeneralName::DNSName(name) if !name.starts_with('*') => Some((*name).to_owned()),
        _ => None,
    })
}

fn issued(chain: &[u8], authority: &[u8]) -> bool {
    let Ok(leaf) = CertificateDer::from_pem_slice(chain) else { return false };
    let Ok((_, leaf)) = X509Certificate::from_der(&leaf) else { return false };
    CertificateDer::pem_slice_iter(authority).flatten().any(|authority| {
        X509Certificate::from_der(&authority).is_ok_and(|(_, authority)| {
            authority.is_ca() && leaf.verify_signature(Some(authority.public_key())).is_ok()
        })
    })
}
