//! External carriers: keys and signing requests made here, certificates issued and stored by the operator.

use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use futures::{StreamExt, TryStreamExt, stream};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Api;
use kube::api::{ListParams, PostParams};
use waybill_crds::Carrier;
use waybill_e2e::enrol::Keys;

use crate::cluster::Setting;
use crate::raw::CLIENTS;
use crate::report::Report;

const DEADLINE: Duration = Duration::from_secs(900);

pub(crate) async fn measure(setting: &Setting, count: usize, report: &mut Report) -> Result<()> {
    println!("{count} external carriers: keys and requests …");
    let carriers: Vec<Carrier> = (0..count)
        .map(|i| Ok(serde_json::from_value(Keys::fresh().carrier(&setting.namespace, &format!("c-{i}")))?))
        .collect::<Result<_>>()?;
    let api: Api<Carrier> = Api::namespaced(setting.client.clone(), &setting.namespace);
    let already = issued(setting).await?;
    let start = Instant::now();
    stream::iter(carriers)
        .map(|carrier| {
            let api = api.clone();
            async move { api.create(&PostParams::default(), &carrier).await }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    wait_issued(setting, already + count).await?;
    report.at_most(
        &format!("{count} carrier certificates issued and stored"),
        start.elapsed().as_secs_f64(),
        120.0,
        "s",
    );
    Ok(())
}

/// Waits until this many carriers of the namespace hold a certificate.
pub(crate) async fn wait_issued(setting: &Setting, count: usize) -> Result<()> {
    let end = Instant::now() + DEADLINE;
    loop {
        let have = issued(setting).await?;
        if have >= count {
            return Ok(());
        }
        ensure!(Instant::now() < end, "only {have} of {count} carriers have a certificate after {DEADLINE:?}");
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}

async fn issued(setting: &Setting) -> Result<usize> {
    let api: Api<Carrier> = Api::namespaced(setting.client.clone(), &setting.namespace);
    let list = api.list(&ListParams::default().match_any()).await?;
    Ok(list.iter().filter(|c| c.status.as_ref().is_some_and(|s| s.certificate.is_some())).count())
}

pub(crate) fn ready(conditions: Option<&[Condition]>) -> bool {
    conditions.unwrap_or_default().iter().any(|c| c.type_ == "Ready" && c.status == "True")
}
