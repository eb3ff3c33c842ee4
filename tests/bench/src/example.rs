//! What a newcomer waits for: `kubectl apply` of the example until both ends of its Delivery are ready.

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use kube::Api;
use kube::runtime::wait::await_condition;
use waybill_crds::DeliveryView;

use crate::cluster::Setting;
use crate::deliveries::is_ready;
use crate::report::Report;

const FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../examples/first-delivery.yaml");
const DELIVERY: &str = "upc-1";
const DEADLINE: Duration = Duration::from_secs(120);

pub(crate) async fn measure(setting: &Setting, kubeconfig: &Path, report: &mut Report) -> Result<()> {
    println!("the example …");
    // As the other tests find it; a kubectl of the machine's own does as well.
    let kubectl = std::env::var("WAYBILL_KUBECTL").unwrap_or_else(|_| "kubectl".into());
    let start = Instant::now();
    let applied = Command::new(kubectl)
        .args(["apply", "--namespace", &setting.example, "--filename", FILE, "--kubeconfig"])
        .arg(kubeconfig)
        .output()
        .context("failed to run kubectl")?;
    ensure!(applied.status.success(), "kubectl apply: {}", String::from_utf8_lossy(&applied.stderr));
    let api: Api<DeliveryView> = Api::namespaced(setting.client.clone(), &setting.example);
    let ready = await_condition(api, DELIVERY, |delivery: Option<&DeliveryView>| delivery.is_some_and(is_ready));
    let in_time = tokio::time::timeout(DEADLINE, ready).await.is_ok();
    report.at_most("kubectl apply of the example → both ends Ready", start.elapsed().as_secs_f64(), 15.0, "s");
    report.lost("example's Delivery not Ready", usize::from(!in_time), 1);
    Ok(())
}
