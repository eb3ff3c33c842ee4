//! Certificates and authorities change under living connections.

use waybill_chassis::tls::Material;

use crate::client::Client;
use crate::pki::{Ca, Leaf, number};
use crate::world::{World, data, soon, within_five_seconds};

#[tokio::test]
async fn a_new_server_certificate_is_used_for_new_connections_and_drops_none() {
    let world = World::start().await;
    let carrier = world.ca.client("carrier");
    let mut client = world.carrier(&carrier).await.unwrap();
    let before = client.server_certificate();
    let next = world.ca.server();
    world.offer_server(&[("tls.crt", &next.chain), ("tls.key", &next.key)]);
    let newcomer = world.ca.client("newcomer");
    soon("the new certificate", async {
        while world.carrier(&newcomer).await.unwrap().server_certificate() == before {}
    })
    .await;
    assert_eq!(client.messages().await, Ok(vec![]), "on the connection it had");
    world.answers().await;
}

#[tokio::test]
async fn a_key_that_does_not_fit_the_certificate_is_not_used() {
    let world = World::start().await;
    let other = world.ca.server();
    world.offer_server(&[("tls.key", &other.key)]);
    world.page("/readyz", "last good in use: damaged server certificate").await;
    assert!(world.carrier(&world.ca.client("carrier")).await.is_ok());
}

#[tokio::test]
async fn leafs_of_the_old_and_the_new_authority_are_accepted_during_the_overlap() {
    let mut world = World::start().await;
    let next = Ca::new("next");
    let (old_leaf, new_leaf) = (world.ca.client("old-leaf"), chained(&world.ca, &next, "new-leaf"));
    let mut old = world.carrier(&old_leaf).await.unwrap();
    assert!(world.carrier(&new_leaf).await.is_err(), "not known yet, in spite of the cross-signature");

    let bundle = world.ca.pem() + &next.pem();
    world.number = 2;
    let lists = world.list(&world.ca, 2) + &world.list(&next, 2);
    world.offer_lists(&lists);
    world.offer_server(&[("ca.crt", &bundle)]);
    world.page("/metrics", "waybill_broker_crl_number 2").await;
    let mut new = soon("the new authority", async {
        loop {
            if let Ok(client) = world.carrier(&new_leaf).await {
                return client;
            }
        }
    })
    .await;
    assert!(world.carrier(&world.ca.client("another-old")).await.is_ok());
    assert_eq!((old.messages().await, new.messages().await), (Ok(vec![]), Ok(vec![])));

    // Both can be revoked, each by its own authority's list.
    world.revoked = vec![old_leaf.clone(), new_leaf.clone()];
    world.number = 3;
    let lists = world.ca.list(number(3), &[old_leaf.serial]) + &next.list(number(3), &[new_leaf.serial]);
    world.offer_lists(&lists);
    within_five_seconds("both sessions' end", async {
        old.ended().await;
        new.ended().await;
        world.refuses(&old_leaf).await;
        world.refuses(&new_leaf).await;
    })
    .await;
}

#[tokio::test]
async fn a_withdrawn_authoritys_leafs_are_refused_and_the_server_may_change_over() {
    let mut world = World::start().await;
    let next = Ca::new("next");
    let (old_leaf, new_leaf, server) = (world.ca.client("old-leaf"), next.client("new-leaf"), next.server());
    world.number = 2;
    let lists = world.list(&next, 2);
    world.offer_lists(&lists);
    world.offer_server(&[("tls.crt", &server.chain), ("tls.key", &server.key), ("ca.crt", &next.pem())]);
    let bundle = next.pem();
    soon("the change", async { while Client::connect(world.ports.carriers, &bundle, &new_leaf).await.is_err() {} })
        .await;
    let old = Client::connect(world.ports.carriers, &bundle, &old_leaf).await;
    assert!(old.is_err());
    world.answers().await;
}

#[tokio::test]
async fn the_sidecars_own_authority_can_change_at_the_price_of_a_restart() {
    let mut world = World::start().await;
    let next = Ca::new("next-admin");
    let client = next.client("sidecar");
    let object = data(&[("tls.crt", &client.chain), ("tls.key", &client.key), ("ca.crt", &next.pem())]);
    world.inputs.send_modify(|inputs| inputs.admin = Some(object));
    soon("the broker's end", world.broker.ended()).await;
    world.broker.start();
    world.answers().await;
    let (old, bundle) = (world.admin.client("sidecar"), world.ca.pem());
    assert!(Client::connect(world.ports.admin, &bundle, &old).await.is_err());
}

#[tokio::test]
async fn the_sidecars_own_certificate_can_change_without_one() {
    let world = World::start().await;
    let carrier = world.ca.client("carrier");
    let mut session = world.carrier(&carrier).await.unwrap();
    let client = world.admin.client("sidecar");
    let object = data(&[("tls.crt", &client.chain), ("tls.key", &client.key), ("ca.crt", &world.admin.pem())]);
    world.inputs.send_modify(|inputs| inputs.admin = Some(object));
    world.answers().await;
    assert_eq!(session.messages().await, Ok(vec![]), "on the connection it had");
}

/// A leaf that brings the cross-certificate along, as the operator's do.
fn chained(old: &Ca, new: &Ca, uid: &str) -> Leaf {
    let leaf = new.client(uid);
    let chain = leaf.chain.clone() + &new.crossed_by(old);
    Material::from_pem(chain.as_bytes(), leaf.key.as_bytes(), old.pem().as_bytes()).unwrap();
    Leaf { chain, ..leaf }
}
