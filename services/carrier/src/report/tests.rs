use serde_json::json;

use super::*;

fn report(value: serde_json::Value) -> Result<usize, Unreadable> {
    serde_json::from_value::<Report>(value).unwrap().read().map(|events| events.len())
}

#[test]
fn d18_an_empty_report_is_no_report() {
    assert_eq!(report(json!({})), Err(Unreadable::Empty));
    assert_eq!(report(json!({"events": [], "token": "t"})), Err(Unreadable::Empty));
}

#[test]
fn events_are_counted_before_they_are_read() {
    assert_eq!(report(json!({"events": vec!["%"; MAX_NEW_EVENTS + 1]})), Err(Unreadable::TooMany(MAX_NEW_EVENTS + 1)));
    assert_eq!(report(json!({"event": "%", "events": vec!["%"; MAX_NEW_EVENTS]})), Err(Unreadable::TooMany(9)));
}

#[test]
fn what_can_not_be_read_is_named_by_its_place() {
    assert_eq!(report(json!({"event": "%"})), Err(Unreadable::NotBase64(0)));
    assert!(matches!(report(json!({"events": ["AAAA"]})), Err(Unreadable::Malformed(0, _))));
    let large = STANDARD.encode(vec![0; waybill_protocol::MAX_EVENT + 1]);
    let refused = report(json!({"events": [large]}));
    assert!(matches!(refused, Err(Unreadable::Malformed(0, WireError::TooLarge { .. }))), "{refused:?}");
}

#[test]
fn only_what_depends_on_no_state_is_never_right() {
    assert!(!was_ever_right(&Machine::NotCoalesced { tries: 1, at_least: 2 }));
    for late in [Machine::Away, Machine::NotHeld, Machine::AlreadyGivenBack, Machine::AlreadyAccepted] {
        assert!(was_ever_right(&late), "{late}");
    }
}
