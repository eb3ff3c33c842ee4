//! The Carrier API: what carriers report and permitted people read, for all carriers of a namespace.
//!
//! - [`config`]: settings. `http`: the routes, `service`: what they work with.
//! - `report`: events read and judged. `declare`: the word of a person. `view`, `shown`: what a viewer sees. `photo`: pictures without what they say besides. Pure.
//! - `bundle`: the proof of a delivery as one file. `archive`: where it is kept once the delivery is over.
//! - `tokens`, `ring`, `views`: whose tokens count; the keys that sign view tokens. What the API server says of a user: `waybill_cluster::permission`.
//! - `store`, `uploads`, `grants`, `forget`, `retention`: what is kept beside the cluster, how it comes and how it goes.
//!
//! Client certificates are optional, because viewers have none; whoever shows one is checked on every request. The service
//! keeps no state of a delivery: the log in the cluster is the truth, a post is one write under the version it was judged
//! on, and a restart forgets nothing (D-21).
//!
//! What its account needs, in its own namespace: `get list watch` on Deliveries, `list watch` on Sellers, Carriers and
//! ConfigMap `waybill-trust`, `patch` on `deliveries/status`; and to ask TokenReviews and SubjectAccessReviews
//! (`system:auth-delegator`).

pub mod config;

mod archive;
mod bundle;
mod declare;
mod forget;
mod grants;
mod http;
mod photo;
mod report;
mod retention;
mod ring;
mod service;
mod shown;
mod statement;
mod store;
mod tokens;
mod uploads;
mod view;
mod views;

use std::sync::Arc;

use kube::Client;
use tokio::net::TcpListener;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files;
use waybill_chassis::jwt::Verifier;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::revocation::Revocations;
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};
use waybill_chassis::trust::Trust;
use waybill_cluster::deliveries::Deliveries;
use waybill_cluster::logs::Logs;
use waybill_cluster::participants::Participants;
use waybill_cluster::permission::Reviews;
use waybill_cluster::trust::{authorities, published_trust};
use waybill_protocol::Trust as Authorities;

use service::{Service, Shared};
use shown::Shown;
use store::Store;
use views::Views;

pub use config::{Args, Bucket};
pub use http::description;
pub use store::OpenError;

/// For whom Kubernetes tokens are made that open this API and nothing else.
const AUDIENCE: &str = "waybill-carrier-api";
/// Bytes of logs kept: some thousand deliveries under way.
const LOGS: usize = 64 << 20;

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load the TLS files")]
    Tls(#[source] tls::Error),
    #[error("failed to load the Carrier API's keys")]
    Keys(#[source] files::Error),
    #[error("failed to use the Carrier API's keys")]
    Views(#[source] views::Error),
    #[error("failed to open the store of photos")]
    Store(#[source] OpenError),
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
    let config = kube::Config::infer().await.map_err(Error::Cluster)?;
    let client = Client::try_from(config).map_err(Error::Client)?;
    let listener = server::bind(args.listen).await.map_err(Error::Server)?;
    run_on(client, listener, args, shutdown).await
}

/// As [`run`], with a given way into the cluster and a bound listener.
pub async fn run_on(
    client: Client,
    listener: TcpListener,
    args: Args,
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let (probes, metrics, stop) =
        (Probes::new(&["trust", "cache", "api"]), Metrics::new("carrier-api"), CancellationToken::new());
    let _stopped_at_the_end = stop.clone().drop_guard();
    let probing = probes::serve(&args.probes, &probes, metrics.clone(), stop.clone());
    let working = Box::pin(work((client, listener, &args), &probes, &metrics, (shutdown, stop.clone())));
    tokio::select! {
        ended = working => ended,
        ended = probing => ended.map_err(Error::Probes),
    }
}

async fn work(
    (client, listener, args): (Client, TcpListener, &Args),
    probes: &Probes,
    metrics: &Metrics,
    (shutdown, stop): (CancellationToken, CancellationToken),
) -> Result<(), Error> {
    let leaf = tls::watch_dir(&args.tls_dir, files::POLL, stop.clone()).await.map_err(Error::Tls)?;
    let first = leaf.borrow().clone();
    let published = published_trust(&client, &args.namespace);
    let trust = Trust::follow(&first, published.clone(), probes.gate("trust"));
    let material = trust.apply(leaf);
    let revocations = trust.revocations.clone();
    let service = assemble(client, args, (published, revocations.clone()), stop.clone()).await?;

    // A question answered before the first lists are here would be answered wrong.
    let cache = probes.gate("cache");
    tokio::select! {
        () = shutdown.cancelled() => return Ok(()),
        () = filled(&service, revocations.clone()) => cache.open(),
    }
    // The longest there is; every other route has its own, shorter one.
    let limits = Limits { request: http::UPLOAD, requests: args.limit.per_minute, ..Limits::default() };
    let app = server::app(http::router(Arc::clone(&service)), HttpMetrics::new(metrics), revocations, &limits);
    let (clients, metrics, gate) = (ClientAuth::Optional, TlsMetrics::new(metrics), probes.gate("api"));
    let server = Server { listener, app, material, clients, limits, metrics, gate };
    tokio::select! {
        served = server.run(shutdown) => served.map_err(Error::Server),
        () = async {
            tokio::join!(forget::run(&service, stop.clone()), archive::run(&service, stop));
            std::future::pending().await
        } => Ok(()),
    }
}

type Published = tokio::sync::watch::Receiver<Arc<files::Files>>;

async fn assemble(
    client: Client,
    args: &Args,
    (published, revocations): (Published, Revocations),
    stop: CancellationToken,
) -> Result<Service, Error> {
    let store = Store::open(&args.photos_url, &args.bucket).map_err(Error::Store)?;
    let keys = files::watch(&args.keys_dir, &[views::SEED, declare::STATEMENT], files::POLL, stop)
        .await
        .map_err(Error::Keys)?;
    let views = Views::follow(&args.uid, keys.clone()).map_err(Error::Views)?;
    let trust = authorities(published.clone());
    let namespace = &args.namespace;
    let sellers = Participants::follow(client.clone(), namespace, trust.clone(), revocations.clone());
    let carriers = Participants::follow(client.clone(), namespace, trust.clone(), revocations);
    let agents = Verifier::new(tokens::AGENT, tokens::agent_keys(carriers.clone(), trust.clone()));
    let deliveries = Deliveries::follow(client.clone(), namespace, None);
    let (namespace, logs, reviews) = (namespace.clone(), Logs::within(LOGS), Reviews::new(client, AUDIENCE));
    Ok(Arc::new(Shared {
        namespace,
        reviews,
        deliveries,
        logs,
        shown: Shown::default(),
        sellers,
        carriers,
        trust,
        published,
        agents,
        keys,
        views,
        bundles: bundle::Bundles::default(),
        store,
        uploads: uploads::Uploads::default(),
        folders: uploads::Folders::default(),
    }))
}

/// Waits until everything that is followed was seen once.
async fn filled(service: &Shared, mut revocations: Revocations) {
    service.deliveries.ready().await;
    service.sellers.ready().await;
    service.carriers.ready().await;
    let mut trust = service.trust.clone();
    let known = |trust: &Authorities| !trust.cas().is_empty();
    // Its sender goes with the process; then waiting for ever is right.
    if trust.wait_for(known).await.is_err() {
        std::future::pending().await
    }
    while revocations.current().is_none() {
        if revocations.changed().await.is_none() {
            std::future::pending().await
        }
    }
}
