//! The log only grows: whatever is done to what stands there is refused.

use kube::Api;
use kube::api::{DynamicObject, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use waybill_crds::Delivery;
use waybill_crds::delivery::custody::{MAX_ENTRIES, SIGNED_MAX};

use crate::room::{Room, delivery, event, in_room, refused};

const REMOVED: &str = "custody is append-only: an event can't be removed";
const NO_STATUS: &str = "status can't be removed";
const CHANGED: &str = "custody is append-only: an event can't be changed";

/// etcd's own `--max-request-bytes`; our local node is more generous.
const ETCD_DEFAULT_LIMIT: usize = 1536 * 1024;

/// A Delivery with three events in its log.
async fn with_log(room: &Room, name: &str) {
    room.create::<Delivery>(&delivery(name)).await;
    let log = [event("Seller", 0, "Accepted"), event("Seller", 1, "HandedOver"), event("Transport", 0, "PickedUp")];
    room.status(name, &json!({"phase": "PickedUp", "custody": log})).await.unwrap();
}

async fn patch(api: &Api<DynamicObject>, name: &str, operations: Value) -> kube::Result<DynamicObject> {
    let patch: Patch<()> = Patch::Json(serde_json::from_value(operations).unwrap());
    api.patch_status(name, &PatchParams::default(), &patch).await
}

#[tokio::test]
async fn a_log_grows_at_its_end() {
    in_room("a_log_grows_at_its_end", async |room| {
        with_log(&room, "upc-1").await;
        let more =
            room.append("upc-1", &[event("Transport", 1, "Posted"), event("Seller", 2, "Released")]).await.unwrap();
        assert_eq!(more.data["status"]["custody"].as_array().unwrap().len(), 5);
    })
    .await;
}

#[tokio::test]
async fn what_stands_in_the_log_is_never_altered() {
    in_room("what_stands_in_the_log_is_never_altered", async |room| {
        with_log(&room, "upc-1").await;
        let seller = room.as_seller();
        let at = |index: usize, field: &str, value: Value| json!([{"op": "replace", "path": format!("/status/custody/{index}/{field}"), "value": value}]);
        for operations in [
            at(0, "event", json!("Rewritten")),
            at(0, "author", json!("Transport")),
            at(0, "seq", json!(7)),
            at(1, "at", json!("2026-12-01T09:30:01.000001Z")),
            at(2, "signed", json!("aGVsbG9v")),
            at(2, "id", json!("f".repeat(64))),
            json!([{"op": "move", "from": "/status/custody/0", "path": "/status/custody/1"}]),
            json!([{"op": "add", "path": "/status/custody/0", "value": event("Seller", 9, "Smuggled")}]),
            json!([
                {"op": "remove", "path": "/status/custody/1"},
                {"op": "add", "path": "/status/custody/-", "value": event("Seller", 9, "Substitute")},
            ]),
        ] {
            refused(patch(&seller, "upc-1", operations).await, CHANGED);
        }
    })
    .await;
}

#[tokio::test]
async fn what_stands_in_the_log_is_never_taken_out() {
    in_room("what_stands_in_the_log_is_never_taken_out", async |room| {
        with_log(&room, "upc-1").await;
        let seller = room.as_seller();
        for path in ["/status/custody/0", "/status/custody/1", "/status/custody/2", "/status/custody"] {
            refused(patch(&seller, "upc-1", json!([{"op": "remove", "path": path}])).await, REMOVED);
        }
        refused(room.status("upc-1", &json!({"custody": []})).await, REMOVED);
        refused(patch(&seller, "upc-1", json!([{"op": "remove", "path": "/status"}])).await, NO_STATUS);
    })
    .await;
}

/// The whole status left out, as a client that does not know it would write it back.
#[tokio::test]
async fn a_put_without_status_does_not_drop_the_log() {
    in_room("a_put_without_status_does_not_drop_the_log", async |room| {
        with_log(&room, "upc-1").await;
        let seller = room.as_seller();
        let mut object = seller.get("upc-1").await.unwrap();
        object.data.as_object_mut().unwrap().remove("status");
        let answer = seller.replace_status("upc-1", &PostParams::default(), &object).await;
        refused(answer, NO_STATUS);

        // On the object itself status is not the client's to write: it stays.
        let object = seller.replace("upc-1", &PostParams::default(), &object).await.unwrap();
        assert_eq!(object.data["status"]["custody"].as_array().unwrap().len(), 3);
        let wiped = json!({"status": null});
        let object = room.merge::<Delivery>("upc-1", &wiped).await.unwrap();
        assert_eq!(object.data["status"]["custody"].as_array().unwrap().len(), 3);
    })
    .await;
}

#[tokio::test]
async fn a_write_brings_at_most_eight_events() {
    in_room("a_write_brings_at_most_eight_events", async |room| {
        let events: Vec<_> = (0..9).map(|seq| event("Transport", seq, "Noted")).collect();
        let many = "custody grows by at most 8 events a write";
        room.create::<Delivery>(&delivery("upc-1")).await;
        refused(room.status("upc-1", &json!({"custody": events})).await, many);
        room.status("upc-1", &json!({"custody": events[..8]})).await.unwrap();
        refused(room.append("upc-1", &events).await, many);
        room.append("upc-1", &events[..8]).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn an_entry_has_the_shape_of_an_entry() {
    in_room("an_entry_has_the_shape_of_an_entry", async |room| {
        with_log(&room, "upc-1").await;
        let but = |field: &str, value: Value| {
            let mut entry = event("Transport", 1, "Posted");
            entry[field] = value;
            entry
        };
        for (entry, text) in [
            (but("author", json!("Broker")), r#"supported values: "Seller", "Transport", "Person""#),
            (but("event", json!("posted")), "should match"),
            (but("event", json!("P".repeat(41))), "Too long"),
            (but("seq", json!(-1)), "greater than or equal to 0"),
            (but("at", json!("2026-12-01T09:30:00Z")), "should match"),
            (but("at", json!("2026-12-01T10:30:00.000000+01:00")), "Too long"),
            (but("signed", json!("")), "signed"),
            (but("signed", json!("not base64!")), "should match"),
            (but("signed", json!("A".repeat(SIGNED_MAX + 1))), "Too long"),
            (but("id", json!("abc")), "should match"),
        ] {
            refused(room.append("upc-1", &[entry]).await, text);
        }
    })
    .await;
}

/// The largest log there can be stays within what the API server grants a rule, and etcd an object.
#[tokio::test]
async fn the_largest_log_is_admitted_and_takes_nothing_more() {
    in_room("the_largest_log_is_admitted", async |room| {
        let name = "upc-1";
        let entry = |seq: usize| {
            let mut entry = event("Transport", seq, &"P".repeat(40));
            entry["signed"] = json!("A".repeat(SIGNED_MAX));
            entry
        };
        room.create::<Delivery>(&delivery(name)).await;
        room.status(name, &json!({"phase": "InTransit", "custody": [entry(0)]})).await.unwrap();
        let mut seqs = (1..MAX_ENTRIES).peekable();
        while seqs.peek().is_some() {
            let batch: Vec<_> = seqs.by_ref().take(8).map(entry).collect();
            room.append(name, &batch).await.unwrap();
        }
        refused(room.append(name, &[event("Transport", 1, "Posted")]).await, "must have at most 256 items");
        let last = format!("/status/custody/{}/seq", MAX_ENTRIES - 1);
        let altered = json!([{"op": "replace", "path": last, "value": 1}]);
        refused(patch(&room.as_seller(), name, altered).await, CHANGED);

        let stored = serde_json::to_vec(&room.as_seller().get(name).await.unwrap()).unwrap().len();
        assert!(stored < ETCD_DEFAULT_LIMIT, "{stored} bytes");
        let changed = room.merge::<Delivery>(name, &json!({"spec": {"share": {"location": "coarse"}}})).await.unwrap();
        assert_eq!(changed.data["status"]["custody"].as_array().unwrap().len(), MAX_ENTRIES);
    })
    .await;
}
