//! Which phase may follow which, for every pair.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use waybill_crds::{Delivery, Phase};

use crate::room::{Room, delivery, event, in_room, refused};

/// What a write of the status would be answered; nothing is stored.
async fn try_status(room: &Room, name: &str, status: Value) -> kube::Result<kube::api::DynamicObject> {
    let change = json!({"status": status});
    room.as_seller().patch_status(name, &PatchParams::default().dry_run(), &Patch::Merge(&change)).await
}

/// A Delivery in this phase whose log holds these events.
async fn in_phase(room: &Room, phase: Phase, log: &[Value]) -> String {
    let name = format!("{}-{}", phase.as_str().to_lowercase(), log.len());
    room.create::<Delivery>(&delivery(&name)).await;
    room.status(&name, &json!({"phase": phase, "custody": log})).await.unwrap_or_else(|why| panic!("{phase}: {why}"));
    name
}

#[tokio::test]
async fn only_phases_that_can_follow_are_taken() {
    in_room("only_phases_that_can_follow_are_taken", async |room| {
        let log = [event("Seller", 0, "Noted")];
        for from in Phase::ALL {
            let name = in_phase(&room, from, &log).await;
            for to in Phase::ALL {
                let answer = try_status(&room, &name, json!({"phase": to})).await;
                let uncalled = to == Phase::Cancelled
                    && !matches!(from, Phase::Pending | Phase::Accepted | Phase::Rescheduled | Phase::OnHold);
                if from == to {
                    answer.unwrap_or_else(|why| panic!("{from} to {to}: {why}"));
                } else if from.terminal() || to == Phase::Pending {
                    refused(answer, &format!("phase can't go from {from} to {to}"));
                } else if uncalled {
                    refused(answer, "a parcel that was picked up can't be Cancelled: it goes ReturnToSender");
                } else {
                    answer.unwrap_or_else(|why| panic!("{from} to {to}: {why}"));
                }
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_finished_delivery_is_reopened_only_by_a_new_correction() {
    in_room("a_finished_delivery_is_reopened_only_by_a_new_correction", async |room| {
        let (early, late) = (event("Seller", 0, "Corrected"), event("Seller", 1, "Corrected"));
        let other = event("Seller", 1, "ProofAttached");
        for phase in [Phase::Delivered, Phase::Returned, Phase::Lost, Phase::Cancelled] {
            let name = in_phase(&room, phase, std::slice::from_ref(&early)).await;
            let again = |to: &str, event: &Value| json!({"phase": to, "custody": [early, event]});
            try_status(&room, &name, again("OutForDelivery", &late)).await.unwrap();
            try_status(&room, &name, again(phase.as_str(), &other)).await.unwrap();
            let text = "a finished Delivery is reopened only by a Corrected event appended in the same write";
            refused(try_status(&room, &name, json!({"phase": "OutForDelivery"})).await, text);
            refused(try_status(&room, &name, again("OutForDelivery", &other)).await, text);
            refused(try_status(&room, &name, again("Pending", &late)).await, "to Pending");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_released_can_not_be_cancelled() {
    in_room("what_was_released_can_not_be_cancelled", async |room| {
        let text = "a parcel that was picked up can't be Cancelled";
        let before = [event("Seller", 0, "OnHold"), event("Transport", 0, "Released")];
        let after =
            [event("Seller", 0, "HandedOver"), event("Transport", 0, "PickedUp"), event("Seller", 1, "Released")];
        let name = in_phase(&room, Phase::OnHold, &before).await;
        // Another author's entry of that name does not stand in the way.
        try_status(&room, &name, json!({"phase": "Cancelled"})).await.unwrap();
        for phase in [Phase::OnHold, Phase::Rescheduled, Phase::Accepted] {
            let name = in_phase(&room, phase, &after).await;
            refused(try_status(&room, &name, json!({"phase": "Cancelled"})).await, text);
            try_status(&room, &name, json!({"phase": "ReturnToSender"})).await.unwrap();
        }
        // A correction reopens a finished Delivery, but does not undo the pick-up.
        let name = in_phase(&room, Phase::Delivered, &after).await;
        let corrected: Vec<_> = after.iter().cloned().chain([event("Seller", 2, "Corrected")]).collect();
        refused(try_status(&room, &name, json!({"phase": "Cancelled", "custody": corrected})).await, text);
    })
    .await;
}

#[tokio::test]
async fn the_first_write_starts_from_pending() {
    in_room("the_first_write_starts_from_pending", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        try_status(&room, "upc-1", json!({"phase": "Accepted", "custody": [event("Seller", 0, "Accepted")]}))
            .await
            .unwrap();
        try_status(&room, "upc-1", json!({"phase": "Cancelled"})).await.unwrap();
        let released = json!({"phase": "Cancelled", "custody": [event("Seller", 0, "Released")]});
        refused(try_status(&room, "upc-1", released).await, "can't be Cancelled");
        refused(try_status(&room, "upc-1", json!({"phase": "Eaten"})).await, "supported values");
        for unsigned in ["Accepted", "Delivered", "Lost"] {
            let answer = try_status(&room, "upc-1", json!({"phase": unsigned})).await;
            refused(answer, "while custody is empty the phase is Pending or Cancelled");
        }
    })
    .await;
}
