//! The published list, read back. Pure. The signed lists say which numbers are refused, since when and by whom; the JSON says whose
//! they are and until when; the ledger fills in what a shortened JSON left out.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use x509_parser::prelude::FromDer;
use x509_parser::revocation_list::CertificateRevocationList;

use super::{Crl, Entry, Signed};
use crate::identity::ca::{Authority, Ca};
use crate::identity::ledger::index::Detail;
use crate::identity::pem;
use crate::identity::serial::Serial;
use crate::identity::x509;

/// `revoked.json`: what services and the broker's sidecar read.
#[derive(Serialize, Deserialize)]
pub(crate) struct Json {
    pub(crate) number: u64,
    pub(crate) entries: Vec<JsonEntry>,
}

#[derive(Default, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct JsonEntry {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) serial: Option<Serial>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) uid: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) not_after: Option<Timestamp>,
}

/// What cannot be read is as if it weren't there: signed lists that are missing make the list due, and entries come from the rest.
pub(crate) fn read(
    crl_pem: &str,
    json: &str,
    authority: &Authority,
    details: impl FnOnce(&BTreeSet<Serial>) -> HashMap<Serial, Detail>,
    now: Timestamp,
) -> Crl {
    let mut crl = Crl::default();
    for der in pem::decode_all(pem::CRL, crl_pem).unwrap_or_default() {
        signed(&mut crl, &der, authority);
    }
    let json: Json = serde_json::from_str(json).unwrap_or(Json { number: 0, entries: Vec::new() });
    crl.number = json.number;
    let mut cut = BTreeSet::new();
    for JsonEntry { serial, uid, not_after } in json.entries {
        cut.extend(uid.clone());
        if let Some(serial) = serial {
            let blank = Entry { serial, uid: None, not_after: None, revoked_at: now, ca: None };
            let entry = crl.entries.entry(serial).or_insert(blank);
            (entry.uid, entry.not_after) = (uid, not_after);
        }
    }
    fill_in(&mut crl, &cut, details);
    crl
}

fn fill_in(crl: &mut Crl, cut: &BTreeSet<String>, details: impl FnOnce(&BTreeSet<Serial>) -> HashMap<Serial, Detail>) {
    let sparse = crl.entries.values().filter(|entry| entry.not_after.is_none()).map(|entry| entry.serial).collect();
    for (serial, detail) in details(&sparse) {
        let Some(entry) = crl.entries.get_mut(&serial) else { continue };
        entry.not_after = Some(detail.not_after);
        entry.ca.get_or_insert(detail.ca);
        if cut.contains(&detail.uid) {
            entry.uid = Some(detail.uid);
        }
    }
}

/// One list, if an authority we hold signed it.
fn signed(crl: &mut Crl, der: &[u8], authority: &Authority) {
    let Ok((_, list)) = CertificateRevocationList::from_der(der) else { return };
    let Some(ca) = authority.trusted().find(|ca| is_by(&list, ca)) else {
        crl.surplus = true;
        return;
    };
    let next_update = list.next_update().and_then(|at| Timestamp::from_second(at.timestamp()).ok());
    let Some(next_update) = next_update else { return };
    crl.signed.push(Signed { ca: ca.fingerprint(), next_update });
    crl.this_update = crl.this_update.max(Timestamp::from_second(list.last_update().timestamp()).ok());
    for revoked in list.iter_revoked_certificates() {
        let (Some(serial), Ok(revoked_at)) =
            (Serial::from_der(revoked.raw_serial()), Timestamp::from_second(revoked.revocation_date.timestamp()))
        else {
            continue;
        };
        let ca = Some(Arc::from(ca.id.as_str()));
        crl.entries.insert(serial, Entry { serial, uid: None, not_after: None, revoked_at, ca });
    }
}

fn is_by(list: &CertificateRevocationList<'_>, ca: &Ca) -> bool {
    x509::with_key(&ca.der, |key| list.verify_signature(key).is_ok()).unwrap_or(false)
}
