//! A Delivery as the operator caches it: everything but the log, of which only its size and last entry are kept, so that
//! ten thousand of them fit in a few megabytes.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta, Time};
use kube::Resource;
use serde::de::{Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize};

use super::{Delivery, DeliverySpec, ProofStatus, Topics};
use crate::condition::ConditionType;
use crate::phase::{Phase, Stage};

/// The conditions of a Delivery the operator writes; the view keeps no others.
pub const OPERATOR_CONDITIONS: [ConditionType; 4] =
    [ConditionType::Admitted, ConditionType::Ready, ConditionType::Reconciling, ConditionType::Stalled];

/// A Delivery without its log. Read-only: it must never be written back.
#[derive(Resource, Deserialize, Clone, Debug, PartialEq)]
#[resource(inherit = "Delivery")]
pub struct DeliveryView {
    /// Without managed fields and without annotations of others.
    #[serde(deserialize_with = "trimmed")]
    pub metadata: ObjectMeta,
    pub spec: DeliverySpec,
    #[serde(default)]
    pub status: Option<StatusView>,
}

/// A Delivery's status without its log.
#[derive(Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusView {
    pub observed_generation: Option<i64>,
    pub phase: Phase,
    pub stage: Stage,
    pub attempt: i32,
    pub carrier_uid: Option<Box<str>>,
    pub topics: Option<Box<Topics>>,
    pub proof: Option<Box<ProofStatus>>,
    pub finished_at: Option<Time>,
    pub archived: Option<i32>,
    /// Those of [`OPERATOR_CONDITIONS`].
    #[serde(deserialize_with = "operators")]
    pub conditions: Vec<Condition>,
    pub custody: CustodyView,
}

/// What the operator knows of the log: how long it is, and when it last grew.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct CustodyView {
    /// How many events it holds.
    pub len: usize,
    /// The time of the last one, by its author's clock.
    pub last_at: Option<MicroTime>,
}

impl CustodyView {
    /// Whether nothing is signed yet: only then may the operator write the phase.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }
}

impl DeliveryView {
    /// Its phase; Pending before status is first written.
    pub fn phase(&self) -> Phase {
        self.status.as_ref().map_or(Phase::Pending, |status| status.phase)
    }
}

fn trimmed<'de, D: Deserializer<'de>>(deserializer: D) -> Result<ObjectMeta, D::Error> {
    let mut metadata = ObjectMeta::deserialize(deserializer)?;
    metadata.managed_fields = None;
    if let Some(mut annotations) = metadata.annotations.take() {
        annotations.retain(|key, _| key.starts_with("waybill.dev/"));
        metadata.annotations = Some(annotations).filter(|left| !left.is_empty());
    }
    Ok(metadata)
}

fn operators<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Condition>, D::Error> {
    let mut conditions = Vec::<Condition>::deserialize(deserializer)?;
    conditions.retain(|c| OPERATOR_CONDITIONS.iter().any(|own| own.as_str() == c.type_));
    conditions.shrink_to_fit();
    Ok(conditions)
}

impl<'de> Deserialize<'de> for CustodyView {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        /// The one field of an entry that is looked at; the rest is skipped without being stored.
        #[derive(Deserialize)]
        struct Entry {
            at: MicroTime,
        }
        struct Entries;
        impl<'de> Visitor<'de> for Entries {
            type Value = CustodyView;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of custody entries")
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut entries: A) -> Result<CustodyView, A::Error> {
                let mut seen = CustodyView::default();
                while let Some(Entry { at }) = entries.next_element()? {
                    seen = CustodyView { len: seen.len + 1, last_at: Some(at) };
                }
                Ok(seen)
            }
        }
        deserializer.deserialize_seq(Entries)
    }
}

// The reflector and kube's helpers ask for nothing more than these.
const _: fn() = || {
    fn cacheable<K: Resource + Clone + fmt::Debug + serde::de::DeserializeOwned + Send + Sync + 'static>() {}
    cacheable::<DeliveryView>();
    fn written<K: Serialize>() {}
    written::<Delivery>();
};
