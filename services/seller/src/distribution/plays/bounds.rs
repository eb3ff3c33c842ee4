//! What must end by itself, and what must not freeze.

use waybill_protocol::AgreementSecret;
use waybill_protocol::seller_to_carrier::Message as Down;

use super::*;
use crate::distribution::case::Standing;
use crate::source::FetchError;

/// A watch may be late: who is not in it is not called revoked before the API server itself was asked.
#[test]
fn a_carrier_that_is_not_to_be_seen_is_looked_up_before_it_is_called_gone() {
    let mut play = Play::new();
    let (mut case, _) = play.country_is_out();
    let gone = |play: &Play| Box::new(Facts { lost: Some(Lost::Missing), ..play.facts() });
    let effects = case.on(Input::Known(gone(&play)), play.now(0));
    let [Effect::LookUp { carrier, name }] = &effects[..] else { panic!("{effects:?}") };
    assert_eq!((carrier, name.as_str()), (play.carrier.signer.uid(), "truck"));
    assert_eq!(case.outstanding(NOW), None, "meanwhile it hears nothing");
    let carrier = carrier.clone();
    let here = Input::LookedUp(carrier.clone(), Some(Standing::Here));
    assert!(case.on(here, play.now(0)).is_empty(), "it is there: the watch will say so");
    let again = case.on(Input::Later, play.now(100));
    assert!(matches!(again[..], [Effect::LookUp { .. }]), "{again:?}");
    let lost = Input::LookedUp(carrier, Some(Standing::Lost(Lost::Replaced)));
    let (_, events) = appended(&case.on(lost, play.now(100)));
    assert_eq!(events[0].event().fact, Fact::OnHold { reason: HoldReason::CarrierReplaced, note: None });
}

#[test]
fn nobody_is_looked_up_for_what_is_decided_already() {
    let mut play = Play::new();
    play.in_transit();
    let missing = |play: &Play| Box::new(Facts { lost: Some(Lost::Missing), ..play.facts() });
    play.seller_states(&[Fact::OnHold { reason: HoldReason::CarrierRevoked, note: None }]);
    let effects = Case::default().on(Input::Known(missing(&play)), play.now(0));
    assert!(effects.is_empty(), "{effects:?}");
}

#[test]
fn an_address_changes_only_so_often_in_one_attempt_and_nothing_is_released_while_it_differs() {
    let mut play = Play::new();
    play.in_transit();
    let mut case = Case::default();
    let order = play.order();
    let salted = |door: usize| {
        let mut order = order.clone();
        order.order.door_number = door.to_string();
        Found::Here(order)
    };
    let orders: Vec<_> = (2..9).map(salted).collect();
    for order in orders {
        let facts = |play: &Play| Box::new(Facts { order: order.clone(), ..play.facts() });
        let mut effects = case.on(Input::Known(facts(&play)), play.now(0));
        while let Some(Effect::Append { log, events, .. }) = effects.first() {
            play.log = with((**log).clone(), events);
            effects = case.on(Input::Written(facts(&play)), play.now(0));
        }
    }
    let changes = play.log.entries().iter().filter_map(|entry| entry.event());
    let changes = changes.filter(|event| event.event().kind().as_str() == "AddressChanged").count();
    assert_eq!(changes, 3);
    // Without a salt of its own an order that changes is another one in all its parts.
    assert_eq!(play.log.stage(), Some(Stage::Country));
    let commitment = play.log.state().commitments().unwrap().country;
    play.carrier_states(&[Fact::Posted { stage: Stage::Country, commitment }]);
    let order = salted(99);
    let effects = case.on(Input::Known(Box::new(Facts { order, ..play.facts() })), play.now(0));
    assert!(effects.is_empty(), "no part is released of another address than the one committed to: {effects:?}");
}

/// Another address than the one committed to is believed once it was read twice in a row.
#[test]
fn an_order_system_that_alternates_writes_nothing_and_is_told() {
    let mut play = Play::new();
    play.in_transit();
    let mut case = Case::default();
    let elsewhere = |play: &Play| Box::new(Facts { order: Found::Elsewhere, ..play.facts() });
    let other = |door: u64| {
        let mut order = play.order().order;
        order.door_number = format!("other {door}");
        order
    };
    let mut effects = case.on(Input::Known(elsewhere(&play)), play.now(0));
    let (mut millis, mut told) = (0, None);
    for turn in 0..8 {
        assert!(effects.iter().any(|effect| matches!(effect, Effect::Read { .. })), "turn {turn}: {effects:?}");
        assert!(!effects.iter().any(|effect| matches!(effect, Effect::Append { .. })), "turn {turn}: {effects:?}");
        case.on(Input::Read(Ok(other(turn))), play.now(millis));
        millis += 60_000;
        effects = case.on(Input::Later, play.now(millis));
        told = told.or(effects.iter().find_map(|effect| match effect {
            Effect::Tell { hindrance, .. } => hindrance.clone(),
            _ => None,
        }));
    }
    assert_eq!(told.map(|told| told.reason), Some(Reason::AddressUnstable));
    // What stays counts.
    case.on(Input::Read(Ok(other(99))), play.now(millis));
    case.on(Input::Later, play.now(millis + 60_000));
    let effects = case.on(Input::Read(Ok(other(99))), play.now(millis + 60_000));
    let written = effects.iter().find_map(|effect| match effect {
        Effect::Append { events, .. } => Some(kinds(events)),
        _ => None,
    });
    assert_eq!(written, Some(vec!["AddressChanged", "Released"]));
}

#[test]
fn a_job_that_ends_without_a_word_is_tried_again() {
    let mut play = Play::new();
    let mut case = play.picked_up();
    let first = play.heard(&mut case, &[Fact::PickedUp], 0);
    assert!(matches!(first[..], [Effect::Append { .. }]), "{first:?}");
    assert!(case.on(Input::Crashed, play.now(0)).is_empty());
    let (log, events) = appended(&case.on(Input::Later, play.now(100)));
    play.log = with(log, &events);
    let effects = case.on(Input::Written(Box::new(play.facts())), play.now(100));
    assert!(matches!(effects[..], [Effect::Fetch { .. }]), "{effects:?}");
    case.on(Input::Crashed, play.now(100));
    let effects = case.on(Input::Later, play.now(200));
    assert!(matches!(effects[..], [Effect::Fetch { .. }]), "{effects:?}");
}

#[test]
fn what_the_api_server_refuses_is_decided_anew_tried_more_and_more_rarely_and_told() {
    let play = &mut Play::new();
    let mut case = play.picked_up();
    let mut effects = play.heard(&mut case, &[Fact::PickedUp], 0);
    let mut millis = 0;
    let mut pauses = Vec::new();
    for _ in 0..3 {
        appended(&effects);
        let refused = Input::Refused(Box::new(play.facts()));
        assert!(!case.on(refused, play.now(millis)).iter().any(|effect| matches!(effect, Effect::Append { .. })));
        let pause = u64::try_from((case.wake().unwrap() - play.now(millis).instant).as_millis()).unwrap();
        pauses.push(pause);
        millis += pause;
        effects = case.on(Input::Later, play.now(millis));
    }
    assert_eq!(pauses, [100, 200, 400]);
    let told = case.on(Input::Later, play.now(millis + 5_000));
    let [Effect::Tell { hindrance: Some(hindrance), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(hindrance.reason, Reason::LogRefused);
}

/// An agent that lost what it had gets its label again, or it could not scan.
#[test]
fn the_label_is_shown_again_after_the_agent_lost_what_it_had() {
    let mut play = Play::new();
    play.spec(|spec| spec.proof = Some(serde_json::from_value(json!({"scan": true, "photo": false})).unwrap()));
    play.in_transit();
    let mut case = Case::default();
    play.seller_states(&[Fact::Released { stage: Stage::PostalCode, gate: None }]);
    play.shows(&mut case, 0);
    let released = play.log.state().unanswered().unwrap().1;
    case.on(Input::Fetched(released, Ok(play.order().order.part(Stage::PostalCode))), play.now(0));
    assert_eq!(case.outstanding(NOW).unwrap().what, What::Part(Stage::PostalCode));

    let fresh = AgreementSecret::from_bytes([8; 32]);
    let rekeyed = Fact::Rekeyed { attempt_key: fresh.public(), nonce: play.facts().nonce(1) };
    let effects = play.heard(&mut case, &[rekeyed], 0);
    play.settles(&mut case, effects, 0);
    let out = case.outstanding(NOW).unwrap();
    let (_, message, to) = case.message(&out, NOW).unwrap();
    assert!(matches!(message.body, Down::HandOver { label: Some(_) }), "{out:?}");
    assert_eq!(to, Recipient::Attempt(fresh.public()));
    play.says(&mut case, Message::Received {}, out.about, 0);
    assert_eq!(case.outstanding(NOW).unwrap().what, What::Part(Stage::PostalCode), "then it goes on");
    play.says(&mut case, Message::Received {}, released, 0);
    assert_eq!(case.outstanding(NOW), None);
}

#[test]
fn a_bad_answer_of_an_order_system_is_told_by_the_delivery_it_is_about() {
    let mut play = Play::new();
    play.in_transit();
    let mut case = Case::default();
    case.on(Input::Known(Box::new(Facts { order: Found::Elsewhere, ..play.facts() })), play.now(0));
    for (error, reason) in [
        (FetchError::Slow, Reason::OrdersUnreachable),
        (FetchError::Malformed(Stage::Door), Reason::OrderMalformed),
        (FetchError::Forbidden, Reason::OrdersUrlForbidden),
        (FetchError::Unknown, Reason::OrderUnknown),
    ] {
        let mut case = Case::default();
        case.on(Input::Known(Box::new(Facts { order: Found::Elsewhere, ..play.facts() })), play.now(0));
        case.on(Input::Read(Err(error)), play.now(0));
        let told = case.on(Input::Later, play.now(1_000));
        let said = told.iter().find_map(|effect| match effect {
            Effect::Tell { hindrance, .. } => hindrance.as_ref(),
            _ => None,
        });
        assert_eq!(said.map(|said| said.reason), Some(reason), "{told:?}");
    }
}
