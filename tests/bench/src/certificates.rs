//! External carriers: keys and signing requests made here, certificates issued and stored by the operator.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use jiff::Timestamp;
use kube::ResourceExt;
use kube::api::{ListParams, PostParams};
use waybill_crds::Carrier;
use waybill_e2e::enrol::Keys;
use waybill_e2e::ledger;

use crate::audit::{self, tally};
use crate::cluster::{CLIENTS, Setting, operator};
use crate::follow::Follower;
use crate::report::Report;

const DEADLINE: Duration = Duration::from_secs(900);
const NAME: &str = "c-";

pub(crate) async fn measure(setting: &Setting, count: usize, report: &mut Report) -> Result<()> {
    println!("{count} external carriers: keys and requests …");
    let carriers: Vec<Carrier> = (0..count)
        .map(|i| Ok(serde_json::from_value(Keys::fresh().carrier(&setting.namespace, &format!("{NAME}{i}")))?))
        .collect::<Result<_>>()?;
    let issued = Follower::start(setting.served(), is_issued).await?;
    let (process, already) = (operator().await?, issued.count());
    let before = process.usage()?;
    println!("{count} external carriers: certificates …");
    let (begun, start) = (Timestamp::now(), Instant::now());
    create(setting, carriers).await?;
    issued.wait(already + count, DEADLINE).await;
    let took = start.elapsed().as_secs_f64();
    let after = process.usage()?;
    report.at_most(&format!("{count} carrier certificates issued and stored"), took, 120.0, "s");
    report.lost("certificates missing, or of a number the ledger lacks", missing(setting, count).await?, count);
    let cpu = (after.cpu_seconds - before.cpu_seconds) * 1000.0 / count as f64;
    report.line("operator's processor time per carrier", format!("{cpu:.2} ms"));
    report.line("writes of Waybill's meanwhile", tally(audit::since(begun).iter().filter(|w| w.is_waybills())));
    report.line(&format!("operator RSS with {count} carriers more"), format!("{:.1} MiB", after.rss_kib / 1024.0));
    Ok(())
}

async fn create(setting: &Setting, carriers: Vec<Carrier>) -> Result<()> {
    let api = setting.served::<Carrier>();
    stream::iter(carriers)
        .map(|carrier| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &carrier).await }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

fn is_issued(carrier: &Carrier) -> bool {
    carrier.status.as_ref().is_some_and(|status| status.certificate.is_some())
}

/// Those of the carriers made here that hold no certificate of a number of their own which the ledger knows.
async fn missing(setting: &Setting, count: usize) -> Result<usize> {
    let known: HashSet<(String, String)> =
        ledger::entries(&setting.client).await.into_iter().map(|entry| (entry.serial, entry.uid)).collect();
    let carriers = setting.served::<Carrier>().list(&ListParams::default().match_any()).await?;
    let made_here = carriers.into_iter().filter(|carrier| carrier.name_any().starts_with(NAME));
    let serials: HashSet<String> = made_here
        .filter_map(|carrier| {
            let uid = carrier.uid()?;
            let serial = carrier.status?.certificate?.serial;
            known.contains(&(serial.clone(), uid)).then_some(serial)
        })
        .collect();
    Ok(count.saturating_sub(serials.len()))
}
