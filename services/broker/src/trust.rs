//! Whom the broker lets in: the bundle of authorities together with one revocation list of each. Pure.
//!
//! Why so strict. A `crlfile` that mosquitto cannot read turns revocation off without a word; one that has expired, or
//! lacks the list of an authority, refuses everybody. So a pair is used only when every list parses, is signed by its
//! authority, is complete, in force, and not older than what was in use; anything else leaves the last good pair.
//!
//! Trusted: the bundle, because it stands in a Secret that only the operator writes. The lists are trusted by signature.

mod list;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use jiff::Timestamp;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::{self, PemObject};
use x509_parser::certificate::X509Certificate;
use x509_parser::prelude::FromDer;

pub(crate) use list::List;

/// Why a pair is not used. The texts name authorities, nobody else.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Unfit {
    #[error("no trust bundle")]
    NoBundle,
    #[error("failed to parse the trust bundle")]
    Bundle(#[source] pem::Error),
    #[error("the trust bundle holds something that is no authority's certificate")]
    NotAnAuthority,
    #[error("no revocation list")]
    NoList,
    #[error("failed to parse the revocation lists")]
    Pem(#[source] pem::Error),
    #[error("a revocation list is damaged")]
    Damaged,
    #[error("a revocation list is partial: it has an extension that only some verifiers obey")]
    Partial,
    #[error("a revocation list has no number")]
    Unnumbered,
    #[error("the revocation list of {0} is not signed by it")]
    Signature(AuthorityName),
    #[error("authority {0} has no revocation list")]
    Missing(AuthorityName),
    #[error("authority {0} has two revocation lists")]
    Twice(AuthorityName),
    #[error("the revocation list of {authority} ended at {end}")]
    Expired { authority: AuthorityName, end: Timestamp },
    #[error("the revocation list of {authority} is in force only from {from}")]
    NotYet { authority: AuthorityName, from: Timestamp },
    #[error("the revocation list of {authority} has number {number}; number {held} was in use")]
    Older { authority: AuthorityName, number: u64, held: u64 },
    #[error("the revocation list of {0} was changed under its number")]
    Changed(AuthorityName),
}

/// An authority's subject, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct AuthorityName(String);

impl fmt::Display for AuthorityName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Subject and public key: what a list must match. Certificates that only cross-sign one key are one authority.
type Authority = Vec<u8>;

/// A verified pair, as it is written for the broker.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trust {
    pub(crate) bundle: Vec<u8>,
    pub(crate) crl: Vec<u8>,
    lists: BTreeMap<Authority, List>,
}

/// The lists that were once in use, by authority: nothing older is used again, even if the authority went meanwhile.
#[derive(Debug, Clone, Default)]
pub(crate) struct Floor(BTreeMap<Authority, (u64, BTreeSet<Vec<u8>>)>);

impl Trust {
    /// Verifies a pair. Lists of authorities outside the bundle are left out: they cannot be verified.
    pub(crate) fn new(bundle: Option<&[u8]>, lists: Option<&[u8]>, now: Timestamp) -> Result<Self, Unfit> {
        let bundle = bundle.ok_or(Unfit::NoBundle)?;
        let certificates: Vec<_> =
            CertificateDer::pem_slice_iter(bundle).collect::<Result<_, _>>().map_err(Unfit::Bundle)?;
        let authorities = authorities(&certificates)?;
        let mut found = BTreeMap::new();
        for list in list::parse(lists.ok_or(Unfit::NoList)?)? {
            let Some(id) = list.authority(&authorities)? else { continue };
            let name = name(&authorities[&id]);
            if found.insert(id, list.verified(&name, now)?).is_some() {
                return Err(Unfit::Twice(name));
            }
        }
        if let Some(missing) = authorities.iter().find(|(id, _)| !found.contains_key(*id)) {
            return Err(Unfit::Missing(name(missing.1)));
        }
        let crl = found.values().flat_map(|list| list.pem()).collect();
        Ok(Self { bundle: bundle.to_vec(), crl, lists: found })
    }

    /// The number of the newest list.
    pub(crate) fn number(&self) -> u64 {
        self.lists.values().map(|list| list.number).max().unwrap_or_default()
    }

    /// When the first of the lists ends, and with it everybody's access.
    pub(crate) fn not_after(&self) -> Timestamp {
        self.lists.values().map(|list| list.next_update).min().unwrap_or(Timestamp::MIN)
    }
}

impl Floor {
    /// Refuses what is older than what was in use.
    pub(crate) fn check(&self, trust: &Trust) -> Result<(), Unfit> {
        for (id, list) in &trust.lists {
            let Some((held, revoked)) = self.0.get(id) else { continue };
            let (authority, number) = (list.authority.clone(), list.number);
            if number < *held {
                return Err(Unfit::Older { authority, number, held: *held });
            }
            if number == *held && list.revoked != *revoked {
                return Err(Unfit::Changed(authority));
            }
        }
        Ok(())
    }

    pub(crate) fn raise(&mut self, trust: &Trust) {
        for (id, list) in &trust.lists {
            self.0.insert(id.clone(), (list.number, list.revoked.clone()));
        }
    }
}

impl Unfit {
    /// The reason in fixed words, for the readiness page.
    pub(crate) fn word(&self) -> &'static str {
        match self {
            Self::NoBundle => "no trust bundle",
            Self::Bundle(_) | Self::NotAnAuthority => "damaged trust bundle",
            Self::NoList => "no revocation list",
            Self::Pem(_) | Self::Damaged | Self::Partial | Self::Unnumbered => "damaged revocation list",
            Self::Signature(_) => "revocation list not signed by its authority",
            Self::Missing(_) => "an authority without a revocation list",
            Self::Twice(_) => "an authority with two revocation lists",
            Self::Expired { .. } => "expired revocation list",
            Self::NotYet { .. } => "revocation list of the future",
            Self::Older { .. } | Self::Changed(_) => "older revocation list",
        }
    }
}

fn authorities<'a>(certificates: &'a [CertificateDer<'a>]) -> Result<BTreeMap<Authority, X509Certificate<'a>>, Unfit> {
    let mut authorities = BTreeMap::new();
    for der in certificates {
        let (_, certificate) = X509Certificate::from_der(der).map_err(|_| Unfit::NotAnAuthority)?;
        if !certificate.is_ca() {
            return Err(Unfit::NotAnAuthority);
        }
        let id = [certificate.subject().as_raw(), certificate.public_key().raw].concat();
        authorities.insert(id, certificate);
    }
    if authorities.is_empty() { Err(Unfit::NoBundle) } else { Ok(authorities) }
}

fn name(certificate: &X509Certificate<'_>) -> AuthorityName {
    AuthorityName(certificate.subject().to_string())
}

#[cfg(test)]
#[path = "trust/tests.rs"]
mod tests;
