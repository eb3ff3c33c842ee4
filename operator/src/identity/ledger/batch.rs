//! One batch of the ledger as an immutable ConfigMap, and back. Pure.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::ResourceExt;
use kube::api::ObjectMeta;
use serde::{Deserialize, Serialize};
use waybill_crds::label;

use super::{Error, Kind, Owner, Request};
use crate::identity::labels;
use crate::identity::serial::Serial;

pub(crate) const SELECTOR: &str = "waybill.dev/ledger=true";
/// On each batch, so that expired ones are found without reading them.
pub(crate) const NOT_AFTER: &str = "waybill.dev/not-after";
const ENTRIES: &str = "entries.json";
const ISSUED: &str = "issued";

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Batch {
    pub(crate) name: String,
    pub(crate) issued: Timestamp,
    pub(crate) entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Entry {
    pub(crate) serial: Serial,
    pub(crate) uid: String,
    pub(crate) kind: Kind,
    pub(crate) namespace: String,
    pub(crate) name: String,
    pub(crate) not_after: Timestamp,
    pub(crate) ca: String,
}

impl Entry {
    pub(crate) fn new(serial: Serial, request: Request) -> Self {
        let Request { owner: Owner { kind, namespace, name, uid }, ca, now: _, not_after } = request;
        Self { serial, uid, kind, namespace, name, not_after, ca }
    }
}

/// Named by the moment and by chance: sorted by age for people, never the same twice.
pub(crate) fn name(issued: Timestamp, entropy: [u8; 8]) -> String {
    format!("waybill-ledger-{:010x}-{}", issued.as_second().max(0), hex::encode(entropy))
}

pub(crate) fn encode(batch: &Batch, namespace: &str) -> Result<ConfigMap, Error> {
    let entries = serde_json::to_string(&batch.entries)
        .map_err(|error| Error::Parse { name: batch.name.clone(), reason: error.to_string() })?;
    let last = batch.entries.iter().map(|entry| entry.not_after).max().unwrap_or(batch.issued);
    let mut marks = labels::of("ledger");
    marks.insert(label::LEDGER.into(), "true".into());
    Ok(ConfigMap {
        metadata: ObjectMeta {
            name: Some(batch.name.clone()),
            namespace: Some(namespace.to_owned()),
            labels: Some(marks),
            annotations: Some(BTreeMap::from([(NOT_AFTER.into(), last.to_string())])),
            ..ObjectMeta::default()
        },
        data: Some(BTreeMap::from([(ISSUED.into(), batch.issued.to_string()), (ENTRIES.into(), entries)])),
        immutable: Some(true),
        ..ConfigMap::default()
    })
}

pub(crate) fn decode(map: &ConfigMap) -> Result<Batch, Error> {
    let name = map.name_any();
    let failed = |reason: String| Error::Parse { name: name.clone(), reason };
    let text =
        |key: &str| map.data.as_ref().and_then(|data| data.get(key)).ok_or_else(|| failed(format!("{key} is missing")));
    let issued = text(ISSUED)?.parse().map_err(|error| failed(format!("{ISSUED}: {error}")))?;
    let entries = serde_json::from_str(text(ENTRIES)?).map_err(|error| failed(format!("{ENTRIES}: {error}")))?;
    Ok(Batch { name: name.clone(), issued, entries })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(count: u8) -> Batch {
        let issued: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let entry = |index: u8| Entry {
            serial: Serial::from_entropy([index; 16]),
            uid: format!("9e107d9d-372b-4c5e-8a1f-0000000000{index:02x}"),
            kind: Kind::Carrier,
            namespace: "n".repeat(63),
            name: "c".repeat(40),
            not_after: issued + std::time::Duration::from_secs(u64::from(index)),
            ca: "0a0b0c0d".into(),
        };
        Batch { name: name(issued, [7; 8]), issued, entries: (0..count).map(entry).collect() }
    }

    #[test]
    fn a_batch_round_trips_and_cannot_be_changed() {
        let map = encode(&batch(3), "waybill-system").unwrap();
        assert_eq!(map.immutable, Some(true));
        assert_eq!(map.labels().get(label::LEDGER).map(String::as_str), Some("true"));
        assert_eq!(map.annotations().get(NOT_AFTER).map(String::as_str), Some("2026-11-21T10:00:02Z"));
        assert_eq!(decode(&map).unwrap(), batch(3));
    }

    #[test]
    fn the_largest_batch_stays_far_below_the_size_limit() {
        let map = encode(&batch(super::super::issue::MOST as u8), "waybill-system").unwrap();
        let size: usize = map.data.unwrap().values().map(String::len).sum();
        assert!(size < 128 * 1024, "{size}");
    }

    #[test]
    fn a_damaged_batch_says_which_part() {
        let mut map = encode(&batch(1), "waybill-system").unwrap();
        map.data.as_mut().unwrap().insert(ENTRIES.into(), "[{".into());
        let error = decode(&map).unwrap_err();
        assert!(error.to_string().contains("entries.json"), "{error}");
    }
}
