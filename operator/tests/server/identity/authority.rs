//! The CA: made once, rotated without a break, never replaced behind anybody's back.

use futures::future::join_all;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use waybill_e2e::eventually;
use waybill_operator::identity::Participant;

use super::openssl::{does_not_verify, verifies};
use super::stage::{SOON, Stage, on_stage, text};

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_at_once_make_one_ca_and_no_number_twice() {
    on_stage("two-operators", |stage| async move {
        let operators = [stage.operator(), stage.operator()];
        let mut participants = Vec::new();
        for index in 0..12 {
            participants.push(stage.external(&format!("c-{index}")).await);
        }
        let all = operators.iter().flat_map(|operator| participants.iter().map(|p| operator.ensure(p)));
        let outcomes = join_all(all).await;
        let bundle = text(&stage.home_secret("waybill-ca").await["ca.crt"]);
        assert_eq!(bundle.matches("BEGIN CERTIFICATE").count(), 1, "one CA");
        let serials = stage.serials().await;
        for outcome in &outcomes {
            let certificate = outcome.certificate.as_ref().expect("a certificate");
            assert!(serials.contains(&certificate.serial), "every number is in the ledger");
            verifies(certificate.pem.as_deref().expect("its PEM"), &bundle, "-purpose sslclient");
        }
        for operator in operators {
            operator.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rotation_on_request_replaces_every_leaf_and_breaks_nobody() {
    on_stage("rotation", |stage| async move {
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        let external = stage.external("van").await;
        let before = [operator.ensure(&seller).await, operator.ensure(&external).await];
        let old_root = stage.trust().await["ca.crt"].clone();
        let old_leaf = text(&stage.secret("wb-seller-books-tls").await["tls.crt"]);
        ask_for_rotation(&stage, "1").await;
        let state = rotated(&stage).await;
        let seller = Participant { key_statement: before[0].key_statement.clone(), ..seller };
        let external = Participant {
            key_statement: before[1].key_statement.clone(),
            certificate: before[1].certificate.as_ref().and_then(|certificate| certificate.pem.clone()),
            ..external
        };
        let issuer = before[0].certificate.as_ref().expect("a certificate").issuer.clone();
        for participant in [&seller, &external] {
            eventually("a leaf of the new authority", SOON, || async {
                let outcome = operator.ensure(participant).await;
                let new = outcome.certificate.is_some_and(|certificate| certificate.issuer != issuer);
                if new { Ok(()) } else { Err("still the old one's") }
            })
            .await;
        }
        let trust = stage.trust().await;
        let new_leaf = text(&stage.secret("wb-seller-books-tls").await["tls.crt"]);
        assert_eq!(trust["ca.crt"].matches("BEGIN CERTIFICATE").count(), 2, "both are trusted: {state}");
        assert_eq!(trust["crl.pem"].matches("BEGIN X509 CRL").count(), 2, "both have a list");
        for leaf in [&old_leaf, &new_leaf] {
            verifies(leaf, &trust["ca.crt"], "-purpose sslserver -x509_strict");
            verifies(leaf, &old_root, "-purpose sslserver -x509_strict");
        }
        does_not_verify(&old_leaf, &stage_root(&trust["ca.crt"], 0), "");
        verifies(&new_leaf, &stage_root(&trust["ca.crt"], 0), "");
        let after = operator.ensure(&seller).await;
        assert_ne!(after.key_statement, before[0].key_statement, "stated anew by the new authority");
        assert_eq!(text(&stage.secret("wb-seller-books-tls").await["ca.crt"]), trust["ca.crt"]);
        operator.stop().await;
    })
    .await;
}

/// The overlap runs from publication: an operator that dies between making an authority and telling everybody does not activate it
/// when it comes back, however late, before everybody was told.
#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_was_away_tells_everybody_before_it_activates() {
    on_stage("away", |stage| async move {
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        operator.ensure(&seller).await;
        let old = stage.trust().await["ca.crt"].clone();
        operator.kill().await;
        ask_for_rotation(&stage, "1").await;
        let operator = stage.operator();
        rotated(&stage).await;
        let trust = stage.trust().await;
        assert!(trust["ca.crt"].contains(old.trim()) && trust["ca.crt"] != old, "told before it was active");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_damaged_ca_is_an_alarm_and_not_a_new_ca() {
    on_stage("damaged-ca", |stage| async move {
        let api = ca_secret(&stage);
        let data = [("state.json".to_owned(), ByteString(b"{}".to_vec()))].into();
        let mut secret = Secret { data: Some(data), ..Secret::default() };
        secret.metadata.name = Some("waybill-ca".into());
        api.create(&PostParams::default(), &secret).await.expect("a damaged Secret");
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        for _ in 0..5 {
            assert!(operator.try_ensure(&seller, jiff::Timestamp::now()).await.is_err());
            tokio::task::yield_now().await;
        }
        operator.stop().await;
        let found = api.get("waybill-ca").await.expect("the Secret");
        assert_eq!(found.data, secret.data, "nobody touched it");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_spent_authority_leaves_bundle_list_and_secret() {
    on_stage("retired", |stage| async move {
        let operator = stage.operator();
        let van = stage.external("van").await;
        operator.ensure(&van).await;
        let first = stage.trust().await["ca.crt"].clone();
        ask_for_rotation(&stage, "1").await;
        let mut state = rotated(&stage).await;
        operator.stop().await;
        // Ninety days later.
        let old = state["previous"][0]["id"].as_str().expect("an id").to_owned();
        state["previous"][0]["lastLeaf"] = "2026-01-01T00:00:00Z".into();
        let patch = json!({"stringData": {"state.json": state.to_string()}});
        ca_secret(&stage).patch("waybill-ca", &PatchParams::default(), &Patch::Merge(patch)).await.expect("aged");
        let operator = stage.operator();
        eventually("one authority is left", SOON, || async {
            let (trust, crl) = (stage.trust().await, stage.crl().await);
            let counts = (trust["ca.crt"].matches("BEGIN").count(), crl["crl.pem"].matches("BEGIN").count());
            if counts == (1, 1) { Ok(()) } else { Err(format!("{counts:?}")) }
        })
        .await;
        let secret = stage.home_secret("waybill-ca").await;
        assert!(secret.keys().all(|key| !key.contains(&old)), "its key is gone: {:?}", secret.keys());
        assert!(!stage.trust().await.contains_key("cross.crt"), "and who it vouched for stands alone");
        let trust = stage.trust().await;
        assert_eq!(trust["former-ca.crt"].trim(), first.trim(), "its certificate stays, for logs and nothing else");
        assert!(trust.contains_key("former-ca.sig") && trust.contains_key("revoked.sig"));
        let leaf = operator.ensure(&van).await.certificate.and_then(|c| c.pem).expect("a certificate");
        verifies(&leaf, &stage.trust().await["ca.crt"], "-purpose sslclient");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deleted_ca_comes_back_from_memory_and_is_never_replaced() {
    on_stage("deleted-ca", |stage| async move {
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        let before = operator.ensure(&seller).await;
        let seller = Participant { key_statement: before.key_statement.clone(), ..seller };
        let kept = ca_secret(&stage).get("waybill-ca").await.expect("the CA");
        let delete =
            || async { ca_secret(&stage).delete("waybill-ca", &DeleteParams::default()).await.expect("deleted") };
        delete().await;
        eventually("it is back", SOON, || async {
            let found = ca_secret(&stage).get_opt("waybill-ca").await.map_err(|error| error.to_string())?;
            if found.is_some_and(|found| found.data == kept.data) { Ok(()) } else { Err("not yet".to_owned()) }
        })
        .await;
        assert_eq!(operator.ensure(&seller).await, before);
        operator.kill().await;
        delete().await;
        let operator = stage.operator();
        eventually("it says what is missing", SOON, || async {
            match operator.try_ensure(&seller, jiff::Timestamp::now()).await {
                Err(_) if ca_secret(&stage).get_opt("waybill-ca").await.is_ok_and(|found| found.is_none()) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        let mut backup = Secret { data: kept.data.clone(), type_: kept.type_.clone(), ..Secret::default() };
        backup.metadata.name = Some("waybill-ca".into());
        ca_secret(&stage).create(&PostParams::default(), &backup).await.expect("restored");
        assert_eq!(operator.ensure(&seller).await, before, "as if nothing had happened");
        operator.stop().await;
    })
    .await;
}

// === helpers ===

fn ca_secret(stage: &Stage) -> Api<Secret> {
    Api::namespaced(stage.namespace.client.clone(), &stage.home)
}

async fn ask_for_rotation(stage: &Stage, value: &str) {
    let patch = json!({"metadata": {"annotations": {"waybill.dev/rotate": value}}});
    ca_secret(stage).patch("waybill-ca", &PatchParams::default(), &Patch::Merge(patch)).await.expect("annotated");
}

/// Waits until the active authority is another one; answers with the state as it stands.
async fn rotated(stage: &Stage) -> Value {
    eventually("the rotation", SOON, || async {
        let secret = stage.home_secret("waybill-ca").await;
        let state: Value = serde_json::from_slice(&secret["state.json"]).expect("JSON");
        let done = state["previous"].as_array().is_some_and(|previous| previous.len() == 1);
        if done { Ok(state) } else { Err(state.to_string()) }
    })
    .await
}

fn stage_root(bundle: &str, index: usize) -> String {
    let block = bundle.split_inclusive("-----END CERTIFICATE-----\n").nth(index);
    block.expect("a root").to_owned()
}
