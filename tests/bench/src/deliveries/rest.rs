//! What thousands of Deliveries cost while nothing happens to them, and what a restart among them costs.

use std::time::Duration;

use anyhow::Result;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use waybill_e2e::process::find;

use crate::audit::{self, Write, tally};
use crate::cluster::{Setting, operator};
use crate::process::{Process, Usage};
use crate::report::Report;

/// After a burst, or a start: what is still being freed or read.
const SETTLE: Duration = Duration::from_secs(30);

pub(super) async fn idle(count: usize, seconds: u64, report: &mut Report) -> Result<()> {
    println!("idle for {seconds} s …");
    tokio::time::sleep(SETTLE).await;
    let process = operator().await?;
    let beside = beside();
    let (begun, before) = (Timestamp::now(), process.usage()?);
    tokio::time::sleep(Duration::from_secs(seconds)).await;
    let after = process.usage()?;
    let (leases, writes) = apart(audit::since(begun));
    report.at_most(&format!("writes of Waybill's in {seconds} s of idling"), writes.len() as f64, 0.0, "");
    if !writes.is_empty() {
        report.line("… which are", tally(&writes));
    }
    report.line("… not counted: renewed leases", tally(&leases));
    let core = (after.cpu_seconds - before.cpu_seconds) / seconds as f64;
    report.at_most("operator's processor time while idle", core * 100.0, 1.0, "% of a core");
    let bar = 40.0 * 1024.0 + 3.0 * count as f64;
    report.at_most(&format!("operator RSS with {count} Deliveries"), after.rss_kib / 1024.0, bar / 1024.0, "MiB");
    report.line("the services beside it meanwhile", told(&beside, seconds));
    Ok(())
}

/// The other programs of Waybill's, with what they had used when this was asked.
fn beside() -> Vec<(&'static str, Process, Usage)> {
    let running = |name: &'static str| find(&["waybill", name]).into_iter().map(move |pid| (name, Process(pid)));
    let all = ["seller", "carrier-api", "transport", "broker-sidecar"].into_iter().flat_map(running);
    all.filter_map(|(name, process)| Some((name, process, process.usage().ok()?))).collect()
}

fn told(beside: &[(&str, Process, Usage)], seconds: u64) -> String {
    let one = |(name, process, before): &(&str, Process, Usage)| match process.usage() {
        Ok(now) => {
            let core = (now.cpu_seconds - before.cpu_seconds) / seconds as f64 * 100.0;
            format!("{name} {core:.2} % of a core, {:.0} MiB", now.rss_kib / 1024.0)
        }
        Err(_) => format!("{name} ended"),
    };
    beside.iter().map(one).collect::<Vec<_>>().join(" · ")
}

/// Leases are renewed for ever; they are what a leader is known by. The rest of Waybill's writes counts.
fn apart(writes: Vec<Write>) -> (Vec<Write>, Vec<Write>) {
    writes.into_iter().filter(Write::is_waybills).partition(|write| write.resource == "leases")
}

/// Removes the operator's pod; the next one lists everything anew.
pub(super) async fn restart(setting: &Setting, report: &mut Report) -> Result<()> {
    println!("restart of the operator …");
    let former = operator().await?;
    let begun = Timestamp::now();
    let pods: Api<Pod> = Api::namespaced(setting.client.clone(), "waybill-system");
    let selector = ListParams::default().labels("app.kubernetes.io/component=operator");
    pods.delete_collection(&DeleteParams::default(), &selector).await?;
    let mut process = operator().await?;
    while process == former {
        tokio::time::sleep(Duration::from_millis(200)).await;
        process = operator().await?;
    }
    tokio::time::sleep(SETTLE).await;
    let usage = process.usage()?;
    report.at_most("operator's peak at start ÷ settled", usage.peak_kib / usage.rss_kib, 1.3, "×");
    let (_, writes) = apart(audit::since(begun));
    let of_ours = writes.iter().filter(|write| write.resource != "events").count();
    report.at_most("writes after a restart", of_ours as f64, 0.0, "");
    if of_ours > 0 {
        report.line("… which are", tally(&writes));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(user: &str, resource: &str) -> Write {
        Write {
            at: Timestamp::UNIX_EPOCH,
            user: user.into(),
            verb: "patch".into(),
            resource: resource.into(),
            namespace: "bench".into(),
            refused: None,
        }
    }

    #[test]
    fn a_service_that_writes_while_nothing_happens_counts_and_its_lease_does_not() {
        let seller = "system:serviceaccount:bench:wb-seller-bench";
        let kubernetes = "system:serviceaccount:kube-system:replicaset-controller";
        let writes =
            vec![write(seller, "leases"), write(seller, "deliveries/status"), write(kubernetes, "replicasets")];
        let (leases, rest) = apart(writes.clone());
        assert_eq!((leases, rest), (vec![writes[0].clone()], vec![writes[1].clone()]));
    }
}
