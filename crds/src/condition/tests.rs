use std::collections::BTreeSet;

use super::*;

const EARLY: Timestamp = Timestamp::UNIX_EPOCH;

fn later() -> Timestamp {
    Timestamp::from_second(60).expect("a minute after the epoch")
}

fn ready(status: Status, reason: Reason) -> Wanted {
    Wanted {
        type_: ConditionType::Ready,
        status,
        reason,
        message: format!("because {reason}"),
        observed_generation: Some(1),
    }
}

#[test]
fn an_unchanged_condition_stays_the_same_bytes() {
    let mut list = Vec::new();
    assert!(set(&mut list, ready(Status::True, Reason::Provisioned), EARLY));
    let before = serde_json::to_string(&list).expect("JSON");
    assert!(!set(&mut list, ready(Status::True, Reason::Provisioned), later()));
    assert_eq!(serde_json::to_string(&list).expect("JSON"), before);
}

#[test]
fn a_new_reason_keeps_the_time_and_a_new_status_moves_it() {
    let mut list = Vec::new();
    set(&mut list, ready(Status::False, Reason::Provisioning), EARLY);
    assert!(set(&mut list, ready(Status::False, Reason::SellerMissing), later()));
    assert_eq!(list[0].last_transition_time.0, EARLY);
    assert_eq!(list[0].reason, "SellerMissing");
    assert!(set(&mut list, ready(Status::True, Reason::Provisioned), later()));
    assert_eq!(list[0].last_transition_time.0, later());
    assert!(is_true(&list, ConditionType::Ready));
}

#[test]
fn others_conditions_are_left_alone() {
    let mut list = Vec::new();
    set(&mut list, Wanted { type_: ConditionType::PickedUp, ..ready(Status::True, Reason::PickedUp) }, EARLY);
    set(&mut list, ready(Status::True, Reason::Provisioned), later());
    set(&mut list, Wanted { type_: ConditionType::Stalled, ..ready(Status::True, Reason::Stalled) }, later());
    assert!(remove(&mut list, ConditionType::Stalled));
    assert!(!remove(&mut list, ConditionType::Stalled));
    let left: Vec<_> = list.iter().map(|c| c.type_.as_str()).collect();
    assert_eq!(left, ["PickedUp", "Ready"]);
}

#[test]
fn a_long_message_is_cut_between_characters() {
    let mut list = Vec::new();
    set(&mut list, Wanted { message: "é".repeat(MESSAGE_MAX + 1), ..ready(Status::True, Reason::Provisioned) }, EARLY);
    assert_eq!(list[0].message.chars().count(), MESSAGE_MAX);
}

#[test]
fn every_reason_and_type_is_documented_once() {
    let reasons: BTreeSet<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
    assert_eq!(reasons.len(), Reason::ALL.len());
    for (name, doc) in Reason::ALL
        .iter()
        .map(|r| (r.as_str(), r.doc()))
        .chain(ConditionType::ALL.iter().map(|t| (t.as_str(), t.doc())))
    {
        assert!(doc.ends_with('.') && name.len() <= 64, "{name}: {doc}");
        assert!(name.starts_with(|c: char| c.is_ascii_uppercase()) && name.chars().all(|c| c.is_ascii_alphanumeric()));
    }
}
