//! The end of a delivery, and what people confirm.

use waybill_crds::delivery::DeliveryStatus;
use waybill_protocol::EventId;
use waybill_protocol::fact::reason::{DeclaredFact, DeliveredTo, ErasedScope, Guarantee};

use super::*;
use crate::distribution::facts::Remains;

fn delivered() -> Fact {
    Fact::Delivered { to: DeliveredTo::Recipient, note: None }
}

/// A log that ends with the parcel at the door delivered.
fn finished(play: &mut Play) {
    play.in_transit();
    play.seller_states(&[Fact::Released { stage: Stage::PostalCode, gate: None }]);
    let commitment = play.log.state().commitments().unwrap().postal_code;
    play.carrier_states(&[Fact::Posted { stage: Stage::PostalCode, commitment }]);
    let gate = Some(waybill_protocol::Gate::NotAsked);
    play.seller_states(&[Fact::Released { stage: Stage::Door, gate }]);
    play.carrier_states(&[delivered()]);
    finished_at(play, NOW);
}

fn finished_at(play: &mut Play, at: UnixMillis) {
    let mut delivery = (*play.delivery).clone();
    let status: &mut DeliveryStatus = delivery.status.as_mut().unwrap();
    status.finished_at = Some(serde_json::from_value(json!(rfc3339(at))).unwrap());
    play.delivery = Arc::new(delivery);
}

fn rfc3339(at: UnixMillis) -> String {
    k8s_openapi::jiff::Timestamp::from_second(i64::try_from(at.as_secs()).unwrap()).unwrap().to_string()
}

fn over(play: &Play, remains: Remains) -> Box<Facts> {
    Box::new(Facts { order: Found::Over(remains), ..play.facts() })
}

/// A person's word, signed by the Carrier API.
fn declared(play: &mut Play, fact: DeclaredFact) -> EventId {
    let api = play.ca.somebody(Role::CarrierApi, "shop", "carrier-api", "a91a9100-0000-4000-8000-000000000004");
    let by = waybill_protocol::PersonName::new("jane@example.com").unwrap();
    let event = play.log.sign(&api.signer, Fact::Declared { fact, by, note: None }, NOW).unwrap();
    assert!(play.log.push(event.bytes()).counts());
    event.id()
}

#[test]
fn a_declaration_is_not_delivered_before_it_is_countersigned_and_releases_nothing() {
    let mut play = Play::new();
    play.in_transit();
    let id = declared(&mut play, DeclaredFact::Delivered);
    let mut case = Case::default();
    let before = play.shows(&mut case, 0);
    play.settles(&mut case, before, 0);
    assert_eq!(play.log.phase(), waybill_protocol::Phase::InTransit);
    play.spec(|spec| spec.countersigned = vec![id.to_string()]);
    let (log, events) = appended(&play.shows(&mut case, 0));
    assert_eq!(events[0].event().fact, Fact::Countersigned { event: id });
    play.log = with(log, &events);
    assert_eq!(play.log.phase(), waybill_protocol::Phase::Delivered);
    let again = case.on(Input::Written(over(&play, Remains::Nothing)), play.now(0));
    assert!(again.is_empty(), "once is enough: {again:?}");
}

#[test]
fn what_cannot_be_countersigned_is_told_with_the_reason() {
    let mut play = Play::new();
    play.in_transit();
    let unknown = "ab".repeat(32);
    let found = declared(&mut play, DeclaredFact::Found);
    for (id, why) in
        [(unknown.clone(), "no declaration in the log has this id"), (found.to_string(), "does not follow")]
    {
        play.spec(|spec| spec.countersigned = vec![id.clone()]);
        let mut case = Case::default();
        play.shows(&mut case, 0);
        let told = case.on(Input::Later, play.now(1_000));
        let told = told.iter().find_map(|effect| match effect {
            Effect::Tell { hindrance, .. } => hindrance.clone(),
            _ => None,
        });
        let told = told.unwrap();
        assert_eq!(told.reason, Reason::CountersignRefused);
        assert!(told.message.contains(&id) && told.message.contains(why), "{}", told.message);
    }
}

#[test]
fn a_return_with_a_manual_hand_over_is_received_on_the_users_word_not_the_carriers() {
    let mut play = Play::new();
    play.in_transit();
    let reason = waybill_protocol::fact::reason::ReturnReason::SellerRequest;
    play.seller_states(&[Fact::ReturnRequested { reason }]);
    play.carrier_states(&[Fact::GivenBack]);
    let manual = |play: &Play| {
        let seller = SellerFacts { manual: true, ..SellerFacts::default() };
        Input::Known(Box::new(Facts { seller, ..play.facts() }))
    };
    let mut case = Case::default();
    assert!(case.on(manual(&play), play.now(0)).is_empty());
    let told = case.on(Input::Later, play.now(1_000));
    let [Effect::Tell { hindrance: Some(told), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!(told.reason, Reason::AwaitingReturn);
    play.spec(|spec| spec.return_received = Some(true));
    let (_, events) = appended(&case.on(manual(&play), play.now(1_000)));
    assert_eq!(kinds(&events), ["ReturnReceived"]);
    let (_, events) = appended(&play.shows(&mut Case::default(), 0));
    assert_eq!(kinds(&events), ["ReturnReceived"], "without manual hand-over the carrier's word is enough");
}

#[test]
fn a_parcel_that_nobody_fetches_is_called_back_after_a_while() {
    let mut play = Play::new();
    play.in_transit();
    play.carrier_states(&[Fact::AvailableForPickup { note: None }]);
    let mut case = Case::default();
    let facts = |play: &Play| {
        let collect_within = Duration::from_secs(3600);
        Box::new(Facts { seller: SellerFacts { collect_within, ..SellerFacts::default() }, ..play.facts() })
    };
    assert!(case.on(Input::Known(facts(&play)), play.now(0)).is_empty());
    assert_eq!(case.wake(), Some(play.now(3_600_000).instant));
    let later = Now { wall: UnixMillis(NOW.0 + 3_600_000), instant: play.now(3_600_000).instant };
    let (log, events) = appended(&case.on(Input::Later, later));
    assert_eq!(
        events[0].event().fact,
        Fact::ReturnRequested { reason: waybill_protocol::fact::reason::ReturnReason::NotCollected }
    );
    let now = k8s_openapi::jiff::Timestamp::UNIX_EPOCH;
    let shown = waybill_cluster::custody::derive(&with(log, &events), &play.delivery, now).conditions;
    let said = shown.iter().find(|condition| condition.type_ == "Delivered").unwrap();
    assert_eq!((said.status.as_str(), said.reason.as_str()), ("False", "NotCollected"));
}

#[test]
fn the_farewell_ends_and_nothing_of_the_order_stays() {
    let mut play = Play::new();
    finished(&mut play);
    let mut case = Case::default();
    case.on(Input::Known(over(&play, Remains::Nothing)), play.now(0));
    assert!(case.is_over());
    // The carrier has not seen the seller's last word yet.
    play.seller_states(&[Fact::Forgotten { guarantee: Guarantee::Full }]);
    case.on(Input::Known(over(&play, Remains::Nothing)), play.now(0));
    assert_eq!(case.outstanding(NOW).map(|out| out.what), Some(What::News));
    let end = case.wake().expect("the farewell has an end");
    let later = UnixMillis(NOW.0 + u64::try_from((end - play.start).as_millis()).unwrap());
    case.on(Input::Later, Now { wall: later, instant: end });
    assert_eq!((case.outstanding(later), case.wake()), (None, None));
    assert!(case.order().is_none());
}

#[test]
fn a_forgotten_order_is_gone_first_then_signed_and_the_agent_is_told_to_wipe() {
    let mut play = Play::new();
    finished(&mut play);
    play.spec(|spec| spec.forgotten = Some(true));
    let mut case = Case::default();
    let here = Remains::Order { salted: true, place: "key UPC_1 of Secret orders-acme".into() };
    let effects = case.on(Input::Known(over(&play, here)), play.now(0));
    assert!(effects.is_empty() && !case.is_over(), "{effects:?}");
    assert_eq!(case.outstanding(NOW).map(|out| out.what), Some(What::Erase));
    let told = case.on(Input::Later, play.now(1_000));
    let [Effect::Tell { hindrance: Some(told), .. }] = &told[..] else { panic!("{told:?}") };
    assert_eq!((told.reason, told.message.contains("key UPC_1")), (Reason::OrderNotDeleted, true));

    let (log, events) = appended(&case.on(Input::Known(over(&play, Remains::Nothing)), play.now(1_000)));
    assert_eq!(events[0].event().fact, Fact::Forgotten { guarantee: Guarantee::Full });
    play.log = with(log, &events);
    case.on(Input::Written(over(&play, Remains::Nothing)), play.now(1_000));
    let out = case.outstanding(NOW).unwrap();
    let (_, message, to) = case.message(&out, NOW).unwrap();
    assert_eq!(message.body, waybill_protocol::seller_to_carrier::Message::Erase {});
    assert!(matches!(to, Recipient::Statement(_)), "its attempt is over");
    let news = Fact::Erased { scope: ErasedScope::Delivery };
    let event = play.log.sign(&play.carrier.signer, news, NOW).unwrap();
    play.log.push(event.bytes());
    case.on(Input::Known(over(&play, Remains::Nothing)), play.now(1_000));
    assert!(case.outstanding(NOW).is_none_or(|out| out.what != What::Erase));
}

/// Nobody saw what salted it, so no more is said than is certain.
#[test]
fn an_order_that_was_deleted_unseen_is_forgotten_with_the_weaker_guarantee() {
    let mut play = Play::new();
    finished(&mut play);
    play.spec(|spec| spec.forgotten = Some(true));
    let (_, events) = appended(&Case::default().on(Input::Known(over(&play, Remains::Nothing)), play.now(0)));
    assert_eq!(events[0].event().fact, Fact::Forgotten { guarantee: Guarantee::WhileCommitKeyIsSafe });
}

#[test]
fn an_order_system_is_asked_until_it_has_no_such_order() {
    let mut play = Play::new();
    finished(&mut play);
    play.spec(|spec| spec.forgotten = Some(true));
    let mut case = Case::default();
    let effects = case.on(Input::Known(over(&play, Remains::ToBeAsked)), play.now(0));
    assert!(matches!(effects[..], [Effect::Read { .. }]), "{effects:?}");
    case.on(Input::Read(Ok(play.order().order)), play.now(0));
    assert!(case.order().is_none(), "what it still says is not kept");
    let effects = case.on(Input::Later, play.now(60_000));
    assert!(effects.iter().any(|effect| matches!(effect, Effect::Read { .. })), "{effects:?}");
    let (_, events) = appended(&case.on(Input::Read(Err(FetchError::Unknown)), play.now(60_000)));
    assert_eq!(kinds(&events), ["Forgotten"]);
}
