//! The broker dies and comes back: it holds nothing, so nothing is lost, and nobody has to help.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, probe, wait_condition};
use waybill_e2e::outsider::Outsider;
use waybill_e2e::{Namespace, eventually, in_namespace, process};

const BACK: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn sessions_come_back_after_the_broker_died_and_the_revoked_stay_refused() {
    in_namespace("broker-dies", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        let (good, bad) = (Outsider::enrol(&namespace, "good").await, Outsider::enrol(&namespace, "bad").await);
        wait_condition::<Seller>(&namespace, "shop", "Ready", "True", None).await;
        wait_condition::<Carrier>(&namespace, "van", "Ready", "True", None).await;
        eventually("the revoked one is let in first", BACK, || async { bad.session().connect().await }).await;
        let revoke = Patch::Merge(json!({"spec": {"revoked": true}}));
        namespace.api::<Carrier>().patch("bad", &PatchParams::default(), &revoke).await.expect("a user revokes");
        eventually("refused", BACK, || async {
            bad.session().connect().await.err().ok_or_else(|| "still let in".to_owned())
        })
        .await;
        for fault in [Fault::Killed, Fault::Deleted] {
            survives(&namespace, fault, &good, &bad).await;
        }
    })
    .await;
}

#[derive(Clone, Copy, Debug)]
enum Fault {
    Killed,
    Deleted,
}

async fn survives(namespace: &Namespace, fault: Fault, good: &Outsider, bad: &Outsider) {
    let mut live = good.session();
    eventually("an enrolled carrier is let in", BACK, || async { good.session().connect().await }).await;
    live.connect().await.expect("an enrolled carrier is let in");
    let before = [sessions(namespace, "seller=shop").await, sessions(namespace, "carrier=van").await];
    let begun = Instant::now();
    strike(namespace, fault).await;
    live.ended(BACK).await.expect("its session ends with the broker");
    eventually("let in again", BACK, || async { good.session().connect().await }).await;
    let outside = begun.elapsed();
    for (label, before) in ["seller=shop", "carrier=van"].into_iter().zip(before) {
        let before = before.expect("it had a session");
        eventually(&format!("{label} has a new session"), BACK, || async {
            let now = sessions(namespace, label).await?;
            if now > before { Ok(()) } else { Err(format!("{now} sessions, {before} before")) }
        })
        .await;
    }
    println!(
        "broker {fault:?}: outside again after {:.1} s, everybody after {:.1} s",
        outside.as_secs_f64(),
        begun.elapsed().as_secs_f64()
    );
    for _ in 0..5 {
        good.session().connect().await.expect("an enrolled carrier is let in");
        bad.session().connect().await.expect_err("a revoked one stays refused by the new broker");
    }
}

async fn strike(namespace: &Namespace, fault: Fault) {
    match fault {
        Fault::Killed => {
            let found = process::find(&["mosquitto"]);
            assert!(!found.is_empty(), "no mosquitto runs in this cluster");
            found.into_iter().for_each(|pid| {
                process::kill(pid);
            });
        }
        Fault::Deleted => {
            let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), SYSTEM);
            let brokers = ListParams::default().labels("app.kubernetes.io/component=broker");
            let pods_of_broker = pods.list(&brokers).await.expect("the broker's pods");
            assert!(!pods_of_broker.items.is_empty(), "the broker has a pod");
            for pod in pods_of_broker {
                pods.delete(&pod.name_any(), &DeleteParams::default()).await.expect("a user deletes it");
            }
        }
    }
}

/// How many sessions the one pod with this label has had; fails unless it has one now.
async fn sessions(namespace: &Namespace, label: &str) -> Result<u64, String> {
    let of = ListParams::default().labels(&format!("waybill.dev/{label}"));
    let pods = namespace.api::<Pod>().list(&of).await.map_err(|why| why.to_string())?;
    let pod = pods.items.first().map(ResourceExt::name_any).ok_or("no pod")?;
    let ready = probe(namespace, &pod, "/readyz").await?;
    if !ready.contains(r#""broker":"connected""#) {
        return Err(ready);
    }
    let metrics = probe(namespace, &pod, "/metrics").await?;
    let count = metrics.lines().find(|line| !line.starts_with('#') && line.contains("link_sessions_total"));
    count.and_then(|line| line.rsplit(' ').next()?.parse().ok()).ok_or_else(|| format!("no such metric in {metrics}"))
}
