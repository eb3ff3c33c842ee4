//! The Carrier API: what carriers report and permitted people read, for all carriers of a namespace.
//!
//! - [`config`]: settings. [`http`]: the routes.
//! - `published`: the trust of the namespace, watched through the API, so that a revoked carrier is refused in seconds.
//!
//! Client certificates are optional, because viewers have none; whoever shows one is checked on every request.
//!
//! What its account needs, in its own namespace and by name: `list watch` on ConfigMap `waybill-trust`.

pub mod config;
pub mod http;

mod published;

use kube::Client;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};
use waybill_chassis::trust::Trust;

pub use config::Args;

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load the TLS files")]
    Tls(#[source] tls::Error),
    #[error("failed to find the cluster")]
    Cluster(#[source] kube::config::InferConfigError),
    #[error("failed to make a client for the cluster")]
    Client(#[source] kube::Error),
    #[error("failed to serve the Carrier API")]
    Server(#[source] server::Error),
    #[error("failed to serve the probes")]
    Probes(#[source] probes::Error),
}

/// Runs until `shutdown`, then answers the requests under way.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let (probes, metrics, stop) = (Probes::new(), Metrics::new("carrier-api"), CancellationToken::new());
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
    let config = kube::Config::infer().await.map_err(Error::Cluster)?;
    let client = Client::try_from(config).map_err(Error::Client)?;
    let leaf = tls::watch_dir(&args.tls_dir, files::POLL, stop).await.map_err(Error::Tls)?;
    let first = leaf.borrow().clone();
    let trust = Trust::follow(&first, published::trust(&client, &args.namespace), probes.gate("trust"));
    let material = trust.apply(leaf);

    let limits = Limits::default();
    let app = server::app(http::router(), HttpMetrics::new(metrics), trust.revocations, &limits);
    let listener = server::bind(args.listen).await.map_err(Error::Server)?;
    let (clients, metrics, gate) = (ClientAuth::Optional, TlsMetrics::new(metrics), probes.gate("api"));
    let server = Server { listener, app, material, clients, limits, metrics, gate };
    server.run(shutdown).await.map_err(Error::Server)
}
