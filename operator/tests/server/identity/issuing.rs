//! The ledger: few writes for many certificates, each of them for good.

use futures::future::join_all;
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use waybill_e2e::eventually;

use super::stage::{SOON, on_stage};

#[tokio::test(flavor = "multi_thread")]
async fn many_certificates_cost_few_writes() {
    on_stage("batches", |stage| async move {
        let operator = stage.operator();
        let first = stage.external("c-0").await;
        operator.ensure(&first).await;
        let many = (0..300).map(|index| {
            let mut participant = first.clone();
            participant.owner.uid = format!("3f0c1d2e-0000-4000-8000-{index:012}");
            participant
        });
        let many: Vec<_> = many.collect();
        let outcomes = join_all(many.iter().map(|participant| operator.ensure(participant))).await;
        let serials: std::collections::BTreeSet<_> = outcomes
            .iter()
            .map(|outcome| outcome.certificate.as_ref().expect("a certificate").serial.clone())
            .collect();
        assert_eq!(serials.len(), 300);
        let batches =
            stage.home_maps().list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("a list");
        assert!(batches.items.len() <= 30, "{} batches for 300 certificates", batches.items.len());
        assert!(serials.is_subset(&stage.serials().await));
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_stands_in_the_ledger_cannot_be_changed() {
    on_stage("immutable", |stage| async move {
        let operator = stage.operator();
        operator.ensure(&stage.external("van").await).await;
        let batches =
            stage.home_maps().list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("a list");
        for map in batches {
            let name = map.metadata.name.expect("a name");
            let patch = json!({"data": {"entries.json": "[]"}});
            let refused = stage.home_maps().patch(&name, &PatchParams::default(), &Patch::Merge(patch)).await;
            let message = refused.expect_err("immutable").to_string();
            assert!(message.contains("immutable"), "{message}");
        }
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn expired_batches_go_and_living_ones_stay() {
    on_stage("expired", |stage| async move {
        let ended = Timestamp::now() - SignedDuration::from_hours(3);
        let entry = json!([{"serial": "40000000000000000000000000000001", "uid": "u", "kind": "Carrier", "namespace": "n",
                            "name": "c", "notAfter": ended, "ca": "00000000"}]);
        let body = json!({
            "apiVersion": "v1", "kind": "ConfigMap", "immutable": true,
            "metadata": {"name": "waybill-ledger-0-old", "labels": {"waybill.dev/ledger": "true"}},
            "data": {"issued": ended - SignedDuration::from_hours(72), "entries.json": entry.to_string()},
        });
        let old: ConfigMap = serde_json::from_value(body).expect("a ConfigMap");
        stage.home_maps().create(&PostParams::default(), &old).await.expect("an old batch");
        let operator = stage.operator();
        operator.ensure(&stage.external("van").await).await;
        eventually("the old batch is gone", SOON, || async {
            match stage.home_maps().get_metadata_opt("waybill-ledger-0-old").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        assert!(!stage.serials().await.is_empty());
        operator.stop().await;
    })
    .await;
}

/// The operator's clock was an hour ahead and comes back: what it issued stays, nothing is issued anew, and it still can issue.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_an_hour_and_back_reissues_nothing() {
    on_stage("clock", |stage| async move {
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        let hour = SignedDuration::from_hours(1);
        let first = operator.ensure(&seller).await.certificate;
        for jump in [hour, -hour + SignedDuration::from_mins(1), SignedDuration::ZERO] {
            let again = operator.ensure_at(&seller, Timestamp::now() + jump).await.certificate;
            assert_eq!(again, first, "{jump}");
        }
        let ahead = stage.carrier("ahead").await;
        operator.ensure_at(&ahead, Timestamp::now() + hour).await;
        let behind = stage.carrier("behind").await;
        operator.ensure(&behind).await;
        let far = Timestamp::now() - hour * 2;
        let late = stage.carrier("late").await;
        let refused = operator.try_ensure(&late, far).await.expect_err("a clock two hours behind the ledger");
        assert!(waybill_chassis::telemetry::report(&refused).to_string().contains("the clock says"), "{refused}");
        operator.stop().await;
    })
    .await;
}
