//! The queue of one receiver, played.

use super::*;

const POLICY: Policy = Policy { first: Duration::from_secs(5), give_up: Duration::from_secs(3600) };
const HOUR: Duration = Duration::from_secs(3600);

fn notice(delivery: &str, position: usize) -> Arc<Notice> {
    Arc::new(Notice::of(delivery, position))
}

fn later() -> Outcome {
    Outcome::Later { why: "answered with status 500".into(), away: false, after: None }
}

fn away() -> Outcome {
    Outcome::Later { why: "could not be reached".into(), away: true, after: None }
}

#[test]
fn a_delivery_is_told_in_order_and_one_that_fails_holds_nobody_else_up() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for one in [notice("a", 0), notice("a", 2), notice("b", 0)] {
        queue.add(one, now);
    }
    assert_eq!(queue.take(now).unwrap().delivery, "a");
    assert_eq!(queue.take(now).unwrap().delivery, "b", "the second of a waits for its first");
    assert!(queue.take(now).is_none());
    assert!(queue.ended("a", later(), (now, POLICY)).is_empty());
    assert!(queue.ended("b", Outcome::Told, (now, POLICY)).is_empty());
    assert!(queue.take(now).is_none(), "a is tried again later, and its second after that");
    assert_eq!(queue.behind(), [("a".to_owned(), 0)].into());
    let again = queue.wake().unwrap();
    assert!(again > now && again <= now + Duration::from_secs(7));
    assert_eq!(queue.take(again).unwrap().position, 0);
    queue.ended("a", Outcome::Told, (again, POLICY));
    assert_eq!(queue.behind(), [("a".to_owned(), 2)].into());
    assert_eq!(queue.take(again).unwrap().position, 2);
    queue.ended("a", Outcome::Told, (again, POLICY));
    assert_eq!((queue.waiting(), queue.trouble()), (0, None));
}

#[test]
fn what_failed_for_long_enough_is_given_up_and_the_next_goes_on() {
    let (mut queue, mut now) = (Queue::default(), Instant::now());
    queue.add(notice("a", 0), now);
    queue.add(notice("a", 1), now);
    let mut tries = 0;
    let dropped = loop {
        assert!(queue.take(now).is_some());
        tries += 1;
        let dropped = queue.ended("a", later(), (now, POLICY));
        if !dropped.is_empty() {
            break dropped;
        }
        now = queue.wake().unwrap();
    };
    assert!((5..40).contains(&tries), "{tries} tries in an hour: more and more rarely");
    assert_eq!((dropped.len(), dropped[0].notice.position, dropped[0].tries), (1, 0, tries));
    assert!(matches!(queue.trouble(), Some(Trouble::GivenUp(_))));
    assert_eq!(queue.take(now).unwrap().position, 1);
    queue.ended("a", Outcome::Told, (now, POLICY));
    assert_eq!(queue.trouble(), None, "it takes what it is told again");
}

#[test]
fn a_receiver_that_is_away_is_asked_by_one_at_a_time() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    for n in 0..10 {
        queue.add(notice(&format!("d-{n}"), 0), now);
    }
    let first: Vec<_> = std::iter::from_fn(|| queue.take(now)).collect();
    assert_eq!(first.len(), AT_ONCE);
    for one in &first {
        queue.ended(&one.delivery, away(), (now, POLICY));
    }
    assert!(queue.take(now).is_none(), "it rests");
    let back = queue.wake().unwrap();
    assert!(queue.take(back).is_some() && queue.take(back).is_none());
}

#[test]
fn a_receiver_that_wants_no_more_is_told_no_more() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.add(notice("a", 0), now);
    queue.add(notice("b", 0), now);
    assert!(queue.take(now).is_some());
    let dropped = queue.ended("a", Outcome::Closed { why: "answered with status 410".into() }, (now, POLICY));
    assert_eq!(dropped.len(), 2);
    queue.add(notice("c", 0), now);
    assert!(queue.take(now).is_none() && queue.wake().is_none() && queue.waiting() == 0);
}

#[test]
fn a_receiver_that_says_when_is_not_asked_before() {
    let (mut queue, now) = (Queue::default(), Instant::now());
    queue.add(notice("a", 0), now);
    queue.take(now).unwrap();
    let busy = Outcome::Later { why: "answered with status 429".into(), away: false, after: Some(HOUR / 2) };
    queue.ended("a", busy, (now, POLICY));
    assert!(queue.wake().unwrap() >= now + HOUR / 2);
}
