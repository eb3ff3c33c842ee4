//! Who reads and writes what: every identity on every topic, at every listener.

use std::collections::BTreeSet;

use crate::client::{Client, Gone};
use crate::pki::Leaf;
use crate::world::{World, soon};

const CARRIERS: usize = 4;
const SELLERS: usize = 2;

/// A connection and whose it is.
struct Party {
    uid: String,
    seller: bool,
    client: Client,
}

/// Receiver, topic, and the writer as the payload says.
type Delivered = BTreeSet<(String, String, String)>;

fn topic(seller: &str, carrier: &str, direction: &str) -> String {
    format!("wb/{seller}/{carrier}/delivery/{direction}")
}

async fn parties(world: &World) -> Vec<Party> {
    let mut parties = Vec::new();
    for number in 0..CARRIERS {
        let leaf = world.ca.client(&format!("carrier-{number}"));
        let client = world.carrier(&leaf).await.unwrap();
        parties.push(Party { uid: leaf.uid, seller: false, client });
    }
    for number in 0..SELLERS {
        let leaf = world.ca.client(&format!("seller-{number}"));
        let client = world.seller(&leaf).await.unwrap();
        parties.push(Party { uid: leaf.uid, seller: true, client });
    }
    parties
}

/// Every topic of the matrix, and some that belong to nobody.
fn topics(parties: &[Party]) -> Vec<String> {
    let mut topics: Vec<String> =
        ["$SYS/broker/uptime", "$CONTROL/dynamic-security/v1", "wb/probe/x", "other/topic", "wb/a/b/c/d/up"]
            .map(str::to_owned)
            .to_vec();
    for first in parties {
        for second in parties {
            topics.extend(["up", "down", "sideways"].map(|direction| topic(&first.uid, &second.uid, direction)));
        }
    }
    topics
}

/// What each asks to read: its own, and everything there is to want beside.
fn filters(topics: &[String]) -> Vec<String> {
    let greedy = ["#", "+/+/+/+/+", "wb/#", "wb/+/+/+/down", "wb/+/+/+/up", "$SYS/#", "$CONTROL/#", "+/probe/#"];
    greedy.into_iter().map(str::to_owned).chain(topics.iter().cloned()).collect()
}

#[tokio::test]
async fn nobody_reads_a_foreign_byte_or_writes_in_anothers_name() {
    let world = World::start().await;
    let mut parties = parties(&world).await;
    let topics = topics(&parties);
    for party in &mut parties {
        for filter in filters(&topics) {
            soon("SUBACK", party.client.subscribe(&filter)).await.unwrap();
        }
    }
    for party in &mut parties {
        let uid = party.uid.clone();
        for topic in &topics {
            soon("PUBACK", party.client.publish(topic, uid.as_bytes())).await.unwrap();
        }
    }
    let mut delivered = Delivered::new();
    for party in &mut parties {
        for got in soon("messages", party.client.messages()).await.unwrap() {
            delivered.insert((party.uid.clone(), got.topic, String::from_utf8(got.payload).unwrap()));
        }
    }
    assert_eq!(delivered, expected(&parties));
}

/// A seller's `down` reaches the carrier it names; a carrier's `up` reaches the seller it names; nothing else anybody.
fn expected(parties: &[Party]) -> Delivered {
    let mut expected = Delivered::new();
    for seller in parties.iter().filter(|party| party.seller) {
        for carrier in parties.iter().filter(|party| !party.seller) {
            let (down, up) = (topic(&seller.uid, &carrier.uid, "down"), topic(&seller.uid, &carrier.uid, "up"));
            expected.insert((carrier.uid.clone(), down, seller.uid.clone()));
            expected.insert((seller.uid.clone(), up, carrier.uid.clone()));
        }
    }
    expected
}

#[tokio::test]
async fn a_certificate_at_the_other_roles_listener_hears_nothing_and_reaches_nobody_in_its_own_role() {
    let world = World::start().await;
    let (seller, carrier) = (world.ca.client("seller"), world.ca.client("carrier"));
    let mut honest_seller = world.seller(&seller).await.unwrap();
    let mut honest_carrier = world.carrier(&carrier).await.unwrap();
    honest_seller.subscribe("#").await.unwrap();
    honest_carrier.subscribe("#").await.unwrap();

    let (other_seller, other_carrier) = (world.ca.client("seller-2"), world.ca.client("carrier-2"));
    let mut astray = [world.carrier(&other_seller).await.unwrap(), world.seller(&other_carrier).await.unwrap()];
    for (client, uid) in astray.iter_mut().zip(["seller-2", "carrier-2"]) {
        client.subscribe("#").await.unwrap();
        // In its own role, at the wrong door.
        client.publish(&topic(uid, "carrier", "down"), b"astray").await.unwrap();
        client.publish(&topic("seller", uid, "up"), b"astray").await.unwrap();
        // In the honest one's name.
        client.publish(&topic("seller", "carrier", "down"), b"astray").await.unwrap();
        client.publish(&topic("seller", "carrier", "up"), b"astray").await.unwrap();
    }
    honest_seller.publish(&topic("seller", "carrier", "down"), b"true").await.unwrap();
    honest_carrier.publish(&topic("seller", "carrier", "up"), b"true").await.unwrap();

    for client in &mut astray {
        assert_eq!(client.messages().await.unwrap(), []);
    }
    // A topic names its writer: what comes from the wrong door carries the intruder's own uid, never an honest one's.
    for client in [&mut honest_seller, &mut honest_carrier] {
        for got in client.messages().await.unwrap() {
            let true_one = got.topic.starts_with("wb/seller/carrier/") && got.payload == b"true";
            assert!(true_one || (got.topic.contains("-2/") && got.payload == b"astray"), "{got:?}");
        }
    }
}

#[tokio::test]
async fn the_client_id_is_the_certificates_whatever_is_asked() {
    let world = World::start().await;
    let (first, second) = (world.ca.client("first"), world.ca.client("second"));
    let mut first_client = world.carrier(&first).await.unwrap();
    let bundle = world.ca.pem();
    let thief = async |leaf: &Leaf, id| Client::connect_as(world.ports.carriers, &bundle, leaf, id).await;
    let mut second_client = thief(&second, "first").await.unwrap();
    assert_eq!(first_client.messages().await, Ok(vec![]), "still there");

    // One identity is one session: the same certificate under any id replaces the one before.
    let mut again = thief(&second, "someone-else").await.unwrap();
    soon("the end of the older session", second_client.ended()).await;
    assert_eq!(again.messages().await, Ok(vec![]));
    assert_eq!(first_client.messages().await, Ok(vec![]), "still there");
}

#[tokio::test]
async fn the_admin_listener_and_the_participants_do_not_know_each_others_certificates() {
    let world = World::start().await;
    let (participant, admin) = (world.ca.client("carrier"), world.admin.client("sidecar"));
    let bundle = world.ca.pem();
    for (addr, leaf) in
        [(world.ports.admin, &participant), (world.ports.carriers, &admin), (world.ports.sellers, &admin)]
    {
        assert_eq!(Client::connect(addr, &bundle, leaf).await.err(), Some(Gone));
    }
    // And the one who may enter there still reads nothing of anybody.
    let mut spy = Client::connect(world.ports.admin, &bundle, &admin).await.unwrap();
    spy.subscribe("#").await.unwrap();
    let mut carrier = world.carrier(&participant).await.unwrap();
    carrier.publish(&topic("seller", "carrier", "up"), b"secret").await.unwrap();
    spy.publish(&topic("seller", "carrier", "down"), b"forged").await.unwrap();
    carrier.subscribe("wb/+/carrier/+/down").await.unwrap();
    assert_eq!((spy.messages().await, carrier.messages().await), (Ok(vec![]), Ok(vec![])));
}

#[tokio::test]
async fn nothing_is_retained_and_who_tries_is_cut_off() {
    let world = World::start().await;
    let (seller, carrier) = (world.ca.client("seller"), world.ca.client("carrier"));
    let down = topic("seller", "carrier", "down");
    let mut seller_client = world.seller(&seller).await.unwrap();
    assert_eq!(seller_client.publish_retained(&down, b"kept").await, Err(Gone));
    let mut late = world.carrier(&carrier).await.unwrap();
    late.subscribe("wb/+/carrier/+/down").await.unwrap();
    assert_eq!(late.messages().await, Ok(vec![]));
}

#[tokio::test]
async fn a_changed_access_list_is_live_without_a_restart_and_a_damaged_one_changes_nothing() {
    let world = World::start().await;
    let carrier = world.ca.client("carrier");
    let mut client = world.carrier(&carrier).await.unwrap();
    client.subscribe("#").await.unwrap();
    let echo = topic("seller", "carrier", "echo");
    client.publish(&echo, b"1").await.unwrap();
    assert_eq!(client.messages().await, Ok(vec![]));

    let offer = |rules: &str| {
        world.inputs.send_modify(|inputs| {
            let mut access = (**inputs.access.as_ref().unwrap()).clone();
            access.insert("acl-carriers".into(), rules.as_bytes().to_vec());
            inputs.access = Some(access.into());
        });
    };
    offer("pattern readwrite wb/+/%u/+/echo\n");
    soon("the new list", async {
        while client.messages().await.unwrap().is_empty() {
            client.publish(&echo, b"2").await.unwrap();
        }
    })
    .await;
    offer("# every rule lost\n");
    world.page("/readyz", "damaged access lists").await;
    client.publish(&echo, b"3").await.unwrap();
    assert_eq!(client.messages().await.unwrap().len(), 1, "the last good list holds");
}
