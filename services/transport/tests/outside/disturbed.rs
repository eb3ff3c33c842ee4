//! Agents that die, networks that go, clocks that are wrong.

use waybill_protocol::Upc;
use waybill_transport::clock::Clock;

use crate::place::{DEADLINE, Place, now};
use crate::plain::label;
use crate::shop::Wishes;
use crate::world::DELIVERY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_49_killed_after_each_thing_it_does_before_it_hears_the_answer_it_still_delivers() {
    let mut place = Place::new().await;
    place.flags = vec!["--camera".into(), "true".into()];
    for at in 1..14 {
        let uid = format!("dddddddd-0000-4000-8000-0000000002{at:02}");
        let upc = Upc::new(format!("UPC_{at}")).unwrap();
        let mut steps = place.office().steps();
        place.office().falls_silent_after(at);
        place.opens(&uid, Wishes { upc, label: Some(label(&uid)), ..Wishes::with_camera() });
        place.start();
        tokio::time::timeout(DEADLINE, steps.wait_for(|steps| *steps >= at)).await.unwrap().unwrap();
        place.crash().await;
        place.office().books().silent_at = None;
        place.start();
        place.until_delivered(&uid).await;
        place.stop().await;
        place.office().books().shops[&uid].assert_clean();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_73_a_journal_lost_on_the_way_is_mended_from_the_log() {
    let mut place = Place::new().await;
    place.office().falls_silent_after(6);
    place.opens(DELIVERY, Wishes::plain());
    place.start();
    let mut steps = place.office().steps();
    tokio::time::timeout(DEADLINE, steps.wait_for(|steps| *steps >= 6)).await.unwrap().unwrap();
    place.crash().await;
    std::fs::remove_dir_all(place.at("journal")).unwrap();
    place.office().books().silent_at = None;
    place.start();
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    let books = place.office().books();
    books.shops[DELIVERY].assert_clean();
    assert!(books.shops[DELIVERY].events().contains(&"Rekeyed"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn offline_it_queues_and_catches_up_in_order() {
    let mut place = Place::new().await;
    place.opens(DELIVERY, Wishes::plain());
    place.start();
    place.until("handed over", DELIVERY, |log| log.state().is_handed_over()).await;
    place.office().books().down = true;
    place.broker.kill();
    // Another life, with nobody to speak to.
    place.crash().await;
    place.start();
    let mut steps = place.office().steps();
    place.broker.restart();
    // Messages pass again before the Carrier API is there: what is signed meanwhile waits.
    tokio::time::timeout(DEADLINE, steps.changed()).await.unwrap().unwrap();
    place.office().books().down = false;
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    place.office().books().shops[DELIVERY].assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_77_with_a_wrong_clock_tokens_follow_the_carrier_apis_and_events_the_device() {
    let mut place = Place::new().await;
    let early: fn() -> Clock = || Clock::by(|| waybill_protocol::UnixMillis(now().0 - 26 * 3_600_000));
    let late: fn() -> Clock = || Clock::by(|| waybill_protocol::UnixMillis(now().0 + 26 * 3_600_000));
    for (uid, clock) in
        [("dddddddd-0000-4000-8000-000000000021", early), ("dddddddd-0000-4000-8000-000000000022", late)]
    {
        place.clock = clock;
        place.opens(uid, Wishes { upc: Upc::new(uid).unwrap(), ..Wishes::plain() });
        place.start();
        place.until_delivered(uid).await;
        place.stop().await;
        let books = place.office().books();
        let log = books.shops[uid].log();
        let accepted = log.entries()[0].event().unwrap().event().at;
        assert!(accepted.0.abs_diff(now().0) > 25 * 3_600_000, "the device's own word");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys_that_were_replaced_while_the_agent_was_down_are_told_by_the_old_one() {
    let mut place = Place::new().await;
    place.opens(DELIVERY, Wishes::plain());
    place.flags = vec!["--taps".into(), place.at("taps.sock").display().to_string()];
    place.start();
    place.until("handed over", DELIVERY, |log| log.state().is_handed_over()).await;
    place.crash().await;
    place.rotates();
    place.flags.clear();
    place.start();
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    let books = place.office().books();
    books.shops[DELIVERY].assert_clean();
    assert!(books.shops[DELIVERY].events().contains(&"KeyRotated"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_whose_certificate_ended_gets_the_next_one_by_its_own_signature() {
    let mut place = Place::new().await;
    place.expires();
    place.flags = vec!["--renew".into(), "true".into()];
    place.opens(DELIVERY, Wishes::plain());
    place.start();
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    assert!(place.office().books().asked.contains(&"identity".to_owned()));
    let statement = std::fs::read(place.at("keys").join("statement")).unwrap();
    assert_ne!(statement, place.world.carrier.signer.statement_bytes().0, "the next statement is in its folder");
    let revoked = std::fs::read_to_string(place.at("trust").join("revoked.json")).unwrap();
    assert!(revoked.contains("\"number\":2"), "and the list its CA signed: {revoked}");
}
