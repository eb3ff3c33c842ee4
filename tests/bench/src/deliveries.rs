//! Thousands of Deliveries at once from create to Ready, then idle, then a restart of the operator.

mod ends;
mod rest;

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{ListParams, PostParams};
use serde_json::json;
use waybill_crds::{ConditionType, Delivery, DeliveryView, condition};

use crate::audit::{self, tally};
use crate::cluster::{CLIENTS, Setting, operator};
use crate::follow::Follower;
use crate::raw;
use crate::report::Report;

pub(crate) use ends::CARRIERS;

const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) async fn measure(setting: &Setting, count: usize, idle: u64, report: &mut Report) -> Result<()> {
    let found = setting.served::<DeliveryView>().list_metadata(&ListParams::default().limit(1)).await?;
    ensure!(
        found.items.is_empty(),
        "there are Deliveries in {} already: the bench wants a cluster of its own",
        setting.namespace
    );
    ends::provision(setting, count).await?;
    let before = operator().await?.usage()?;
    report.line("operator RSS before the Deliveries", format!("{:.1} MiB", before.rss_kib / 1024.0));
    // Before and after: others may be at work on this machine.
    let raw_before = raw::patches_per_second(setting).await?;
    let burst = burst(setting, count, report).await?;
    let raw_after = raw::patches_per_second(setting).await?;
    let raw = f64::midpoint(raw_before, raw_after);
    report.line("raw status PATCH/s of an equal object, before and after", format!("{raw_before:.0}, {raw_after:.0}"));
    report.at_least("Deliveries create → Ready", burst.rate, 83.0, "/s");
    report.at_least("… of the raw rate ÷ writes each", burst.rate / (raw / burst.writes_each), 0.70, "×");
    let cpu = (operator().await?.usage()?.cpu_seconds - before.cpu_seconds) * 1000.0 / count as f64;
    report.line("operator's processor time per Delivery", format!("{cpu:.2} ms"));
    rest::idle(count, idle, report).await?;
    rest::restart(setting, report).await
}

struct Burst {
    rate: f64,
    /// The user's create included.
    writes_each: f64,
}

async fn burst(setting: &Setting, count: usize, report: &mut Report) -> Result<Burst> {
    let ready = Follower::start(setting.served::<DeliveryView>(), is_ready).await?;
    println!("{count} Deliveries …");
    let (begun, start) = (Timestamp::now(), Instant::now());
    create(setting, count).await?;
    let missing = ready.wait(count, DEADLINE).await;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    report.lost("Deliveries not Ready", missing, count);
    let writes = audit::since(begun);
    let of_deliveries =
        writes.iter().filter(|w| w.namespace == setting.namespace && w.resource.starts_with("deliveries"));
    let writes_each = of_deliveries.count() as f64 / count as f64;
    report.at_most("writes per Delivery, the user's create included", writes_each, 2.0, "");
    report.line("… by whom, with all else of Waybill's", tally(writes.iter().filter(|write| write.is_waybills())));
    Ok(Burst { rate, writes_each })
}

async fn create(setting: &Setting, count: usize) -> Result<()> {
    let api = setting.served::<Delivery>();
    stream::iter(0..count)
        .map(|i| {
            let api = api.clone();
            async move {
                let delivery = object(&ends::parcel(i), &ends::carrier(i % CARRIERS))?;
                api.create(&PostParams::default(), &delivery).await.map_err(anyhow::Error::from)
            }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await
}

/// One plain Delivery for the bench's seller.
pub(crate) fn object(name: &str, carrier: &str) -> Result<Delivery> {
    Ok(serde_json::from_value(json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": name},
        "spec": {"upc": name, "seller": ends::SELLER, "carrier": carrier}
    }))?)
}

pub(crate) fn is_ready(delivery: &DeliveryView) -> bool {
    ready(delivery.status.as_ref().map(|status| &status.conditions[..]))
}

fn ready(conditions: Option<&[Condition]>) -> bool {
    condition::is_true(conditions.unwrap_or_default(), ConditionType::Ready)
}
