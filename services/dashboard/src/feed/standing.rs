//! Who sells and who carries: of each what a row shows, its kind and whether its certificate is about to lapse.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use waybill_crds::carrier::CarrierKind;
use waybill_crds::participant::CertificateStatus;
use waybill_crds::{Carrier, Seller};

use super::row::Trouble;

/// Everybody there is.
#[derive(Debug, Default)]
pub(crate) struct Standing {
    parties: HashMap<Key, Party>,
}

/// Kind, namespace, name.
type Key = (&'static str, Box<str>, Box<str>);

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Party {
    uid: Box<str>,
    kind: Option<CarrierKind>,
    /// From when on its certificate is about to lapse, and when it does.
    lapse: Option<(Timestamp, Timestamp)>,
}

/// A kind that takes part.
pub(crate) trait Takes: kube::Resource {
    const KIND: &'static str;
    fn certificate(&self) -> Option<&CertificateStatus>;
    fn carries_as(&self) -> Option<CarrierKind>;
}

impl Takes for Seller {
    const KIND: &'static str = "Seller";
    fn certificate(&self) -> Option<&CertificateStatus> {
        self.status.as_ref()?.certificate.as_ref()
    }
    fn carries_as(&self) -> Option<CarrierKind> {
        None
    }
}

impl Takes for Carrier {
    const KIND: &'static str = "Carrier";
    fn certificate(&self) -> Option<&CertificateStatus> {
        self.status.as_ref()?.certificate.as_ref()
    }
    fn carries_as(&self) -> Option<CarrierKind> {
        Some(self.spec.kind)
    }
}

impl Standing {
    /// True when rows may read otherwise now.
    pub(crate) fn put<K: Takes>(&mut self, object: &K) -> bool {
        let meta = object.meta();
        let (Some(namespace), Some(name), Some(uid)) = (&meta.namespace, &meta.name, &meta.uid) else { return false };
        let key = (K::KIND, namespace.as_str().into(), name.as_str().into());
        let lapse = object.certificate().map(|certificate| lapse(certificate.renew_at.0, certificate.not_after.0));
        let party = Party { uid: uid.as_str().into(), kind: object.carries_as(), lapse };
        let before = self.parties.insert(key, party.clone());
        before != Some(party)
    }

    pub(crate) fn remove(&mut self, kind: &'static str, uid: &str) {
        self.parties.retain(|(of, _, _), party| *of != kind || *party.uid != *uid);
    }

    /// After a list: whoever it did not mention is gone.
    pub(crate) fn retain(&mut self, kind: &'static str, keep: impl Fn(&str, &str) -> bool) {
        self.parties.retain(|(of, namespace, _), party| *of != kind || keep(namespace, &party.uid));
    }

    pub(crate) fn seller(&self, namespace: &str, name: &str) -> Option<String> {
        self.find("Seller", namespace, name).map(|party| party.uid.to_string())
    }

    pub(crate) fn kind(&self, namespace: &str, carrier: &str) -> Option<CarrierKind> {
        self.find("Carrier", namespace, carrier)?.kind
    }

    /// What to say of a certificate that is about to lapse.
    pub(crate) fn lapse(&self, kind: &'static str, namespace: &str, name: &str, now: Timestamp) -> Option<Trouble> {
        let (from, end) = self.find(kind, namespace, name)?.lapse?;
        if now < from {
            return None;
        }
        let when = end.strftime("%Y-%m-%d %H:%M UTC");
        let text = match now < end {
            true => format!("{kind} {name}: its certificate lapses at {when} and was not renewed"),
            false => format!("{kind} {name}: its certificate lapsed at {when}"),
        };
        Some(Trouble { title: "Certificate lapses", text: text.into() })
    }

    fn find(&self, kind: &'static str, namespace: &str, name: &str) -> Option<&Party> {
        self.parties.get(&(kind, namespace.into(), name.into()))
    }
}

/// Half-way between its renewal and its end: what is not renewed by then will not be by itself.
fn lapse(renew: Timestamp, end: Timestamp) -> (Timestamp, Timestamp) {
    let half = SignedDuration::from_secs(end.duration_since(renew).as_secs() / 2);
    (renew.checked_add(half).unwrap_or(end), end)
}
