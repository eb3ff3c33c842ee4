//! A carrier with a genuine certificate that wants what is another's: its topics, the other role, everything. Whatever it
//! tries, in whatever spelling, not a byte crosses in either direction.

use crate::client::{Client, Gone, Got};
use crate::world::{World, soon};

/// What only the honest pair says, and what only the intruder says.
const HONEST: &[u8] = b"between the two";
const FOREIGN: &[u8] = b"an intruder's byte";

const DOWN: &str = "wb/seller/honest/delivery/down";
const UP: &str = "wb/seller/honest/delivery/up";

/// Every way to spell "what the honest pair says".
const GREEDY: [&str; 34] = [
    DOWN,
    UP,
    "#",
    "+/#",
    "wb/#",
    "wb/+/#",
    "wb/seller/#",
    "wb/seller/honest/#",
    "wb/seller/honest/delivery/#",
    "wb/seller/honest/delivery/down/#",
    "wb/+/honest/+/down",
    "wb/seller/+/+/up",
    "wb/+/+/+/+",
    "+/+/+/+/+",
    "+/seller/honest/delivery/down",
    "wb/+/honest/delivery/down",
    "wb/seller/+/delivery/down",
    "wb/seller/honest/+/down",
    "wb/seller/honest/delivery/+",
    "wb/+/+/delivery/up",
    "/wb/seller/honest/delivery/down",
    "wb/seller/honest/delivery/down/",
    "wb//honest/delivery/down",
    "WB/SELLER/HONEST/DELIVERY/DOWN",
    "$share/thieves/#",
    "$share/thieves/wb/seller/honest/delivery/down",
    "$share/thieves/wb/+/honest/+/down",
    "$queue/wb/seller/honest/delivery/down",
    "$SYS/#",
    "$CONTROL/#",
    "wb/seller/%u/delivery/down",
    "wb/%c/honest/delivery/down",
    "wb/seller/intruder/../honest/delivery/down",
    "wb/seller/honest\u{200b}/delivery/down",
];

/// Topics that reach, or look as if they reached, one of the honest pair; and spellings that are not even topics.
const AIMED: [&str; 16] = [
    DOWN,
    UP,
    "wb/seller/honest/delivery/down/",
    "/wb/seller/honest/delivery/up",
    "wb/seller/honest/delivery/down/x",
    "wb/seller/honest/another/up",
    "wb/seller/honest/another/down",
    "wb/intruder/honest/delivery/down",
    "wb/+/honest/+/down",
    "wb/seller/honest/#",
    "#",
    "$share/thieves/wb/seller/honest/delivery/down",
    "$SYS/broker/log",
    "$CONTROL/dynamic-security/v1",
    "wb/seller/honest/delivery/UP",
    "wb/seller/%u/delivery/up",
];

/// Seller and carrier that talk with each other, both subscribed as the services are.
struct Pair {
    seller: Client,
    carrier: Client,
}

impl Pair {
    async fn start(world: &World) -> Self {
        let mut seller = world.seller(&world.ca.client("seller")).await.unwrap();
        let mut carrier = world.carrier(&world.ca.client("honest")).await.unwrap();
        assert!(seller.subscribe("wb/seller/+/+/up").await.unwrap());
        assert!(carrier.subscribe("wb/+/honest/+/down").await.unwrap());
        Self { seller, carrier }
    }

    /// They say something to each other, and hear that and nothing else.
    async fn talk(&mut self) {
        self.seller.publish(DOWN, HONEST).await.unwrap();
        self.carrier.publish(UP, HONEST).await.unwrap();
        let heard = |topic: &str| vec![Got { topic: topic.into(), payload: HONEST.to_vec() }];
        let (down, up) = (self.carrier.messages(), self.seller.messages());
        assert_eq!(honestly_named(soon("the seller's words", down).await.unwrap()), heard(DOWN));
        assert_eq!(honestly_named(soon("the carrier's words", up).await.unwrap()), heard(UP));
    }
}

/// A topic names its writer. At the sellers' door a certificate may speak below its own uid, which is no seller's: carriers
/// drop that, and count it.
fn honestly_named(got: Vec<Got>) -> Vec<Got> {
    got.into_iter().filter(|got| !got.topic.starts_with("wb/intruder/")).collect()
}

/// At the two doors a carrier's certificate opens: two carriers, for one identity is one session.
async fn doors(world: &World, name: &str) -> [Client; 2] {
    let leaf = |door: &str| world.ca.client(&format!("{name}{door}"));
    [world.carrier(&leaf("")).await.unwrap(), world.seller(&leaf("-as-seller")).await.unwrap()]
}

#[tokio::test]
async fn a_carrier_that_asks_for_anothers_topics_in_any_spelling_hears_nothing() {
    let world = World::start().await;
    let mut pair = Pair::start(&world).await;
    for (number, filter) in GREEDY.into_iter().enumerate() {
        // At both listeners: as a carrier, and in the seller's role.
        let mut greedy = doors(&world, &format!("intruder-{number}")).await;
        let mut refused = 0;
        for client in &mut greedy {
            // A filter that is none ends the connection.
            refused += usize::from(soon("SUBACK", client.subscribe(filter)).await.is_err());
        }
        pair.talk().await;
        for client in &mut greedy {
            let got = client.messages().await;
            assert!(matches!(got.as_deref(), Ok([]) | Err(Gone)), "{filter}: {got:?}");
        }
        println!("{filter:?}: nothing{}", if refused > 0 { ", and shown the door" } else { "" });
    }
}

#[tokio::test]
async fn one_session_with_every_greedy_filter_at_once_hears_nothing() {
    let world = World::start().await;
    let mut pair = Pair::start(&world).await;
    let mut greedy = doors(&world, "intruder").await;
    for client in &mut greedy {
        for filter in GREEDY.into_iter().filter(|filter| !filter.starts_with('$')) {
            soon("SUBACK", client.subscribe(filter)).await.unwrap();
        }
    }
    for _ in 0..20 {
        pair.talk().await;
    }
    for client in &mut greedy {
        assert_eq!(client.messages().await, Ok(vec![]));
    }
}

#[tokio::test]
async fn a_carrier_that_writes_in_anothers_name_or_role_is_heard_by_nobody() {
    let world = World::start().await;
    let mut pair = Pair::start(&world).await;
    for topic in AIMED {
        let leaf = world.ca.client("intruder");
        for mut client in [world.carrier(&leaf).await.unwrap(), world.seller(&leaf).await.unwrap()] {
            // What is no topic, or wants to be kept, ends the connection; anything else is acknowledged and dropped.
            let _ = soon("PUBACK", client.publish(topic, FOREIGN)).await;
            let _ = soon("PUBACK", client.publish_retained(topic, FOREIGN)).await;
        }
        pair.talk().await;
        // Nothing was kept for who comes later either.
        let mut late = Pair::start(&world).await;
        let heard = (late.seller.messages().await, late.carrier.messages().await);
        // The seller and the carrier that come again are the same identities: they take the place of the ones before.
        assert_eq!(honestly_named(heard.0.unwrap()), []);
        assert_eq!(honestly_named(heard.1.unwrap()), []);
        pair = late;
    }
}

#[tokio::test]
async fn the_last_will_of_a_carrier_reaches_nobody_but_in_its_own_name() {
    let world = World::start().await;
    let mut pair = Pair::start(&world).await;
    let (bundle, leaf) = (world.ca.pem(), world.ca.client("intruder"));
    for topic in AIMED.into_iter().chain(["wb/seller/intruder/delivery/down"]) {
        for addr in [world.ports.carriers, world.ports.sellers] {
            for kept in [false, true] {
                let mut dying = Client::handshake(addr, &bundle, &leaf).await.unwrap();
                let will = Some((topic, std::str::from_utf8(FOREIGN).unwrap(), kept));
                // A will with a bad topic, or one to be kept, is refused with the session.
                let _ = dying.say_connect_with("intruder", will).await;
                // Without DISCONNECT: the broker speaks for it.
                drop(dying);
            }
        }
    }
    // The control: a will in the carrier's own name arrives, so the others were spoken, too.
    let mut dying = Client::handshake(world.ports.carriers, &bundle, &leaf).await.unwrap();
    dying.say_connect_with("intruder", Some(("wb/seller/intruder/delivery/up", "farewell", false))).await.unwrap();
    drop(dying);
    let mut heard = Vec::new();
    soon("the control", async {
        while heard.is_empty() {
            heard = honestly_named(pair.seller.messages().await.unwrap());
        }
    })
    .await;
    let farewell = Got { topic: "wb/seller/intruder/delivery/up".into(), payload: b"farewell".to_vec() };
    assert_eq!(heard, [farewell]);
    assert_eq!(honestly_named(pair.carrier.messages().await.unwrap()), []);
    pair.talk().await;
}

#[tokio::test]
async fn what_is_too_large_reaches_nobody_whoevers_topic_it_names_and_costs_only_its_sender() {
    let world = World::start().await;
    let mut pair = Pair::start(&world).await;
    let leaf = world.ca.client("intruder");
    for topic in [DOWN, UP, "wb/seller/intruder/delivery/up"] {
        let mut client = world.carrier(&leaf).await.unwrap();
        assert_eq!(soon("its end", client.publish(topic, &vec![0x5a; 128 * 1024])).await, Err(Gone), "{topic}");
        pair.talk().await;
    }
}
