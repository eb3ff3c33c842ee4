//! The operator killed at any write (promise 9): it goes on from what the cluster holds.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use futures::{FutureExt, Stream, StreamExt, TryStreamExt};
use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::PartialObjectMeta;
use kube::runtime::watcher;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use waybill_crds::{Carrier, Delivery};
use waybill_e2e::enrol::Keys;
use waybill_e2e::objects::{self, apply, delivery, wait_condition};
use waybill_e2e::operator::{self, Back};
use waybill_e2e::{Namespace, eventually, in_namespace, ledger, quiet, snapshot};

use crate::OPERATOR;
use crate::burst::{Burst, STEPS};

const KILLS: usize = 50;
/// The burst is over before the last kills: what is done after it is killed too.
const KILLS_OF_THE_BURST: usize = 45;
const CONVERGED: Duration = Duration::from_secs(180);
const QUIET: Duration = Duration::from_secs(20);

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_killed_fifty_times_during_a_burst_ends_where_an_undisturbed_run_ends() {
    in_namespace("undisturbed", &[], |calm| async move {
        let (_all, pace) = watch::channel(usize::MAX);
        let begun = Instant::now();
        Burst::new(&calm, pace).run().await;
        quiet::settles(&calm, Duration::from_secs(5), CONVERGED).await;
        let expected = snapshot::snapshot(&calm).await.expect("a snapshot");
        println!("undisturbed: {} objects after {:.0} s", expected.len(), begun.elapsed().as_secs_f64());
        in_namespace("disturbed", &[], |namespace| disturbed(namespace, expected)).await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_operator_that_starts_where_all_is_done_writes_nothing() {
    in_namespace("nothing-to-do", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        let body = Keys::fresh().carrier(&namespace.name, "bike");
        apply::<Carrier>(&namespace, &body).await.expect("a Carrier");
        for (upc, carrier) in [("upc-1", "van"), ("upc-2", "bike"), ("upc-3", "nobody")] {
            apply::<Delivery>(&namespace, &delivery(upc, "shop", carrier)).await.expect("a Delivery");
        }
        for upc in ["upc-1", "upc-2"] {
            wait_condition::<Delivery>(&namespace, upc, "Ready", "True", None).await;
        }
        let _alone = OPERATOR.lock().await;
        quiet::settles(&namespace, Duration::from_secs(5), CONVERGED).await;
        let crash = operator::crash(&namespace.client, Back::Restarted);
        let (write, _) = tokio::join!(quiet::first_write(&namespace, QUIET), crash);
        assert_eq!(write, None, "nothing differs, so nothing is written");
    })
    .await;
}

async fn disturbed(namespace: Namespace, expected: BTreeMap<String, serde_json::Value>) {
    let alone = OPERATOR.lock().await;
    let before = ledger::authorities(&namespace.client).await;
    let (steps, pace) = watch::channel(0);
    tokio::join!(Burst::new(&namespace, pace).run(), kill_at_random(&namespace, steps));
    drop(alone);
    let begun = Instant::now();
    eventually("the same end as undisturbed", CONVERGED, || async {
        let found = snapshot::snapshot(&namespace).await.map_err(|why| why.to_string())?;
        let differences = snapshot::differences(&found, &expected);
        if differences.is_empty() {
            Ok(())
        } else {
            Err(format!("disturbed | undisturbed:\n{}", differences.join("\n")))
        }
    })
    .await;
    println!("the same end {:.1} s after the last kill", begun.elapsed().as_secs_f64());
    let late = quiet::settles(&namespace, QUIET, CONVERGED).await;
    println!("{QUIET:?} without a write; late writes before: {late:?}");
    assert_eq!(ledger::authorities(&namespace.client).await, before, "the authority is the one there was");
    ledger::certificates_are_written_down(&namespace).await;
    snapshot::nobody_is_orphaned(&namespace).await;
}

/// Kills after some writes in the namespace, or after a while without; lets the burst go on with each kill.
async fn kill_at_random(namespace: &Namespace, steps: watch::Sender<usize>) {
    let seed =
        std::env::var("WAYBILL_CHAOS_SEED").map_or_else(|_| rand::random(), |seed| seed.parse().expect("a seed"));
    println!("WAYBILL_CHAOS_SEED={seed}");
    let mut chance = StdRng::seed_from_u64(seed);
    let mut writes = writes(&namespace.client, &namespace.name);
    let (begun, mut came_back) = (Instant::now(), BTreeMap::new());
    for kill in 1..=KILLS {
        steps.send_replace(kill * STEPS / KILLS_OF_THE_BURST + 1);
        while writes.next().now_or_never().is_some() {}
        let some = writes.by_ref().take(chance.random_range(1..8)).count();
        // Without writes it starts, waits for the Lease, or has nothing to do: good moments too.
        let _ = tokio::time::timeout(Duration::from_millis(chance.random_range(50..2500)), some).await;
        let back = if kill % 2 == 1 { Back::Restarted } else { Back::Replaced };
        *came_back.entry(operator::crash(&namespace.client, back).await).or_insert(0) += 1;
    }
    steps.send_replace(usize::MAX);
    println!("{KILLS} kills in {:.0} s, it came back {came_back:?}", begun.elapsed().as_secs_f64());
}

/// What is written in the namespace, as it is written.
fn writes(client: &Client, namespace: &str) -> impl Stream<Item = ()> + Unpin + use<> {
    fn of<K>(client: &Client, namespace: &str) -> futures::stream::BoxStream<'static, ()>
    where
        K: kube::Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
            + Clone
            + std::fmt::Debug
            + serde::de::DeserializeOwned
            + Send
            + 'static,
    {
        let api = kube::Api::<PartialObjectMeta<K>>::namespaced(client.clone(), namespace);
        watcher(api, watcher::Config::default()).map_ok(|_| ()).filter_map(async |event| event.ok()).boxed()
    }
    let (deliveries, carriers) = (of::<Delivery>(client, namespace), of::<Carrier>(client, namespace));
    futures::stream::select_all([deliveries, carriers, of::<Secret>(client, namespace)])
}
