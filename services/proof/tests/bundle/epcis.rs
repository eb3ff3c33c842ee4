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
