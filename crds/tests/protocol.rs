//! The schema and the state machine of `services/protocol` speak of the same things in the same words.

use std::collections::BTreeSet;

use serde_json::Value;
use waybill_crds::Phase;
use waybill_crds::carrier::{Cause, Happening};
use waybill_crds::delivery::custody::{Author, CORRECTED, EVENT_MAX_BYTES, MAX_ENTRIES, RELEASED, RESERVED};
use waybill_crds::delivery::{CancelReason, CustodyEntry};
use waybill_protocol as wire;

/// The machine's phase of the same name.
fn of_the_machine(phase: Phase) -> wire::Phase {
    *wire::Phase::ALL.iter().find(|known| known.as_str() == phase.as_str()).expect("a phase of the machine")
}

#[test]
fn the_fence_is_where_the_machine_goes() {
    let names = |phases: Vec<&'static str>| phases.into_iter().collect::<BTreeSet<_>>();
    assert_eq!(Phase::ALL.len(), wire::Phase::ALL.len());
    for phase in Phase::ALL {
        let fence = names(phase.next().iter().map(|next| next.as_str()).collect());
        let machine = wire::machine::followers(of_the_machine(phase));
        assert_eq!(fence, names(machine.iter().map(|next| next.as_str()).collect()), "what follows {phase}");
        assert_eq!(phase.terminal(), of_the_machine(phase).is_terminal(), "{phase}");
    }
}

#[test]
fn a_log_that_is_full_for_one_is_full_for_the_other() {
    assert_eq!((MAX_ENTRIES, RESERVED, EVENT_MAX_BYTES), (wire::CAPACITY, wire::RESERVED, wire::MAX_EVENT));
}

#[test]
fn every_word_of_an_event_fits_into_an_entry() {
    let kinds: Vec<_> = wire::fact::Kind::ALL.iter().map(|kind| kind.as_str()).collect();
    assert!(kinds.contains(&CORRECTED) && kinds.contains(&RELEASED), "the rules name kinds that exist");
    assert!(kinds.iter().all(|kind| (1..=40).contains(&kind.len())), "{kinds:?}");
    let authors = [Author::Seller, Author::Transport, Author::Person].map(|author| format!("{author:?}"));
    assert_eq!(authors, wire::Author::ALL.map(|author| format!("{author:?}")));
    let entry =
        r#"{"author":"Seller","seq":0,"event":"Released","at":"2026-12-01T09:30:00.000000Z","signed":"AA==","id":""}"#;
    let read: CustodyEntry = serde_json::from_str(entry).expect("an entry");
    assert_eq!(serde_json::to_string(&read).expect("JSON"), entry, "byte for byte: old entries must not change");
}

/// The words of an enum of ours, from the schema of a field that holds it.
fn words(kind: &str, path: &str) -> Vec<String> {
    let crd = waybill_crds::all().into_iter().find(|crd| crd.spec.names.kind == kind).expect("a definition");
    let schema = serde_json::to_value(&crd.spec.versions[0]).expect("JSON");
    let pointer = format!("/schema/openAPIV3Schema/properties/{path}/enum");
    let words = schema.pointer(&pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("no {pointer}"));
    words.iter().map(|word| word.as_str().expect("a word").to_owned()).collect()
}

#[test]
fn reasons_are_the_same_closed_lists() {
    let step = "spec/properties/transport/properties/managed/properties/script/items/properties/reason/properties";
    let causes = words("Carrier", &format!("{step}/cause"));
    let read: Vec<_> = causes.iter().map(|word| word.parse::<wire::fact::reason::Cause>()).collect();
    assert_eq!(read, wire::fact::reason::Cause::ALL.iter().copied().map(Ok).collect::<Vec<_>>());
    assert!(causes.iter().all(|word| serde_json::from_value::<Cause>(word.as_str().into()).is_ok()));

    let happenings = words("Carrier", &format!("{step}/what"));
    let read: Vec<_> = happenings.iter().map(|word| word.parse::<wire::fact::reason::Happening>()).collect();
    assert_eq!(read, wire::fact::reason::Happening::ALL.iter().copied().map(Ok).collect::<Vec<_>>());
    assert!(happenings.iter().all(|word| serde_json::from_value::<Happening>(word.as_str().into()).is_ok()));

    let cancelled = words("Delivery", "spec/properties/cancelled/properties/reason");
    let read: Vec<_> = cancelled.iter().map(|word| word.parse::<wire::fact::reason::CancelReason>()).collect();
    assert_eq!(read, wire::fact::reason::CancelReason::ALL.iter().copied().map(Ok).collect::<Vec<_>>());
    assert!(cancelled.iter().all(|word| serde_json::from_value::<CancelReason>(word.as_str().into()).is_ok()));
}
