//! Rows for tests.

use jiff::Timestamp;
use serde_json::json;

use crate::feed::Feed;
use crate::feed::parcel::Parcel;
use crate::feed::row::Row;

/// A Delivery as the API server tells it.
pub(crate) fn parcel(upc: &str, change: serde_json::Value) -> Parcel {
    let mut object = json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery",
        "metadata": {"name": upc.to_lowercase().replace('_', "-"), "namespace": "shop", "uid": format!("uid-{upc}"),
                     "creationTimestamp": "2020-01-01T00:00:00Z"},
        "spec": {"upc": upc, "seller": "books", "carrier": "van-1"},
    });
    merge(&mut object, change);
    serde_json::from_value(object).unwrap()
}

fn merge(into: &mut serde_json::Value, from: serde_json::Value) {
    match (into, from) {
        (serde_json::Value::Object(into), serde_json::Value::Object(from)) => {
            for (key, value) in from {
                merge(into.entry(key).or_insert(serde_json::Value::Null), value);
            }
        }
        (into, from) => *into = from,
    }
}

/// A row that changed last this many minutes after some moment.
pub(crate) fn row(upc: &str, minute: i64) -> Row {
    let at = Timestamp::from_second(1_600_000_000 + 60 * minute).unwrap();
    let custody = json!([{"author": "Seller", "seq": 0, "event": "HandedOver", "at": at, "signed": "", "id": ""}]);
    one(parcel(upc, json!({"status": {"custody": custody}})))
}

pub(crate) fn one(parcel: Parcel) -> Row {
    let feed = Feed::empty(0);
    feed.put(parcel);
    Row::clone(&feed.rows()[0])
}

/// A feed into which these came, in order.
pub(crate) fn feed(upcs: &[&str]) -> Feed {
    let feed = Feed::empty(0);
    upcs.iter().for_each(|upc| feed.put(parcel(upc, json!({}))));
    feed
}
