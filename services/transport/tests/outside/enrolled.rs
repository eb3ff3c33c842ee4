//! An agent outside any cluster: one file and three keys.

use crate::place::Place;
use crate::shop::Wishes;
use crate::world::DELIVERY;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn with_nothing_but_its_file_and_its_keys_an_agent_gets_a_certificate_and_delivers() {
    let mut place = Place::new().await;
    place.flags = vec!["--config".into(), place.enrols().display().to_string()];
    place.opens(DELIVERY, Wishes::plain());
    place.start();
    // Enrolled a moment ago: what the operator signs comes later.
    place.until_asked("identity").await;
    place.issues();
    place.until_delivered(DELIVERY).await;
    place.stop().await;

    let identity = place.at("state").join("identity");
    place.expires_in(&identity);
    place.office().books().asked.clear();
    let next = "dddddddd-0000-4000-8000-000000000031";
    place.opens(next, Wishes { upc: waybill_protocol::Upc::new("UPC_2").unwrap(), ..Wishes::plain() });
    place.start();
    place.until_delivered(next).await;
    place.stop().await;
    assert!(place.office().books().asked.contains(&"identity".to_owned()), "an ended leaf is no dead end");
    place.office().books().shops[next].assert_clean();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_certificate_for_somebody_else_is_not_taken() {
    let mut place = Place::new().await;
    let file = place.enrols();
    let text = std::fs::read_to_string(&file).unwrap().replace("name: truck-7", "name: truck-8");
    std::fs::write(&file, text).unwrap();
    place.flags = vec!["--config".into(), file.display().to_string()];
    place.issues();
    place.start();
    for _ in 0..2 {
        place.office().books().asked.clear();
        place.until_asked("identity").await;
    }
    assert!(!place.at("state").join("identity").join("tls.crt").exists());
    place.stop().await;
}
