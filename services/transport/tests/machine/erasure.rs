//! The seller wants an order forgotten: nothing of it is on the agent's disk when it says so, whatever happened between.

use waybill_protocol::fact::reason::ErasedScope;
use waybill_protocol::seller_to_carrier::Message;
use waybill_protocol::{Fact, Phase};

use crate::desk::{Desk, Kill};
use crate::kit::shop::Wishes;
use crate::plain::desk;

fn holds(desk: &Desk, marker: &[u8]) -> bool {
    desk.disk().windows(marker.len()).any(|window| window == marker)
}

fn says_erased(desk: &Desk) -> usize {
    let log = desk.shop.log();
    let facts = log.entries().iter().map(|entry| entry.event().unwrap().event().fact.clone());
    facts.filter(|fact| *fact == Fact::Erased { scope: ErasedScope::Delivery }).count()
}

/// Delivered, with a picture that never got to the Carrier API.
fn with_a_queued_picture() -> (tempfile::TempDir, Desk) {
    let (dir, _, mut desk) = desk(Wishes { scan: false, ..Wishes::with_camera() });
    desk.stuck = true;
    desk.run();
    assert_eq!(desk.shop.log().phase(), Phase::Delivered);
    assert!(holds(&desk, b"a picture"));
    (dir, desk)
}

#[test]
fn an_order_is_erased_at_any_step_and_only_then_said_to_be() {
    for after in 1..9 {
        let (_dir, _, mut desk) = desk(Wishes::plain());
        (0..after).for_each(|_| desk.round());
        let erase = desk.shop.saying(Message::Erase {});
        desk.hears(erase);
        assert!(!holds(&desk, b"MARKER"), "after {after} rounds");
        assert!(!desk.job.as_ref().unwrap().holds_secrets(), "after {after} rounds");
        assert_eq!(says_erased(&desk), 1, "after {after} rounds: {:?}", desk.shop.events());
    }
}

#[test]
fn a_picture_that_waits_is_recalled_and_gone() {
    let (_dir, mut desk) = with_a_queued_picture();
    let erase = desk.shop.saying(Message::Erase {});
    desk.hears(erase);
    assert!(!holds(&desk, b"a picture"));
    assert_eq!((desk.recalled, says_erased(&desk)), (1, 1));
    desk.die();
    desk.comes_online();
    desk.run();
    assert!(!holds(&desk, b"a picture") && desk.stored.is_empty());
}

#[test]
fn a_crash_in_between_leaves_no_word_without_its_deed() {
    for how in [Kill::Before, Kill::Torn, Kill::After] {
        let (_dir, mut desk) = with_a_queued_picture();
        desk.kill = Some((desk.writes + 1, how));
        let erase = desk.shop.saying(Message::Erase {});
        desk.hears(erase);
        assert!(desk.job.is_none(), "it was killed");
        assert_eq!(says_erased(&desk), 0, "{how:?}");
        // What it finds when it comes back is the deed or nothing, and the seller says it again.
        desk.wakes();
        assert_eq!(holds(&desk, b"a picture"), says_erased(&desk) == 0 && how != Kill::After, "{how:?}");
        let erase = desk.shop.saying(Message::Erase {});
        desk.hears(erase);
        desk.run();
        assert!(!holds(&desk, b"a picture") && !holds(&desk, b"MARKER"), "{how:?}");
        assert_eq!(says_erased(&desk), 1, "{how:?}");
        desk.shop.assert_clean();
    }
}
