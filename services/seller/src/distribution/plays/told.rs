//! What the user is told, and what the recipient may ask.

use waybill_protocol::carrier_to_seller::Decline;
use waybill_protocol::{Challenge, sign_courier_check};

use super::*;

/// What a case says after it has been so for a while.
fn told(case: &mut Case, play: &Play, millis: u64) -> Option<(Reason, String)> {
    let effects = case.on(Input::Later, play.now(millis));
    effects.into_iter().find_map(|effect| match effect {
        Effect::Tell { hindrance, .. } => hindrance.map(|said| (said.reason, said.message)),
        _ => None,
    })
}

#[test]
fn a_carrier_that_declines_is_named_with_its_reason_until_another_one_is() {
    let mut play = Play::new();
    let mut case = Case::default();
    play.shows(&mut case, 0);
    play.says(&mut case, Message::Declined { reason: Decline::NoCapacity }, Hash::NONE, 0);
    let (reason, message) = told(&mut case, &play, 1_000).unwrap();
    assert_eq!(reason, Reason::CarrierDeclined);
    assert!(message.contains("truck") && message.contains("NoCapacity"), "{message}");
    // Once it says so in its status, nothing more is written; once it is over, that is.
    let hindered = json!({"type": "Hindered", "status": "True", "reason": reason.as_str(), "message": message,
                          "lastTransitionTime": "2026-11-21T12:00:00Z"});
    let mut delivery = (*play.delivery).clone();
    delivery.status.as_mut().unwrap().conditions.push(serde_json::from_value(hindered).unwrap());
    play.delivery = Arc::new(delivery);
    assert!(play.shows(&mut case, 1_000).is_empty());
    assert!(case.on(Input::Told(true), play.now(1_000)).is_empty());
    let nonce = play.facts().nonce(1);
    let accepted = Fact::Accepted { attempt_key: domain_key().public(), nonce, protocol: version::CURRENT };
    let effects = play.heard(&mut case, &[accepted], 1_000);
    let rest = play.settles(&mut case, effects, 1_000);
    assert!(rest.iter().any(|effect| matches!(effect, Effect::Tell { hindrance: None, .. })), "{rest:?}");
}

#[test]
fn a_carrier_without_keys_that_count_and_one_with_another_key_are_told_apart() {
    let mut play = Play::new();
    let expired = CarrierFacts { statement: None, trouble: Some("expired".into()), ..play.carrier_facts() };
    let mut case = Case::default();
    case.on(Input::Known(Box::new(Facts { carrier: Some(expired), ..play.facts() })), play.now(0));
    let (reason, message) = told(&mut case, &play, 1_000).unwrap();
    assert_eq!((reason, message.contains("expired")), (Reason::KeyNotCurrent, true));

    play.in_transit();
    let uid = play.carrier.signer.uid().to_string();
    let anew = play.ca.somebody(Role::Carrier, "shop", "truck", &uid).signer.statement().clone();
    let rotated = CarrierFacts { statement: Some(anew), ..play.carrier_facts() };
    let mut case = Case::default();
    case.on(Input::Known(Box::new(Facts { carrier: Some(rotated), ..play.facts() })), play.now(0));
    assert_eq!(told(&mut case, &play, 1_000).unwrap().0, Reason::KeyRotated);
}

#[test]
fn a_missing_order_is_told_by_its_delivery_and_what_is_over_at_once_is_not_told() {
    let play = Play::new();
    let mut case = Case::default();
    let gone = || Input::Known(Box::new(Facts { order: missing(), ..play.facts() }));
    case.on(gone(), play.now(0));
    assert_eq!(told(&mut case, &play, 999), None);
    play.shows(&mut case, 999);
    assert_eq!(told(&mut case, &play, 5_000), None);
    case.on(gone(), play.now(5_000));
    assert_eq!(told(&mut case, &play, 6_000), Some((Reason::OrderUnknown, "none".into())));
}

#[test]
fn positions_of_the_carrier_that_has_the_parcel_are_kept_where_they_are_shared() {
    let mut play = Play::new();
    let (mut case, _) = play.country_is_out();
    let position = Message::Position { number: 1, at: NOW, latitude_e7: 1, longitude_e7: 2, accuracy_m: None };
    assert!(play.says(&mut case, position.clone(), Hash::NONE, 0).is_empty(), "nobody may see it");
    play.spec(|spec| spec.share = Some(serde_json::from_value(json!({"location": "coarse"})).unwrap()));
    play.shows(&mut case, 0);
    let kept = play.says(&mut case, position.clone(), Hash::NONE, 0);
    assert!(matches!(kept[..], [Effect::Place(at)] if at.attempt == 1 && at.latitude_e7 == 1), "{kept:?}");
    let stranger = Uid::new("ca001e00-0000-4000-8000-000000000009").unwrap();
    let said = Incoming { attempt: 1, about: Hash::NONE, events: Vec::new(), body: position, id: Hash::NONE };
    assert!(case.on(Input::Heard(Box::new(said), stranger), play.now(0)).is_empty());
}

#[test]
fn only_the_agent_of_the_attempt_answers_a_challenge() {
    let mut play = Play::new();
    let (mut case, _) = play.country_is_out();
    let challenge = Challenge::from_random([7; 8]);
    let answer = |by: &Somebody| {
        let signature = sign_courier_check(&by.signer, play.facts().uid(), 1, challenge.as_bytes());
        Message::CourierAnswer { challenge: Bytes(challenge.as_bytes().to_vec()), signature: Bytes(signature) }
    };
    let impostor = play.ca.somebody(Role::Carrier, "shop", "truck", "ca001e00-0000-4000-8000-000000000009");
    assert!(play.says(&mut case, answer(&impostor), Hash::NONE, 0).is_empty());
    let answered = play.says(&mut case, answer(&play.carrier), Hash::NONE, 0);
    assert!(matches!(answered[..], [Effect::Answered(given)] if given == challenge), "{answered:?}");
}
