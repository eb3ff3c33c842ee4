//! Signs the list, one CRL for each authority, and writes the JSON beside it, both inside one ConfigMap's size. Pure.

use std::collections::HashSet;

use jiff::Timestamp;
use rcgen::{CertificateRevocationListParams, KeyIdMethod, RevokedCertParams, SerialNumber};

use super::read::{Json, JsonEntry};
use super::{Crl, Entry, LIFE, Signed};
use crate::identity::ca::{Authority, Ca};
use crate::identity::pem;
use crate::identity::x509::sign;

/// A ConfigMap holds 1 MiB; some of it is left for the bundle that travels along.
const BUDGET: usize = 1_000_000;
/// An entry in a CRL in PEM, and in the JSON at its shortest.
const SHORTEST: usize = 48 + 50;

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to put a date into a CRL")]
    Date(#[source] sign::Error),
    #[error("failed to sign the CRL of CA {id}")]
    Sign {
        id: String,
        #[source]
        source: rcgen::Error,
    },
    #[error("failed to write the list of revocations")]
    Json(#[source] serde_json::Error),
}

/// The list as it is published.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Published {
    pub(crate) crl: Crl,
    pub(crate) crl_pem: String,
    pub(crate) revoked_json: String,
    cut_off: HashSet<String>,
}

impl Published {
    pub(crate) fn new(crl: Crl, crl_pem: String, revoked_json: String) -> Self {
        let cut_off = crl.entries.values().filter_map(|entry| entry.uid.clone()).collect();
        Self { crl, crl_pem, revoked_json, cut_off }
    }

    pub(crate) fn cuts_off(&self, uid: &str) -> bool {
        self.cut_off.contains(uid)
    }
}

pub(crate) fn render(mut crl: Crl, authority: &Authority, now: Timestamp) -> Result<Published, Error> {
    let entries = fitting(&crl);
    let (mut crl_pem, mut signed) = (String::new(), Vec::new());
    for ca in authority.trusted() {
        let der = sign_list(&crl, &entries, ca, now)?;
        crl_pem.push_str(&pem::encode(pem::CRL, &der));
        signed.push(Signed { ca: ca.fingerprint(), next_update: now + LIFE });
    }
    let mut revoked_json = json(crl.number, &entries, full)?;
    if crl_pem.len() + revoked_json.len() > BUDGET {
        revoked_json = json(crl.number, &entries, short)?;
    }
    crl.signed = signed;
    Ok(Published::new(crl, crl_pem, revoked_json))
}

/// All entries, newest first; where even the shortest form would not fit, those that end soonest are left out, loudly.
fn fitting(crl: &Crl) -> Vec<&Entry> {
    let mut entries: Vec<&Entry> = crl.entries.values().collect();
    let most = BUDGET / SHORTEST;
    if entries.len() > most {
        tracing::error!(
            entries = entries.len(),
            most,
            "more revocations than one ConfigMap holds: the ones ending soonest are left out"
        );
        entries.sort_by_key(|entry| std::cmp::Reverse(entry.not_after.unwrap_or(Timestamp::MAX)));
        entries.truncate(most);
    }
    entries.sort_by_key(|entry| (std::cmp::Reverse(entry.revoked_at), entry.serial));
    entries
}

fn sign_list(crl: &Crl, entries: &[&Entry], ca: &Ca, now: Timestamp) -> Result<Vec<u8>, Error> {
    let own = entries.iter().filter(|entry| entry.ca.as_deref().is_none_or(|id| id == ca.id));
    let revoked = own.map(|entry| {
        Ok(RevokedCertParams {
            serial_number: SerialNumber::from_slice(entry.serial.as_bytes()),
            revocation_time: sign::date(entry.revoked_at).map_err(Error::Date)?,
            reason_code: None,
            invalidity_date: None,
        })
    });
    let params = CertificateRevocationListParams {
        this_update: sign::date(crl.this_update.unwrap_or(now)).map_err(Error::Date)?,
        next_update: sign::date(now + LIFE).map_err(Error::Date)?,
        crl_number: SerialNumber::from(crl.number),
        issuing_distribution_point: None,
        revoked_certs: revoked.collect::<Result<_, Error>>()?,
        // The very identifier the authority's certificate carries.
        key_identifier_method: ca.facts.key_id.clone().map_or(KeyIdMethod::Sha256, KeyIdMethod::PreSpecified),
    };
    let list = params.signed_by(ca.issuer()).map_err(|source| Error::Sign { id: ca.id.clone(), source })?;
    Ok(list.der().to_vec())
}

fn json(number: u64, entries: &[&Entry], form: fn(&Entry) -> JsonEntry) -> Result<String, Error> {
    let mut said = HashSet::new();
    let entries = entries.iter().map(|entry| form(entry));
    // In the short form one entry speaks for all certificates of an identity.
    let entries = entries.filter(|entry| entry.serial.is_some() || said.insert(entry.uid.clone())).collect();
    serde_json::to_string(&Json { number, entries }).map_err(Error::Json)
}

fn full(entry: &Entry) -> JsonEntry {
    JsonEntry { serial: Some(entry.serial), uid: entry.uid.clone(), not_after: entry.not_after }
}

/// The uid is enough to refuse a peer; the numbers are in the CRL, and the operator has the rest in its ledger.
fn short(entry: &Entry) -> JsonEntry {
    match &entry.uid {
        Some(uid) => JsonEntry { uid: Some(uid.clone()), ..JsonEntry::default() },
        None => JsonEntry { serial: Some(entry.serial), ..JsonEntry::default() },
    }
}

#[cfg(test)]
mod tests;
