//! The transport: a carrier's agent, in a pod or on a device. It speaks with sellers through the broker and has no access
//! to any cluster: what it trusts and where it connects come as files.
//!
//! - [`config`]: settings. `session`: the one session at the broker. [`metrics`]: what it counts.

pub mod config;
pub mod metrics;

mod session;

use tokio_util::sync::CancellationToken;
use waybill_chassis::files;
use waybill_chassis::metrics::Metrics;
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::tls;
use waybill_chassis::trust::Trust;
use waybill_link::{LinkMetrics, SettingsError};

use metrics::TransportMetrics;
use session::{Sessions, purposes};

pub use config::Args;

/// Files of the published trust an agent reads.
const TRUST: &[&str] = &["ca.crt", "revoked.json", "broker"];

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load the TLS files")]
    Tls(#[source] tls::Error),
    #[error("failed to load the published trust")]
    Trust(#[source] files::Error),
    #[error("failed to set up the link")]
    Link(#[source] SettingsError),
    #[error("failed to serve the probes")]
    Probes(#[source] probes::Error),
}

/// Runs until `shutdown`.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let (probes, metrics, stop) = (Probes::new(), Metrics::new("transport"), CancellationToken::new());
    let _stopped_at_the_end = stop.clone().drop_guard();
    let probing = probes::serve(&args.probes, &probes, metrics.clone(), stop.clone());
    let working = Box::pin(work(&args, &probes, &metrics, (shutdown, stop.clone())));
    tokio::select! {
        ended = working => ended,
        ended = probing => ended.map_err(Error::Probes),
    }
}

async fn work(
    args: &Args,
    probes: &Probes,
    metrics: &Metrics,
    (shutdown, stop): (CancellationToken, CancellationToken),
) -> Result<(), Error> {
    let gate = probes.gate("broker");
    let leaf = tls::watch_dir(&args.tls_dir, files::POLL, stop.clone()).await.map_err(Error::Tls)?;
    let published = files::watch(&args.trust_dir, TRUST, files::POLL, stop).await.map_err(Error::Trust)?;
    let first = leaf.borrow().clone();
    let trust = Trust::follow(&first, published.clone(), probes.gate("trust"));
    let material = trust.apply(leaf);

    let purposes = purposes(material.clone(), published, args.broker.clone());
    let tls = tls::client_configs(material).map_err(Error::Tls)?;
    let (metrics, link_metrics) = (TransportMetrics::new(metrics), LinkMetrics::new(metrics));
    let sessions = Sessions { tls, gate, metrics, link_metrics };
    sessions.run(purposes, shutdown).await.map_err(Error::Link)
}
