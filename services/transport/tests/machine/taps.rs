//! A courier who taps: nothing happens by itself, and nothing happens that the machine does not allow.

use waybill_crds::delivery::LocationSharing;
use waybill_protocol::carrier_to_seller::Message as Up;
use waybill_protocol::fact::reason::{Cause, DeliveredTo, Happening, HoldReason, Incident, Media};
use waybill_protocol::seller_to_carrier::Message;
use waybill_protocol::{
    AttemptSecret, Bytes, Challenge, Digits, LabelCode, LabelSecret, Phase, Reason, UnixMillis, verify_courier_check,
};
use waybill_transport::job::{Ask, Fix, Input, Photo, Refused, Tap, Told};

use crate::desk::{Desk, NOW, label, label_of};
use crate::kit::shop::Wishes;
use crate::kit::world::{DELIVERY, World, uid};
use crate::plain::desk;

const REASON: Reason = Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note: None };
const HERE: Fix = Fix { latitude_e7: 521_234_567, longitude_e7: -43_210_987, accuracy_m: Some(4) };

fn courier(wishes: Wishes) -> (tempfile::TempDir, World, Desk) {
    let (dir, world, mut desk) = desk(wishes);
    (desk.by_hand, desk.profile.alone) = (true, false);
    desk.run();
    (dir, world, desk)
}

/// On the way, with the country part here.
fn under_way(wishes: Wishes) -> (tempfile::TempDir, World, Desk) {
    let (dir, world, mut desk) = courier(wishes);
    desk.taps(Tap::PickedUp).unwrap();
    desk.run();
    (dir, world, desk)
}

/// At the door.
fn at_the_door() -> (tempfile::TempDir, World, Desk) {
    let (dir, world, mut desk) = under_way(Wishes::plain());
    for _ in 0..2 {
        desk.taps(Tap::Arrived).unwrap();
        desk.run();
    }
    assert_eq!(desk.view().phase, Phase::OutForDelivery);
    (dir, world, desk)
}

fn photo() -> Photo {
    Photo { media: Media::Jpeg, bytes: b"a picture".to_vec() }
}

fn code(refused: Refused) -> &'static str {
    refused.code()
}

#[test]
fn a_courier_with_a_camera_taps_a_parcel_to_its_door_and_no_step_can_be_left_out() {
    let (_dir, _, mut desk) = courier(Wishes::with_camera());
    assert_eq!(desk.view().taps, ["pickedUp", "hold"], "{:?}", desk.shop.events());
    assert_eq!(code(desk.taps(Tap::Delivered(DeliveredTo::Recipient)).unwrap_err()), "OutOfPlace");
    desk.taps(Tap::PickedUp).unwrap();
    desk.run();
    let view = desk.view();
    assert!(view.taps.contains(&"arrived") && !view.taps.contains(&"scan"), "{:?}", view.taps);
    assert_eq!(view.parts.len(), 1, "the country, and nothing nearer");
    desk.taps(Tap::Arrived).unwrap();
    desk.run();
    assert!(desk.view().scan_due && desk.view().parts.len() == 2);
    assert_eq!(code(desk.taps(Tap::Arrived).unwrap_err()), "ScanFirst");
    let view = desk.taps(Tap::Scan(vec![label_of("dddddddd-0000-4000-8000-00000000ffff")])).unwrap();
    assert_eq!((view.scan_due, view.scan_tries), (true, 1));
    assert_eq!(code(desk.taps(Tap::Arrived).unwrap_err()), "ScanFirst");
    desk.taps(Tap::Scan(vec![label()])).unwrap();
    desk.run();
    let view = desk.view();
    assert_eq!((view.phase, view.parts.len(), view.photo_due), (Phase::OutForDelivery, 3, true));
    assert_eq!(code(desk.taps(Tap::Delivered(DeliveredTo::Recipient)).unwrap_err()), "PhotoFirst");
    desk.asks(Ask::Photo(photo())).unwrap();
    let view = desk.taps(Tap::Delivered(DeliveredTo::Household)).unwrap();
    assert_eq!((view.phase, view.parts.len()), (Phase::Delivered, 0), "the address is gone from the screen too");
    desk.run();
    desk.shop.assert_clean();
    assert_eq!(desk.shop.log().state().proofs().len(), 1);
}

#[test]
fn d_50_every_way_a_parcel_can_go_wrong_can_be_tapped() {
    for (tap, phase) in [
        (Tap::Failed(REASON), Phase::AttemptFailed),
        (Tap::Refused(REASON), Phase::Refused),
        (Tap::Damaged(REASON), Phase::Damaged),
        (Tap::Lost(REASON), Phase::Lost),
        (Tap::Hold(HoldReason::CarrierRequest), Phase::OnHold),
        (Tap::AvailableForPickup, Phase::AvailableForPickup),
    ] {
        let (_dir, _, mut desk) = at_the_door();
        assert!(desk.view().taps.contains(&tap.name()), "{tap:?}");
        assert_eq!(desk.taps(tap.clone()).unwrap().phase, phase, "{tap:?}");
    }
    let (_dir, _, mut desk) = at_the_door();
    desk.taps(Tap::Refused(REASON)).unwrap();
    desk.run();
    assert_eq!(desk.view().taps.iter().filter(|tap| **tap == "handedBack").count(), 1);
    desk.taps(Tap::HandedBack).unwrap();
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::Returned);
    desk.shop.assert_clean();
}

#[test]
fn a_wrong_delivered_is_taken_back_and_the_parcel_delivered_with_fresh_keys() {
    let (_dir, _, mut desk) = at_the_door();
    desk.taps(Tap::Delivered(DeliveredTo::Recipient)).unwrap();
    assert!(desk.view().taps.contains(&"correct"));
    assert_eq!(desk.taps(Tap::Correct).unwrap().phase, Phase::OutForDelivery);
    desk.run();
    assert_eq!(desk.view().parts.len(), 1, "the door part came again: {:?}", desk.shop.events());
    desk.taps(Tap::Delivered(DeliveredTo::Neighbour)).unwrap();
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::Delivered);
    assert!(!desk.disk().windows(6).any(|window| window == b"MARKER"));
    desk.shop.assert_clean();
}

#[test]
fn d_53_a_label_is_overridden_only_after_the_seller_said_what_it_is() {
    let (_dir, _, mut desk) = under_way(Wishes::with_camera());
    desk.taps(Tap::Arrived).unwrap();
    desk.run();
    let delivery = uid(DELIVERY);
    let forged = LabelCode { secret: LabelSecret::new(&[0x66; 32], &delivery), delivery }.to_string();
    desk.taps(Tap::Scan(vec![forged])).unwrap();
    assert_eq!(code(desk.taps(Tap::Incident(Incident::LabelMismatch)).unwrap_err()), "ScanUnanswered");
    desk.taps(Tap::Incident(Incident::Delay)).unwrap();
    desk.run();
    assert!(desk.shop.events().contains(&"ScanRefused") && desk.view().scan_due);
    assert_eq!(desk.view().phase, Phase::InTransit, "nothing is open past a wrong label");
    desk.taps(Tap::Incident(Incident::LabelMismatch)).unwrap();
    desk.run();
    assert_eq!(desk.view().phase, Phase::OutForDelivery);
    desk.shop.assert_clean();
}

#[test]
fn taps_wait_until_the_log_was_read_and_are_durable_when_they_are_answered() {
    let (_dir, _, mut desk) = under_way(Wishes::plain());
    desk.taps(Tap::Arrived).unwrap();
    let signed = desk.shop.expected();
    desk.die();
    let view = desk.view();
    assert_eq!(view.attempt, 1);
    desk.run();
    assert!(desk.shop.expected() >= signed);
    desk.shop.assert_clean();
}

#[test]
fn d_07_a_position_is_said_as_exactly_as_it_is_shared_and_only_on_the_way() {
    let positions = |sharing: LocationSharing| {
        let (_dir, _, mut desk) = courier(Wishes::plain());
        desk.location = sharing;
        desk.comes_online();
        desk.take(Input::Moved(HERE));
        assert!(!desk.shop.heard.contains(&"Position"), "not before it has the parcel");
        desk.taps(Tap::PickedUp).unwrap();
        desk.run();
        let writes = desk.writes;
        desk.take(Input::Moved(HERE));
        desk.take(Input::Moved(HERE));
        assert_eq!(desk.writes, writes, "never kept");
        desk.die();
        desk.comes_online();
        desk.take(Input::Moved(HERE));
        desk.taps(Tap::Failed(REASON)).unwrap();
        desk.take(Input::Moved(HERE));
        let said = desk.shop.said.iter().filter_map(|body| match body {
            Up::Position { number, latitude_e7, longitude_e7, accuracy_m, .. } => {
                Some((*number, *latitude_e7, *longitude_e7, *accuracy_m))
            }
            _ => None,
        });
        said.collect::<Vec<_>>()
    };
    assert!(positions(LocationSharing::None).is_empty());
    let exact = positions(LocationSharing::Exact);
    assert_eq!(exact.len(), 3);
    assert_eq!((exact[0].1, exact[0].2, exact[0].3), (521_234_567, -43_210_987, Some(4)));
    assert!(exact[0].0 < exact[1].0, "numbers go up");
    let coarse = positions(LocationSharing::Coarse);
    assert_eq!((coarse[0].1, coarse[0].2, coarse[0].3), (521_250_000, -43_250_000, Some(1000)));
}

#[test]
fn the_recipient_can_tell_this_courier_from_any_other_online_and_offline() {
    let (_dir, world, mut desk) = at_the_door();
    let challenge = Challenge::parse("K7QF-2M9X").unwrap();
    let bytes = Bytes(challenge.as_bytes().to_vec());
    for (expires, answered) in [(UnixMillis(NOW.0 - 1), false), (UnixMillis(NOW.0 + 60_000), true)] {
        let frame = desk.shop.saying(Message::Challenge { challenge: bytes.clone(), expires_at: expires });
        desk.hears(frame);
        assert_eq!(desk.shop.heard.contains(&"CourierAnswer"), answered);
    }
    let Some(Up::CourierAnswer { signature, .. }) = desk.shop.said.last().cloned() else { panic!("an answer") };
    let key = world.carrier.signer.statement().ed25519;
    verify_courier_check(&signature.0, &key, &uid(DELIVERY), 1, challenge.as_bytes()).unwrap();
    verify_courier_check(&signature.0, &key, &uid(DELIVERY), 2, challenge.as_bytes()).unwrap_err();

    let asked = || Ask::Courier(challenge.as_bytes().to_vec());
    let Ok(Told::Courier(proof)) = desk.asks(asked()) else { panic!("a proof") };
    verify_courier_check(&proof.signature, &key, &uid(DELIVERY), 1, challenge.as_bytes()).unwrap();
    let attempt_key = desk.shop.log().state().attempt_key(world.carrier.uid()).unwrap();
    let seller = AttemptSecret::of_seller(&world.seller.agreement, &attempt_key, &uid(DELIVERY), 1);
    assert!(seller.check(challenge.as_bytes(), &Digits::parse(&proof.digits).unwrap()));
    desk.taps(Tap::Failed(REASON)).unwrap();
    assert_eq!(desk.asks(asked()).unwrap_err(), Refused::NoAttempt);
}
