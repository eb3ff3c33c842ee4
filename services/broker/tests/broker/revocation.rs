//! Who is revoked has no session and gets none, whatever the lists look like afterwards; everybody else notices nothing.

use std::sync::Arc;

use crate::client::{Client, Gone, config};
use crate::pki::{Ca, When, number};
use crate::world::{World, data, soon, within_five_seconds};

#[tokio::test]
async fn a_revoked_carrier_is_cut_off_and_refused_again_while_others_go_on() {
    let mut world = World::start().await;
    let (revoked, other, seller) = (world.ca.client("revoked"), world.ca.client("other"), world.ca.client("seller"));
    let mut session = world.carrier(&revoked).await.unwrap();
    let mut others = [world.carrier(&other).await.unwrap(), world.seller(&seller).await.unwrap()];
    world.revoke(&revoked);
    within_five_seconds("the session's end", session.ended()).await;
    within_five_seconds("refusal", world.refuses(&revoked)).await;
    let bundle = world.ca.pem();
    for id in ["revoked", "other", "seller", "new", ""] {
        for addr in [world.ports.carriers, world.ports.sellers] {
            assert_eq!(Client::connect_as(addr, &bundle, &revoked, id).await.err(), Some(Gone), "as {id:?}");
        }
    }
    for client in &mut others {
        assert_eq!(client.messages().await, Ok(vec![]), "on the connection it had");
    }
    assert!(world.carrier(&world.ca.client("newcomer")).await.is_ok());
    assert_eq!(world.metric("waybill_broker_crl_number").await, 2.0);
    assert!(world.metric("waybill_broker_takeovers_total").await >= 1.0);
}

#[tokio::test]
async fn a_handshake_kept_from_before_the_revocation_gives_no_lasting_session() {
    let mut world = World::start().await;
    let revoked = world.ca.client("revoked");
    let mut prepared = Vec::new();
    for addr in [world.ports.carriers, world.ports.sellers] {
        prepared.push(Client::handshake(addr, &world.ca.pem(), &revoked).await.unwrap());
    }
    world.revoke(&revoked);
    within_five_seconds("refusal", world.refuses(&revoked)).await;
    for mut client in prepared {
        // The broker checked the certificate long ago: it lets the session in, and has to be made to end it.
        if client.say_connect("revoked").await.is_ok() {
            within_five_seconds("the late session's end", client.ended()).await;
        }
    }
}

#[tokio::test]
async fn a_resumed_tls_session_is_no_way_around_the_list() {
    let mut world = World::start().await;
    let revoked = world.ca.client("revoked");
    let mut config = config(&world.ca.pem(), &revoked);
    config.resumption = rustls::client::Resumption::default();
    let config = Arc::new(config);
    let carriers = world.ports.carriers;
    let connect = async |config: &Arc<rustls::ClientConfig>| {
        let mut client = Client::handshake_with(carriers, Arc::clone(config)).await?;
        client.say_connect("revoked").await.map(|()| client)
    };
    connect(&config).await.unwrap();
    assert!(connect(&config).await.unwrap().resumed(), "the broker does resume, so this is worth a test");
    world.revoke(&revoked);
    within_five_seconds("refusal", world.refuses(&revoked)).await;
    assert_eq!(connect(&config).await.err(), Some(Gone));
}

#[tokio::test]
async fn lists_that_are_no_good_leave_the_last_good_one() {
    let mut world = World::start().await;
    let (revoked, other) = (world.ca.client("revoked"), world.ca.client("other"));
    world.revoke(&revoked);
    within_five_seconds("refusal", world.refuses(&revoked)).await;
    let ca = &world.ca;
    let good = ca.list(number(3), &[]);
    let expired = ca.list(When { until: time::Duration::seconds(-1), ..number(3) }, &[]);
    let forged = Ca::new(&ca.name).list(number(3), &[]);
    let bad = [
        ("damaged revocation list", &good[..good.len() / 2]),
        ("no revocation list", ""),
        ("expired revocation list", &expired),
        ("older revocation list", &ca.list(number(1), &[])),
        ("revocation list not signed by its authority", &forged),
        ("an authority without a revocation list", &Ca::new("stranger").list(number(3), &[])),
    ];
    for (word, lists) in bad {
        world.offer_lists(lists);
        last_good_holds(&world, word, &revoked, &other).await;
    }
    world.inputs.send_modify(|inputs| inputs.revocations = Some(data(&[("other", "entry")])));
    last_good_holds(&world, "no revocation list", &revoked, &other).await;
    world.inputs.send_modify(|inputs| inputs.revocations = None);
    last_good_holds(&world, "no revocation list", &revoked, &other).await;

    let next = world.list(&world.ca, 3);
    world.offer_lists(&next);
    world.page("/readyz", r#""revocations":"ok""#).await;
    world.page("/metrics", "waybill_broker_last_good_age_seconds 0").await;
}

/// The problem is on the readiness page and in the metrics; the broker still refuses the one and takes the other.
async fn last_good_holds(world: &World, word: &str, revoked: &crate::pki::Leaf, other: &crate::pki::Leaf) {
    let page = world.page("/readyz", &format!("last good in use: {word}")).await;
    assert!(page.starts_with("HTTP/1.1 200"), "{page}");
    assert_eq!(world.metric(r#"waybill_broker_problem{part="revocations"}"#).await, 1.0, "{word}");
    assert_eq!(world.metric("waybill_broker_crl_number").await, 2.0, "{word}");
    assert!(world.carrier(revoked).await.is_err(), "{word}");
    assert!(world.carrier(other).await.is_ok(), "{word}");
}

#[tokio::test]
async fn revocations_from_before_the_sidecar_started_are_made_good() {
    let mut world = World::start().await;
    let (revoked, other) = (world.ca.client("revoked"), world.ca.client("other"));
    let mut session = world.carrier(&revoked).await.unwrap();
    let mut other_session = world.carrier(&other).await.unwrap();
    world.stop_sidecar();
    world.revoke(&revoked);
    assert_eq!(session.messages().await, Ok(vec![]), "without the sidecar everything goes on");
    world.start_sidecar().await;
    soon("the session's end", session.ended()).await;
    soon("refusal", world.refuses(&revoked)).await;
    assert_eq!(other_session.messages().await, Ok(vec![]));
}

#[tokio::test]
async fn many_revoked_at_once_are_cut_off_in_time() {
    let mut world = World::start().await;
    let mut sessions = Vec::new();
    for number in 0..60 {
        let leaf = world.ca.client(&format!("carrier-{number}"));
        sessions.push(world.carrier(&leaf).await.unwrap());
        world.revoked.push(leaf);
    }
    let lists = world.list(&world.ca, 2);
    world.offer_lists(&lists);
    within_five_seconds("the end of every session", async {
        for session in &mut sessions {
            session.ended().await;
        }
    })
    .await;
}
