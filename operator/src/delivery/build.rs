//! The operator's part of a Delivery's status, as it should be. Pure.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use waybill_crds::delivery::Topics;
use waybill_crds::{ConditionType, DeliveryView};

use super::decide::Decision;
use crate::report::Report;

/// What is applied: no phase, no log, nothing that is the services'.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Wanted {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub topics: Option<Topics>,
    pub conditions: Vec<Condition>,
}

pub(super) fn build(delivery: &DeliveryView, decision: &Decision, now: Timestamp) -> Wanted {
    let observed = delivery.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let mut said =
        vec![(ConditionType::Admitted, decision.admitted.clone()), (ConditionType::Ready, decision.ready.clone())];
    said.extend(decision.outlook.clone());
    let report = Report { generation: delivery.metadata.generation, said };
    Wanted {
        observed_generation: delivery.metadata.generation,
        topics: decision.topics.clone(),
        conditions: report.conditions(observed, now),
    }
}
