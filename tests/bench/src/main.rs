//! Waybill's figures, measured against the real thing: each beside a baseline of the same run or its bar, losses counted.
//!
//! Nothing here is a test: machines are noisy. A bar that is missed is printed as missed. Anything lost fails the run.

mod accounts;
mod audit;
mod board;
mod broker;
mod certificates;
mod cluster;
mod deliveries;
#[path = "../../../services/cluster/tests/server/domain.rs"]
#[allow(clippy::unwrap_used, reason = "shared with tests")]
mod domain;
mod example;
mod follow;
mod journeys;
mod link;
mod process;
mod proof;
mod raw;
mod reads;
mod report;
mod sample;
#[path = "../../../services/proof/tests/bundle/world.rs"]
#[allow(dead_code, clippy::unwrap_used, reason = "shared with tests, which need more of it")]
mod sealed_parcel;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};

use crate::cluster::Setting;
use crate::report::Report;

/// Measures a running Waybill and its broker, and prints a table.
///
/// Start it with `make bench`, which makes a cluster of its own and tells where it is; flags go into WAYBILL_BENCH_FLAGS.
/// Not for a cluster that is in use: it creates thousands of objects and restarts the operator.
#[derive(Parser)]
struct Args {
    /// The kubeconfig of the cluster to measure: a local node, whose processes and audit log are here. The broker needs none.
    #[arg(long, env = "WAYBILL_KUBECONFIG")]
    kubeconfig: Option<std::path::PathBuf>,
    /// The namespace the operator serves; the load goes there. The example goes to the namespace NAME-example, which it serves too.
    #[arg(long, value_name = "NAME", env = "WAYBILL_BENCH_NAMESPACE", default_value = "bench")]
    namespace: String,
    /// What to measure.
    #[arg(long, value_delimiter = ',', default_values_t = Figure::ALL)]
    only: Vec<Figure>,
    /// How many Deliveries.
    #[arg(long, default_value_t = 10_000)]
    deliveries: usize,
    /// How many external carriers get a certificate, and how many are connected to the broker.
    #[arg(long, default_value_t = 10_000)]
    carriers: usize,
    /// How long to watch the idle cluster for writes, in seconds.
    #[arg(long, default_value_t = 600)]
    idle: u64,
    /// How many rounds the two brokers are measured, in turn.
    #[arg(long, default_value_t = 20)]
    rounds: usize,
    /// How many plain deliveries go all the way one after another.
    #[arg(long, default_value_t = 40)]
    singles: usize,
    /// How many go all the way at once.
    #[arg(long, default_value_t = 500)]
    burst: usize,
    /// Be the bare route that the APIs are measured beside, with the certificate in this folder.
    #[arg(long, hide = true)]
    bare: Option<std::path::PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Figure {
    /// `kubectl apply` of the example until both ends are ready.
    Example,
    /// From apply to Delivered: one after another, and hundreds at once.
    Journeys,
    /// Create to Ready, idling, memory, restart.
    Deliveries,
    /// Certificates of external carriers.
    Certificates,
    /// What one more carrier costs the broker; needs no cluster.
    Broker,
    /// Sealed, signed and answered messages beside plain ones; needs no cluster.
    Link,
    /// GETs with a token at both APIs beside a bare route.
    Reads,
    /// A thousand viewers before the board while everything changes.
    Board,
    /// Proof bundles checked; needs no cluster.
    Proof,
}

impl Figure {
    const ALL: [Self; 9] = [
        Self::Example,
        Self::Journeys,
        Self::Reads,
        Self::Board,
        Self::Deliveries,
        Self::Certificates,
        Self::Broker,
        Self::Link,
        Self::Proof,
    ];
    /// These need no cluster.
    const ALONE: [Self; 3] = [Self::Broker, Self::Link, Self::Proof];
}

impl std::fmt::Display for Figure {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.to_possible_value().map_or(Ok(()), |value| f.write_str(value.get_name()))
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    // Only fails when a provider is already there.
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let args = Args::parse();
    if let Some(files) = &args.bare {
        return reads::serve_bare(files).await;
    }
    let mut report = Report::default();
    report.line("load of the machine before (1 min)", process::load());
    let measured = measure(&args, &mut report).await;
    report.line("load of the machine after (1 min)", process::load());
    println!("\n{}", report.table());
    measured.and(report.outcome())
}

async fn measure(args: &Args, report: &mut Report) -> Result<()> {
    let asked = |figure| args.only.contains(&figure);
    if asked(Figure::Broker) {
        let load = broker::Load { carriers: args.carriers, rounds: args.rounds };
        tokio::task::block_in_place(|| broker::measure(load, report)).context("the broker's figures")?;
    }
    if asked(Figure::Link) {
        link::measure(report).await.context("the link's figures")?;
    }
    if asked(Figure::Proof) {
        tokio::task::block_in_place(|| proof::measure(report)).context("the proof's figures")?;
    }
    if args.only.iter().all(|figure| Figure::ALONE.contains(figure)) {
        return Ok(());
    }
    let kubeconfig = args.kubeconfig.as_deref().context("no --kubeconfig")?;
    let setting = Setting::prepare(kubeconfig, &args.namespace, report).await?;
    if asked(Figure::Example) {
        example::measure(&setting, kubeconfig, report).await.context("the example's figure")?;
    }
    if asked(Figure::Journeys) {
        journeys::measure(&setting, args.singles, args.burst, report).await.context("the journeys' figures")?;
    }
    if asked(Figure::Reads) {
        reads::measure(&setting, report).await.context("the reads' figures")?;
    }
    if asked(Figure::Board) {
        board::measure(&setting, report).await.context("the board's figures")?;
    }
    if asked(Figure::Deliveries) {
        deliveries::measure(&setting, args.deliveries, args.idle, report).await.context("the Deliveries' figures")?;
    }
    if asked(Figure::Certificates) {
        certificates::measure(&setting, args.carriers, report).await.context("the certificates' figures")?;
    }
    cluster::restarts(&setting, report).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn everything_is_measured_unless_told_otherwise() {
        let all = Args::parse_from(["waybill-bench", "--kubeconfig", "k"]);
        assert_eq!(
            (all.only.as_slice(), all.deliveries, all.carriers, all.idle),
            (&Figure::ALL[..], 10_000, 10_000, 600)
        );
        let some = Args::parse_from(["waybill-bench", "--kubeconfig", "k", "--only", "broker,example"]);
        assert_eq!(some.only, [Figure::Broker, Figure::Example]);
    }
}
