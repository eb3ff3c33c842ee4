//! Killed at every single write, before it and after it, the operator ends where an undisturbed one does.

use std::sync::atomic::{AtomicUsize, Ordering};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use waybill_crds::{Carrier, Seller};
use waybill_e2e::eventually;
use waybill_operator::identity::Participant;

use crate::gate::{Death, Gate};
use crate::openssl::verifies;
use crate::stage::{Operator, SOON, Stage, on_stage, revoked, text};

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_any_write_it_converges() {
    on_stage("crash-sweep", |stage| async move {
        let gate = Gate::open();
        let operator = stage.gated(&gate);
        let cast = cast(&stage).await;
        play(&operator, &stage, &cast).await;
        operator.stop().await;
        end_is_whole(&stage, &cast).await;
        let writes = gate.writes();
        assert!(writes > 10, "{writes} writes are all there is to disturb");
        let mut deaths = 0;
        for at in 1..=writes {
            for after in [false, true] {
                clear(&stage).await;
                deaths += usize::from(disturbed(&stage, Death { at, after }).await);
            }
        }
        println!("{deaths} deaths in {} plans over {writes} writes", writes * 2);
        assert!(deaths + 2 * JOINED >= writes * 2, "{deaths} deaths in {} plans", writes * 2);
    })
    .await;
}

// === helpers ===

/// Requests that meet share a write (a ledger entry, a list), so one run may take a few writes fewer than another.
const JOINED: usize = 3;
/// Looks without a new write, all parts done: then the run is over.
const STILL: usize = 20;

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

/// Answers whether the operator died: a run that took fewer writes ends before the chosen one.
async fn disturbed(stage: &Stage, death: Death) -> bool {
    let gate = Gate::with(death);
    let operator = stage.gated(&gate);
    let cast = cast(stage).await;
    let (still, last) = (AtomicUsize::new(0), AtomicUsize::new(0));
    // Parts that fail are tried again until the operator is dead, as its reconcilers would.
    eventually("its death or its end", SOON, || async {
        let now = Timestamp::now();
        let seller = operator.try_ensure(&cast.seller, now).until_dead(&gate).await;
        let external = operator.try_ensure(&cast.external, now).until_dead(&gate).await;
        let api = operator.identity.ensure_carrier_api(&stage.namespace.name, now).until_dead(&gate).await;
        let done = matches!((seller, external, api), (Some(Ok(_)), Some(Ok(_)), Some(Ok(_))));
        let writes = gate.writes();
        let quiet = done && last.swap(writes, Ordering::SeqCst) == writes;
        let looks = if quiet { still.load(Ordering::SeqCst) + 1 } else { 0 };
        still.store(looks, Ordering::SeqCst);
        if gate.is_dead() || looks >= STILL { Ok(()) } else { Err(format!("{death:?}: {writes} writes")) }
    })
    .await;
    let died = gate.is_dead();
    operator.kill().await;
    let operator = stage.operator();
    play(&operator, stage, &cast).await;
    operator.stop().await;
    end_is_whole(stage, &cast).await;
    died
}

/// Awaits a future, but not past the operator's death: it might wait for an answer that never comes.
trait UntilDead: Future + Sized {
    async fn until_dead(self, gate: &Gate) -> Option<Self::Output> {
        let dead = async {
            while !gate.is_dead() {
                tokio::time::sleep(std::time::Duration::from_millis(5)).await;
            }
        };
        tokio::select! {
            done = self => Some(done),
            () = dead => None,
        }
    }
}
impl<F: Future> UntilDead for F {}

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
        assert!(stage.secret(secret).await.values().all(|key| key.len() == 32));
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
