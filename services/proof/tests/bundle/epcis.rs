//! The EPCIS document of a delivery.

use serde_json::Value;
use waybill_proof::epcis;
use waybill_protocol::Fact;

use crate::world::{World, add};

fn events(document: &Value) -> &Vec<Value> {
    document["epcisBody"]["eventList"].as_array().unwrap()
}

#[test]
fn a_delivery_becomes_object_events_with_the_ids_of_the_log() {
    let world = World::new();
    let document = epcis::document(&world.about(), &world.delivered(10));
    assert_eq!(document["type"], "EPCISDocument");
    assert_eq!(document["schemaVersion"], "2.0");
    let steps: Vec<&str> = events(&document).iter().map(|event| event["bizStep"].as_str().unwrap()).collect();
    assert_eq!(steps, ["shipping", "loading", "departing", "transporting", "receiving"]);
    for event in events(&document) {
        assert_eq!(event["type"], "ObjectEvent");
        assert_eq!(event["eventTimeZoneOffset"], "+00:00");
        assert!(event["eventID"].as_str().unwrap().starts_with("ni:///sha-256;"));
        assert_eq!(event["epcList"][0], "urn:uuid:dddddddd-0000-4000-8000-000000000001");
    }
}

#[test]
fn a_corrected_event_is_declared_an_error_and_stays() {
    let world = World::new();
    let mut log = world.delivered(9);
    let wrong = log.entries()[8].event().unwrap().id();
    add(&mut log, &world.carrier.signer, Fact::Corrected { event: wrong, note: None });
    let document = epcis::document(&world.about(), &log);
    let delivered = events(&document).iter().find(|event| event["waybill:event"] == "Delivered").unwrap();
    let by = &events(&document).last().unwrap()["eventID"];
    assert_eq!(&delivered["errorDeclaration"]["correctiveEventIDs"][0], by);
    assert_eq!(delivered["errorDeclaration"]["reason"], "incorrect_data");
}

/// Our own test, not GS1's schema: what EPCIS 2.0 (7.4, 10) and its published JSON schema ask of a document and of an ObjectEvent, for the
/// members we write. Every member is known, of its form, and what is required is there.
#[test]
fn a_document_has_the_members_epcis_asks_for_and_no_unknown_ones() {
    let world = World::new();
    let mut log = world.delivered(9);
    let wrong = log.entries()[8].event().unwrap().id();
    add(&mut log, &world.carrier.signer, Fact::Corrected { event: wrong, note: None });
    let document = epcis::document(&world.about(), &log);
    let members = |value: &Value| value.as_object().unwrap().keys().cloned().collect::<Vec<String>>();
    assert_eq!(members(&document), ["@context", "creationDate", "epcisBody", "schemaVersion", "type"]);
    assert_eq!(members(&document["epcisBody"]), ["eventList"]);
    assert!(document["@context"][0].as_str().unwrap().ends_with("/epcis-context.jsonld"));
    is_time(&document["creationDate"]);
    let own = document["@context"][1].as_object().unwrap();
    for event in events(&document) {
        for member in members(event) {
            let known = [
                "type",
                "eventID",
                "eventTime",
                "eventTimeZoneOffset",
                "epcList",
                "action",
                "bizStep",
                "disposition",
                "bizTransactionList",
                "errorDeclaration",
            ];
            let prefixed = member.split_once(':').is_some_and(|(prefix, _)| own.contains_key(prefix));
            assert!(known.contains(&member.as_str()) || prefixed, "{member}");
        }
        is_time(&event["eventTime"]);
        assert_eq!(event["eventTimeZoneOffset"], "+00:00");
        is_uri(&event["eventID"]);
        event["epcList"].as_array().unwrap().iter().for_each(is_uri);
        for transaction in event["bizTransactionList"].as_array().unwrap() {
            assert_eq!(members(transaction), ["bizTransaction", "type"]);
            is_uri(&transaction["bizTransaction"]);
        }
        if let Some(declared) = event.get("errorDeclaration") {
            assert_eq!(members(declared), ["correctiveEventIDs", "declarationTime", "reason"]);
            is_time(&declared["declarationTime"]);
            assert!(["did_not_occur", "incorrect_data"].contains(&declared["reason"].as_str().unwrap()));
            declared["correctiveEventIDs"].as_array().unwrap().iter().for_each(is_uri);
        }
    }
    assert!(events(&document).iter().any(|event| event.get("errorDeclaration").is_some()));
}

/// RFC 3339, in UTC.
fn is_time(value: &Value) {
    let text = value.as_str().unwrap();
    assert!(text.ends_with('Z') && text.as_bytes()[10] == b'T' && text.len() >= 20, "{text}");
}

/// A scheme and something behind it.
fn is_uri(value: &Value) {
    let (scheme, rest) = value.as_str().unwrap().split_once(':').unwrap();
    assert!(["ni", "urn", "https"].contains(&scheme) && !rest.is_empty() && !rest.contains(' '), "{value}");
}
