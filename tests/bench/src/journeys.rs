//! Plain deliveries from `kubectl apply` to `Delivered`, all eleven steps, nothing paced: one after another, and hundreds at once.
//!
//! Pods as they are installed, agents that lose no time on the way. What a step took stands in the log: each entry carries when it
//! was written. Who wrote how often is the audit log's word.

mod cast;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::runtime::wait::await_condition;
use waybill_crds::{Delivery, Phase};

use crate::audit::{self, Write, tally};
use crate::cluster::{CLIENTS, Setting};
use crate::follow::Follower;
use crate::raw;
use crate::report::Report;
use crate::sample::Samples;
use cast::{CARRIERS, Cast, Household};

/// Deliveries before anything is measured: caches fill, connections open.
const WARM: usize = 5;
const ONE: Duration = Duration::from_secs(60);
const ALL: Duration = Duration::from_secs(600);
/// The original stack, the best that was ever seen of it on two cores: orders a second, and its processor time an order.
const ORIGINAL_RATE: f64 = 51.0;
const ORIGINAL_CPU_MS: f64 = 32.0;
/// How the bench and the image were built: `scripts/bench` builds both alike.
const PROFILE: &str = if cfg!(debug_assertions) { "the development profile" } else { "the released profile" };

pub(crate) async fn measure(setting: &Setting, singles: usize, burst: usize, report: &mut Report) -> Result<()> {
    let cast = Cast::gather(setting, WARM + singles + burst).await?;
    report.line("build", PROFILE);
    report.line("etcd", "without fsync (`--unsafe-no-fsync`)");
    one_by_one(&cast, singles, report).await?;
    all_at_once(setting, &cast, WARM + singles, burst, report).await?;
    // What follows in this namespace begins without them.
    let everything = DeleteParams::background().grace_period(0);
    let _ = cast.deliveries.delete_collection(&everything, &ListParams::default()).await;
    Ok(())
}

async fn one_by_one(cast: &Cast, count: usize, report: &mut Report) -> Result<()> {
    println!("{count} plain deliveries, one after another …");
    for number in 0..WARM {
        journey(cast, number).await?;
    }
    let (mut whole, mut legs) = (Samples::default(), Vec::<(String, Samples)>::new());
    let begun = Timestamp::now();
    for number in WARM..WARM + count {
        let (began, (took, delivery)) = (Timestamp::now(), journey(cast, number).await?);
        whole.push(took.as_secs_f64() * 1000.0);
        for (place, (leg, millis)) in steps(began, &delivery).into_iter().enumerate() {
            match legs.get_mut(place) {
                Some((_, samples)) => samples.push(millis),
                None => legs.push((leg, std::iter::once(millis).collect())),
            }
        }
    }
    report.line("create → Delivered, one at a time", whole.show("ms"));
    report.at_most("… p50", whole.median(), 120.0, "ms");
    let told: Vec<_> = legs.iter().map(|(leg, samples)| format!("{leg} {:.0}", samples.median())).collect();
    report.line("… p50 of each leg in ms, by the log", told.join(" · "));
    let writes = of_deliveries(cast, begun);
    let each = writes.iter().filter(|write| write.refused.is_none()).count() as f64 / count as f64;
    report.at_most("writes of one delivery after the user's own", each, 9.0, "");
    report.line("… by whom", tally(&writes));
    Ok(())
}

/// Writes on Deliveries by Waybill's own accounts.
fn of_deliveries(cast: &Cast, since: Timestamp) -> Vec<Write> {
    let writes = audit::since(since).into_iter();
    let theirs = writes.filter(|write| write.is_waybills() && write.namespace == cast.namespace);
    theirs.filter(|write| write.resource.starts_with("deliveries")).collect()
}

async fn journey(cast: &Cast, number: usize) -> Result<(Duration, Delivery)> {
    let name = cast::upc(number);
    let delivered = await_condition(cast.deliveries.clone(), &name, |delivery: Option<&Delivery>| {
        delivery.is_some_and(|delivery| delivery.phase() == Phase::Delivered)
    });
    let start = Instant::now();
    let (params, whole) = (PostParams::default(), cast.delivery(number)?);
    let create = cast.deliveries.create(&params, &whole);
    let (created, ended) = tokio::join!(create, tokio::time::timeout(ONE, delivered));
    created?;
    let took = start.elapsed();
    let delivery = ended.with_context(|| format!("{name} was not delivered within {ONE:?}"))??;
    Ok((took, delivery.context("it is there")?))
}

/// How long after the one before each event was signed, by name; the first after the user's create. All clocks are this machine's.
fn steps(began: Timestamp, delivery: &Delivery) -> Vec<(String, f64)> {
    let custody = delivery.status.as_ref().map(|status| &status.custody[..]).unwrap_or_default();
    let mut before = began;
    let named = custody.iter().map(|entry| {
        let took = entry.at.0.duration_since(before).as_secs_f64() * 1000.0;
        before = entry.at.0;
        (entry.event.clone(), took)
    });
    named.take_while(|(event, _)| event != "Erased").collect()
}

async fn all_at_once(setting: &Setting, cast: &Cast, from: usize, count: usize, report: &mut Report) -> Result<()> {
    let raw_before = raw::patches_per_second(setting).await?;
    println!("{count} plain deliveries at once …");
    let household = Household::find(&cast.namespace).await?;
    let before = household.on_cpu()?;
    let idle = household.memory()?;
    let done =
        Follower::start(cast.deliveries.clone(), |delivery: &Delivery| delivery.phase() == Phase::Delivered).await?;
    let (already, begun, start) = (done.count(), Timestamp::now(), Instant::now());
    stream::iter(from..from + count)
        .map(|number| async move {
            cast.deliveries.create(&PostParams::default(), &cast.delivery(number)?).await.map_err(anyhow::Error::from)
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    let missing = done.wait(already + count, ALL).await;
    let rate = count as f64 / start.elapsed().as_secs_f64();
    let cpu = household.on_cpu()?;
    report.lost("deliveries not Delivered", missing, count);
    let writes = of_deliveries(cast, begun);
    // The user's create is one of them.
    let each = 1.0 + writes.len() as f64 / count as f64;
    let raw = f64::midpoint(raw_before, raw::patches_per_second(setting).await?);
    report.line(
        &format!("{count} at once, over {CARRIERS} carriers"),
        format!("{rate:.1} deliveries/s; raw PATCH/s {raw:.0}; {each:.2} writes each"),
    );
    report.at_least("… of the raw rate ÷ writes each", rate / (raw / each), 0.60, "×");
    report.at_least("… beside the original stack's best", rate, ORIGINAL_RATE, "/s");
    report.line("… by whom", tally(&writes));
    tell_costs(&before, &cpu, count, report);
    tell_memory(&idle, &household.memory()?, count, report);
    Ok(())
}

fn tell_costs(
    before: &BTreeMap<String, Duration>,
    after: &BTreeMap<String, Duration>,
    count: usize,
    report: &mut Report,
) {
    let spent = |who: &str| (after[who].saturating_sub(before[who])).as_secs_f64() * 1000.0 / count as f64;
    let each: Vec<_> = after.keys().map(|who| format!("{who} {:.1}", spent(who))).collect();
    let (cluster, own): (Vec<&String>, Vec<&String>) = after.keys().partition(|who| cast::is_clusters(who));
    let sum = |whose: Vec<&String>| whose.into_iter().map(|who| spent(who)).sum::<f64>();
    report.line("processor time a delivery in ms", each.join(" · "));
    report.at_most("… Waybill's own and the broker's", sum(own), ORIGINAL_CPU_MS, "ms");
    report.line("… the API server's and etcd's", format!("{:.1} ms", sum(cluster)));
}

fn tell_memory(idle: &BTreeMap<String, f64>, after: &BTreeMap<String, f64>, count: usize, report: &mut Report) {
    let peak =
        |role: &str| after.iter().filter(|(who, _)| who.starts_with(role)).map(|(_, kib)| *kib).fold(0.0, f64::max);
    let was =
        |role: &str| idle.iter().filter(|(who, _)| who.starts_with(role)).map(|(_, kib)| *kib).fold(0.0, f64::max);
    let bar = 32.0 + 4.0 * count as f64 / 1024.0;
    report.line(
        "peak RSS before them: seller, transport",
        format!("{:.1}, {:.1} MiB", was("seller") / 1024.0, was("transport") / 1024.0),
    );
    report.at_most(&format!("seller's peak RSS with {count} in flight"), peak("seller") / 1024.0, bar, "MiB");
    report.at_most("transport's peak RSS", peak("transport") / 1024.0, 16.0, "MiB");
}
