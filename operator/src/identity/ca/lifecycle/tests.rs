use proptest::prelude::*;

use super::*;

const DAY: i64 = 86_400;

fn at(day: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + day * DAY).unwrap()
}

fn policy() -> Policy {
    Policy { overlap: SignedDuration::from_hours(24), longest_leaf: SignedDuration::from_hours(72) }
}

fn fresh() -> Lifecycle {
    Lifecycle {
        active: Active { id: "a".into(), since: at(0) },
        next: None,
        previous: Vec::new(),
        former: Vec::new(),
        rotate_seen: None,
    }
}

fn observed(now: Timestamp) -> Observed<'static> {
    Observed { now, active_life: (at(0), at(360)), rotate: None, published: false, spent: &[] }
}

fn step(state: &Lifecycle, observed: &Observed<'_>) -> (Option<Step>, Lifecycle) {
    let step = decide(state, observed, &policy());
    let after = match &step {
        Some(step) => advance(state.clone(), step, Some("b".into()), observed, &policy()),
        None => state.clone(),
    };
    (step, after)
}

#[test]
fn nothing_is_due_in_the_first_two_thirds_of_life() {
    assert_eq!(step(&fresh(), &observed(at(239))).0, None);
    assert_eq!(step(&fresh(), &observed(at(240))).0, Some(Step::Prepare(Reason::Age)));
}

#[test]
fn each_new_value_of_the_annotation_rotates_once() {
    let asked = Observed { rotate: Some("1"), ..observed(at(1)) };
    let (first, after) = step(&fresh(), &asked);
    assert_eq!(first, Some(Step::Prepare(Reason::Asked)));
    let done = Lifecycle { next: None, ..after };
    assert_eq!(step(&done, &asked).0, None, "the same value again asks for nothing");
    let again = Observed { rotate: Some("2"), ..observed(at(1)) };
    assert_eq!(step(&done, &again).0, Some(Step::Prepare(Reason::Asked)));
    assert_eq!(step(&done, &observed(at(1))).0, None, "removing the annotation asks for nothing");
}

#[test]
fn the_overlap_runs_from_publication_not_from_creation() {
    let (_, prepared) = step(&fresh(), &observed(at(240)));
    assert_eq!(step(&prepared, &observed(at(300))).0, None, "unpublished, however old, it is not activated");
    assert_eq!(
        step(&prepared, &observed(at(324))).0,
        Some(Step::MarkPublished),
        "but the active one must not end alone"
    );
    let (marked, published) = step(&prepared, &Observed { published: true, ..observed(at(300)) });
    assert_eq!(marked, Some(Step::MarkPublished));
    assert_eq!(step(&published, &observed(at(300))).0, None);
    let (activated, after) = step(&published, &observed(at(301)));
    assert_eq!(activated, Some(Step::Activate));
    assert_eq!(after.active, Active { id: "b".into(), since: at(301) });
    assert_eq!(after.previous, [Previous { id: "a".into(), last_leaf: at(304) }]);
}

#[test]
fn a_previous_authority_stays_until_its_last_leaf_expired() {
    let state = Lifecycle { previous: vec![Previous { id: "z".into(), last_leaf: at(3) }], ..fresh() };
    assert_eq!(step(&state, &observed(at(3))).0, None);
    let spent = ["z".to_owned()];
    let (retired, after) = step(&state, &Observed { spent: &spent, ..observed(at(2)) });
    assert_eq!(retired, Some(Step::Retire("z".into())));
    assert_eq!(after, fresh());
    assert_eq!(step(&state, &observed(at(4))).0, Some(Step::Retire("z".into())));
}

#[test]
fn the_oldest_authority_retires_first_so_that_the_chain_still_leads_to_the_root() {
    let previous = |id: &str, day| Previous { id: id.into(), last_leaf: at(day) };
    let state = Lifecycle { previous: vec![previous("young", 1), previous("old", 9)], ..fresh() };
    let spent = ["young".to_owned()];
    let now = Observed { spent: &spent, ..observed(at(3)) };
    assert_eq!(step(&state, &now).0, None, "a leaf may still chain through it to the older one");
    let both = ["young".to_owned(), "old".to_owned()];
    let (first, after) = step(&state, &Observed { spent: &both, ..observed(at(3)) });
    assert_eq!(first, Some(Step::Retire("old".into())));
    assert_eq!(step(&after, &now).0, Some(Step::Retire("young".into())));
}

#[test]
fn a_third_rotation_waits_for_the_first_to_retire() {
    let previous = |id: &str| Previous { id: id.into(), last_leaf: at(9) };
    let state = Lifecycle { previous: vec![previous("y"), previous("z")], ..fresh() };
    let asked = Observed { rotate: Some("1"), ..observed(at(1)) };
    assert_eq!(step(&state, &asked).0, None);
}

#[test]
fn a_rotation_that_comes_late_still_activates_before_the_old_authority_ends() {
    let published = Lifecycle { next: Some(Next { id: "b".into(), published: Some(at(359)) }), ..fresh() };
    let noon = at(359) + SignedDuration::from_hours(12);
    assert_eq!(step(&published, &observed(noon)).0, Some(Step::Activate));
    let overdue = Lifecycle { next: Some(Next { id: "b".into(), published: Some(at(400)) }), ..fresh() };
    assert_eq!(step(&overdue, &observed(at(400))).0, Some(Step::Activate), "an expired one has no overlap to wait for");
}

/// A whole life with the operator killed at any step and the clock stepped by up to an hour at any moment.
#[derive(Debug, Clone)]
struct Event {
    hours: i64,
    skew_minutes: i64,
    /// The step was decided but the write never happened.
    crash: bool,
    asked: bool,
    published: bool,
}

fn events() -> impl Strategy<Value = Vec<Event>> {
    let event = (0i64..72, -60i64..60, any::<bool>(), prop::bool::weighted(0.02), any::<bool>()).prop_map(
        |(hours, skew_minutes, crash, asked, published)| Event { hours, skew_minutes, crash, asked, published },
    );
    prop::collection::vec(event, 1..400)
}

proptest! {
    #[test]
    fn any_history_keeps_the_invariants(events in events()) {
        let mut state = fresh();
        let (mut clock, mut life, mut made, mut rotate) = (at(0), (at(0), at(360)), 0, None::<String>);
        let mut next_life = life;
        for (index, event) in events.into_iter().enumerate() {
            clock += SignedDuration::from_hours(event.hours);
            if event.asked {
                rotate = Some(index.to_string());
            }
            let now = clock + SignedDuration::from_mins(event.skew_minutes);
            let observed = Observed { now, active_life: life, rotate: rotate.as_deref(), published: event.published, spent: &[] };
            let Some(step) = decide(&state, &observed, &policy()) else { continue };
            if event.crash {
                prop_assert_eq!(decide(&state, &observed, &policy()), Some(step), "decided again after the crash");
                continue;
            }
            let before = state.clone();
            state = advance(state, &step, Some(format!("ca-{made}")), &observed, &policy());
            match &step {
                Step::Prepare(_) => { made += 1; next_life = (now, now + SignedDuration::from_hours(360 * 24)); prop_assert!(before.next.is_none()); }
                Step::MarkPublished => prop_assert!(event.published || is_late(&observed)),
                Step::Activate => {
                    prop_assert_eq!(&state.active.id, &before.next.as_ref().unwrap().id);
                    prop_assert!(before.next.unwrap().published.is_some(), "never active before everybody knew it");
                    life = next_life;
                }
                Step::Retire(id) => {
                    let gone = before.previous.iter().find(|previous| previous.id == *id).unwrap();
                    prop_assert!(gone.last_leaf < now, "never gone before its last leaf");
                }
            }
            let mut ids: Vec<_> = state.previous.iter().map(|previous| previous.id.clone()).collect();
            ids.extend([state.active.id.clone()]);
            ids.extend(state.next.iter().map(|next| next.id.clone()));
            let count = ids.len();
            ids.sort();
            ids.dedup();
            prop_assert_eq!(ids.len(), count, "no authority is in two states");
            prop_assert!(state.previous.len() <= MOST_PREVIOUS);
            prop_assert!(decide(&state, &observed, &policy()) != Some(step), "no step is due twice in a row");
        }
    }
}

#[test]
fn former_authorities_are_remembered_up_to_a_bound_the_youngest_ones() {
    let mut state = fresh();
    for number in 0..40 {
        state.remember(Former { id: format!("{number}"), retired: at(number), certificate: String::new() });
    }
    let ids: Vec<_> = state.former.iter().map(|former| former.id.as_str()).collect();
    assert_eq!((ids.len(), ids[0], ids[31]), (MOST_FORMER, "39", "8"));
}
