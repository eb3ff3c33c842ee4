//! The same events for GS1 systems: EPCIS 2.0 in JSON-LD, one ObjectEvent an event that moved the parcel or its status.
//!
//! A projection, not a proof: signatures stay in the log, and every event's id here is the hash it has there, so each can be looked up. A
//! corrected event comes with an error declaration, as EPCIS wants it: never removed, declared wrong.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde_json::{Map, Value, json};
use waybill_protocol::{Entry, Event, EventId, Fact, Kind, Log, Stage};

use crate::bundle::About;
use crate::words;

const CONTEXT: &str = "https://ref.gs1.org/standards/epcis/2.0.0/epcis-context.jsonld";
/// The namespace of what EPCIS has no word for.
const OWN: &str = "https://waybill.dev/epcis/";

/// What an event is in the words of the Core Business Vocabulary.
struct Step {
    action: &'static str,
    business: &'static str,
    disposition: &'static str,
}

/// The log as an EPCIS document.
pub fn document(about: &About, log: &Log) -> Value {
    let counting: Vec<(EventId, &Event)> = log
        .entries()
        .iter()
        .filter(|entry| entry.verdict().counts())
        .filter_map(Entry::event)
        .map(|signed| (signed.id(), signed.event()))
        .collect();
    let events: Vec<Value> = counting.iter().filter_map(|(id, one)| object_event(about, *id, one, &counting)).collect();
    let created = counting
        .iter()
        .map(|(_, event)| event.at)
        .max()
        .map_or_else(|| words::time(waybill_protocol::UnixMillis(0)), words::time);
    json!({
        "@context": [CONTEXT, {"waybill": OWN}],
        "type": "EPCISDocument",
        "schemaVersion": "2.0",
        "creationDate": created,
        "epcisBody": {"eventList": events},
    })
}

fn object_event(about: &About, id: EventId, event: &Event, all: &[(EventId, &Event)]) -> Option<Value> {
    let stage = if let Fact::Posted { stage, .. } = &event.fact { Some(*stage) } else { None };
    let step = step(event.kind(), stage)?;
    let mut object = Map::new();
    let mut put = |key: &str, value: Value| object.insert(key.to_owned(), value);
    put("type", json!("ObjectEvent"));
    put("eventID", json!(event_id(id)));
    put("eventTime", json!(words::time(event.at)));
    put("eventTimeZoneOffset", json!("+00:00"));
    put("epcList", json!([identifier(about)]));
    put("action", json!(step.action));
    put("bizStep", json!(step.business));
    put("disposition", json!(step.disposition));
    put("bizTransactionList", json!([{"type": "desadv", "bizTransaction": format!("urn:uuid:{}", about.uid)}]));
    put("waybill:event", json!(event.kind().as_str()));
    put("waybill:author", json!(event.author.as_str()));
    put("waybill:attempt", json!(event.attempt));
    if let Some((by, correction)) = correction(id, all) {
        put(
            "errorDeclaration",
            json!({
                "declarationTime": words::time(correction.at),
                "reason": "incorrect_data",
                "correctiveEventIDs": [event_id(by)],
            }),
        );
    }
    Some(Value::Object(object))
}

/// The event that takes this one back.
fn correction<'a>(id: EventId, all: &[(EventId, &'a Event)]) -> Option<(EventId, &'a Event)> {
    let corrects = |event: &Event| matches!(event.fact, Fact::Corrected { event, .. } if event == id);
    all.iter().find(|(_, event)| corrects(event)).map(|(by, event)| (*by, *event))
}

/// A hash URI (RFC 6920) of the signed event.
fn event_id(id: EventId) -> String {
    format!("ni:///sha-256;{}", URL_SAFE_NO_PAD.encode(id.0))
}

/// A GS1 Digital Link where the parcel's code is one of GS1's; else the Delivery's own uid, in a form EPCIS takes.
fn identifier(about: &About) -> String {
    digital_link(&about.upc, &about.uid).unwrap_or_else(|| format!("urn:uuid:{}", about.uid))
}

/// The GS1 Digital Link of a parcel whose code is a GTIN (with the Delivery's uid as its serial) or an SSCC.
pub fn digital_link(upc: &str, uid: &str) -> Option<String> {
    let digits = upc.bytes().all(|byte| byte.is_ascii_digit()) && checks(upc);
    match upc.len() {
        18 if digits => Some(format!("https://id.gs1.org/00/{upc}")),
        8 | 12 | 13 | 14 if digits => {
            let serial: String = uid.bytes().filter(u8::is_ascii_alphanumeric).take(20).map(char::from).collect();
            Some(format!("https://id.gs1.org/01/{upc:0>14}/21/{serial}"))
        }
        _ => None,
    }
}

/// GS1's check digit: from the right, every second digit counts three times.
fn checks(digits: &str) -> bool {
    let weighed =
        digits.bytes().rev().enumerate().map(|(at, digit)| u32::from(digit - b'0') * if at % 2 == 1 { 3 } else { 1 });
    weighed.sum::<u32>().is_multiple_of(10)
}

/// In the words of CBV 2.0. It has none for giving a parcel back: what is on its way back is shipped and unloaded like any other.
fn step(kind: Kind, stage: Option<Stage>) -> Option<Step> {
    let step = |action, business, disposition| Some(Step { action, business, disposition });
    match kind {
        Kind::HandedOver => step("OBSERVE", "shipping", "in_transit"),
        Kind::PickedUp => step("OBSERVE", "loading", "in_transit"),
        Kind::Posted if stage == Some(Stage::Country) => step("OBSERVE", "departing", "in_transit"),
        Kind::Posted => step("OBSERVE", "transporting", "in_transit"),
        Kind::Scanned => step("OBSERVE", "inspecting", "in_transit"),
        Kind::Delivered => step("DELETE", "receiving", "completeness_verified"),
        Kind::AvailableForPickup => step("OBSERVE", "arriving", "available"),
        Kind::AttemptFailed => step("OBSERVE", "arriving", "in_transit"),
        Kind::OnHold => step("OBSERVE", "holding", "non_sellable_other"),
        Kind::Resumed => step("OBSERVE", "transporting", "in_transit"),
        Kind::Refused => step("OBSERVE", "other", "non_sellable_other"),
        Kind::Damaged => step("OBSERVE", "inspecting", "damaged"),
        Kind::Lost => step("OBSERVE", "transporting", "unknown"),
        Kind::Found => step("OBSERVE", "transporting", "in_transit"),
        Kind::Cancelled => step("OBSERVE", "other", "inactive"),
        Kind::ReturnRequested => step("OBSERVE", "shipping", "in_transit"),
        Kind::GivenBack => step("OBSERVE", "unloading", "in_transit"),
        Kind::ReturnReceived => step("OBSERVE", "receiving", "returned"),
        Kind::Corrected => step("OBSERVE", "other", "in_transit"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn about(upc: &str) -> About {
        let uid = "dddddddd-0000-4000-8000-000000000001".to_owned();
        About { uid, namespace: "shop".into(), name: "one".into(), upc: upc.into(), seller: "s".into() }
    }

    #[test]
    fn a_code_of_gs1_becomes_its_digital_link_and_any_other_the_deliverys_uid() {
        assert_eq!(identifier(&about("4006381333931")), "https://id.gs1.org/01/04006381333931/21/dddddddd000040008000");
        assert_eq!(identifier(&about("106141412345678908")), "https://id.gs1.org/00/106141412345678908");
        for other in ["4006381333932", "UPC_1", "1"] {
            assert_eq!(identifier(&about(other)), "urn:uuid:dddddddd-0000-4000-8000-000000000001");
        }
    }

    /// The lists of the Core Business Vocabulary 2.0, as far as we use them: a word that is not on them makes the document invalid.
    #[test]
    fn every_step_is_a_word_of_the_vocabulary() {
        const BUSINESS: [&str; 10] = [
            "arriving",
            "departing",
            "holding",
            "inspecting",
            "loading",
            "other",
            "receiving",
            "shipping",
            "transporting",
            "unloading",
        ];
        const DISPOSITIONS: [&str; 8] = [
            "available",
            "completeness_verified",
            "damaged",
            "in_transit",
            "inactive",
            "non_sellable_other",
            "returned",
            "unknown",
        ];
        let stages = [None, Some(Stage::Country), Some(Stage::PostalCode), Some(Stage::Door)];
        let all = Kind::ALL.iter().flat_map(|kind| stages.iter().filter_map(|stage| step(*kind, *stage)));
        let mut steps = 0;
        for Step { action, business, disposition } in all {
            assert!(["OBSERVE", "DELETE"].contains(&action), "{action}");
            assert!(BUSINESS.contains(&business), "{business}");
            assert!(DISPOSITIONS.contains(&disposition), "{disposition}");
            steps += 1;
        }
        assert!(steps > 60, "{steps}");
    }
}
