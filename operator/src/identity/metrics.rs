//! What identity counts. Labels are kinds and reasons, never an object's name.

use std::sync::atomic::AtomicU64;

use jiff::Timestamp;
use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

use super::ca::Authority;
use super::crl::render::Published;
use super::leaf::Reason;
use super::ledger::Kind;
use super::ledger::index::Index;

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Issue {
    kind: &'static str,
    reason: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct End {
    kind: &'static str,
    /// `min`: the first to end. `p50`: the one in the middle.
    stat: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct State {
    state: &'static str,
}

type Seconds = Gauge<f64, AtomicU64>;

#[derive(Clone, Debug, Default)]
pub(crate) struct Metrics {
    issued: Family<Issue, Counter>,
    ends: Family<End, Seconds>,
    ca_ends: Family<State, Seconds>,
    ledger: Gauge,
    crl_number: Gauge,
    crl_entries: Gauge,
    crl_bytes: Gauge,
    failures: Counter,
}

impl Metrics {
    pub(crate) fn new(registry: &waybill_chassis::metrics::Metrics) -> Self {
        let m = Self::default();
        registry.register(|r| {
            r.register("certificates_issued", "Certificates issued, by kind and reason", m.issued.clone());
            r.register("certificate_not_after_seconds", "End of the newest certificates, Unix time", m.ends.clone());
            r.register("ca_not_after_seconds", "End of the CA's certificates, Unix time", m.ca_ends.clone());
            r.register("ledger_certificates", "Certificates in the ledger that have not ended", m.ledger.clone());
            r.register("crl_number", "Number of the list of revocations", m.crl_number.clone());
            r.register("crl_entries", "Certificates on the list of revocations", m.crl_entries.clone());
            r.register("crl_bytes", "Size of the signed lists of revocations", m.crl_bytes.clone());
            r.register("identity_failures", "Failed rounds of the CA, revocation or trust upkeep", m.failures.clone());
        });
        m
    }

    pub(crate) fn issued(&self, kind: Kind, reason: Reason) {
        self.issued.get_or_create(&Issue { kind: kind.as_str(), reason: reason.as_str() }).inc();
    }

    pub(crate) fn failed(&self) {
        self.failures.inc();
    }

    pub(crate) fn certificates(&self, index: &Index) {
        self.ledger.set(index.len() as i64);
        for kind in [Kind::Seller, Kind::Carrier, Kind::CarrierApi, Kind::Broker, Kind::Board] {
            let mut ends: Vec<Timestamp> = index.newest().filter(|(of, _)| *of == kind).map(|(_, end)| end).collect();
            ends.sort_unstable();
            for (stat, end) in [("min", ends.first()), ("p50", ends.get(ends.len() / 2))] {
                let label = End { kind: kind.as_str(), stat };
                match end {
                    Some(end) => _ = self.ends.get_or_create(&label).set(end.as_second() as f64),
                    None => _ = self.ends.remove(&label),
                }
            }
        }
    }

    pub(crate) fn authority(&self, authority: &Authority) {
        self.ca_ends.clear();
        for (state, ca) in authority.by_state() {
            self.ca_ends.get_or_create(&State { state }).set(ca.facts.not_after.as_second() as f64);
        }
    }

    pub(crate) fn revocations(&self, published: &Published) {
        self.crl_number.set(i64::try_from(published.crl.number).unwrap_or(i64::MAX));
        self.crl_entries.set(published.crl.entries.len() as i64);
        self.crl_bytes.set(published.crl_pem.len() as i64);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::identity::ledger::batch::{Batch, Entry};
    use crate::identity::serial::Serial;

    #[test]
    fn the_first_and_the_middle_end_of_each_kind_are_shown_and_no_names() {
        let registry = waybill_chassis::metrics::Metrics::new("operator");
        let metrics = Metrics::new(&registry);
        let entry = |uid: u8, end: i64| Entry {
            serial: Serial::from_entropy([uid + end as u8; 16]),
            uid: format!("uid-{uid}"),
            kind: Kind::Carrier,
            namespace: "shop".into(),
            name: "van".into(),
            not_after: Timestamp::from_second(end).unwrap(),
            ca: "a".into(),
        };
        let entries = vec![entry(1, 10), entry(1, 40), entry(2, 20), entry(3, 30)];
        let mut index = Index::default();
        index.add(&Batch { name: "b".into(), issued: Timestamp::UNIX_EPOCH, entries });
        metrics.certificates(&index);
        metrics.issued(Kind::Seller, Reason::Due);
        let text = registry.encode().unwrap();
        for line in [
            r#"waybill_certificate_not_after_seconds{kind="Carrier",stat="min"} 20.0"#,
            r#"waybill_certificate_not_after_seconds{kind="Carrier",stat="p50"} 30.0"#,
            r#"waybill_certificates_issued_total{kind="Seller",reason="Due"} 1"#,
            "waybill_ledger_certificates 4",
        ] {
            assert!(text.contains(line), "{line}\n{text}");
        }
        assert!(!text.contains("van") && !text.contains("uid-"));
        metrics.certificates(&Index::default());
        assert!(!registry.encode().unwrap().contains("not_after_seconds{kind"), "who left is not shown for ever");
    }
}
