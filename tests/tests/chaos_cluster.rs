//! The cluster itself fails under Waybill: API server and etcd killed while work arrives (promise 9).
//!
//! Alone in its file, with one test: cargo runs one file's tests at a time, and nobody else's requests fail.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::ListParams;
use tokio::sync::watch;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, apply, delivery, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace, ledger, node, operator, quiet, snapshot};

const DELIVERIES: usize = 60;
const FAULTS: [&str; 4] = ["kube-apiserver", "etcd", "kube-apiserver", "etcd"];
const AGAIN: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn what_was_asked_for_while_api_server_and_etcd_died_is_done_once() {
    in_namespace("cluster-dies", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        wait_condition::<Seller>(&namespace, "shop", "Ready", "True", None).await;
        wait_condition::<Carrier>(&namespace, "van", "Ready", "True", None).await;
        let before = (operator::pid().await, restarts(&namespace).await);
        let (done, seen) = watch::channel(0);
        tokio::join!(ask(&namespace, done), fail(&namespace, seen));
        let begun = Instant::now();
        for i in 0..DELIVERIES {
            wait_condition::<Delivery>(&namespace, &format!("upc-{i}"), "Ready", "True", None).await;
        }
        println!("{DELIVERIES} Deliveries Ready {:.1} s after the last was created", begun.elapsed().as_secs_f64());
        assert_eq!((operator::pid().await, restarts(&namespace).await), before, "nobody of Waybill's was restarted");
        let late = quiet::settles(&namespace, Duration::from_secs(5), AGAIN).await;
        println!("late writes: {late:?}");
        ledger::certificates_are_written_down(&namespace).await;
        snapshot::nobody_is_orphaned(&namespace).await;
    })
    .await;
}

/// Users whose tools try again.
async fn ask(namespace: &Namespace, done: watch::Sender<usize>) {
    for i in 0..DELIVERIES {
        if i % 10 == 0 {
            let body = Keys::fresh().carrier(&namespace.name, &format!("bike-{}", i / 10));
            eventually("a Carrier is created", AGAIN, || apply::<Carrier>(namespace, &body)).await;
        }
        let body = delivery(&format!("upc-{i}"), "shop", &format!("bike-{}", i / 10));
        eventually("a Delivery is created", AGAIN, || apply::<Delivery>(namespace, &body)).await;
        done.send_replace(i);
    }
}

/// One fault after the other, each while Deliveries arrive.
async fn fail(namespace: &Namespace, mut done: watch::Receiver<usize>) {
    for (i, part) in FAULTS.into_iter().enumerate() {
        let due = (i + 1) * DELIVERIES / (FAULTS.len() + 1);
        done.wait_for(|done| *done >= due).await.expect("Deliveries arrive");
        let begun = Instant::now();
        node::kill(part);
        eventually("the API server answers", AGAIN, || async {
            namespace.api::<Delivery>().list(&ListParams::default().limit(1)).await
        })
        .await;
        println!("{part} killed; the API server answered after {:.1} s", begun.elapsed().as_secs_f64());
    }
}

/// Restarts of every container of Waybill's own and of this namespace.
async fn restarts(namespace: &Namespace) -> Vec<(String, i32)> {
    let mut counts = Vec::new();
    for place in [SYSTEM, &namespace.name] {
        let pods: Api<Pod> = Api::namespaced(namespace.client.clone(), place);
        let listed = eventually("pods", AGAIN, async || pods.list(&ListParams::default()).await).await;
        for pod in listed {
            let containers = pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten());
            let count = containers.map(|c| c.restart_count).sum();
            counts.push((pod.metadata.name.clone().unwrap_or_default(), count));
        }
    }
    counts.sort();
    counts
}
