//! Rules of a Delivery's specification.

use serde_json::{Value, json};
use waybill_crds::{Delivery, Phase};

use crate::room::{delivery, event, in_room, refused, with};

#[tokio::test]
async fn a_complete_specification_is_taken_and_nonsense_is_refused() {
    in_room("a_complete_specification_is_taken", async |room| {
        let complete = json!({
            "proof": {"photo": true, "scan": false}, "maxAttempts": 10, "share": {"location": "coarse"},
            "window": {"from": "2026-12-01T09:00:00Z", "to": "2026-12-01T13:00:00+01:00"},
            "cancelled": {"reason": "recipientRequest"}, "ttlAfterFinished": "720h", "handedOver": true,
            "returnReceived": true, "countersigned": ["ab".repeat(32)],
        });
        let created = room.try_create::<Delivery>(&with(delivery("upc-1"), complete.clone())).await.unwrap();
        for (field, value) in complete.as_object().unwrap() {
            assert_eq!(&created.data["spec"][field], value, "{field}");
        }
        let cases = [
            (json!({"upc": ""}), "spec.upc"),
            (json!({"upc": ".."}), "should match"),
            (json!({"upc": "UPC/1"}), "should match"),
            (json!({"upc": "UPC 1"}), "should match"),
            (json!({"upc": "u".repeat(65)}), "Too long"),
            (json!({"seller": "Acme"}), "should match"),
            (json!({"seller": "s".repeat(41)}), "Too long"),
            (json!({"carrier": "other-ns/truck"}), "should match"),
            (json!({"maxAttempts": 0}), "greater than or equal to 1"),
            (json!({"maxAttempts": 11}), "less than or equal to 10"),
            (json!({"share": {"location": "street"}}), r#"supported values: "none", "coarse", "exact""#),
            (json!({"cancelled": {"reason": "because"}}), "supported values"),
            (json!({"cancelled": {}}), "cancelled.reason: Required value"),
            (json!({"countersigned": ["AB".repeat(32)]}), "should match"),
            (json!({"countersigned": ["ab"]}), "should match"),
            (
                json!({"countersigned": (0..17).map(|n| format!("{n:064x}")).collect::<Vec<_>>()}),
                "must have at most 16",
            ),
            (json!({"countersigned": ["ab".repeat(32), "ab".repeat(32)]}), "Duplicate value"),
            (json!({"forgotten": true}), "forgotten may be set only once the Delivery is finished"),
            (json!({"ttlAfterFinished": "forever"}), "such as 72h, 1h30m or 45s"),
            (json!({"window": {"from": "tomorrow", "to": "2026-12-01T12:00:00Z"}}), "window.from"),
            (
                json!({"window": {"from": "2026-12-01T12:00:00Z", "to": "2026-12-01T12:30:00+01:00"}}),
                "window.from must be before window.to",
            ),
        ];
        for (change, text) in cases {
            refused(room.try_create::<Delivery>(&with(delivery("upc-1"), change)).await, text);
        }
    })
    .await;
}

#[tokio::test]
async fn upc_and_seller_never_change() {
    in_room("upc_and_seller_never_change", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let change = |field: &str| json!({"spec": {field: "other"}});
        refused(room.merge::<Delivery>("upc-1", &change("upc")).await, "upc never changes");
        refused(room.merge::<Delivery>("upc-1", &change("seller")).await, "seller never changes");
        room.merge::<Delivery>("upc-1", &json!({"spec": {"upc": "UPC_1", "ttlAfterFinished": "1h"}})).await.unwrap();
    })
    .await;
}

/// A Delivery in this phase, with a log unless nothing has happened yet.
async fn in_phase(room: &crate::room::Room, phase: Phase) -> String {
    let name = phase.as_str().to_lowercase();
    let proof = json!({"proof": {"photo": false}});
    room.create::<Delivery>(&with(delivery(&name), proof)).await;
    if phase != Phase::Pending {
        let status = json!({"phase": phase, "custody": [event("Seller", 0, "Noted")]});
        room.status(&name, &status).await.unwrap_or_else(|why| panic!("{phase}: {why}"));
    }
    name
}

#[tokio::test]
async fn the_carrier_changes_only_while_nobody_is_moving_the_parcel() {
    in_room("the_carrier_changes_only_while_nobody_is_moving", async |room| {
        let given: Value = json!({"spec": {"carrier": "drone-2"}});
        let taken: Value = json!({"spec": {"carrier": null}});
        room.create::<Delivery>(&delivery("untouched")).await;
        room.merge::<Delivery>("untouched", &given).await.unwrap();
        for phase in Phase::ALL {
            let name = in_phase(&room, phase).await;
            if matches!(phase, Phase::Pending | Phase::OnHold | Phase::AttemptFailed | Phase::Rescheduled) {
                room.merge::<Delivery>(&name, &given).await.unwrap_or_else(|why| panic!("{phase}: {why}"));
                room.merge::<Delivery>(&name, &taken).await.unwrap_or_else(|why| panic!("{phase}: {why}"));
            } else {
                let text = "carrier may change only while the phase is Pending, OnHold, AttemptFailed or Rescheduled";
                refused(room.merge::<Delivery>(&name, &given).await, text);
                refused(room.merge::<Delivery>(&name, &taken).await, text);
                room.merge::<Delivery>(&name, &json!({"spec": {"carrier": "truck-7"}})).await.unwrap();
            }
        }
    })
    .await;
}

#[tokio::test]
async fn what_must_be_proved_is_frozen_after_pending() {
    in_room("what_must_be_proved_is_frozen_after_pending", async |room| {
        let changes = [
            (json!({"spec": {"proof": {"photo": true}}}), "proof is frozen once the phase has left Pending"),
            (json!({"spec": {"proof": null}}), "proof is frozen once the phase has left Pending"),
            (json!({"spec": {"maxAttempts": 4}}), "maxAttempts is frozen once the phase has left Pending"),
            (json!({"spec": {"maxAttempts": null}}), "maxAttempts is frozen once the phase has left Pending"),
        ];
        for phase in [Phase::Accepted, Phase::OnHold, Phase::Delivered] {
            let name = in_phase(&room, phase).await;
            let five = json!({"spec": {"maxAttempts": 5}});
            refused(room.merge::<Delivery>(&name, &five).await, "maxAttempts is frozen");
            for (change, text) in changes.iter().filter(|(change, _)| change["spec"]["maxAttempts"] != json!(null)) {
                refused(room.merge::<Delivery>(&name, change).await, text);
            }
            room.merge::<Delivery>(&name, &json!({"spec": {"share": {"location": "exact"}}})).await.unwrap();
        }
        let name = in_phase(&room, Phase::Pending).await;
        for (change, _) in changes {
            room.merge::<Delivery>(&name, &change).await.unwrap();
        }
    })
    .await;
}

#[tokio::test]
async fn a_cancellation_is_not_withdrawn() {
    in_room("a_cancellation_is_not_withdrawn", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let cancel = |reason: Value| json!({"spec": {"cancelled": reason}});
        room.merge::<Delivery>("upc-1", &cancel(json!({"reason": "fraud"}))).await.unwrap();
        room.merge::<Delivery>("upc-1", &json!({"spec": {"ttlAfterFinished": "1h"}})).await.unwrap();
        for change in [cancel(json!(null)), cancel(json!({"reason": "other"}))] {
            let answer = room.merge::<Delivery>("upc-1", &change).await;
            refused(answer, "cancelled can't be withdrawn or changed once set");
        }
    })
    .await;
}

#[tokio::test]
async fn what_was_countersigned_stays_on_the_list() {
    in_room("what_was_countersigned_stays_on_the_list", async |room| {
        room.create::<Delivery>(&delivery("upc-1")).await;
        let (one, two) = ("1".repeat(64), "2".repeat(64));
        let list = |ids: Value| json!({"spec": {"countersigned": ids}});
        room.merge::<Delivery>("upc-1", &list(json!([one]))).await.unwrap();
        room.merge::<Delivery>("upc-1", &list(json!([one, two]))).await.unwrap();
        for change in [json!([one]), json!([two, "3".repeat(64)]), json!([]), json!(null)] {
            refused(room.merge::<Delivery>("upc-1", &list(change)).await, "countersigned only grows");
        }
        room.merge::<Delivery>("upc-1", &json!({"spec": {"returnReceived": true}})).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_delivery_is_forgotten_only_once_it_is_finished_and_for_good() {
    in_room("a_delivery_is_forgotten_only_once_it_is_finished", async |room| {
        let forget = |asked: Value| json!({"spec": {"forgotten": asked}});
        let rule = "forgotten may be set only once the Delivery is finished, and can't be withdrawn";
        room.create::<Delivery>(&delivery("untouched")).await;
        refused(room.merge::<Delivery>("untouched", &forget(json!(true))).await, rule);
        room.merge::<Delivery>("untouched", &forget(json!(false))).await.unwrap();
        for phase in Phase::ALL {
            let name = in_phase(&room, phase).await;
            if !phase.terminal() {
                refused(room.merge::<Delivery>(&name, &forget(json!(true))).await, rule);
                continue;
            }
            room.merge::<Delivery>(&name, &forget(json!(true))).await.unwrap_or_else(|why| panic!("{phase}: {why}"));
            for withdrawn in [json!(false), json!(null)] {
                refused(room.merge::<Delivery>(&name, &forget(withdrawn)).await, rule);
            }
            // Whatever else is written afterwards is not in the way of it, a correction included.
            room.merge::<Delivery>(&name, &json!({"spec": {"ttlAfterFinished": "1h"}})).await.unwrap();
            room.append(&name, &[event("Seller", 1, "Forgotten")]).await.unwrap();
        }
    })
    .await;
}
