//! The decision table of a Delivery: each row a situation, what is said about it, and what is done.

use jiff::{SignedDuration, Timestamp, ToSpan};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use waybill_crds::delivery::view::CustodyView;
use waybill_crds::delivery::{Cancellation, Topics};
use waybill_crds::{ConditionType, DeliveryView, Phase, Reason};

use super::build::build;
use super::decide::{Act, Decision, Verdict, decide};
use super::dereference::{CarrierFacts, Facts, Known, Rival, SellerFacts, claim};
use crate::fixtures::{delivery, noon, uid};

fn acme() -> SellerFacts {
    SellerFacts { uid: uid("acme"), suspended: false, provisioned: true, stall_after: None }
}

fn truck() -> CarrierFacts {
    CarrierFacts { uid: uid("truck"), suspended: false, revoked: false, camera: false, provisioned: true }
}

/// Both ends there and ready, nobody else with the UPC.
fn facts() -> Facts {
    Facts {
        namespace_ends: false,
        auto_create: false,
        seller: Known::Here(acme()),
        carrier: Some(Known::Here(truck())),
        rival: Rival::Nobody,
        forgotten: false,
        stall_after: SignedDuration::from_hours(6),
    }
}

fn with_carrier(change: impl FnOnce(&mut CarrierFacts)) -> Facts {
    let mut carrier = truck();
    change(&mut carrier);
    Facts { carrier: Some(Known::Here(carrier)), ..facts() }
}

fn decided_at(delivery: &DeliveryView, facts: &Facts, now: Timestamp) -> Decision {
    match decide(delivery, facts, now) {
        Verdict::Decided(decision) => *decision,
        Verdict::Leave | Verdict::Wait => panic!("to be decided"),
    }
}

fn decided(delivery: &DeliveryView, facts: &Facts) -> Decision {
    decided_at(delivery, facts, noon())
}

/// The Delivery as the cluster shows it after this decision was written.
fn after(delivery: &DeliveryView, decision: &Decision, now: Timestamp) -> DeliveryView {
    let wanted = build(delivery, decision, now);
    let mut next = delivery.clone();
    let status = next.status.get_or_insert_default();
    status.observed_generation = wanted.observed_generation;
    status.topics = wanted.topics.map(Box::new);
    status.conditions = wanted.conditions;
    next
}

/// A Delivery its ends are ready for.
fn ready() -> DeliveryView {
    let pending = delivery("one").done();
    after(&pending, &decided(&pending, &facts()), noon())
}

/// The same, accepted by the truck.
fn under_way(phase: Phase) -> DeliveryView {
    let mut view = ready();
    let status = view.status.as_mut().unwrap();
    status.phase = phase;
    status.carrier_uid = Some(uid("truck").into());
    status.custody = CustodyView { len: 3, last_at: Some(MicroTime(noon())) };
    view
}

fn topics(carrier: &str) -> Topics {
    let base = format!("wb/{}/{}/{}", uid("acme"), uid(carrier), uid("one"));
    Topics { down: format!("{base}/down"), up: format!("{base}/up") }
}

#[test]
fn with_both_ends_ready_one_write_says_everything() {
    let pending = delivery("one").done();
    let decision = decided(&pending, &facts());
    assert_eq!((decision.admitted.reason, decision.ready.reason), (Reason::Admitted, Reason::Provisioned));
    assert!(decision.ready.is_yes() && decision.outlook.is_none());
    assert_eq!((decision.topics.clone(), &decision.act), (Some(topics("truck")), &Act::Nothing));
    let written = after(&pending, &decision, noon());
    let again = build(&written, &decided(&written, &facts()), noon() + 1.hour());
    assert_eq!(again, build(&pending, &decision, noon()), "and says it only once");
}

#[test]
fn what_is_missing_or_in_the_way_is_said_with_its_reason() {
    let plain = || delivery("one").done();
    let photo = delivery("one").proof(Some(true), None).done();
    let scan = delivery("one").proof(None, Some(true)).done();
    let seller = |change: fn(&mut SellerFacts)| {
        let mut seller = acme();
        change(&mut seller);
        Facts { seller: Known::Here(seller), ..facts() }
    };
    let rows = [
        (plain(), Facts { seller: Known::Missing, ..facts() }, Reason::SellerMissing),
        (plain(), Facts { carrier: Some(Known::Missing), ..facts() }, Reason::CarrierMissing),
        (delivery("one").seller("acme").done(), Facts { carrier: None, ..facts() }, Reason::CarrierUnassigned),
        (plain(), Facts { rival: Rival::Better("older".into()), ..facts() }, Reason::DuplicateUpc),
        (plain(), seller(|s| s.suspended = true), Reason::SellerSuspended),
        (plain(), with_carrier(|c| c.suspended = true), Reason::CarrierSuspended),
        (plain(), with_carrier(|c| c.revoked = true), Reason::CarrierRevoked),
        (photo.clone(), facts(), Reason::CameraRequired),
        (scan, facts(), Reason::CameraRequired),
    ];
    for (view, facts, reason) in rows {
        let decision = decided(&view, &facts);
        assert_eq!((decision.admitted.reason, decision.ready.reason), (reason, reason));
        assert!(!decision.admitted.is_yes() && !decision.ready.is_yes(), "{reason}");
        assert_eq!(decision.outlook.clone().map(|(type_, _)| type_), Some(ConditionType::Stalled), "{reason}");
        assert_eq!((decision.act, decision.topics), (Act::Nothing, None), "{reason}");
        assert!(decision.admitted.message.contains(':') || reason == Reason::DuplicateUpc, "a next step: {reason}");
    }
    assert!(decided(&photo, &with_carrier(|c| c.camera = true)).admitted.is_yes());
}

#[test]
fn proof_that_is_declined_or_left_open_needs_no_camera() {
    for proof in [(None, None), (Some(false), Some(false))] {
        assert!(decided(&delivery("one").proof(proof.0, proof.1).done(), &facts()).admitted.is_yes());
    }
}

#[test]
fn an_end_that_is_not_ready_yet_delays_but_does_not_refuse() {
    let mut seller = acme();
    seller.provisioned = false;
    let rows = [
        (Facts { seller: Known::Here(seller), ..facts() }, Reason::SellerNotReady),
        (with_carrier(|c| c.provisioned = false), Reason::CarrierNotReady),
    ];
    for (facts, reason) in rows {
        let decision = decided(&delivery("one").done(), &facts);
        assert!(decision.admitted.is_yes());
        assert_eq!((decision.ready.is_yes(), decision.ready.reason), (false, reason));
        assert_eq!(decision.outlook.unwrap().0, ConditionType::Reconciling);
        assert!(decision.topics.is_some());
    }
}

#[test]
fn who_is_missing_is_made_where_the_namespace_says_so_and_only_before_the_parcel_moves() {
    let no_seller = Facts { seller: Known::Missing, auto_create: true, ..facts() };
    let no_carrier = Facts { carrier: Some(Known::Missing), auto_create: true, ..facts() };
    let pending = delivery("one").done();
    for (facts, act) in [(&no_seller, Act::CreateSeller), (&no_carrier, Act::CreateCarrier)] {
        let decision = decided(&pending, facts);
        assert_eq!((decision.act, decision.admitted.reason), (act, Reason::AutoCreated));
        assert_eq!(decision.outlook.unwrap().0, ConditionType::Reconciling);
        assert_eq!(decided(&under_way(Phase::InTransit), facts).act, Act::Nothing);
    }
}

#[test]
fn once_ready_a_restart_of_an_end_is_not_every_deliverys_news() {
    let restarting = with_carrier(|c| c.provisioned = false);
    assert!(decided(&ready(), &restarting).ready.is_yes());
    let other = with_carrier(|c| (c.uid, c.provisioned) = (uid("drone"), false));
    let given_away = delivery("one").carrier("drone").with(|d| d.status = ready().status).done();
    assert_eq!(decided(&given_away, &other).ready.reason, Reason::CarrierNotReady, "another end is looked at anew");
}

#[test]
fn a_revoked_carrier_takes_the_job_away_even_under_way_and_topics_stay() {
    let decision = decided(&under_way(Phase::InTransit), &with_carrier(|c| c.revoked = true));
    assert_eq!((decision.ready.is_yes(), decision.ready.reason), (false, Reason::CarrierRevoked));
    assert_eq!(decision.topics, Some(topics("truck")));
}

#[test]
fn a_carrier_made_anew_under_the_same_name_gets_nothing() {
    let anew = with_carrier(|c| c.uid = uid("impostor"));
    for phase in [Phase::InTransit, Phase::OnHold] {
        let replaced = decided(&under_way(phase), &anew);
        assert_eq!((replaced.ready.reason, replaced.topics.clone()), (Reason::CarrierReplaced, Some(topics("truck"))));
        // On hold, and then somebody edits something else about it.
        let mut edited = after(&under_way(Phase::OnHold), &replaced, noon());
        edited.metadata.generation = Some(2);
        assert_eq!(decided(&edited, &anew).ready.reason, Reason::CarrierReplaced, "{phase}");
    }
}

#[test]
fn before_anybody_accepted_a_carrier_made_anew_is_as_good_as_the_old_one() {
    let decision = decided(&ready(), &with_carrier(|c| c.uid = uid("anew")));
    assert!(decision.ready.is_yes());
    assert_eq!(decision.topics, Some(topics("anew")));
}

#[test]
fn on_hold_it_can_be_given_to_another_carrier() {
    let mut held = under_way(Phase::OnHold);
    held.spec.carrier = Some("drone".into());
    held.metadata.generation = Some(2);
    let drone = with_carrier(|c| c.uid = uid("drone"));
    let decision = decided(&held, &drone);
    assert_eq!((decision.ready.reason, decision.topics.clone()), (Reason::Provisioned, Some(topics("drone"))));
    let settled = after(&held, &decision, noon());
    assert!(decided(&settled, &drone).ready.is_yes(), "and stays with it until it accepts");
    let replaced = decided(&under_way(Phase::OnHold), &with_carrier(|c| c.uid = uid("impostor")));
    let mut mended = after(&under_way(Phase::OnHold), &replaced, noon());
    mended.spec.carrier = Some("drone".into());
    mended.metadata.generation = Some(2);
    assert!(decided(&mended, &drone).ready.is_yes(), "a replaced one too, by naming another");
}

#[test]
fn a_seller_made_anew_while_the_parcel_is_under_way_is_not_the_one_who_has_its_keys() {
    let mut anew = acme();
    anew.uid = uid("impostor");
    let anew = Facts { seller: Known::Here(anew), ..facts() };
    assert_eq!(decided(&under_way(Phase::InTransit), &anew).ready.reason, Reason::SellerReplaced);
    assert!(decided(&ready(), &anew).ready.is_yes());
}

#[test]
fn a_suspended_carrier_finishes_what_it_has_begun() {
    let suspended = with_carrier(|c| c.suspended = true);
    assert!(decided(&under_way(Phase::InTransit), &suspended).ready.is_yes());
    assert_eq!(decided(&ready(), &suspended).ready.reason, Reason::CarrierSuspended);
}

#[test]
fn of_two_with_one_upc_the_one_under_way_wins_then_the_admitted_then_the_older_then_the_smaller_uid() {
    let old = delivery("old").created("2026-11-21T10:00:00Z").done();
    let young = delivery("young").created("2026-11-21T10:00:01Z").done();
    assert!(claim(&old) < claim(&young));
    let moving = delivery("young").created("2026-11-21T10:00:01Z").phase(Phase::Accepted).done();
    assert!(claim(&moving) < claim(&old));
    // Admitted once, it keeps its place, whoever turns up: an older one, or one of the same second with a smaller uid.
    let admitted = |view: DeliveryView| after(&view, &decided(&view, &facts()), noon());
    assert!(claim(&admitted(young.clone())) < claim(&old));
    assert!(claim(&admitted(old.clone())) < claim(&admitted(young)), "should two be, age decides after all");
    let (a, b) = (delivery("a").done(), delivery("b").done());
    assert!(claim(&admitted(a.clone())) < claim(&b) && claim(&admitted(b.clone())) < claim(&a));
    assert_eq!(claim(&a) < claim(&b), uid("a") < uid("b"));
    // Whoever is under way keeps its UPC whatever else turns up.
    let rival = Facts { rival: Rival::Better("other".into()), ..facts() };
    assert!(decided(&under_way(Phase::InTransit), &rival).ready.is_yes());
}

#[test]
fn while_a_rival_is_being_decided_about_nothing_is_said() {
    let undecided = Facts { rival: Rival::Undecided, ..facts() };
    assert_eq!(decide(&delivery("one").done(), &undecided, noon()), Verdict::Wait);
    assert!(decided(&under_way(Phase::InTransit), &undecided).ready.is_yes(), "one under way has nobody to wait for");
}

#[test]
fn it_is_called_off_by_the_operator_only_while_nothing_is_signed() {
    let call_off = |mut view: DeliveryView| {
        view.spec.cancelled = Some(Cancellation { reason: Default::default() });
        view
    };
    assert_eq!(decided(&call_off(delivery("one").done()), &facts()).act, Act::Cancel);
    assert_eq!(decided(&call_off(ready()), &facts()).act, Act::Cancel);
    let mut accepted_just_now = ready();
    accepted_just_now.status.as_mut().unwrap().custody.len = 1;
    for signed in [accepted_just_now, under_way(Phase::Accepted), under_way(Phase::InTransit)] {
        assert_eq!(decided(&call_off(signed), &facts()).act, Act::Nothing);
    }
    let cancelled = decided(&call_off(delivery("one").phase(Phase::Cancelled).done()), &facts());
    assert_eq!((cancelled.act, cancelled.ready.reason, cancelled.outlook), (Act::Nothing, Reason::Cancelled, None));
}

#[test]
fn a_finished_one_is_left_as_it_is_until_its_time_is_over() {
    let mut done = under_way(Phase::Delivered);
    assert_eq!(decided(&done, &with_carrier(|c| c.revoked = true)).ready.reason, Reason::Provisioned);
    done.spec.ttl_after_finished = Some("1h".parse().unwrap());
    assert_eq!(decided(&done, &facts()).act, Act::Nothing, "nobody said when it finished");
    let status = done.status.as_mut().unwrap();
    (status.finished_at, status.archived) = (Some(Time(noon())), i32::try_from(status.custody.len).ok());
    let early = decided_at(&done, &facts(), noon() + 59.minutes());
    assert_eq!((early.act, early.look_again), (Act::Nothing, Some(std::time::Duration::from_secs(60))));
    assert_eq!(decided_at(&done, &facts(), noon() + 60.minutes()).act, Act::Expire);
}

#[test]
fn a_finished_one_waits_until_all_of_its_log_is_archived() {
    let mut done = under_way(Phase::Delivered);
    done.spec.ttl_after_finished = Some("1h".parse().unwrap());
    let len = i32::try_from(done.status.as_ref().unwrap().custody.len).unwrap();
    for (archived, act) in [(None, Act::Nothing), (Some(len - 1), Act::Nothing), (Some(len), Act::Expire)] {
        let status = done.status.as_mut().unwrap();
        (status.finished_at, status.archived) = (Some(Time(noon())), archived);
        assert_eq!(decided_at(&done, &facts(), noon() + 2.hours()).act, act, "{archived:?}");
    }
}

#[test]
fn an_order_that_was_forgotten_does_not_come_back_under_its_upc() {
    let forgotten = Facts { forgotten: true, ..facts() };
    let decision = decided(&delivery("one").done(), &forgotten);
    assert_eq!((decision.admitted.reason, decision.admitted.is_yes()), (Reason::UpcForgotten, false));
    assert!(decision.topics.is_none());
    assert!(decided(&under_way(Phase::InTransit), &forgotten).ready.is_yes(), "what is under way goes on");
}

#[test]
fn a_parcel_that_stands_still_is_called_stalled_and_a_move_ends_it() {
    let view = under_way(Phase::InTransit);
    let soon = decided_at(&view, &facts(), noon() + 5.hours());
    assert_eq!((soon.outlook, soon.look_again), (None, Some(std::time::Duration::from_secs(3600))));
    let late = decided_at(&view, &facts(), noon() + 6.hours());
    let (type_, word) = late.outlook.clone().unwrap();
    assert_eq!((type_, word.reason, late.ready.is_yes()), (ConditionType::Stalled, Reason::Stalled, true));
    let stalled = after(&view, &late, noon() + 6.hours());
    let again = decided_at(&stalled, &facts(), noon() + 9.hours());
    assert_eq!(build(&stalled, &again, noon() + 9.hours()), build(&view, &late, noon() + 6.hours()), "said once");
    let mut moved = stalled;
    moved.status.as_mut().unwrap().custody = CustodyView { len: 4, last_at: Some(MicroTime(noon() + 7.hours())) };
    assert_eq!(decided_at(&moved, &facts(), noon() + 7.hours()).outlook, None);
    let patient = Facts {
        seller: Known::Here(SellerFacts { stall_after: Some(SignedDuration::from_hours(48)), ..acme() }),
        ..facts()
    };
    assert_eq!(decided_at(&view, &patient, noon() + 9.hours()).outlook, None, "its Seller may say how long");
    let waiting = under_way(Phase::AvailableForPickup);
    assert_eq!(decided_at(&waiting, &facts(), noon() + 99.hours()).outlook, None, "it waits to be fetched");
}

#[test]
fn waiting_to_be_accepted_is_no_standing_still_but_ends_that_never_come_are() {
    assert_eq!(decided_at(&ready(), &facts(), noon() + 99.hours()).outlook, None);
    let starting = with_carrier(|c| c.provisioned = false);
    let pending = delivery("one").done();
    let waiting = after(&pending, &decided(&pending, &starting), noon());
    let (type_, word) = decided_at(&waiting, &starting, noon() + 7.hours()).outlook.unwrap();
    assert_eq!((type_, word.reason), (ConditionType::Stalled, Reason::CarrierNotReady));
}

#[test]
fn a_paused_one_is_told_so_once_and_then_left_alone() {
    let pause = |mut view: DeliveryView| {
        view.metadata.annotations = Some([("waybill.dev/paused".to_owned(), "true".to_owned())].into());
        view
    };
    assert_eq!(decided(&pause(delivery("one").done()), &facts()).admitted.reason, Reason::Paused);
    assert_eq!(decide(&pause(ready()), &facts(), noon()), Verdict::Leave);
}

#[test]
fn nothing_is_done_in_a_namespace_that_goes_or_to_a_delivery_that_goes() {
    let ends = Facts { namespace_ends: true, ..facts() };
    assert_eq!(decide(&delivery("one").done(), &ends, noon()), Verdict::Leave);
    let going = delivery("one").with(|d| d.metadata.deletion_timestamp = Some(Time(noon()))).done();
    assert_eq!(decide(&going, &facts(), noon()), Verdict::Leave);
}

#[test]
fn nothing_of_the_services_is_ever_applied() {
    let view = under_way(Phase::InTransit);
    let applied = serde_json::to_value(build(&view, &decided(&view, &facts()), noon())).unwrap();
    let keys: Vec<_> = applied.as_object().unwrap().keys().map(String::as_str).collect();
    assert_eq!(keys, ["conditions", "observedGeneration", "topics"]);
}
