//! Waybill's figures, measured against the real thing: each printed as a ratio to a baseline of the same run.
//!
//! Nothing here is a test: machines are noisy. A bar that is missed is printed as missed, with the losses.

mod certificates;
mod cluster;
mod deliveries;
mod operator_process;
mod raw;
mod report;

use anyhow::Result;
use clap::Parser;

use crate::cluster::Setting;
use crate::report::Report;

/// Measures a running Waybill. Start it with `make bench`.
#[derive(Parser)]
struct Args {
    /// The kubeconfig of the cluster to measure.
    #[arg(long, env = "WAYBILL_KUBECONFIG")]
    kubeconfig: std::path::PathBuf,
    /// The namespace the operator serves; the load goes there.
    #[arg(long, env = "WAYBILL_BENCH_NAMESPACE", default_value = "bench")]
    namespace: String,
    /// How many Deliveries.
    #[arg(long, default_value_t = 10_000)]
    deliveries: usize,
    /// How many external carriers.
    #[arg(long, default_value_t = 10_000)]
    carriers: usize,
    /// How long to watch the idle cluster for writes, in seconds.
    #[arg(long, default_value_t = 600)]
    idle: u64,
    /// What the control group of the node's pods is called, to find the operator's process.
    #[arg(long, env = "WAYBILL_CLUSTER", default_value = "")]
    cluster: String,
}

#[tokio::main]
async fn main() -> Result<()> {
    // Only fails when a provider is already there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    let setting = Setting::prepare(&args.kubeconfig, &args.namespace, &args.cluster).await?;
    let mut report = Report::new(&setting.versions);
    let raw = raw::patches_per_second(&setting).await?;
    report.line("raw status PATCH/s of an equal object (16 clients)", format!("{raw:.0}/s"));
    deliveries::measure(&setting, args.deliveries, args.idle, raw, &mut report).await?;
    certificates::measure(&setting, args.carriers, &mut report).await?;
    report.print();
    Ok(())
}
