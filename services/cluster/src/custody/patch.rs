//! The JSON Patch that appends: only what changes, under the resource version it was decided on. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use k8s_openapi::jiff::Timestamp;
use serde::Serialize;
use serde_json::{Value, json};
use waybill_crds::delivery::{Author, CustodyEntry, DeliveryStatus};
use waybill_crds::{Delivery, Phase};
use waybill_protocol::{Kind, SignedEvent};

use super::Fields;

/// The last instant the schema can write.
const LAST: i64 = 253_402_300_799;

/// `replace /metadata/resourceVersion` makes the API server compare: whoever lost a race gets 409, and nothing was written.
pub(super) fn build(delivery: &Delivery, new: &[SignedEvent], fields: &Fields) -> Value {
    let version = delivery.metadata.resource_version.clone().unwrap_or_default();
    let mut operations = vec![json!({"op": "replace", "path": "/metadata/resourceVersion", "value": version})];
    if delivery.status.is_none() {
        operations.push(add("/status", json!({})));
    }
    let before = delivery.status.clone().unwrap_or_default();
    append(&mut operations, &before, new);
    let mut put = |field: &str, before: Value, after: Value| operations.extend(change(field, before, after));
    put("phase", value(&before.phase), value(&shown(before.phase, fields.phase, new)));
    put("stage", value(&before.stage), value(&fields.stage));
    put("attempt", value(&before.attempt), value(&fields.attempt));
    put("carrierUid", value(&before.carrier_uid), value(&fields.carrier_uid));
    put("proof", value(&before.proof), value(&fields.proof));
    put("finishedAt", value(&before.finished_at), value(&fields.finished_at));
    conditions(&mut operations, &before.conditions, &fields.conditions);
    Value::Array(operations)
}

/// An end may stand there that is in no genuine event: whoever holds the Carrier API's account can write one. The schema lets
/// nobody take an end back but by a correction, so the log goes on under it, and the phase is right again at the log's own end.
fn shown(before: Phase, of_log: Phase, new: &[SignedEvent]) -> Phase {
    let corrected = new.iter().any(|event| event.event().kind() == Kind::Corrected);
    if before.terminal() && !corrected { before } else { of_log }
}

fn append(operations: &mut Vec<Value>, before: &DeliveryStatus, new: &[SignedEvent]) {
    // An empty list is not kept in status; nor does it say that it was never there.
    if before.custody.is_empty() && !new.is_empty() {
        operations.push(add("/status/custody", json!([])));
    }
    operations.extend(new.iter().map(|event| add("/status/custody/-", value(&entry(event)))));
}

/// One place a list has; the operator's own conditions are not touched.
fn conditions(operations: &mut Vec<Value>, before: &[Condition], after: &[Condition]) {
    if before.is_empty() {
        operations.push(add("/status/conditions", value(&after)));
        return;
    }
    for (at, condition) in after.iter().enumerate() {
        match before.get(at) {
            Some(there) if there == condition => {}
            Some(_) => operations
                .push(json!({"op": "replace", "path": format!("/status/conditions/{at}"), "value": value(condition)})),
            None => operations.push(add("/status/conditions/-", value(condition))),
        }
    }
}

fn change(field: &str, before: Value, after: Value) -> Option<Value> {
    let path = format!("/status/{field}");
    match after {
        after if after == before => None,
        Value::Null => Some(json!({"op": "remove", "path": path})),
        after => Some(add(&path, after)),
    }
}

fn add(path: &str, value: Value) -> Value {
    json!({"op": "add", "path": path, "value": value})
}

fn value<T: Serialize + ?Sized>(of: &T) -> Value {
    serde_json::to_value(of).expect("plain data is JSON")
}

/// An event as it stands in the custom resource.
fn entry(signed: &SignedEvent) -> CustodyEntry {
    let event = signed.event();
    CustodyEntry {
        author: author(event.author),
        seq: i64::from(event.seq),
        event: event.kind().as_str().to_owned(),
        at: MicroTime(instant(event.at.0)),
        signed: STANDARD.encode(signed.bytes()),
        id: signed.id().to_string(),
    }
}

fn author(author: waybill_protocol::Author) -> Author {
    match author {
        waybill_protocol::Author::Seller => Author::Seller,
        waybill_protocol::Author::Transport => Author::Transport,
        waybill_protocol::Author::Person => Author::Person,
    }
}

/// A device may claim any time; one that cannot be written is shown as the last that can.
fn instant(millis: u64) -> Timestamp {
    let claimed = i64::try_from(millis).ok().and_then(|millis| Timestamp::from_millisecond(millis).ok());
    let last = Timestamp::from_second(LAST).unwrap_or(Timestamp::MAX);
    claimed.map_or(last, |claimed| claimed.min(last))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_nobody_signed_keeps_no_log_from_growing() {
        assert_eq!(
            shown(Phase::Delivered, Phase::InTransit, &[]),
            Phase::Delivered,
            "the schema would refuse the write"
        );
        assert_eq!(shown(Phase::InTransit, Phase::Delivered, &[]), Phase::Delivered);
        assert_eq!(shown(Phase::Delivered, Phase::Delivered, &[]), Phase::Delivered);
    }
}
