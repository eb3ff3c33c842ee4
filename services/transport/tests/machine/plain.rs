//! The plain way, undisturbed and disturbed.

use waybill_protocol::{Phase, Verdict};

use crate::desk::{Desk, Kill, NOW};
use crate::kit::shop::{PLAIN, Wishes};
use crate::kit::world::{DELIVERY, World};

pub(crate) fn desk(wishes: Wishes) -> (tempfile::TempDir, World, Desk) {
    let dir = tempfile::tempdir().unwrap();
    let world = World::new(NOW);
    let desk = Desk::new(&world, &dir.path().join("journal"), wishes);
    (dir, world, desk)
}

#[test]
fn d_37_to_d_39_a_plain_delivery_takes_its_steps_in_order() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    desk.run();
    assert_eq!(desk.shop.events(), PLAIN);
    assert_eq!(desk.shop.log().phase(), Phase::Delivered);
    assert!(desk.drops.is_empty(), "{:?}", desk.drops);
    assert_eq!(desk.posts, 3, "Posted, Posted, and the end with its erasure in one");
}

#[test]
fn d_46_everything_said_twice_and_backwards_changes_nothing() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    let mut said = Vec::new();
    for _ in 0..12 {
        for frame in desk.shop.due() {
            said.push(frame.clone());
            desk.hears(frame);
            for old in said.clone().into_iter().rev() {
                desk.hears(old);
            }
        }
    }
    assert_eq!(desk.shop.events(), PLAIN);
    desk.shop.assert_clean();
}

#[test]
fn d_49_killed_at_any_write_in_any_way_it_ends_as_if_nothing_had_happened() {
    let (_dir, _, mut undisturbed) = desk(Wishes::plain());
    undisturbed.run();
    let writes = undisturbed.writes;
    assert!(writes > 8);
    for at in 1..=writes {
        for how in [Kill::Before, Kill::Torn, Kill::After] {
            let (_dir, _, mut desk) = desk(Wishes::plain());
            desk.kill = Some((at, how));
            desk.run();
            desk.comes_online();
            desk.run();
            assert_eq!(desk.shop.log().phase(), Phase::Delivered, "killed {how:?} write {at}");
            assert_eq!(desk.shop.events(), PLAIN, "killed {how:?} write {at}");
            desk.shop.assert_clean();
        }
    }
}

#[test]
fn d_49_a_journal_that_lost_its_end_makes_no_second_event_of_one_number() {
    for cut_after in 2..5 {
        let (dir, _, mut desk) = desk(Wishes::plain());
        for _ in 0..cut_after {
            desk.round();
        }
        let file = dir.path().join("journal").join(format!("{DELIVERY}.journal"));
        let before = std::fs::read(&file).unwrap();
        desk.round();
        let signed = desk.shop.expected();
        desk.die();
        std::fs::write(&file, [before.as_slice(), b"torn"].concat()).unwrap();
        desk.device = waybill_protocol::UnixMillis::from_secs(1_800_000_100);
        desk.wakes();
        assert!(desk.shop.expected() >= signed);
        assert_eq!(desk.conflicts, 0, "cut after round {cut_after}");
        desk.run();
        assert_eq!(desk.shop.log().phase(), Phase::Delivered, "cut after round {cut_after}");
        desk.shop.assert_clean();
    }
}

#[test]
fn d_73_a_lost_journal_is_read_back_and_the_attempt_goes_on_with_a_new_key() {
    for lost_after in 1..9 {
        let (_dir, _, mut desk) = desk(Wishes::plain());
        for _ in 0..lost_after {
            desk.round();
        }
        if desk.shop.log().phase() == Phase::Delivered {
            break;
        }
        let before = desk.shop.expected();
        desk.loses_its_journal();
        desk.comes_online();
        desk.run();
        assert_eq!(desk.shop.log().phase(), Phase::Delivered, "lost after round {lost_after}");
        assert_eq!(desk.shop.events().contains(&"Rekeyed"), before > 0);
        desk.shop.assert_clean();
    }
}

#[test]
fn once_an_attempt_ends_neither_its_key_nor_the_address_is_on_the_disk() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    let mut held = false;
    for _ in 0..12 {
        desk.round();
        let on_disk = desk.disk().windows(6).any(|window| window == b"MARKER");
        let over = desk.shop.log().phase() == Phase::Delivered;
        held |= on_disk;
        assert!(!(over && on_disk));
    }
    assert!(held, "while it ran, the address was kept");
    let job = desk.job.as_ref().unwrap();
    assert!(!job.holds_secrets() && job.is_closed());
}

#[test]
fn device_time_stands_in_events_and_statements_are_checked_by_the_time_of_the_api() {
    let (_dir, _, mut desk) = desk(Wishes::plain());
    desk.device = waybill_protocol::UnixMillis::from_secs(1000);
    desk.run();
    let log = desk.shop.log();
    assert_eq!(log.phase(), Phase::Delivered);
    let posted = log.entries()[4].event().unwrap().event();
    assert_eq!(posted.at, desk.device);
    assert!(log.entries().iter().all(|entry| matches!(entry.verdict(), Verdict::Counts(_))));
}
