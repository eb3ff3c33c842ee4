//! What one client may cost the others.

use crate::client::Gone;
use crate::world::{World, soon};

const LARGEST: usize = 64 * 1024;
const MARKER: &[u8] = b"Musterstrasse 17";

#[tokio::test]
async fn an_oversized_message_ends_its_senders_connection_and_nobody_elses() {
    let world = World::start().await;
    let (seller, carrier, other) = (world.ca.client("seller"), world.ca.client("carrier"), world.ca.client("other"));
    let mut seller = world.seller(&seller).await.unwrap();
    let mut carrier = world.carrier(&carrier).await.unwrap();
    let mut other = world.carrier(&other).await.unwrap();
    seller.subscribe("wb/seller/+/+/up").await.unwrap();
    assert_eq!(carrier.publish("wb/seller/carrier/delivery/up", &vec![0; LARGEST + 2048]).await, Err(Gone));
    soon("the sender's end", carrier.ended()).await;
    other.publish("wb/seller/other/delivery/up", &vec![7; LARGEST]).await.unwrap();
    let got = seller.messages().await.unwrap();
    assert_eq!(got.iter().map(|got| got.payload.len()).collect::<Vec<_>>(), [LARGEST]);
    world.answers().await;
}

#[tokio::test]
async fn the_brokers_log_holds_no_payload_and_no_topic() {
    let world = World::start().await;
    let (seller, carrier) = (world.ca.client("seller"), world.ca.client("carrier"));
    let mut carrier_client = world.carrier(&carrier).await.unwrap();
    let mut seller_client = world.seller(&seller).await.unwrap();
    carrier_client.subscribe("wb/+/carrier/+/down").await.unwrap();
    seller_client.publish("wb/seller/carrier/Musterdelivery/down", MARKER).await.unwrap();
    assert_eq!(carrier_client.messages().await.unwrap()[0].payload, MARKER);
    carrier_client.publish("wb/seller/somebody/Musterdelivery/up", MARKER).await.unwrap();
    let _ = seller_client.publish_retained("wb/seller/carrier/Musterdelivery/down", MARKER).await;
    // The log must hold something, or its silence about messages says nothing. One stranger is not always written down: the
    // client may end first. So they come until one is.
    let stranger = crate::pki::Ca::new("stranger").client("x");
    soon("the word on a stranger", async {
        while !world.broker.log().contains("certificate verify failed") {
            assert_eq!(world.carrier(&stranger).await.err(), Some(Gone));
        }
    })
    .await;
    assert!(!world.broker.log().contains("Muster"), "{}", world.broker.log());
}
