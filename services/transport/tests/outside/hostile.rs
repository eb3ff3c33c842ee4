//! A broker that puts a stranger's words before the agent.

use std::time::Duration;

use tokio_util::sync::CancellationToken;
use waybill_chassis::tls;
use waybill_link::{LinkMetrics, Settings};
use waybill_protocol::seller_to_carrier::{Message, Offer};
use waybill_protocol::{Conversation, Direction, Hash, Mac, Outgoing, Recipient, Role, Upc};

use crate::place::{DEADLINE, Place, now};
use crate::shop::Wishes;
use crate::world::{Ca, DELIVERY, statement, uid};

const FORGED: &str = "dddddddd-0000-4000-8000-0000000000ff";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn d_71_a_stranger_with_a_statement_of_its_own_making_gets_nothing_and_costs_nothing() {
    let mut place = Place::new().await;
    place.start();
    let frame = forged_hello(&place);
    let seller = place.world.seller.uid().clone();
    let (stop, dir) = (CancellationToken::new(), place.at("seller"));
    let material = tls::watch_dir(&dir, Duration::from_secs(60), stop.clone()).await.unwrap();
    let settings = Settings::new(&place.broker.addr.to_string(), "stranger").unwrap();
    let (link, _inbox, driver) =
        waybill_link::link(settings, tls::client_configs(material).unwrap(), LinkMetrics::default()).unwrap();
    tokio::spawn(driver.run(stop.clone()));
    tokio::time::timeout(DEADLINE, link.connected().wait_for(|up| *up)).await.unwrap().unwrap();
    place.opens(DELIVERY, Wishes::plain());
    place.until("accepted", DELIVERY, |log| !log.entries().is_empty()).await;
    let topic = format!("wb/{seller}/{}/{FORGED}/down", place.world.carrier.uid());
    for _ in 0..20 {
        link.publish(&topic, frame.clone()).await.unwrap();
        link.publish(&topic, b"junk".to_vec()).await.unwrap();
    }
    place.until_delivered(DELIVERY).await;
    place.stop().await;
    stop.cancel();
    assert!(!place.at("journal").join(format!("{FORGED}.journal")).exists());
    let books = place.office().books();
    assert!(!books.asked.iter().any(|asked| asked.contains(FORGED)), "{:?}", books.asked);
    books.shops[DELIVERY].assert_clean();
}

fn forged_hello(place: &Place) -> Vec<u8> {
    let stranger = Ca::new().participant(&statement("acme", Role::Seller, 10, now()), 10);
    let body = Message::Hello {
        statement: stranger.signer.statement_bytes().clone(),
        nonce: Mac([7; 32]),
        min: 1,
        current: 1,
        offer: Offer { upc: Upc::new("UPC_1").unwrap(), photo: false, scan: false, window: None },
    };
    let conversation = Conversation {
        seller: place.world.seller.uid().clone(),
        carrier: place.world.carrier.uid().clone(),
        delivery: uid(FORGED),
    };
    assert_eq!(conversation.topic(Direction::Down).delivery, uid(FORGED));
    let to = Recipient::Statement(place.world.carrier.signer.statement().x25519.unwrap());
    let message = Outgoing { attempt: 1, about: Hash::NONE, events: vec![], body };
    let mut rng = <rand::rngs::StdRng as rand::SeedableRng>::seed_from_u64(3);
    conversation.seal(&message, &stranger.signer, to, &mut rng).unwrap()
}
