//! Gauges counted from the caches at each scrape: how many objects of each kind say what in each condition. Nothing is kept between
//! scrapes, so nothing can drift.

use std::collections::BTreeMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeMetric};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::gauge::ConstGauge;
use waybill_crds::ConditionType;

use crate::cache::Caches;

/// Counts by condition type and status.
type Counts = BTreeMap<(&'static str, &'static str), i64>;

pub(crate) struct Gauges(pub Caches);

impl fmt::Debug for Gauges {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Gauges")
    }
}

impl Collector for Gauges {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Self(caches) = self;
        let sellers = count(caches.sellers.state().iter().filter_map(|s| s.status.as_ref().map(|s| &s.conditions[..])));
        let carriers =
            count(caches.carriers.state().iter().filter_map(|c| c.status.as_ref().map(|s| &s.conditions[..])));
        let deliveries =
            count(caches.deliveries.state().iter().filter_map(|d| d.status.as_ref().map(|s| &s.conditions[..])));
        let help = "Objects whose condition has this status";
        let mut family = encoder.encode_descriptor("conditions", help, None, MetricType::Gauge)?;
        for (kind, counts) in [("Seller", sellers), ("Carrier", carriers), ("Delivery", deliveries)] {
            for ((type_, status), count) in counts {
                let labels = [("kind", kind), ("type", type_), ("status", status)];
                ConstGauge::new(count).encode(family.encode_family(&labels)?)?;
            }
        }
        Ok(())
    }
}

fn count<'a>(lists: impl Iterator<Item = &'a [Condition]>) -> Counts {
    let mut counts = Counts::new();
    for condition in lists.flatten() {
        let Some(type_) = ConditionType::ALL.iter().find(|type_| type_.as_str() == condition.type_) else { continue };
        let status = match condition.status.as_str() {
            "True" => "True",
            "False" => "False",
            _ => "Unknown",
        };
        *counts.entry((type_.as_str(), status)).or_default() += 1;
    }
    counts
}
