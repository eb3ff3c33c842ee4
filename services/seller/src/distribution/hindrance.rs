//! The condition `Hindered` of a Delivery, applied under a name of its own: other conditions and the log are not touched.

use k8s_openapi::jiff::Timestamp;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use waybill_crds::Delivery;
use waybill_crds::condition::{self, ConditionType, Status, Wanted};

use super::case::Hindrance;

/// Field manager of this one condition.
const MANAGER: &str = "wb-seller-hindered";

/// Says it, or takes it back where nothing is in the way.
pub(super) async fn write(
    api: &Api<Delivery>,
    delivery: &Delivery,
    hindrance: Option<&Hindrance>,
) -> kube::Result<Delivery> {
    let name = delivery.metadata.name.as_deref().unwrap_or_default();
    let patch = Patch::Apply(patch(delivery, hindrance, Timestamp::now()));
    api.patch_status(name, &PatchParams::apply(MANAGER).force(), &patch).await
}

/// The uid keeps it from a namesake.
fn patch(delivery: &Delivery, hindrance: Option<&Hindrance>, now: Timestamp) -> Value {
    let mut conditions = delivery.status.clone().unwrap_or_default().conditions;
    conditions.retain(|condition| condition.type_ == ConditionType::Hindered.as_str());
    match hindrance {
        Some(Hindrance { reason, message }) => {
            let (type_, status, message) = (ConditionType::Hindered, Status::True, message.clone());
            let observed_generation = delivery.metadata.generation;
            let this_second = Timestamp::from_second(now.as_second()).unwrap_or(now);
            let wanted = Wanted { type_, status, reason: *reason, message, observed_generation };
            condition::set(&mut conditions, wanted, this_second);
        }
        None => conditions.clear(),
    }
    json!({
        "apiVersion": format!("{}/{}", waybill_crds::GROUP, waybill_crds::VERSION), "kind": "Delivery",
        "metadata": {"name": delivery.metadata.name, "uid": delivery.metadata.uid},
        "status": {"conditions": conditions},
    })
}
