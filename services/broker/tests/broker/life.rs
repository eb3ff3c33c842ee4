//! The broker dies and hangs; links come back by themselves; the sidecar tells the truth about it.

use std::sync::Arc;
use std::time::Duration;

use rustix::process::{Signal, kill_process};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_link::{Inbox, Link, LinkMetrics, Settings, link};

use crate::client::config;
use crate::pki::Leaf;
use crate::world::{World, soon};

/// A participant as the services are: our own link.
fn participant(world: &World, addr: std::net::SocketAddr, leaf: &Leaf, filter: &str) -> (Link, Inbox, LinkMetrics) {
    let (_, tls) = watch::channel(Arc::new(config(&world.ca.pem(), leaf)));
    let settings = Settings::new(&addr.to_string(), &leaf.uid).unwrap().subscribe([filter.to_owned()]);
    let metrics = LinkMetrics::default();
    let (link, inbox, driver) = link(settings, tls, metrics.clone()).unwrap();
    tokio::spawn(driver.run(CancellationToken::new()));
    (link, inbox, metrics)
}

async fn connected(link: &Link, wanted: bool) {
    let mut state = link.connected();
    soon("the link's state", state.wait_for(|connected| *connected == wanted)).await.unwrap();
}

#[tokio::test]
async fn links_come_back_subscribed_after_the_broker_was_killed() {
    let mut world = World::start().await;
    let (seller, carrier, revoked) =
        (world.ca.client("seller"), world.ca.client("carrier"), world.ca.client("revoked"));
    let ports = world.ports;
    let (seller, mut up, _) = participant(&world, ports.sellers, &seller, "wb/seller/+/+/up");
    let (carrier, mut down, _) = participant(&world, ports.carriers, &carrier, "wb/+/carrier/+/down");
    connected(&seller, true).await;
    connected(&carrier, true).await;
    world.revoke(&revoked);
    soon("refusal", world.refuses(&revoked)).await;

    world.page("/metrics", "waybill_broker_processes 1").await;
    world.broker.kill();
    connected(&seller, false).await;
    connected(&carrier, false).await;
    world.page("/mqtt", "HTTP/1.1 503").await;
    world.broker.start();
    connected(&seller, true).await;
    connected(&carrier, true).await;
    seller.publish("wb/seller/carrier/delivery/down", "hello").await.unwrap();
    assert_eq!(&soon("down", down.recv()).await.unwrap().payload[..], b"hello");
    carrier.publish("wb/seller/carrier/delivery/up", "here").await.unwrap();
    assert_eq!(&soon("up", up.recv()).await.unwrap().payload[..], b"here");

    // The files outlived it, and the sidecar noticed.
    assert!(world.carrier(&revoked).await.is_err());
    world.page("/metrics", "waybill_broker_restarts_total 1").await;
    world.answers().await;
}

#[tokio::test]
async fn a_broker_that_hangs_is_unhealthy_and_healthy_again_when_it_goes_on() {
    let world = World::start().await;
    kill_process(world.broker.pid(), Signal::STOP).unwrap();
    world.page("/mqtt", "did not answer").await;
    assert!(world.get("/readyz").await.starts_with("HTTP/1.1 200"), "the sidecar itself is fine");
    kill_process(world.broker.pid(), Signal::CONT).unwrap();
    world.answers().await;
}

#[tokio::test]
async fn without_its_objects_the_sidecar_is_not_ready_and_says_for_what_it_waits() {
    let run = tempfile::TempDir::new().unwrap();
    let args = waybill_broker::BrokerArgs {
        dir: run.path().to_owned(),
        admin: ([127, 0, 0, 1], 1).into(),
        process: "wb-nobody".into(),
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let addr = listener.local_addr().unwrap();
    let (_inputs, seen) = watch::channel(waybill_broker::Inputs::default());
    let stop = CancellationToken::new();
    let served = tokio::spawn(waybill_broker::serve(args, seen, listener, stop.clone()));
    let page = soon("readiness", crate::world::http_get(addr, "/readyz")).await;
    assert!(page.starts_with("HTTP/1.1 503"), "{page}");
    for word in ["no server certificate", "no trust bundle", "no admin certificate", "no access lists"] {
        assert!(page.contains(word), "{word} in {page}");
    }
    assert!(std::fs::read_dir(run.path()).unwrap().next().is_none(), "nothing is written by halves");
    stop.cancel();
    tokio::time::timeout(Duration::from_secs(60), served).await.unwrap().unwrap().unwrap();
}
