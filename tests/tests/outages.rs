//! Parts of Waybill die while parcels are under way, in pods as a user has them; every parcel arrives all the same (promises 5
//! and 7). Far more of it, between processes: `make fault`.
//!
//! Alone in its file: what dies here dies for everybody in the cluster.

use std::panic::AssertUnwindSafe;
use std::time::{Duration, Instant};

use futures::FutureExt;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::{ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::Mutex;
use waybill_crds::{Carrier, Delivery, Phase, Seller};
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, apply, config, delivery, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace, operator, process, verifier};

const DELIVERIES: usize = 100;
/// On a busy machine, with containers that are started again.
const DELIVERED: Duration = Duration::from_secs(240);
/// Whom the kubelet has to start again, and how long the log of a parcel is when that one dies.
const VICTIMS: [(&[&str], usize); 5] = [
    (&["waybill", "seller"], 3),
    (&["waybill", "carrier-api"], 5),
    (&["waybill", "transport"], 7),
    (&["mosquitto"], 4),
    (&["waybill", "broker-sidecar"], 6),
];

/// One outage at a time.
static ALONE: Mutex<()> = Mutex::const_new(());

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_deliveries_finish_while_no_operator_runs() {
    let _alone = ALONE.lock().await;
    in_namespace("operator-down", &[], async |namespace| {
        let upcs: Vec<String> = (0..DELIVERIES).map(|i| format!("upc-{i}")).collect();
        let carriers = ["van-0", "van-1", "drone-2", "drone-3"];
        enrol(&namespace, &upcs, "manual", &carriers, "0s").await;
        for (i, upc) in upcs.iter().enumerate() {
            let body = delivery(upc, "shop", carriers[i % carriers.len()]);
            apply::<Delivery>(&namespace, &body).await.expect("a Delivery");
        }
        // All of them are accepted, and wait for somebody to hand the parcel over.
        all_are(&namespace, DELIVERIES, Phase::Accepted).await;
        let replicas = scale(&namespace, 0).await;
        let finished = AssertUnwindSafe(without_operator(&namespace, &upcs)).catch_unwind().await;
        scale(&namespace, replicas).await;
        operator::pid().await;
        finished.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
        let trust = config(&namespace, "waybill-trust", "ca.crt").await;
        for upc in &upcs[..carriers.len()] {
            checked(&namespace, upc, &trust).await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn parcels_arrive_although_each_pod_of_their_way_is_killed_in_the_middle_of_it() {
    let _alone = ALONE.lock().await;
    in_namespace("pods-die", &[], async |namespace| {
        let upcs: Vec<String> = (0..VICTIMS.len() * 2).map(|i| format!("upc-{i}")).collect();
        enrol(&namespace, &upcs, "auto", &["van-1", "drone-1"], "1s").await;
        for ((victim, entries), upcs) in VICTIMS.into_iter().zip(upcs.chunks(2)) {
            let begun = Instant::now();
            for (upc, carrier) in upcs.iter().zip(["van-1", "drone-1"]) {
                apply::<Delivery>(&namespace, &delivery(upc, "shop", carrier)).await.expect("a Delivery");
            }
            has_entries(&namespace, &upcs[0], entries).await;
            let pids = process::find(victim);
            assert!(!pids.is_empty(), "no {victim:?} runs");
            for pid in pids {
                process::kill(pid);
            }
            for upc in upcs {
                is(&namespace, upc, Phase::Delivered).await;
            }
            println!(
                "{victim:?} killed: both parcels there {:.1} s after they were asked for",
                begun.elapsed().as_secs_f64()
            );
        }
        let trust = config(&namespace, "waybill-trust", "ca.crt").await;
        for upc in &upcs {
            checked(&namespace, upc, &trust).await;
        }
    })
    .await;
}

/// Drones have cameras.
async fn enrol(namespace: &Namespace, upcs: &[String], hand_over: &str, carriers: &[&str], pace: &str) {
    objects::orders(namespace, "shop", &upcs.iter().map(String::as_str).collect::<Vec<_>>()).await;
    let seller = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": "shop"},
                        "spec": {"handOver": hand_over}});
    apply::<Seller>(namespace, &seller).await.expect("a Seller");
    for name in carriers {
        let kind = name.split('-').next().expect("a word").replace("van", "truck");
        let carrier = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": name},
            "spec": {"kind": kind, "camera": kind == "drone", "transport": {"managed": {"pace": pace}}}});
        apply::<Carrier>(namespace, &carrier).await.expect("a Carrier");
    }
    wait_condition::<Seller>(namespace, "shop", "Ready", "True", None).await;
    for name in carriers {
        wait_condition::<Carrier>(namespace, name, "Ready", "True", None).await;
    }
}

async fn without_operator(namespace: &Namespace, upcs: &[String]) {
    let begun = Instant::now();
    let handed_over = Patch::Merge(json!({"spec": {"handedOver": true}}));
    let deliveries = namespace.api::<Delivery>();
    for upc in upcs {
        deliveries.patch(upc, &PatchParams::default(), &handed_over).await.expect("a user hands it over");
    }
    all_are(namespace, DELIVERIES, Phase::Delivered).await;
    assert_eq!(process::find(&["waybill", "operator"]), Vec::<u32>::new(), "nobody started it meanwhile");
    println!("{DELIVERIES} deliveries without an operator in {:.1} s", begun.elapsed().as_secs_f64());
}

/// So many operators; answers with how many there should have been before. Returns when none runs where none should.
async fn scale(namespace: &Namespace, replicas: i32) -> i32 {
    let deployments: Api<Deployment> = Api::namespaced(namespace.client.clone(), SYSTEM);
    let before = deployments.get("waybill-operator").await.expect("the operator's Deployment");
    let wanted = Patch::Merge(json!({"spec": {"replicas": replicas}}));
    deployments.patch("waybill-operator", &PatchParams::default(), &wanted).await.expect("a user scales it");
    if replicas == 0 {
        eventually("no operator runs", DELIVERED, || async {
            let found = process::find(&["waybill", "operator"]);
            if found.is_empty() { Ok(()) } else { Err(format!("{found:?}")) }
        })
        .await;
    }
    before.spec.and_then(|spec| spec.replicas).unwrap_or(1)
}

async fn all_are(namespace: &Namespace, count: usize, phase: Phase) {
    eventually(&format!("{count} are {phase}"), DELIVERED, || async {
        let all = namespace.api::<Delivery>().list(&ListParams::default()).await.map_err(|why| why.to_string())?;
        let others: Vec<String> = all
            .iter()
            .filter(|delivery| delivery.phase() != phase)
            .map(|delivery| format!("{} {}", delivery.name_any(), delivery.phase()))
            .collect();
        if all.items.len() == count && others.is_empty() { Ok(()) } else { Err(others.join(", ")) }
    })
    .await;
}

async fn is(namespace: &Namespace, upc: &str, phase: Phase) {
    eventually(&format!("{upc} is {phase}"), DELIVERED, || async {
        let delivery = namespace.api::<Delivery>().get(upc).await.map_err(|why| why.to_string())?;
        if delivery.phase() == phase { Ok(()) } else { Err(delivery.phase().to_string()) }
    })
    .await;
}

async fn has_entries(namespace: &Namespace, upc: &str, entries: usize) {
    eventually(&format!("{upc} is under way"), DELIVERED, || async {
        let delivery = namespace.api::<Delivery>().get(upc).await.map_err(|why| why.to_string())?;
        let found = delivery.status.map_or(0, |status| status.custody.len());
        if found >= entries { Ok(()) } else { Err(format!("{found} entries")) }
    })
    .await;
}

/// A stranger finds nothing wrong with its log, however it came to be.
async fn checked(namespace: &Namespace, upc: &str, trust: &str) {
    let delivery = namespace.api::<Delivery>().get(upc).await.expect("the Delivery");
    verifier::verify(&delivery, trust).unwrap_or_else(|complaint| panic!("{upc}: {complaint}"));
}
