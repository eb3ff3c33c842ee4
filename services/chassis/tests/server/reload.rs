//! Certificates and roots replaced on disk, under live connections.

use rcgen::ExtendedKeyUsagePurpose;
use waybill_chassis::server::Limits;
use waybill_chassis::tls::ClientAuth;

use crate::authority::{Authority, Leaf, Wish, mount};
use crate::wire::{routes, start, until};

#[tokio::test]
async fn a_renewed_certificate_is_served_without_losing_a_connection() {
    let ca = Authority::new("ca");
    let server = start(&ca, ClientAuth::Required, routes(), Limits::default()).await;
    let config = ca.client(&ca.issue(Wish::default()));
    let mut live = server.connect(&config).await.unwrap();
    assert_eq!((live.get("/").await.unwrap().status, live.server_serial().as_str()), (200, "1"));

    for serial in 2..5_u32 {
        mount(server.path(), serial, &ca.server(u64::from(serial)), &ca.pem());
        // Every handshake in between must succeed, with the old or the new certificate.
        until("the new certificate is served", async || {
            let mut client = server.connect(&config).await.unwrap();
            assert_eq!(client.get("/").await.unwrap().status, 200);
            (client.server_serial() == serial.to_string()).then_some(())
        })
        .await;
        assert_eq!(live.get("/").await.unwrap().body, "uid-1");
    }
    assert!(server.metrics.encode().unwrap().contains("waybill_tls_reloads_total 3"));
}

#[tokio::test]
async fn a_root_is_trusted_when_it_enters_the_bundle_and_not_after_it_left() {
    let (old, new) = (Authority::new("old"), Authority::new("new"));
    let server = start(&old, ClientAuth::Required, routes(), Limits::default()).await;
    let shows_new = old.client(&new.issue(Wish::default()));
    server.visit(&shows_new).await.unwrap_err();

    mount(server.path(), 1, &old.server(2), &format!("{}{}", old.pem(), new.pem()));
    until("the new root is trusted", async || server.visit(&shows_new).await.ok()).await;
    let shows_old = old.client(&old.issue(Wish::default()));
    server.visit(&shows_old).await.unwrap();

    mount(server.path(), 2, &old.server(3), &new.pem());
    until("the old root is gone", async || server.visit(&shows_old).await.err()).await;
    server.visit(&shows_new).await.unwrap();
}

#[tokio::test]
async fn damaged_files_leave_the_last_good_certificate_in_force() {
    let ca = Authority::new("ca");
    let server = start(&ca, ClientAuth::Optional, routes(), Limits::default()).await;
    let good = ca.server(2);
    let mismatched = Leaf { key: ca.server(3).key, ..good.clone() };
    let truncated = Leaf { chain: good.chain[..good.chain.len() / 2].to_owned(), ..good.clone() };
    mount(server.path(), 1, &mismatched, &ca.pem());
    mount(server.path(), 2, &truncated, &ca.pem());
    mount(server.path(), 3, &good, "no certificate here");
    assert_eq!(server.connect(&ca.anonymous()).await.unwrap().server_serial(), "1");

    mount(server.path(), 4, &good, &ca.pem());
    until("the good certificate is served", async || {
        let serial = server.connect(&ca.anonymous()).await.unwrap().server_serial();
        assert!(serial == "1" || serial == "2", "{serial}");
        (serial == "2").then_some(())
    })
    .await;
}

#[tokio::test]
async fn clients_follow_their_own_renewal() {
    let ca = Authority::new("ca");
    let dir = tempfile::tempdir().unwrap();
    let leaf = |serial| ca.issue(Wish { serial, usage: ExtendedKeyUsagePurpose::ClientAuth, ..Wish::default() });
    mount(dir.path(), 0, &leaf(0x11), &ca.pem());
    let stop = tokio_util::sync::CancellationToken::new();
    let material = waybill_chassis::tls::watch_dir(dir.path(), crate::authority::POLL, stop).await.unwrap();
    let mut configs = waybill_chassis::tls::client_configs(material).unwrap();
    let server = start(&ca, ClientAuth::Required, routes(), Limits::default()).await;

    let config = configs.borrow_and_update().clone();
    assert_eq!(server.connect(&config).await.unwrap().get("/known").await.unwrap().body, "11");
    mount(dir.path(), 1, &leaf(0x12), &ca.pem());
    tokio::time::timeout(crate::wire::DEADLINE, configs.changed()).await.unwrap().unwrap();
    let config = configs.borrow_and_update().clone();
    assert_eq!(server.connect(&config).await.unwrap().get("/known").await.unwrap().body, "12");
}
