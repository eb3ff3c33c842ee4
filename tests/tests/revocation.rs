//! Identity ends with the job: a revoked or deleted carrier is cut off and stays cut off (promise 6).

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use waybill_crds::Carrier;
use waybill_e2e::agent::Agent;
use waybill_e2e::enrol::Keys;
use waybill_e2e::objects::{apply, config, service, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace};

/// Five seconds are promised; the rest is patience with a busy machine. The time it took is printed.
const CUT_OFF: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_carrier_loses_its_live_session_and_is_refused_again() {
    in_namespace("revoked-carrier", &[], |namespace| async move {
        let mut outsider = Outsider::enrol(&namespace, "van").await;
        let mut other = Outsider::enrol(&namespace, "bike").await;
        outsider.session.connect().await.expect("an enrolled carrier is let in");
        other.session.connect().await.expect("an enrolled carrier is let in");
        let patch = json!({"spec": {"revoked": true}});
        let revoked = Instant::now();
        let carriers = namespace.api::<Carrier>();
        carriers.patch("van", &PatchParams::default(), &Patch::Merge(patch)).await.expect("a user revokes");
        outsider.is_cut_off(revoked).await;
        other.still_lives().await;
        wait_condition::<Carrier>(&namespace, "van", "Ready", "False", Some("Revoked")).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_carrier_loses_its_live_session_and_is_refused_again() {
    in_namespace("deleted-carrier", &[], |namespace| async move {
        let mut outsider = Outsider::enrol(&namespace, "van").await;
        outsider.session.connect().await.expect("an enrolled carrier is let in");
        let deleted = Instant::now();
        namespace.api::<Carrier>().delete("van", &DeleteParams::default()).await.expect("a user deletes");
        outsider.is_cut_off(deleted).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revocation_cannot_be_taken_back() {
    in_namespace("for-good", &[], |namespace| async move {
        let mut outsider = Outsider::enrol(&namespace, "van").await;
        outsider.session.connect().await.expect("an enrolled carrier is let in");
        let carriers = namespace.api::<Carrier>();
        let revoke = |revoked: bool| Patch::Merge(json!({"spec": {"revoked": revoked}}));
        carriers.patch("van", &PatchParams::default(), &revoke(true)).await.expect("a user revokes");
        outsider.is_cut_off(Instant::now()).await;
        let refused = carriers.patch("van", &PatchParams::default(), &revoke(false)).await.expect_err("for good");
        assert!(refused.to_string().contains("revoked"), "the message says why: {refused}");
        outsider.with_chain(&outsider.chain).connect().await.expect_err("stays refused");
    })
    .await;
}

// === helpers ===

/// A carrier's owner, outside the cluster.
struct Outsider {
    keys: Keys,
    chain: String,
    trust: String,
    broker: SocketAddr,
    session: Agent,
}

impl Outsider {
    async fn enrol(namespace: &Namespace, name: &str) -> Self {
        let keys = Keys::fresh();
        apply::<Carrier>(namespace, &keys.carrier(&namespace.name, name)).await.expect("an external Carrier");
        let carrier = wait_condition::<Carrier>(namespace, name, "CertificatesIssued", "True", None).await;
        let chain = chain(&carrier).expect("an issued carrier has its chain in status");
        let trust = config(namespace, "waybill-trust", "ca.crt").await;
        let broker = service(&namespace.client, "waybill-system", "waybill-broker", 8883).await;
        let session = Agent::new(broker, "whatever-i-like", &trust, &chain, &keys.tls.serialize_pem());
        Self { keys, chain, trust, broker, session }
    }

    /// A new session, not connected yet, under a client id of its own choosing.
    fn with_chain(&self, chain: &str) -> Agent {
        let client_id = format!("other-{:08x}", rand::random::<u32>());
        Agent::new(self.broker, &client_id, &self.trust, chain, &self.keys.tls.serialize_pem())
    }

    /// The live session ends and no new one begins, whatever client id is asked for.
    async fn is_cut_off(&mut self, since: Instant) {
        let why = self.session.ended(CUT_OFF).await.expect("the live session is gone");
        let refused = || async {
            match self.with_chain(&self.chain).connect().await {
                Ok(()) => Err("let in again"),
                Err(why) => Ok(why),
            }
        };
        let again = eventually("refused again", CUT_OFF, refused).await;
        println!("cut off after {:.1} s ({why}), refused again ({again})", since.elapsed().as_secs_f64());
        for _ in 0..5 {
            self.with_chain(&self.chain).connect().await.expect_err("stays refused");
        }
    }

    async fn still_lives(&mut self) {
        let ended = self.session.ended(Duration::from_secs(3)).await;
        assert!(ended.is_err(), "another carrier's session ended: {ended:?}");
    }
}

fn chain(carrier: &Carrier) -> Option<String> {
    carrier.status.as_ref()?.certificate.as_ref()?.pem.clone()
}
