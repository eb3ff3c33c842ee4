//! The world itself: undisturbed, everything arrives.

use std::time::Duration;

use serde_json::json;
use waybill_crds::Phase;
use waybill_e2e::in_namespace;

use super::{Character, Setting, World, cluster};

#[tokio::test(flavor = "multi_thread")]
async fn undisturbed_plain_and_camera_carriers_deliver_between_processes() {
    in_namespace("fault-world", &[], async |namespace| {
        cluster::define(&namespace.client).await;
        let camera = Character { camera: true, kind: "drone", ..Character::plain("drone-1") };
        let setting = Setting { sellers: 2, carriers: vec![Character::plain("truck-7"), camera] };
        let mut world = World::prepare(namespace, &setting).await;
        world.orders(&["upc-1", "upc-2"]).await;
        world.start().await;
        for (agent, upc) in ["upc-1", "upc-2"].into_iter().enumerate() {
            world.deliver(upc, agent, json!({})).await;
        }
        for upc in ["upc-1", "upc-2"] {
            let arrived = world.following.until(upc, |delivery| delivery.phase() == Phase::Delivered);
            let delivery = tokio::time::timeout(Duration::from_secs(60), arrived).await.unwrap();
            let log = world.read(&delivery);
            assert!(log.entries().iter().all(|entry| entry.verdict().is_genuine()), "{:?}", log.entries());
        }
        assert_eq!(world.following.wrongs(), Vec::<String>::new());
    })
    .await;
}
