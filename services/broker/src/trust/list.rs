//! One revocation list: read, matched to its authority, verified.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use rustls::pki_types::CertificateRevocationListDer;
use rustls::pki_types::pem::PemObject;
use x509_parser::certificate::X509Certificate;
use x509_parser::extensions::ParsedExtension;
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Authority, AuthorityName, Unfit};

/// A verified list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct List {
    pub(super) authority: AuthorityName,
    pub(super) number: u64,
    pub(super) next_update: Timestamp,
    pub(super) revoked: BTreeSet<Vec<u8>>,
    der: Vec<u8>,
}

/// A list that was only read.
pub(super) struct Unverified(CertificateRevocationListDer<'static>);

/// Every list of a PEM file. One that cannot be read spoils the file: better the last good one than fewer lists.
pub(super) fn parse(pem: &[u8]) -> Result<Vec<Unverified>, Unfit> {
    let lists: Result<Vec<_>, _> = CertificateRevocationListDer::pem_slice_iter(pem).collect();
    match lists.map_err(Unfit::Pem)? {
        none if none.is_empty() => Err(Unfit::NoList),
        lists => Ok(lists.into_iter().map(Unverified).collect()),
    }
}

impl Unverified {
    fn read(&self) -> Result<CertificateRevocationList<'_>, Unfit> {
        match CertificateRevocationList::from_der(&self.0) {
            Ok(([], list)) => Ok(list),
            _ => Err(Unfit::Damaged),
        }
    }

    /// Which of `authorities` signed the list: `None` when it names none of them, an error when it names one falsely.
    pub(super) fn authority(
        &self,
        authorities: &BTreeMap<Authority, X509Certificate<'_>>,
    ) -> Result<Option<Authority>, Unfit> {
        let list = self.read()?;
        let mut named = None;
        for (id, certificate) in authorities {
            if certificate.subject().as_raw() == list.issuer().as_raw() {
                if list.verify_signature(certificate.public_key()).is_ok() {
                    return Ok(Some(id.clone()));
                }
                named = Some(super::name(certificate));
            }
        }
        named.map_or(Ok(None), |name| Err(Unfit::Signature(name)))
    }

    /// Checks what a signature does not say: that the list is whole and in force.
    pub(super) fn verified(&self, authority: &AuthorityName, now: Timestamp) -> Result<List, Unfit> {
        let list = self.read()?;
        let known = |parsed: &ParsedExtension<'_>| {
            matches!(parsed, ParsedExtension::CRLNumber(_) | ParsedExtension::AuthorityKeyIdentifier(_))
        };
        if list.extensions().iter().any(|extension| extension.critical && !known(extension.parsed_extension())) {
            return Err(Unfit::Partial);
        }
        let number = list.crl_number().and_then(|number| u64::try_from(number).ok()).ok_or(Unfit::Unnumbered)?;
        let from = time(list.last_update())?;
        let next_update = time(list.next_update().ok_or(Unfit::Damaged)?)?;
        let authority = authority.clone();
        if from > now {
            return Err(Unfit::NotYet { authority, from });
        }
        if next_update <= now {
            return Err(Unfit::Expired { authority, end: next_update });
        }
        let revoked = list.iter_revoked_certificates().map(|entry| entry.raw_serial().to_vec()).collect();
        Ok(List { authority, number, next_update, revoked, der: self.0.to_vec() })
    }
}

impl List {
    /// Encoded anew: what the broker reads is what was verified, to the byte.
    pub(super) fn pem(&self) -> Vec<u8> {
        let mut pem = b"-----BEGIN X509 CRL-----\n".to_vec();
        for line in STANDARD.encode(&self.der).as_bytes().chunks(64) {
            pem.extend_from_slice(line);
            pem.push(b'\n');
        }
        pem.extend_from_slice(b"-----END X509 CRL-----\n");
        pem
    }
}

fn time(time: x509_parser::time::ASN1Time) -> Result<Timestamp, Unfit> {
    Timestamp::from_second(time.timestamp()).map_err(|_| Unfit::Damaged)
}
