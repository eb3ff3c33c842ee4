//! The rest of a Delivery's status: defaults, who owns what, what belongs to the carrier that accepted the job.

use kube::api::{DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use waybill_crds::{Delivery, FIELD_MANAGER};

use crate::room::{Room, delivery, event, in_room, refused};

fn topics(uid: char) -> Value {
    let uid = std::iter::repeat_n(uid, 36).collect::<String>();
    json!({"down": format!("wb/{uid}/{uid}/{uid}/down"), "up": format!("wb/{uid}/{uid}/{uid}/up")})
}

fn condition(type_: &str) -> Value {
    json!({"type": type_, "status": "True", "reason": "Admitted", "message": "", "lastTransitionTime": "2026-12-01T09:30:00Z"})
}

/// The status of the Delivery `name`, applied as `manager`.
async fn apply(room: &Room, name: &str, manager: &str, status: Value) -> kube::Result<DynamicObject> {
    let api = if manager == FIELD_MANAGER { room.as_operator() } else { room.as_seller() };
    let body =
        json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": name}, "status": status});
    api.patch_status(name, &PatchParams::apply(manager).force(), &Patch::Apply(&body)).await
}

/// DESIGN 5: one write of the operator is all a Delivery needs to start; the phase is not the operator's.
#[tokio::test]
async fn one_apply_without_phase_sets_it_pending_and_does_not_own_it() {
    in_room("one_apply_without_phase_sets_it_pending", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let own = json!({"topics": topics('a'), "conditions": [condition("Admitted")], "observedGeneration": 1});
        let first = apply(&room, "upc-1", FIELD_MANAGER, own.clone()).await.unwrap();
        let status = &first.data["status"];
        assert_eq!(
            (&status["phase"], &status["stage"], &status["attempt"]),
            (&json!("Pending"), &json!("None"), &json!(0))
        );

        let accepted = json!({"phase": "Accepted", "attempt": 1, "custody": [event("Transport", 0, "Accepted")]});
        room.status("upc-1", &accepted).await.unwrap();
        let again = apply(&room, "upc-1", FIELD_MANAGER, own).await.unwrap();
        assert_eq!(again.data["status"]["phase"], "Accepted");
        assert_eq!(again.data["status"]["attempt"], 1);
        assert_eq!(again.data["status"]["custody"].as_array().unwrap().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn each_writer_applies_its_own_conditions() {
    in_room("each_writer_applies_its_own_conditions", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let conditions = |types: &[&str]| json!({"conditions": types.iter().map(|t| condition(t)).collect::<Vec<_>>()});
        apply(&room, "upc-1", FIELD_MANAGER, conditions(&["Admitted", "Reconciling"])).await.unwrap();
        apply(&room, "upc-1", "wb-seller", conditions(&["PickedUp"])).await.unwrap();
        let last = apply(&room, "upc-1", FIELD_MANAGER, conditions(&["Admitted"])).await.unwrap();
        let mut left: Vec<_> =
            last.data["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
        left.sort_unstable();
        assert_eq!(left, ["Admitted", "PickedUp"]);
    })
    .await;
}

#[tokio::test]
async fn an_attempt_is_never_counted_back() {
    in_room("an_attempt_is_never_counted_back", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        room.status("upc-1", &json!({"attempt": 2})).await.unwrap();
        room.status("upc-1", &json!({"attempt": 3})).await.unwrap();
        for fewer in [json!(2), json!(null)] {
            refused(room.status("upc-1", &json!({"attempt": fewer})).await, "attempt never decreases");
        }
        refused(room.status("upc-1", &json!({"attempt": -1})).await, "greater than or equal to 0");
    })
    .await;
}

#[tokio::test]
async fn what_belongs_to_the_accepted_carrier_is_pinned() {
    in_room("what_belongs_to_the_accepted_carrier_is_pinned", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let uid = |c: char| std::iter::repeat_n(c, 36).collect::<String>();
        let moved =
            json!({"phase": "InTransit", "carrierUid": uid('a'), "custody": [event("Transport", 0, "Accepted")]});
        room.status("upc-1", &moved).await.unwrap();
        apply(&room, "upc-1", FIELD_MANAGER, json!({"topics": topics('a')})).await.unwrap();

        let text = "may change only while the phase is Pending, OnHold, AttemptFailed or Rescheduled";
        for other in [json!(uid('b')), json!(null)] {
            refused(room.status("upc-1", &json!({"carrierUid": other})).await, &format!("carrierUid {text}"));
        }
        for other in [json!({"topics": topics('b')}), json!({})] {
            refused(apply(&room, "upc-1", FIELD_MANAGER, other).await, &format!("topics {text}"));
        }
        // On hold the next carrier may take over; its acceptance is what ends the hold.
        room.status("upc-1", &json!({"phase": "OnHold"})).await.unwrap();
        apply(&room, "upc-1", FIELD_MANAGER, json!({"topics": topics('b')})).await.unwrap();
        room.status("upc-1", &json!({"phase": "Accepted", "carrierUid": uid('b')})).await.unwrap();
        refused(room.status("upc-1", &json!({"carrierUid": uid('c')})).await, "carrierUid may change only");
    })
    .await;
}

#[tokio::test]
async fn a_status_has_the_shape_of_a_status() {
    in_room("a_status_has_the_shape_of_a_status", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let hash = "a".repeat(64);
        let proof = json!({"photoHash": hash, "photoHashes": [hash], "scanned": true, "received": false});
        room.status("upc-1", &json!({"proof": proof, "stage": "Door", "finishedAt": "2026-12-01T09:30:00Z"})).await.unwrap();
        let message = json!({"conditions": [{"type": "Ready", "status": "True", "reason": "Admitted", "message": "m".repeat(1025), "lastTransitionTime": "2026-12-01T09:30:00Z"}]});
        for (status, text) in [
            (json!({"stage": "Kitchen"}), "supported values"),
            (json!({"carrierUid": "truck-7"}), "should match"),
            (json!({"topics": {"down": "#", "up": "#"}}), "should match"),
            (json!({"proof": {"photoHash": "photo.jpg"}}), "should match"),
            (json!({"finishedAt": "yesterday"}), "finishedAt"),
            (json!({"conditions": [condition("Ready"), condition("Ready")]}), "Duplicate value"),
            (message, "Too long"),
        ] {
            refused(room.status("upc-1", &status).await, text);
        }
    })
    .await;
}
