//! Who is refused: confirmed, lasting, known everywhere within moments; and nobody by mistake.

use futures::future::join_all;
use jiff::Timestamp;
use kube::api::DeleteParams;
use waybill_crds::Reason;
use waybill_e2e::eventually;
use waybill_operator::identity::Participant;

use super::openssl::openssl;
use super::stage::{SOON, Stage, number, on_stage, revoked};
use crate::gate::Gate;

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_carrier_is_revoked_everywhere_and_a_living_one_is_not() {
    on_stage("deleted", |stage| async move {
        let operator = stage.operator();
        let (gone, stays) = (stage.external("gone").await, stage.external("stays").await);
        let [left, kept] = [operator.ensure(&gone).await, operator.ensure(&stays).await]
            .map(|outcome| outcome.certificate.and_then(|certificate| certificate.pem).expect("a certificate"));
        for participant in [&gone, &stays] {
            assert!(!operator.identity.gone(&participant.owner).await.expect("asked"), "it is there");
        }
        let before = number(&stage.crl().await);
        stage.delete_carrier("gone").await;
        assert!(operator.identity.gone(&gone.owner).await.expect("asked"));
        assert!(operator.identity.gone(&gone.owner).await.expect("asked again"));
        let crl = stage.crl().await;
        assert_eq!(number(&crl), before + 1, "written once");
        assert_eq!(revoked(&crl).0, [gone.owner.uid.clone()].into());
        let trust = known_everywhere(&stage, before + 1).await;
        for (chain, good) in [(left, false), (kept, true)] {
            let files = [("ca.pem", trust["ca.crt"].as_str()), ("crl.pem", &trust["crl.pem"]), ("leaf.pem", &chain)];
            let (ok, said) = openssl(&files, "verify -CAfile ca.pem -crl_check -CRLfile crl.pem leaf.pem");
            assert_eq!(ok, good, "{said}");
        }
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn made_anew_under_the_same_name_it_is_somebody_else() {
    on_stage("anew", |stage| async move {
        let operator = stage.operator();
        let old = stage.carrier("van").await;
        let before = operator.ensure(&old).await;
        let keys = stage.secret("wb-carrier-van-keys").await;
        stage.delete_carrier("van").await;
        let new = stage.carrier("van").await;
        assert!(operator.identity.gone(&old.owner).await.expect("asked"), "another uid is another object");
        let after = operator.ensure(&new).await;
        assert!(after.refusal.is_none());
        assert_ne!(after.key_statement, before.key_statement);
        assert_ne!(stage.secret("wb-carrier-van-keys").await, keys, "it inherits nothing");
        assert!(!revoked(&stage.crl().await).0.contains(&new.owner.uid));
        operator.stop().await;
    })
    .await;
}

/// Both while the operator runs, and for what happened while it did not.
#[tokio::test(flavor = "multi_thread")]
async fn who_left_while_nobody_looked_is_found() {
    on_stage("unseen", |stage| async move {
        let operator = stage.operator();
        let (gone, stays) = (stage.external("gone").await, stage.external("stays").await);
        operator.ensure(&gone).await;
        operator.ensure(&stays).await;
        operator.ensure_carrier_api(&stage.namespace.name).await;
        operator.kill().await;
        stage.delete_carrier("gone").await;
        let operator = stage.operator();
        eventually("the deleted one is revoked", SOON, || async {
            let uids = revoked(&stage.crl().await).0;
            if uids == [gone.owner.uid.clone()].into() { Ok(()) } else { Err(format!("{uids:?}")) }
        })
        .await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_is_revoked_because_he_could_not_be_asked_for() {
    on_stage("unasked", |stage| async move {
        let operator = stage.operator();
        let gone = stage.external("gone").await;
        operator.ensure(&gone).await;
        operator.kill().await;
        stage.delete_carrier("gone").await;
        // Deleted indeed, but this operator's questions about carriers all fail.
        let gate = Gate::refusing("/carriers");
        let operator = stage.gated(&gate);
        let seller = stage.seller("books").await;
        operator.ensure(&seller).await;
        assert!(operator.identity.gone(&gone.owner).await.is_err());
        assert!(revoked(&stage.crl().await).0.is_empty());
        operator.stop().await;
        // And this one does not work in that namespace at all.
        let elsewhere = Stage {
            namespace: waybill_e2e::Namespace { name: stage.home.clone(), ..stage.namespace.clone() },
            home: stage.home.clone(),
        };
        let operator = elsewhere.operator();
        eventually("it has started", SOON, || async {
            operator.identity.gone(&gone.owner).await.map_err(|error| error.to_string())
        })
        .await;
        assert!(!operator.identity.gone(&gone.owner).await.expect("no question asked"));
        assert!(revoked(&stage.crl().await).0.is_empty());
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_revoking_at_once_lose_nobody() {
    on_stage("contended", |stage| async move {
        let operators = [stage.operator(), stage.operator()];
        let mut participants = Vec::new();
        for index in 0..20 {
            let participant = stage.external(&format!("c-{index}")).await;
            operators[index % 2].ensure(&participant).await;
            participants.push(participant);
        }
        let before = number(&stage.crl().await);
        let revoke = participants.iter().enumerate().map(|(index, participant)| {
            let identity = &operators[index % 2].identity;
            identity.revoke(vec![participant.owner.uid.clone()])
        });
        for done in join_all(revoke).await {
            done.expect("revoked");
        }
        let crl = stage.crl().await;
        let uids: std::collections::BTreeSet<_> = participants.iter().map(|p| p.owner.uid.clone()).collect();
        assert_eq!(revoked(&crl).0, uids);
        assert!(number(&crl) > before);
        for operator in operators {
            operator.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_list_that_was_deleted_comes_back_whole_and_with_a_higher_number() {
    on_stage("lost-list", |stage| async move {
        let operator = stage.operator();
        let van = stage.external("van").await;
        operator.ensure(&van).await;
        operator.identity.revoke(vec![van.owner.uid.clone()]).await.expect("revoked");
        let before = number(&stage.crl().await);
        stage.home_maps().delete("waybill-crl", &DeleteParams::default()).await.expect("deleted");
        let crl = stage.crl().await;
        assert!(number(&crl) > before);
        assert_eq!(revoked(&crl).0, [van.owner.uid.clone()].into());
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_revoked_carrier_gets_nothing_and_its_number_never_comes_back() {
    on_stage("revoked", |stage| async move {
        let operator = stage.operator();
        let van = stage.external("van").await;
        let first = operator.ensure(&van).await.certificate.expect("a certificate");
        let cut = Participant { revoked: true, certificate: first.pem.clone(), ..van.clone() };
        for _ in 0..2 {
            let outcome = operator.ensure(&cut).await;
            assert_eq!(outcome.refusal.expect("a refusal").reason, Reason::Revoked);
            assert!(outcome.certificate.is_none());
        }
        let (uids, serials) = revoked(&stage.crl().await);
        assert_eq!((uids, serials), ([van.owner.uid.clone()].into(), [first.serial.clone()].into()));
        let back = Participant { revoked: false, ..cut };
        let second = operator.ensure(&back).await.certificate.expect("a new certificate");
        assert_ne!(second.serial, first.serial);
        let (uids, serials) = revoked(&stage.crl().await);
        assert!(uids.is_empty(), "in good standing again");
        assert_eq!(serials, [first.serial].into());
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_idle_operator_writes_nothing() {
    on_stage("idle", |stage| async move {
        let gate = Gate::open();
        let operator = stage.gated(&gate);
        let seller = stage.seller("books").await;
        let outcome = operator.ensure(&seller).await;
        let seller = Participant { key_statement: outcome.key_statement.clone(), ..seller };
        stage.home_secret("waybill-broker-admin").await;
        operator.ensure_carrier_api(&stage.namespace.name).await;
        let writes = gate.writes();
        for _ in 0..50 {
            assert_eq!(operator.ensure_at(&seller, Timestamp::now()).await, outcome);
            operator.ensure_carrier_api(&stage.namespace.name).await;
        }
        assert_eq!(gate.writes(), writes);
        operator.stop().await;
    })
    .await;
}

// === helpers ===

/// Waits until the namespace was told; answers with what it was told.
async fn known_everywhere(stage: &Stage, number: u64) -> std::collections::BTreeMap<String, String> {
    eventually("the namespace knows", SOON, || async {
        let trust = stage.trust().await;
        if trust["revoked.json"].contains(&format!("\"number\":{number}")) { Ok(trust) } else { Err("not yet") }
    })
    .await
}
