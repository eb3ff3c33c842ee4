//! The broker's sidecar: keeps mosquitto's certificates, revocations and access lists as the cluster has them, and ends
//! the sessions of those who are revoked.
//!
//! Contract. What the broker reads was verified first, whole and at once; what is damaged, missing, expired or older
//! leaves the last good in use and is said on `/readyz`, in a metric and in the log. Five seconds after a revocation is
//! in the cluster, the revoked have no session and get no new one. The sidecar is not in the data path: while it is
//! down, everything goes on as it last stood.
//!
//! `watch` → [`Inputs`] → `held` (what is in use; pure) → `files` → `process` (SIGHUP) → `takeover` (whose session ends
//! when; pure) → `console` (the admin listener). `http` answers the kubelet for both containers.

mod access;
mod admin;
mod args;
mod console;
mod files;
mod held;
mod http;
mod inputs;
mod metrics;
mod process;
mod revoked;
mod sidecar;
mod takeover;
mod trust;
mod watch;

// The same authorities and lists for the tests of the pure parts and of the whole.
#[cfg(test)]
#[allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]
#[path = "../tests/broker/pki.rs"]
mod pki;

use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waybill_chassis::metrics::Metrics;
use waybill_chassis::probes::{self, Probes};

pub use args::{Args, BrokerArgs};
pub use files::Error as FilesError;
pub use inputs::{Data, Inputs};

use crate::metrics::BrokerMetrics;
use crate::sidecar::Sidecar;

/// Why the sidecar ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to bind the probe listener to {addr}")]
    Bind {
        addr: std::net::SocketAddr,
        #[source]
        source: std::io::Error,
    },
    #[error("failed to reach the cluster")]
    Client(#[source] kube::Error),
    #[error("failed to keep the broker's files")]
    Files(#[source] FilesError),
    #[error("failed to answer probes")]
    Probes(#[source] probes::Error),
}

/// Runs the sidecar in a cluster until `shutdown`.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let addr = args.probes.addr;
    let listener = TcpListener::bind(addr).await.map_err(|source| Error::Bind { addr, source })?;
    let client = Client::try_default().await.map_err(Error::Client)?;
    let (sender, inputs) = tokio::sync::watch::channel(Inputs::default());
    tokio::select! {
        served = serve(args.broker, inputs, listener, shutdown) => served,
        () = watch::follow(&client, &args.namespace, &sender) => Ok(()),
    }
}

/// The same with inputs from anywhere and a bound listener for probes.
pub async fn serve(
    args: BrokerArgs,
    inputs: tokio::sync::watch::Receiver<Inputs>,
    listener: TcpListener,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let gates = [&held::Part::ALL.map(held::Part::name)[..], &[sidecar::FILES]].concat();
    let (probes, metrics) = (Probes::new(&gates), Metrics::new("broker-sidecar"));
    let (console, way) = tokio::sync::watch::channel(None);
    let counts = BrokerMetrics::new(&metrics);
    let router = http::router(&probes, metrics, http::Prober::new(way, counts.clone()));
    let sidecar = Sidecar::open(args, &probes, counts, console).map_err(Error::Files)?;
    tokio::try_join!(async { sidecar.run(inputs, shutdown.clone()).await.map_err(Error::Files) }, async {
        probes::serve_on(listener, router, shutdown.clone()).await.map_err(Error::Probes)
    },)?;
    Ok(())
}
