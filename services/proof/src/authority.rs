//! The certificate authorities of a bundle: who they are, how they vouch for each other, what they revoked. X.509 is read here and
//! nowhere else in this room.
//!
//! A bundle brings its own authorities, so none of them is believed for that. What counts is whether they lead to the root the
//! checker brings: the root's own certificate, or a cross-certificate signed by an authority that leads there.

use p256::ecdsa::signature::Verifier as _;
use p256::ecdsa::{Signature, VerifyingKey};
use waybill_protocol::{CaKey, Hash, Trust};
use x509_parser::certificate::X509Certificate;
use x509_parser::pem::Pem;
use x509_parser::prelude::FromDer as _;
use x509_parser::revocation_list::CertificateRevocationList;

/// Why an authority, certificate or revocation list cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CertificateError {
    #[error("it holds no certificates in PEM form")]
    Pem,
    #[error("certificate {number} cannot be read")]
    Certificate { number: usize },
    #[error("certificate {number} is not one of an authority that signed itself")]
    NotARoot { number: usize },
    #[error("revocation list {number} cannot be read")]
    RevocationList { number: usize },
}

/// A certificate, as far as a bundle asks.
#[derive(Debug, Clone)]
pub(crate) struct Certificate {
    pub(crate) fingerprint: Hash,
    pub(crate) spki: Hash,
    pub(crate) serial: Vec<u8>,
    pub(crate) common_name: String,
    der: Vec<u8>,
    point: Vec<u8>,
    signed: Vec<u8>,
    signature: Vec<u8>,
    is_authority: bool,
}

/// The authorities of a bundle.
#[derive(Debug, Clone)]
pub(crate) struct Authorities {
    pub(crate) own: Vec<Certificate>,
    crosses: Vec<Certificate>,
}

/// What an authority says it revoked.
#[derive(Debug)]
pub(crate) struct Revocations {
    pub(crate) number: u64,
    pub(crate) serials: Vec<Vec<u8>>,
    signed: Vec<u8>,
    signature: Vec<u8>,
}

impl Certificate {
    fn read(der: &[u8]) -> Option<Self> {
        let (rest, certificate) = X509Certificate::from_der(der).ok()?;
        let common_name = certificate.subject().iter_common_name().next()?.as_str().ok()?.to_owned();
        let key = certificate.public_key();
        rest.is_empty().then(|| Self {
            fingerprint: Hash::of(der),
            spki: Hash::of(key.raw),
            serial: certificate.raw_serial().to_vec(),
            common_name,
            der: der.to_vec(),
            point: key.subject_public_key.data.to_vec(),
            signed: certificate.tbs_certificate.as_ref().to_vec(),
            signature: certificate.signature_value.data.to_vec(),
            is_authority: certificate.is_ca(),
        })
    }

    /// Whether this authority's key made a signature.
    fn signed(&self, bytes: &[u8], signature: &[u8]) -> bool {
        let (Ok(key), Ok(signature)) = (VerifyingKey::from_sec1_bytes(&self.point), Signature::from_der(signature))
        else {
            return false;
        };
        self.is_authority && key.verify(bytes, &signature).is_ok()
    }

    pub(crate) fn issued(&self, other: &Self) -> bool {
        self.signed(&other.signed, &other.signature)
    }
}

impl Authorities {
    /// Authorities that signed themselves, and the cross-certificates between them.
    pub(crate) fn read(own: &[u8], crosses: &[u8]) -> Result<Self, CertificateError> {
        let own = certificates(own)?;
        if own.is_empty() {
            return Err(CertificateError::Pem);
        }
        match own.iter().position(|certificate| !certificate.issued(certificate)) {
            Some(number) => Err(CertificateError::NotARoot { number: number + 1 }),
            None => Ok(Self { own, crosses: certificates(crosses)? }),
        }
    }

    /// Those that lead to this root, itself included; none where the root is not there.
    pub(crate) fn leading_to(&self, root: Hash) -> Vec<&Certificate> {
        let mut reached: Vec<&Certificate> = self.own.iter().filter(|own| own.fingerprint == root).collect();
        let mut at = 0;
        while let Some(authority) = reached.get(at).copied() {
            let vouched = self.crosses.iter().filter(|cross| cross.is_authority && authority.issued(cross));
            for cross in vouched {
                let own = self.own.iter().filter(|own| own.point == cross.point);
                let fresh: Vec<_> =
                    own.filter(|own| !reached.iter().any(|known| known.fingerprint == own.fingerprint)).collect();
                reached.extend(fresh);
            }
            at += 1;
        }
        reached
    }

    /// Whoever these are, as signers of key statements.
    pub(crate) fn trust<'a>(authorities: impl IntoIterator<Item = &'a Certificate>) -> Trust {
        let keys = authorities.into_iter().filter_map(|own| CaKey::new(&own.der, &own.point).ok());
        Trust::new(keys.collect::<Vec<_>>())
    }

    pub(crate) fn issuer_of(&self, leaf: &Certificate) -> Option<&Certificate> {
        self.own.iter().find(|own| own.issued(leaf))
    }

    pub(crate) fn signer_of(&self, list: &Revocations) -> Option<&Certificate> {
        self.own.iter().find(|own| own.signed(&list.signed, &list.signature))
    }
}

/// Every certificate of a PEM text, in its order; of an empty one none.
pub(crate) fn certificates(pem: &[u8]) -> Result<Vec<Certificate>, CertificateError> {
    let read = |(at, pem): (usize, Result<Pem, _>)| {
        let pem: Pem = pem.map_err(|_| CertificateError::Pem)?;
        Certificate::read(&pem.contents).ok_or(CertificateError::Certificate { number: at + 1 })
    };
    Pem::iter_from_buffer(pem).enumerate().map(read).collect()
}

/// Every revocation list of a PEM text.
pub(crate) fn revocations(pem: &[u8]) -> Result<Vec<Revocations>, CertificateError> {
    let read = |(at, pem): (usize, Result<Pem, _>)| {
        let pem: Pem = pem.map_err(|_| CertificateError::Pem)?;
        list(&pem.contents).ok_or(CertificateError::RevocationList { number: at + 1 })
    };
    Pem::iter_from_buffer(pem).enumerate().map(read).collect()
}

fn list(der: &[u8]) -> Option<Revocations> {
    let (rest, list) = CertificateRevocationList::from_der(der).ok()?;
    let number = list.crl_number().and_then(|number| u64::try_from(number).ok()).unwrap_or_default();
    rest.is_empty().then(|| Revocations {
        number,
        serials: list.iter_revoked_certificates().map(|revoked| revoked.raw_serial().to_vec()).collect(),
        signed: list.tbs_cert_list.as_ref().to_vec(),
        signature: list.signature_value.data.to_vec(),
    })
}
