//! The view the operator caches: what it keeps, what it leaves out, and what ten thousand of them cost.

use serde_json::{Value, json};
use waybill_crds::{DeliveryView, Phase};

fn event(seq: usize) -> Value {
    json!({
        "author": "Transport", "seq": seq, "event": "Posted", "at": format!("2026-12-01T09:30:{:02}.000000Z", seq % 60),
        "signed": "A".repeat(900), "id": format!("{seq:064x}"),
    })
}

fn condition(type_: &str) -> Value {
    json!({
        "type": type_, "status": "True", "reason": "Provisioned", "observedGeneration": 1,
        "message": "seller acme-north and carrier truck-1234 are provisioned", "lastTransitionTime": "2026-12-01T09:30:00Z",
    })
}

/// A Delivery under way, as the API server sends it.
fn delivery(number: usize, events: usize) -> Value {
    let uid = format!("{number:08x}-0000-4000-8000-000000000000");
    let managed: Vec<_> = (0..4)
        .map(
            |n| json!({"manager": format!("manager-{n}"), "operation": "Apply", "fieldsV1": {"f:spec": {"f:upc": {}}}}),
        )
        .collect();
    json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery",
        "metadata": {
            "name": format!("upc-{number}"), "namespace": "shop-of-acme", "uid": uid, "resourceVersion": "123456789",
            "generation": 1, "creationTimestamp": "2026-12-01T09:00:00Z", "managedFields": managed,
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": "x".repeat(500)},
        },
        "spec": {"upc": format!("UPC_{number}"), "seller": "acme-north", "carrier": "truck-1234", "maxAttempts": 3},
        "status": {
            "phase": "InTransit", "stage": "Country", "attempt": 1, "observedGeneration": 1, "carrierUid": uid,
            "topics": {"down": format!("wb/{uid}/{uid}/{uid}/down"), "up": format!("wb/{uid}/{uid}/{uid}/up")},
            "conditions": [condition("Admitted"), condition("Ready"), condition("Accepted"), condition("PickedUp")],
            "custody": (0..events).map(event).collect::<Vec<_>>(),
        },
    })
}

fn viewed(delivery: &Value) -> DeliveryView {
    serde_json::from_str(&delivery.to_string()).expect("a view of a Delivery")
}

#[test]
fn the_view_keeps_what_the_operator_decides_on() {
    let view = viewed(&delivery(1, 12));
    assert_eq!(view.phase(), Phase::InTransit);
    assert_eq!(view.spec.carrier.as_deref(), Some("truck-1234"));
    let status = view.status.expect("a status");
    assert_eq!(status.custody.len, 12);
    assert_eq!(status.custody.last_at.expect("a last event").0.to_string(), "2026-12-01T09:30:11Z");
    assert_eq!(status.conditions.iter().map(|c| c.type_.as_str()).collect::<Vec<_>>(), ["Admitted", "Ready"]);
    assert!(status.topics.is_some() && status.carrier_uid.is_some());
}

#[test]
fn the_view_leaves_out_what_is_large_or_of_others() {
    let mut full = delivery(1, 12);
    full["metadata"]["annotations"]["waybill.dev/paused"] = json!("true");
    let view = viewed(&full);
    assert_eq!(view.metadata.managed_fields, None);
    let annotations = view.metadata.annotations.clone().unwrap_or_default();
    assert_eq!(annotations.into_keys().collect::<Vec<_>>(), ["waybill.dev/paused"]);
    assert!(!format!("{view:?}").contains("AAAA"), "no signed bytes");
}

#[test]
fn a_delivery_nobody_has_touched_is_viewed_as_pending() {
    let mut fresh = delivery(1, 0);
    fresh.as_object_mut().expect("an object").remove("status");
    assert_eq!(viewed(&fresh).phase(), Phase::Pending);
    fresh["status"] = json!({});
    let status = viewed(&fresh).status.expect("a status");
    assert!(status.custody.is_empty() && status.phase == Phase::Pending && status.attempt == 0);
}

fn resident_kib() -> usize {
    let status = std::fs::read_to_string("/proc/self/status").expect("the proc file system");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("a line VmRSS");
    line.split_whitespace().nth(1).expect("a number").parse().expect("a number")
}

/// Memory of the whole process, so allocator and bookkeeping count; the other tests of this file need next to nothing.
#[test]
fn ten_thousand_views_cost_at_most_two_kib_each() {
    const COUNT: usize = 10_000;
    drop((0..100).map(|n| viewed(&delivery(n, 12))).collect::<Vec<_>>());
    let before = resident_kib();
    let mut views = Vec::with_capacity(COUNT);
    for number in 0..COUNT {
        views.push(std::sync::Arc::new(viewed(&delivery(number, 12))));
    }
    let each = (resident_kib() - before) * 1024 / views.len();
    println!("{each} bytes a view");
    assert!(each <= 2048, "{each} bytes a view");
}
