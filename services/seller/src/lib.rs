//! The Seller service: keeps a merchant's orders and releases an address to the carrier one part at a time.
//!
//! - [`config`]: settings. [`state`]: what the parts share. [`http`]: the Seller API, on every replica.
//! - [`orders`]: pure, bytes to a book and its faults. `shelf`: keeps the book current from the Secrets.
//!   [`availability`]: tells the Seller object about it.
//! - `distribution`: the session at the broker of the replica that holds the Lease.
//!
//! What its account needs, all in its own namespace and by name: `list watch` on its Seller, its `orders-…` Secrets and
//! ConfigMap `waybill-trust`; `get list watch patch` on its Lease (`create` where nobody made it); `patch` on the
//! Seller's status.

pub mod availability;
pub mod config;
pub mod http;
pub mod metrics;
pub mod orders;
pub mod shelf;
pub mod state;

mod distribution;

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth, Material};
use waybill_chassis::trust::Trust;
use waybill_cluster::lease::{self, Candidate};
use waybill_cluster::{follow, trust};
use waybill_crds::{SELLER_FIELD_MANAGER, Seller};
use waybill_link::{LinkMetrics, Settings, SettingsError};
use waybill_protocol::{NameError, TopicFilter, Uid};

use availability::Watched;
use distribution::Distribution;
use metrics::SellerMetrics;
use state::State;

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
    #[error("failed to read the uid")]
    Uid(#[source] NameError),
    #[error("failed to set up the link")]
    Link(#[source] SettingsError),
    #[error("failed to serve the Seller API")]
    Server(#[source] server::Error),
    #[error("failed to serve the probes")]
    Probes(#[source] probes::Error),
}

/// Runs until `shutdown`: then requests under way are answered, the session ends, the Lease goes back.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let (probes, metrics, stop) = (Probes::new(), Metrics::new("seller"), CancellationToken::new());
    let _stopped_at_the_end = stop.clone().drop_guard();
    let probing = probes::serve(&args.probes, &probes, metrics.clone(), stop.clone());
    let working = Box::pin(work(&args, &probes, &metrics, shutdown));
    tokio::select! {
        ended = working => ended,
        ended = probing => ended.map_err(Error::Probes),
    }
}

async fn work(args: &Args, probes: &Probes, metrics: &Metrics, shutdown: CancellationToken) -> Result<(), Error> {
    // Followed to the very end of the drain.
    let stop = CancellationToken::new();
    let _stopped_at_the_end = stop.clone().drop_guard();
    let config = kube::Config::infer().await.map_err(Error::Cluster)?;
    let client = Client::try_from(config).map_err(Error::Client)?;
    let leaf = tls::watch_dir(&args.tls_dir, files::POLL, stop).await.map_err(Error::Tls)?;
    let published = trust::published_trust(&client, &args.namespace);
    let first = leaf.borrow().clone();
    let trust = Trust::follow(&first, published, probes.gate("trust"));
    let material = trust.apply(leaf);

    let serving = serve(args, probes, metrics, (material.clone(), trust), shutdown.clone());
    let distributing = distribute(args, probes, metrics, (client, material), shutdown);
    tokio::try_join!(serving, distributing).map(|((), ())| ())
}

async fn serve(
    args: &Args,
    probes: &Probes,
    metrics: &Metrics,
    (material, trust): (watch::Receiver<Arc<Material>>, Trust),
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let limits = Limits::default();
    let app = server::app(http::router(), HttpMetrics::new(metrics), trust.revocations, &limits);
    let listener = server::bind(args.listen).await.map_err(Error::Server)?;
    let (clients, metrics, gate) = (ClientAuth::Optional, TlsMetrics::new(metrics), probes.gate("api"));
    let server = Server { listener, app, material, clients, limits, metrics, gate };
    server.run(shutdown).await.map_err(Error::Server)
}

async fn distribute(
    args: &Args,
    probes: &Probes,
    metrics: &Metrics,
    (client, material): (Client, watch::Receiver<Arc<Material>>),
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let gate = probes.gate("broker");
    let families = SellerMetrics::new(metrics);
    let state = State::follow(&client, args, &families);
    let lease = follow::latest(Api::<Lease>::namespaced(client.clone(), &args.namespace), &args.workload());
    let (elected, holds) = watch::channel(false);

    let reported = Watched { seller: state.seller, book: state.book, holds: holds.clone() };
    let reporting = availability::keep_reported(
        Api::<Seller>::namespaced(client.clone(), &args.namespace),
        reported,
        shutdown.clone(),
    );
    let conversation = Distribution {
        settings: settings(args)?,
        tls: tls::client_configs(material).map_err(Error::Tls)?,
        holds,
        lease: lease.clone(),
        identity: args.pod.clone(),
        gate,
        metrics: families,
        link_metrics: LinkMetrics::new(metrics),
    };
    // The Lease goes back after the session ended: the next holder must not meet this one at the broker.
    let done = CancellationToken::new();
    let conversing = async {
        let ended = conversation.run(shutdown).await;
        done.cancel();
        ended.map_err(Error::Link)
    };
    let candidate = Candidate {
        namespace: args.namespace.clone(),
        lease: args.workload(),
        identity: args.pod.clone(),
        field_manager: SELLER_FIELD_MANAGER,
    };
    let campaigning = lease::campaign(client, candidate, elected, done.clone());
    let ((), ended, ()) = tokio::join!(reporting, conversing, campaigning);
    ended
}

/// The session of a seller: everything carriers send it, and nothing else.
fn settings(args: &Args) -> Result<Settings, Error> {
    let uid = Uid::new(&args.uid).map_err(Error::Uid)?;
    let filter = TopicFilter::ToSeller(uid).to_string();
    Ok(Settings::new(&args.broker, &args.uid).map_err(Error::Link)?.subscribe([filter]))
}
