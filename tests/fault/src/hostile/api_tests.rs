//! A compromised Carrier API can withhold; it can't forge. Nothing is released on its word, its junk is shown as such, nothing
//! builds on it, and when an honest one is back every delivery goes on to its end.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Mutex;
use std::time::Duration;

use kube::Api;
use serde_json::json;
use waybill_crds::{Delivery, Phase};
use waybill_e2e::{Namespace, eventually, in_namespace};
use waybill_protocol::{Author, Fact, Log, Stage};

use super::api::{HostileApi, Liar, Lie, entry};
use crate::world::files::{self, Authorities};
use crate::world::{Character, Setting, World, cluster};

const PATIENCE: Duration = Duration::from_secs(150);

fn upc(lie: Lie) -> String {
    format!("upc-{}", lie as usize)
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_released_on_the_word_of_a_hostile_carrier_api_and_an_honest_one_mends_all() {
    in_namespace("hostile-api", &[], async |namespace| {
        let (mut world, hostile) = scene(namespace).await;
        for (carrier, lie) in Lie::ALL.into_iter().enumerate() {
            world.deliver(&upc(lie), carrier, json!({})).await;
        }
        lied_to(&hostile).await;
        for lie in Lie::ALL {
            let log = world.read(&world.following.get(&upc(lie)).unwrap());
            println!("{lie:?}: {}", told(&log));
            assert!(is_justified(&log), "{lie:?}: {}", told(&log));
            let junk = log.entries().iter().filter(|entry| !entry.verdict().is_genuine()).count();
            assert_eq!(junk > 0, matches!(lie, Lie::Invents | Lie::Alters | Lie::Repeats), "{lie:?}: {}", told(&log));
        }
        honest_again(&mut world, hostile).await;
        for lie in Lie::ALL {
            let delivery = delivered(&world, lie).await;
            let log = world.read(&delivery);
            println!("{lie:?}: {}", told(&log));
            assert!(released(&log) == Stage::ALL && is_justified(&log), "{lie:?}: {}", told(&log));
            assert_eq!(delivery.phase().as_str(), log.phase().as_str(), "what is shown is what the genuine log says");
            assert_eq!(log.forks().count(), 0, "{lie:?}: no agent signed two truths: {}", told(&log));
        }
        assert_eq!(world.following.wrongs(), Vec::<String>::new());
    })
    .await;
}

/// The agent stands still on its first leg and says nothing; the Carrier API says it for it.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_hostile_carrier_api_writes_in_a_carriers_name_opens_no_part_and_shows_as_invalid() {
    in_namespace("hostile-writes", &[], async |namespace| {
        let (world, hostile) = scene(namespace).await;
        let (slow, quick) = (upc(Lie::Invents), upc(Lie::Withholds));
        world.deliver(&slow, Lie::ALL.len(), json!({})).await;
        let has_country = |delivery: &Delivery| !released(&world.read(delivery)).is_empty();
        let out = world.following.until(&slow, has_country);
        let delivery = tokio::time::timeout(PATIENCE, out).await.expect("the country is released");
        let log = world.read(&delivery);
        let said =
            |author| log.entries().iter().filter_map(|entry| entry.event()).filter(move |e| e.event().author == author);
        let (template, seller) =
            (said(Author::Transport).next_back().unwrap(), said(Author::Seller).next_back().unwrap());
        let (stage, commitment) = (Stage::Country, log.state().commitments().unwrap().of(Stage::Country));
        let posted = hostile.liar.invented(&log, template.event(), Fact::Posted { stage, commitment });
        let mut bent = seller.bytes().to_vec();
        *bent.last_mut().unwrap() ^= 1;
        let written = vec![
            entry(&posted, posted.bytes()),
            entry(seller, &bent),
            entry(template, template.bytes()),
            entry(&posted, b"junk"),
        ];
        let count = written.len();
        hostile.liar.write(&delivery, written).await;
        // Another delivery goes all the way: by then the seller has long seen what was written into the first.
        world.deliver(&quick, Lie::Withholds as usize, json!({})).await;
        delivered(&world, Lie::Withholds).await;
        let log = world.read(&world.following.get(&slow).unwrap());
        println!("{}", told(&log));
        assert_eq!(released(&log), [Stage::Country], "{}", told(&log));
        assert_eq!(log.entries().iter().filter(|entry| !entry.verdict().is_genuine()).count(), count, "{}", told(&log));
    })
    .await;
}

// === helpers ===

/// Each part but the first only after the one before was reported by the carrier itself.
fn is_justified(log: &Log) -> bool {
    let mut posted = 0;
    let counted = log.entries().iter().filter(|entry| entry.verdict().counts()).filter_map(|entry| entry.event());
    counted.map(waybill_protocol::SignedEvent::event).all(|event| match &event.fact {
        Fact::Posted { .. } => {
            posted += 1;
            event.author == Author::Transport
        }
        Fact::Released { stage, .. } => Stage::ALL.iter().position(|known| known == stage).unwrap() <= posted,
        _ => true,
    })
}

/// One carrier for each lie, all of them sent to the liar; the true Carrier API runs and hears nothing.
async fn scene(namespace: Namespace) -> (World, HostileApi) {
    cluster::define(&namespace.client).await;
    let mut carriers = Lie::ALL.map(|lie| Character::plain(&format!("truck-{}", lie as usize))).to_vec();
    // And one that takes its time: more than all that another one costs whose word is withheld.
    carriers.push(Character { pace: "30s", ..Character::plain("slow") });
    let mut world = World::prepare(namespace, &Setting { sellers: 1, carriers }).await;
    let upcs = Lie::ALL.map(upc);
    world.orders(&upcs.each_ref().map(String::as_str)).await;
    let authorities =
        Authorities { issuer: world.authorities.last().unwrap(), all: world.authorities.iter().collect() };
    let (certificate, key) = authorities.leaf("carrier-api", world.ip);
    let account = world.namespace.cluster.as_account(&world.namespace.name, cluster::CARRIER_API);
    let liar = Liar {
        deliveries: Api::namespaced(account, &world.namespace.name),
        seller: world.seller.signer.uid().clone(),
        seller_statement: world.seller.statement.clone(),
        trust: world.trust(),
        lies: Lie::ALL.into_iter().map(|lie| (upc(lie), lie)).collect(),
        forger: ed25519_dalek::SigningKey::from_bytes(&rand::random()),
        told: Mutex::default(),
        lied: Mutex::new(BTreeMap::new()),
    };
    let hostile = HostileApi::start(SocketAddr::from((world.ip, 0)), (&certificate, &key), liar).await;
    world.routes.carrier_api = hostile.addr;
    world.start().await;
    (world, hostile)
}

/// Waits until it has had its chance with every delivery.
async fn lied_to(hostile: &HostileApi) {
    eventually("every delivery was lied about", PATIENCE, async || {
        let lied = hostile.liar.lied.lock().unwrap().clone();
        let often = |lie: &Lie| lied.get(&upc(*lie)).is_some_and(|times| *times > 0);
        if Lie::ALL.iter().all(often) { Ok(()) } else { Err(format!("{lied:?}")) }
    })
    .await;
}

/// Everybody is sent to the true one again.
async fn honest_again(world: &mut World, hostile: HostileApi) {
    world.routes.carrier_api = world.carrier_api_at;
    for agent in &world.agents {
        let text = format!("https://{}\n", world.carrier_api_at);
        files::write(agent.home.join("trust/carrier-api"), text.as_bytes());
    }
    drop(hostile);
}

async fn delivered(world: &World, lie: Lie) -> std::sync::Arc<Delivery> {
    let name = upc(lie);
    // By the genuine log: what stands beside it may be anybody's word until the next one writes.
    let arrives = world.following.until(&name, |delivery| {
        world.read(delivery).phase() == waybill_protocol::Phase::Delivered && delivery.phase() == Phase::Delivered
    });
    match tokio::time::timeout(PATIENCE, arrives).await {
        Ok(delivery) => delivery,
        Err(_) => panic!("{lie:?}: never delivered: {}", told(&world.read(&world.following.get(&name).unwrap()))),
    }
}

/// The stages whose release counts.
fn released(log: &Log) -> Vec<Stage> {
    let counted = log.entries().iter().filter(|entry| entry.verdict().counts());
    let facts = counted.filter_map(|entry| Some(entry.event()?.event())).filter(|event| event.author == Author::Seller);
    facts.filter_map(|event| if let Fact::Released { stage, .. } = event.fact { Some(stage) } else { None }).collect()
}

fn told(log: &Log) -> String {
    let words = log.entries().iter().map(|entry| {
        let kind = entry.event().map_or("junk".to_owned(), |event| event.event().kind().to_string());
        if entry.verdict().is_genuine() { kind } else { format!("[{kind}: {:?}]", entry.verdict()) }
    });
    words.collect::<Vec<_>>().join(" ")
}
