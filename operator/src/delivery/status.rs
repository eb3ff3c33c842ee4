//! One write for everything the operator says about a Delivery, and none if it says nothing new.

use kube::Resource;
use waybill_crds::condition;
use waybill_crds::delivery::view::OPERATOR_CONDITIONS;
use waybill_crds::{ConditionType, DeliveryView, Reason};

use super::Deliveries;
use super::build::Wanted;
use crate::events::{Severity, Telling};
use crate::report::{owned, tellings};
use crate::status::{self as one, Patched};

pub(crate) use crate::status::Error;

pub(super) async fn update(deliveries: &Deliveries, delivery: &DeliveryView, wanted: Wanted) -> Result<(), Error> {
    let before = delivery.status.clone().unwrap_or_default();
    let before = Wanted {
        observed_generation: before.observed_generation,
        topics: before.topics.map(|topics| *topics),
        conditions: owned(&before.conditions, &OPERATOR_CONDITIONS),
    };
    if before == wanted {
        return Ok(());
    }
    let patched: DeliveryView = one::patch(&deliveries.context, &Patched::of(delivery), &wanted).await?;
    deliveries.written.record(&patched);
    let about = delivery.object_ref(&());
    let watched = [ConditionType::Admitted, ConditionType::Ready];
    let mut told = tellings(&about, &before.conditions, &wanted.conditions, &watched);
    let stands_still =
        |list| condition::find(list, ConditionType::Stalled).filter(|c| c.reason == Reason::Stalled.as_str());
    if let (None, Some(stalled)) = (stands_still(&before.conditions), stands_still(&wanted.conditions)) {
        told.push(Telling {
            about,
            severity: Severity::Warning,
            reason: stalled.reason.clone(),
            note: stalled.message.clone(),
            at: stalled.last_transition_time.0,
        });
    }
    told.into_iter().for_each(|telling| deliveries.context.events.tell(telling));
    Ok(())
}
