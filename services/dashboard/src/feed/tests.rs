use jiff::SignedDuration;
use serde_json::{Value, json};
use waybill_crds::Carrier;

use super::*;
use crate::feed::row::Lane;
use crate::fixtures::parcel;

fn carrier(kind: &str, renew: Timestamp, end: Timestamp) -> Carrier {
    let start = end.checked_sub(SignedDuration::from_hours(72)).unwrap();
    serde_json::from_value(json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier",
        "metadata": {"name": "van-1", "namespace": "shop", "uid": "carrier-uid"},
        "spec": {"kind": kind, "transport": {"managed": {}}},
        "status": {"certificate": {"serial": "0a", "notBefore": start, "notAfter": end, "renewAt": renew,
                                   "issuer": "a".repeat(64)}},
    }))
    .unwrap()
}

fn in_hours(hours: i64) -> Timestamp {
    Timestamp::now().checked_add(SignedDuration::from_hours(hours)).unwrap()
}

fn lanes(feed: &Feed) -> Vec<Lane> {
    feed.rows().iter().map(|row| row.lane).collect()
}

fn phase(name: &str) -> Value {
    json!({"status": {"phase": name}})
}

#[test]
fn a_row_moves_from_lane_to_lane_and_the_counts_with_it() {
    let feed = Feed::empty(0);
    let counts = || feed.counts(|namespace| namespace == "shop");
    for (now, expected) in [("InTransit", [0, 1, 0]), ("AttemptFailed", [1, 0, 0]), ("Delivered", [0, 0, 1])] {
        feed.put(parcel("a", phase(now)));
        assert_eq!(counts(), expected, "{now}");
    }
    assert_eq!(feed.counts(|namespace| namespace == "other"), [0; 3]);
    feed.remove("uid-a");
    assert_eq!((counts(), feed.namespaces().len()), ([0; 3], 0));
}

#[test]
fn what_reads_the_same_is_no_change() {
    let feed = Feed::empty(0);
    feed.put(parcel("a", phase("InTransit")));
    let before = feed.last();
    feed.put(parcel("a", json!({"metadata": {"resourceVersion": "7"}, "status": {"phase": "InTransit"}})));
    assert_eq!(feed.last(), before);
    feed.put(parcel("a", phase("OutForDelivery")));
    assert_eq!(feed.last(), before + 1);
}

#[test]
fn a_certificate_that_was_not_renewed_in_time_needs_somebody_unless_the_parcel_is_done() {
    let feed = Feed::empty(0);
    let put = |renew: i64, end: i64| {
        feed.0.standing.write().unwrap().put(&carrier("drone", in_hours(renew), in_hours(end)));
        feed.put(parcel("a", phase("InTransit")));
        feed.put(parcel("b", phase("Delivered")));
        let row = feed.find("shop", "a").unwrap();
        (row.lane, row.trouble.as_ref().map_or("", |trouble| trouble.title))
    };
    assert_eq!(put(1, 24), (Lane::Moving, ""));
    feed.remove("uid-a");
    assert_eq!(put(-1, 24), (Lane::Moving, ""), "renewal is under way");
    feed.remove("uid-a");
    assert_eq!(put(-13, 11), (Lane::Attention, "Certificate lapses"));
    assert_eq!(feed.find("shop", "b").unwrap().lane, Lane::Done);
    let kind = feed.find("shop", "a").unwrap().kind.map(|kind| kind.as_str());
    assert_eq!(kind, Some("drone"));
}

#[test]
fn a_list_removes_what_it_does_not_mention_of_its_namespace_alone() {
    let feed = Feed::empty(3);
    feed.put(parcel("a", json!({})));
    feed.put(parcel("b", json!({"metadata": {"namespace": "other"}})));
    let list = |covers: Option<&str>| List { uids: Default::default(), covers: covers.map(str::to_owned), first: true };
    feed.take(Seen::Listed(list(Some("shop"))));
    assert!(feed.find("shop", "a").is_none() && feed.find("other", "b").is_some());
    assert_eq!(lanes(&feed), [Lane::Moving]);
    assert_eq!(*feed.0.missing.borrow(), 2);
    feed.take(Seen::Listed(list(None)));
    assert!(feed.rows().is_empty());
}

#[test]
fn a_place_is_read_back_and_that_of_another_life_is_none() {
    let (feed, other) = (Feed::empty(0), Feed::empty(0));
    feed.put(parcel("a", json!({})));
    assert_eq!(feed.number(&feed.position()), Some(1));
    assert_eq!(feed.number("junk"), None);
    assert_eq!(feed.number(&other.position()), None);
}
