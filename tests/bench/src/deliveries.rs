//! 10,000 Deliveries from create to Ready, then idle, then a restart of the operator.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, ResourceExt};
use serde_json::json;
use tokio::sync::watch;
use waybill_crds::{Carrier, Delivery, DeliveryView, Seller};
use waybill_e2e::enrol::Keys;

use crate::certificates;
use crate::cluster::Setting;
use crate::operator_process::Process;
use crate::raw::CLIENTS;
use crate::report::Report;

const CARRIERS: usize = 10;
const SETTLE: Duration = Duration::from_secs(20);
const DEADLINE: Duration = Duration::from_secs(600);

/// What the watch has seen so far.
#[derive(Clone, Copy, Default)]
struct Seen {
    ready: usize,
    writes: usize,
}

pub(crate) async fn measure(setting: &Setting, count: usize, idle: u64, raw: f64, report: &mut Report) -> Result<()> {
    provision_ends(setting).await?;
    let process = Process::find(&setting.cluster)?;
    let before = process.usage()?;
    let (seen, watching) = follow(setting);
    println!("{count} Deliveries …");
    let start = Instant::now();
    create(setting, count).await?;
    wait_for(&seen, |s| s.ready >= count, DEADLINE).await.context("not all Deliveries became Ready")?;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let writes = seen.borrow().writes as f64 / count as f64;
    report.line("writes per Delivery, the user's create included", format!("{writes:.2}"));
    report.at_least("Deliveries create → Ready", rate, 83.0, "/s");
    report.at_least("… of the raw rate ÷ writes each", rate / (raw / writes), 0.70, "×");
    measure_idle(&process, &seen, idle, report).await?;
    let settled = process.usage()?;
    let bar = 40.0 * 1024.0 + 3.0 * count as f64;
    report.at_most("operator RSS", settled.rss_kib / 1024.0, bar / 1024.0, "MiB");
    report.line("operator RSS before the Deliveries", format!("{:.1} MiB", before.rss_kib / 1024.0));
    restart(setting, report).await?;
    watching.abort();
    Ok(())
}

/// One plain Delivery for the bench's seller.
pub(crate) fn object(name: &str, carrier: &str) -> Result<Delivery> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": name},
        "spec": {"upc": name, "seller": "bench", "carrier": carrier}
    }))?)
}

async fn provision_ends(setting: &Setting) -> Result<()> {
    println!("a seller and {CARRIERS} external carriers …");
    let params = PatchParams::apply("waybill-bench").force();
    let secrets: Api<Secret> = Api::namespaced(setting.client.clone(), &setting.namespace);
    let orders = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-bench"}, "stringData": {}});
    secrets.patch("orders-bench", &params, &Patch::Apply(orders)).await?;
    let sellers: Api<Seller> = Api::namespaced(setting.client.clone(), &setting.namespace);
    let seller =
        json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": "bench"}, "spec": {}});
    sellers.patch("bench", &params, &Patch::Apply(seller)).await?;
    let carriers: Api<Carrier> = Api::namespaced(setting.client.clone(), &setting.namespace);
    for i in 0..CARRIERS {
        let name = format!("bench-{i}");
        let body = Keys::fresh().carrier(&setting.namespace, &name);
        carriers.patch(&name, &params, &Patch::Apply(body)).await?;
    }
    kube::runtime::wait::await_condition(sellers, "bench", |seller: Option<&Seller>| {
        seller.is_some_and(|s| certificates::ready(s.status.as_ref().map(|s| s.conditions.as_slice())))
    })
    .await?;
    certificates::wait_issued(setting, CARRIERS).await
}

async fn create(setting: &Setting, count: usize) -> Result<()> {
    let api: Api<Delivery> = Api::namespaced(setting.client.clone(), &setting.namespace);
    stream::iter(0..count)
        .map(|i| {
            let api = api.clone();
            async move {
                let delivery = object(&format!("d-{i}"), &format!("bench-{}", i % CARRIERS))?;
                api.create(&PostParams::default(), &delivery).await.map_err(anyhow::Error::from)
            }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// Counts every write to every Delivery, and those that became Ready, by a watch of its own.
fn follow(setting: &Setting) -> (watch::Receiver<Seen>, tokio::task::JoinHandle<()>) {
    let api: Api<DeliveryView> = Api::namespaced(setting.client.clone(), &setting.namespace);
    let (send, receive) = watch::channel(Seen::default());
    let task = tokio::spawn(async move {
        let mut ready = HashSet::new();
        let mut writes = 0;
        let mut events = Box::pin(watcher(api, watcher::Config::default()));
        while let Some(event) = events.next().await {
            if let Ok(Event::Apply(view)) = event {
                writes += 1;
                if certificates::ready(view.status.as_ref().map(|s| s.conditions.as_slice())) {
                    ready.insert(view.name_any());
                }
            }
            let _ = send.send(Seen { ready: ready.len(), writes });
        }
    });
    (receive, task)
}

async fn wait_for(seen: &watch::Receiver<Seen>, done: impl Fn(&Seen) -> bool, deadline: Duration) -> Result<()> {
    let mut seen = seen.clone();
    let met = tokio::time::timeout(deadline, seen.wait_for(|s| done(s))).await.is_ok();
    ensure!(met, "{} Ready after {deadline:?}", seen.borrow().ready);
    Ok(())
}

async fn measure_idle(process: &Process, seen: &watch::Receiver<Seen>, idle: u64, report: &mut Report) -> Result<()> {
    println!("idle for {idle} s …");
    tokio::time::sleep(SETTLE).await;
    let (writes, usage) = (seen.borrow().writes, process.usage()?);
    tokio::time::sleep(Duration::from_secs(idle)).await;
    let core = (process.usage()?.cpu_seconds - usage.cpu_seconds) / idle as f64;
    report.at_most(&format!("writes in {idle} s of idling"), (seen.borrow().writes - writes) as f64, 0.0, "");
    report.at_most("processor while idle", core * 100.0, 1.0, "% of a core");
    Ok(())
}

/// Kills the operator's pod; the next one lists everything anew.
async fn restart(setting: &Setting, report: &mut Report) -> Result<()> {
    println!("restart of the operator …");
    let pods: Api<Pod> = Api::namespaced(setting.client.clone(), "waybill-system");
    let selector = ListParams::default().labels("app.kubernetes.io/component=operator");
    pods.delete_collection(&DeleteParams::default(), &selector).await?;
    tokio::time::sleep(SETTLE * 2).await;
    let usage = Process::find(&setting.cluster)?.usage()?;
    report.at_most("operator's peak at start ÷ settled", usage.peak_kib / usage.rss_kib, 1.3, "×");
    Ok(())
}
