//! An agent whose identity has ended.

use serde_json::json;

use crate::place::Place;
use crate::shop::Wishes;
use crate::taps::Screen;
use crate::world::DELIVERY;

fn has_marker(journal: &[u8]) -> bool {
    journal.windows(6).any(|window| window == b"MARKER")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_deliveries_of_a_revoked_agent_end_and_leave_no_address_on_its_disk() {
    for by_the_api in [false, true] {
        let mut place = Place::new().await;
        place.opens(DELIVERY, Wishes::plain());
        // Somebody taps: the parcel stands still with the country part at hand.
        place.flags = vec!["--taps".into(), place.at("taps.sock").display().to_string()];
        place.start();
        let screen = Screen::new(&place);
        screen.tap_when("pickedUp", json!({"tap": "pickedUp"})).await;
        place.until_journal("the country part", has_marker).await;
        let uid = place.world.carrier.uid();
        let list = format!(r#"{{"number":2,"entries":[{{"serial":"01","uid":"{uid}"}}]}}"#);
        if by_the_api {
            place.far.feed.offer_json(list.as_bytes()).unwrap();
            screen.tap_when("arrived", json!({"tap": "arrived"})).await;
        } else {
            std::fs::write(place.at("trust").join("revoked.json"), list).unwrap();
        }
        place.until_journal("nothing of the address", |journal| !has_marker(journal)).await;
        place.stop().await;
        let told = place.office().books().shops[DELIVERY].events().contains(&"Posted");
        assert!(!told, "what a revoked agent says is not taken");
    }
}
