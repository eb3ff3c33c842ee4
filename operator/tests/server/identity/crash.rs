//! Killed at each of its writes, before it and after it, the operator ends where an undisturbed one does.

use std::collections::BTreeSet;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use waybill_crds::{Carrier, Seller};
use waybill_e2e::eventually;
use waybill_operator::identity::Participant;

use super::openssl::verifies;
use super::stage::{Operator, SOON, Stage, on_stage, revoked, text};
use crate::gate::{Death, Gate};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_it_converges() {
    on_stage("crash-sweep", |stage| async move {
        // What two undisturbed runs both write, every run does; requests that meet may share a later write of the same object.
        let writes: BTreeSet<_> = undisturbed(&stage).await.intersection(&undisturbed(&stage).await).cloned().collect();
        assert!(writes.len() > 10, "all there is to disturb: {writes:?}");
        println!("killed before and after each of {writes:#?}");
        for at in writes {
            for after in [false, true] {
                clear(&stage).await;
                disturbed(&stage, Death { at: at.clone(), after }).await;
            }
        }
    })
    .await;
}

// === helpers ===

struct Cast {
    seller: Participant,
    external: Participant,
}

async fn cast(stage: &Stage) -> Cast {
    Cast { seller: stage.seller("books").await, external: stage.external("van").await }
}

/// Everything one namespace needs.
async fn play(operator: &Operator, stage: &Stage, cast: &Cast) {
    operator.ensure(&cast.seller).await;
    operator.ensure(&cast.external).await;
    operator.ensure_carrier_api(&stage.namespace.name).await;
    stage.home_secret("waybill-broker-admin").await;
}

/// What is written from nothing to the end.
async fn undisturbed(stage: &Stage) -> BTreeSet<String> {
    clear(stage).await;
    let gate = Gate::open();
    let operator = stage.gated(&gate);
    let cast = cast(stage).await;
    play(&operator, stage, &cast).await;
    operator.stop().await;
    end_is_whole(stage, &cast).await;
    gate.writes().into_iter().collect()
}

async fn disturbed(stage: &Stage, death: Death) {
    let gate = Gate::with(death.clone());
    let operator = stage.gated(&gate);
    let cast = cast(stage).await;
    // Parts that fail are tried again until the operator is dead, as its reconcilers would.
    let what = format!("{death:?}");
    let work = eventually(&what, SOON, || async {
        let now = Timestamp::now();
        let seller = operator.try_ensure(&cast.seller, now).await;
        let external = operator.try_ensure(&cast.external, now).await;
        let api = operator.identity.ensure_carrier_api(&stage.namespace.name, now).await;
        if gate.is_dead() { Ok(()) } else { Err(format!("{seller:?} {external:?} {api:?} {:?}", gate.writes())) }
    });
    tokio::select! {
        // Whoever waits for an answer then waits for ever.
        () = gate.died() => {}
        () = work => {}
    }
    operator.kill().await;
    let operator = stage.operator();
    play(&operator, stage, &cast).await;
    operator.stop().await;
    end_is_whole(stage, &cast).await;
}

async fn end_is_whole(stage: &Stage, cast: &Cast) {
    let ca = text(&stage.home_secret("waybill-ca").await["ca.crt"]);
    assert_eq!(ca.matches("BEGIN CERTIFICATE").count(), 1);
    let trust = stage.trust().await;
    assert_eq!(trust["ca.crt"], ca);
    let serials = stage.serials().await;
    for secret in ["wb-seller-books-tls", "waybill-carrier-api-tls"] {
        let tls = stage.secret(secret).await;
        assert_eq!(text(&tls["ca.crt"]), ca);
        verifies(&text(&tls["tls.crt"]), &ca, "-purpose sslserver");
        assert!(serials.contains(&serial(&text(&tls["tls.crt"]))), "it is in the ledger");
    }
    for secret in ["wb-seller-books-keys", "wb-seller-books-label", "waybill-carrier-api-keys"] {
        let mut keys = stage.secret(secret).await;
        let stated = keys.remove("statement").is_some_and(|statement| !statement.is_empty());
        assert_eq!(stated, !secret.ends_with("-label"), "{secret}");
        assert!(keys.values().all(|key| key.len() == 32));
    }
    let (uids, _) = revoked(&stage.crl().await);
    assert!(!uids.contains(&cast.seller.owner.uid) && !uids.contains(&cast.external.owner.uid));
    let server = stage.home_secret("waybill-broker-tls").await;
    verifies(&text(&server["tls.crt"]), &ca, "-purpose sslserver");
}

fn serial(chain: &str) -> String {
    let pem = x509_parser::pem::Pem::iter_from_buffer(chain.as_bytes()).next().expect("a block").expect("PEM");
    hex::encode(pem.parse_x509().expect("a certificate").raw_serial())
}

/// Both namespaces as they were before anything.
async fn clear(stage: &Stage) {
    let (delete, all) = (DeleteParams::default(), ListParams::default());
    let client = &stage.namespace.client;
    for namespace in [&stage.namespace.name, &stage.home] {
        let secrets: Api<Secret> = Api::namespaced(client.clone(), namespace);
        let _ = secrets.delete_collection(&delete, &all).await.expect("cleared");
        let maps: Api<ConfigMap> = Api::namespaced(client.clone(), namespace);
        let ours = all.clone().labels("app.kubernetes.io/managed-by=waybill-operator");
        let _ = maps.delete_collection(&delete, &ours).await.expect("cleared");
    }
    let sellers: Api<Seller> = stage.namespace.api();
    let _ = sellers.delete_collection(&delete, &all).await.expect("cleared");
    let carriers: Api<Carrier> = stage.namespace.api();
    let _ = carriers.delete_collection(&delete, &all).await.expect("cleared");
}
