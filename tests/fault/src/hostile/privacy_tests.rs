//! Personal data never leaves the order's Secret but sealed (promise 4): not in a custom resource, an event, a log line, a metric,
//! a topic, what a broker can capture, a process's settings, or what an agent keeps once all is over.
//!
//! Orders are made of marker texts. Deliveries end in every way there is, through a broker that keeps all it sees; then
//! everything is looked through, plain, in base64 and in hexadecimal. A marker planted in each sort of place shows that the
//! look would find one there.

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Event};
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use waybill_crds::{Carrier, Delivery, Phase, Seller};
use waybill_e2e::{Namespace, in_namespace, objects};

use super::broker::{HostileBroker, Passing};
use crate::world::files::Authorities;
use crate::world::{Character, Setting, World, cluster};

const MARKER: &str = "MARKER-";
const PATIENCE: Duration = Duration::from_secs(120);

/// How the attempts of each carrier end, and how its delivery does.
const ENDINGS: [(&str, &str, Phase); 7] = [
    ("delivered", "[]", Phase::Delivered),
    (
        "absent",
        r#"[{"outcome":"attemptFailed"},{"outcome":"attemptFailed"},{"outcome":"attemptFailed"}]"#,
        Phase::Returned,
    ),
    ("refused", r#"[{"outcome":"refused"}]"#, Phase::Returned),
    ("damaged", r#"[{"outcome":"damaged"}]"#, Phase::Returned),
    ("lost", r#"[{"outcome":"lost"}]"#, Phase::Lost),
    ("fetched", r#"[{"outcome":"availableForPickup"}]"#, Phase::Delivered),
    ("twice", r#"[{"outcome":"attemptFailed"}]"#, Phase::Delivered),
];

type Places = BTreeMap<String, Vec<u8>>;

#[tokio::test(flavor = "multi_thread")]
async fn no_part_of_an_order_is_anywhere_after_deliveries_that_ended_in_every_way() {
    in_namespace("privacy-world", &[], async |namespace| {
        let (world, broker) = scene(namespace).await;
        for (carrier, (ending, _, _)) in ENDINGS.into_iter().enumerate() {
            world.deliver(&upc(ending), carrier, json!({})).await;
        }
        for (ending, _, phase) in ENDINGS {
            let name = upc(ending);
            let over = world.following.until(&name, |delivery| {
                let mut custody = delivery.status.iter().flat_map(|status| &status.custody);
                delivery.phase() == phase && (phase == Phase::Lost || custody.any(|entry| entry.event == "Erased"))
            });
            let seen = || world.following.get(&name).map(|delivery| delivery.status.clone());
            assert!(tokio::time::timeout(PATIENCE, over).await.is_ok(), "{ending} did not end {phase}: {:?}", seen());
        }
        let places = everything(&world, &broker).await;
        println!("looked through {} places, {} frames", places.len(), broker.captured().len());
        for kind in ["Delivery ", "log of ", "metrics of ", "topic ", "frame ", "settings of ", "ConfigMap ", "Lease "]
        {
            assert!(places.keys().any(|place| place.starts_with(kind)), "no {kind}was looked at");
        }
        assert_eq!(marked(&places), Vec::<String>::new());
        assert_eq!(marked(&planted(&world, &broker).await), PLANTED, "the scan finds what is planted");
    })
    .await;
}

#[test]
fn a_marker_is_found_however_it_is_written() {
    let text = format!("somewhere {MARKER}door in it");
    for written in [text.clone(), STANDARD.encode(&text), STANDARD.encode(&text[1..]), STANDARD.encode(&text[2..])] {
        assert_eq!(marked(&Places::from([("it".to_owned(), written.into_bytes())])), ["it"]);
    }
    assert_eq!(marked(&Places::from([("it".to_owned(), hex(text.as_bytes()).into_bytes())])), ["it"]);
    assert_eq!(marked(&Places::from([("it".to_owned(), b"no such thing".to_vec())])), Vec::<String>::new());
}

// === helpers ===

/// Where a marker is planted, in order.
const PLANTED: [&str; 9] = [
    "ConfigMap planted",
    "Delivery upc-delivered",
    "Event planted",
    "frame of wb/planted",
    "journal of delivered/planted",
    "log of delivered",
    "metrics of delivered",
    "settings of delivered",
    "topic wb/MARKER-door",
];

fn upc(ending: &str) -> String {
    format!("upc-{ending}")
}

async fn scene(namespace: Namespace) -> (World, HostileBroker) {
    cluster::define(&namespace.client).await;
    let carrier = |(name, script, _): (&str, &str, Phase)| Character {
        script: serde_json::from_str(script).unwrap(),
        ..Character::plain(name)
    };
    let carriers = ENDINGS.map(carrier).to_vec();
    let mut world = World::prepare(namespace, &Setting { sellers: 1, carriers }).await;
    let upcs = ENDINGS.map(|(ending, _, _)| upc(ending));
    world.orders(&upcs.each_ref().map(String::as_str)).await;
    let authorities =
        Authorities { issuer: world.authorities.last().unwrap(), all: world.authorities.iter().collect() };
    let (certificate, key) = authorities.leaf("broker", world.ip);
    let broker = HostileBroker::start(world.ip, (&certificate, &key), &world.bundle()).await;
    (world.routes.sellers, world.routes.carriers) = (broker.addr, broker.addr);
    world.start().await;
    (world, broker)
}

/// Everything there is to see outside the Secret, by a name for the report.
async fn everything(world: &World, broker: &HostileBroker) -> Places {
    let mut places = Places::new();
    let kinds = [
        ApiResource::erase::<Delivery>(&()),
        ApiResource::erase::<Seller>(&()),
        ApiResource::erase::<Carrier>(&()),
        ApiResource::erase::<Event>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Lease>(&()),
    ];
    for kind in kinds {
        let api: Api<DynamicObject> =
            Api::namespaced_with(world.namespace.client.clone(), &world.namespace.name, &kind);
        for object in api.list(&ListParams::default()).await.unwrap() {
            places.insert(format!("{} {}", kind.kind, object.name_any()), serde_json::to_vec(&object).unwrap());
        }
    }
    places.extend(world.said().into_iter().map(|(name, log)| (format!("log of {name}"), log.into_bytes())));
    for process in
        world.sellers.iter().chain([&world.carrier_api]).chain(world.agents.iter().map(|agent| &agent.process))
    {
        let page = reqwest::get(process.page("/metrics")).await.unwrap().bytes().await.unwrap();
        places.insert(format!("metrics of {}", process.name), page.to_vec());
        let settings = format!("{:?} {:?}", process.words, process.environment);
        places.insert(format!("settings of {}", process.name), settings.into_bytes());
    }
    for agent in &world.agents {
        for file in std::fs::read_dir(agent.home.join("journal")).unwrap().map(Result::unwrap) {
            let name = format!("journal of {}/{}", agent.character.name, file.file_name().display());
            places.insert(name, std::fs::read(file.path()).unwrap());
        }
    }
    for (number, frame) in broker.captured().into_iter().enumerate() {
        places.insert(format!("frame {number} of {}", frame.topic), frame.payload);
        places.insert(format!("topic {}", frame.topic), frame.topic.into_bytes());
    }
    places
}

/// The same once a marker was put into each sort of place by whoever could have let one slip there.
async fn planted(world: &World, broker: &HostileBroker) -> Places {
    let data = json!({"door": "MARKER-door"});
    let meta = json!({"name": "planted"});
    let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": meta, "data": data});
    objects::apply::<ConfigMap>(&world.namespace, &map).await.unwrap();
    let about = json!({"kind": Delivery::kind(&()), "name": "upc-delivered", "namespace": world.namespace.name});
    let event = json!({"apiVersion": "v1", "kind": "Event", "metadata": meta, "message": "MARKER-door", "involvedObject": about});
    objects::apply::<Event>(&world.namespace, &event).await.unwrap();
    let note = Patch::Merge(json!({"metadata": {"annotations": {"note": "MARKER-door"}}}));
    world.namespace.api::<Delivery>().patch("upc-delivered", &PatchParams::default(), &note).await.unwrap();
    let agent = &world.agents[0];
    std::fs::write(agent.home.join("journal/planted"), "MARKER-door").unwrap();
    let overheard =
        |topic: &str, payload: &[u8]| Passing { to: String::new(), topic: topic.into(), payload: payload.into() };
    broker.overhear(overheard("wb/planted", STANDARD.encode("a MARKER-door").as_bytes()));
    broker.overhear(overheard("wb/MARKER-door", b""));
    let mut places = everything(world, broker).await;
    // A program's page, line and settings are its own: nobody can put anything there but the program.
    for place in ["log of delivered", "metrics of delivered", "settings of delivered"] {
        places.get_mut(place).unwrap().extend_from_slice(b" MARKER-door");
    }
    // Which number a frame has is nobody's concern.
    let plain = |place: String| match place.split_once(" of wb/") {
        Some(("topic", _)) | None => place,
        Some((_, topic)) => format!("frame of wb/{topic}"),
    };
    places.into_iter().map(|(place, bytes)| (plain(place), bytes)).collect()
}

/// Where a marker is, in order.
fn marked(places: &Places) -> Vec<String> {
    let needles = needles();
    let has =
        |bytes: &[u8]| needles.iter().any(|needle| bytes.windows(needle.len()).any(|window| window == &needle[..]));
    places.iter().filter(|(_, bytes)| has(bytes)).map(|(place, _)| place.clone()).collect()
}

/// The marker as it is, in hexadecimal, and in base64 wherever it begins in its group of three.
fn needles() -> Vec<Vec<u8>> {
    let encoded = (0..3_usize).map(|before| {
        let text = STANDARD.encode([&vec![0; before][..], MARKER.as_bytes()].concat());
        // What its neighbours have a part in is left out.
        let (from, whole) = ([0, 2, 3][before], (before + MARKER.len()) * 8 / 6);
        text.as_bytes()[from..whole].to_vec()
    });
    encoded.chain([MARKER.as_bytes().to_vec(), hex(MARKER.as_bytes()).into_bytes()]).collect()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
