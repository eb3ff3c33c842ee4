//! Everything that goes wrong for a parcel, and what the camera has to do with it.

use waybill_protocol::fact::reason::{Cause, Happening, HoldReason, Incident};
use waybill_protocol::{Fact, Phase, Reason, ScanOutcome, Stage};
use waybill_transport::job::{Arrival, Ask, Errand, Input, Leg, Tap};

use crate::desk::{Desk, Kill, label, label_of};
use crate::kit::shop::{PLAIN, Wishes};
use crate::plain::desk;

const REASON: Reason = Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note: None };

/// A courier with this fate at the first attempt's door.
fn at_the_door(arrival: fn(&Errand) -> Arrival) -> (tempfile::TempDir, Desk) {
    let (dir, _, mut desk) = desk(Wishes::plain());
    desk.fate.arrival = arrival;
    (dir, desk)
}

fn ends(mut desk: Desk, phase: Phase) -> Desk {
    desk.run();
    desk.comes_online();
    desk.run();
    assert_eq!(desk.shop.log().phase(), phase, "{:?}", desk.shop.events());
    desk.shop.assert_clean();
    let job = desk.job.as_ref().unwrap();
    assert!(!job.holds_secrets(), "nothing of an attempt is held after it");
    assert!(job.is_closed());
    assert!(!desk.disk().windows(6).any(|window| window == b"MARKER"));
    desk
}

fn door(errand: &Errand) -> bool {
    errand.leg == Leg::To(Stage::Door) && !errand.again
}

#[test]
fn d_50_an_absent_recipient_is_tried_again_with_fresh_keys_until_it_is_delivered() {
    let (_dir, desk) = at_the_door(|errand| match errand.attempt {
        1 | 2 if door(errand) => Arrival::Failed(REASON),
        _ => Arrival::AsPlanned,
    });
    let desk = ends(desk, Phase::Delivered);
    let log = desk.shop.log();
    let keys: Vec<_> = log
        .entries()
        .iter()
        .filter_map(|entry| match entry.event().unwrap().event().fact {
            Fact::Accepted { attempt_key, .. } => Some(attempt_key),
            _ => None,
        })
        .collect();
    assert_eq!(keys.len(), 3);
    assert!(keys[0] != keys[1] && keys[1] != keys[2] && keys[0] != keys[2]);
    assert_eq!(log.state().attempts_spent(), 2);
}

#[test]
fn d_50_after_the_last_attempt_the_parcel_goes_back() {
    let (_dir, desk) = at_the_door(|errand| if door(errand) { Arrival::Failed(REASON) } else { Arrival::AsPlanned });
    let desk = ends(desk, Phase::Returned);
    let events = desk.shop.events();
    assert_eq!(events.iter().filter(|event| **event == "AttemptFailed").count(), 3);
    assert_eq!(events[events.len() - 3..], ["ReturnRequested", "GivenBack", "ReturnReceived"]);
}

#[test]
fn d_50_refused_and_damaged_parcels_go_back_and_lost_ones_are_lost() {
    let (_dir, desk) = at_the_door(|errand| if door(errand) { Arrival::Refused(REASON) } else { Arrival::AsPlanned });
    ends(desk, Phase::Returned);
    let (_dir, desk) = at_the_door(|errand| if door(errand) { Arrival::Damaged(REASON) } else { Arrival::AsPlanned });
    ends(desk, Phase::Returned);
    let (_dir, desk) = at_the_door(|errand| match errand.leg {
        Leg::To(Stage::PostalCode) => Arrival::Lost(REASON),
        _ => Arrival::AsPlanned,
    });
    let desk = ends(desk, Phase::Lost);
    assert!(!desk.shop.events().contains(&"Delivered"));
}

#[test]
fn d_50_a_held_parcel_waits_and_goes_on_when_the_hold_is_lifted() {
    let (_dir, mut desk) =
        at_the_door(|errand| if door(errand) { Arrival::Held(HoldReason::CarrierRequest) } else { Arrival::AsPlanned });
    desk.shop.wishes.lifts_holds = false;
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::OnHold);
    desk.shop.wishes.lifts_holds = true;
    let desk = ends(desk, Phase::Delivered);
    assert_eq!(desk.shop.events().iter().filter(|event| **event == "OnHold").count(), 1);
}

#[test]
fn d_50_a_parcel_left_for_pickup_is_collected_by_the_recipient() {
    let (_dir, desk) = at_the_door(|errand| if door(errand) { Arrival::LeftForPickup } else { Arrival::AsPlanned });
    let desk = ends(desk, Phase::Delivered);
    let events = desk.shop.events();
    let left = events.iter().position(|event| *event == "AvailableForPickup").unwrap();
    assert!(events[left..].contains(&"Delivered"));
}

#[test]
fn a_parcel_called_off_on_the_way_comes_back() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    for _ in 0..4 {
        desk.round();
    }
    desk.shop.state(Fact::Cancelled { reason: waybill_protocol::fact::reason::CancelReason::Fraud });
    ends(desk, Phase::Returned);
}

#[test]
fn d_40_a_camera_carrier_scans_before_it_posts_and_proves_by_photo() {
    let (_dir, _, desk) = desk(Wishes::with_camera());
    let desk = ends(desk, Phase::Delivered);
    let mut written = PLAIN.to_vec();
    written.insert(6, "Scanned");
    written.push("ProofAttached");
    assert_eq!(desk.shop.events(), written);
    assert_eq!(desk.stored, [b"a picture".to_vec()]);
    let proofs = desk.shop.log().state().proofs().to_vec();
    assert_eq!(proofs[0].sha256, waybill_protocol::Hash::of(b"a picture"));
}

#[test]
fn d_49_a_camera_carrier_killed_at_any_write_ends_the_same_and_stores_one_picture() {
    let (_dir, _, mut undisturbed) = desk(Wishes::with_camera());
    undisturbed.run();
    for at in 1..=undisturbed.writes {
        for how in [Kill::Before, Kill::Torn, Kill::After] {
            let (_dir, _, mut desk) = desk(Wishes::with_camera());
            desk.kill = Some((at, how));
            desk.run();
            let desk = ends(desk, Phase::Delivered);
            let log = desk.shop.log();
            assert_eq!(log.state().proofs().len(), 1, "killed {how:?} write {at}");
            assert!(desk.stored.iter().all(|picture| picture == b"a picture"));
        }
    }
}

#[test]
fn d_53_a_wrong_label_blocks_is_recorded_with_its_tries_and_the_next_attempt_is_right() {
    let (_dir, _, mut desk) = desk(Wishes::with_camera());
    let other = label_of("dddddddd-0000-4000-8000-00000000ffff");
    desk.fate.codes = Box::new(move |errand| vec![if errand.attempt == 1 { other.clone() } else { label() }]);
    desk.fate.arrival = |errand| match (errand.leg, errand.tries) {
        (Leg::Rescan, 3..) => {
            Arrival::Failed(Reason { cause: Cause::Carrier, what: Happening::WrongParcel, note: None })
        }
        _ => Arrival::AsPlanned,
    };
    let desk = ends(desk, Phase::Delivered);
    let log = desk.shop.log();
    let first: Vec<_> = log.entries().iter().map(|entry| entry.event().unwrap().event()).collect();
    let tries: Vec<u32> = first
        .iter()
        .filter(|event| event.attempt == 1)
        .filter_map(|event| match event.fact {
            Fact::Scanned { outcome: ScanOutcome::WrongParcel, tries } => Some(tries),
            _ => None,
        })
        .collect();
    assert_eq!(tries, [1, 2], "repeated scans are told together");
    let open =
        |stage| first.iter().any(|event| event.attempt == 1 && event.fact == Fact::Released { stage, gate: None });
    assert!(
        open(Stage::PostalCode)
            && !first
                .iter()
                .any(|event| event.attempt == 1 && matches!(event.fact, Fact::Posted { stage: Stage::PostalCode, .. })),
        "nothing is posted past a wrong label"
    );
}

#[test]
fn d_53_a_persons_reported_incident_goes_past_an_unreadable_label() {
    let (_dir, _, mut desk) = desk(Wishes::with_camera());
    desk.profile.alone = false;
    desk.fate.codes = Box::new(|_| Vec::new());
    // Nobody answers the third try: the person looks at it.
    desk.fate.arrival = |errand| match (errand.leg, errand.tries) {
        (Leg::Rescan, 3..) => Arrival::Held(HoldReason::CarrierRequest),
        _ => Arrival::AsPlanned,
    };
    desk.shop.wishes.lifts_holds = false;
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::OnHold);
    desk.take(Input::Asked(Ask::Tap(Tap::Incident(Incident::LabelUnreadable))));
    desk.take(Input::Asked(Ask::Tap(Tap::Resume)));
    let desk = ends(desk, Phase::Delivered);
    assert!(desk.shop.events().contains(&"IncidentReported"));
}

#[test]
fn an_agent_that_is_alone_with_an_unreadable_label_reports_it_and_goes_on() {
    let (_dir, _, mut desk) = desk(Wishes::with_camera());
    desk.fate.codes = Box::new(|_| vec!["not one of ours".into()]);
    let desk = ends(desk, Phase::Delivered);
    assert!(desk.shop.events().contains(&"IncidentReported"));
}

#[test]
fn a_broken_camera_is_told_and_does_not_keep_the_parcel_from_its_recipient() {
    let (_dir, _, mut desk) = desk(Wishes { scan: false, ..Wishes::with_camera() });
    desk.fate.camera_works = false;
    let desk = ends(desk, Phase::Delivered);
    assert!(desk.shop.events().contains(&"IncidentReported"));
    assert!(!desk.shop.events().contains(&"ProofAttached"));
}

#[test]
fn a_wrong_tap_is_taken_back() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    for _ in 0..4 {
        desk.round();
    }
    desk.shop.wishes.lifts_holds = false;
    desk.take(Input::Asked(Ask::Tap(Tap::Damaged(REASON))));
    assert_eq!(desk.shop.log().phase(), Phase::Damaged);
    desk.take(Input::Asked(Ask::Tap(Tap::Correct)));
    assert_eq!(desk.shop.log().phase(), Phase::InTransit, "{:?}", desk.shop.events());
    ends(desk, Phase::Delivered);
}

#[test]
fn what_was_not_told_outlives_a_carrier_api_that_knows_the_delivery_no_more() {
    let (_dir, _, mut desk) = desk(Wishes { scan: false, ..Wishes::with_camera() });
    desk.fate.forgotten_at_the_door = true;
    desk.run();
    assert!(desk.drops.contains(&"gone"));
    assert!(!desk.shop.events().contains(&"ProofAttached"));
    for _ in 0..2 {
        assert!(desk.disk().windows(9).any(|window| window == b"a picture"), "the proof is kept");
        assert!(!desk.disk().windows(6).any(|window| window == b"MARKER"), "the address is not");
        assert!(!desk.job.as_ref().unwrap().is_closed());
        desk.die();
        desk.wakes();
    }
    (desk.forgotten, desk.fate.forgotten_at_the_door) = (false, false);
    let desk = ends(desk, Phase::Delivered);
    assert_eq!(desk.stored, [b"a picture"]);
    assert!(desk.shop.events().contains(&"ProofAttached"));
}
