//! The board: where deliveries are, live, for those who run them.
//!
//! - [`config`]: settings. `http`: the routes, `service`: what they work with, `page`: templates and their words.
//! - `feed`: rows, kept current by watches; the last changes, for whoever listens. `select`: filter, order, one page. Pure.
//! - `session`: who is logged in. `backend`: the APIs behind the board. `assets`: style, scripts, signs.
//! - `oidc`: logging in with an issuer. `track`: the recipient's page. `checker`: the page that checks bundles.
//! - `timed`: what is held in memory until its time.
//!
//! It writes nothing to the cluster and keeps no state of a delivery: whoever starts or stops it erases nothing (D-60).
//!
//! What its account needs, where deliveries live: `get list watch` on Deliveries, `list watch` on Sellers, Carriers and ConfigMap
//! `waybill-trust`; and to ask TokenReviews and SubjectAccessReviews (`system:auth-delegator`).

mod assets;
mod backend;
mod checker;
pub mod config;
mod feed;
#[cfg(test)]
mod fixtures;
mod http;
mod metrics;
mod oidc;
mod page;
mod select;
mod service;
mod session;
mod timed;
mod track;

use std::sync::Arc;

use axum::Router;
use axum::middleware::from_fn;
use kube::Client;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth};
use waybill_chassis::{files, revocation};
use waybill_cluster::permission::Reviews;

use backend::Backends;
use feed::Feed;
use metrics::BoardMetrics;
use service::{Service, Shared, Trusts};

pub use config::Args;
pub use http::description;
pub use oidc::Unusable;

/// Why the board ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load the TLS files")]
    Tls(#[source] tls::Error),
    #[error("failed to find the cluster")]
    Cluster(#[source] kube::config::InferConfigError),
    #[error("failed to make a client for the cluster")]
    Client(#[source] kube::Error),
    #[error("failed to use the settings for the OpenID Connect issuer")]
    Oidc(#[source] Unusable),
    #[error("failed to serve the board")]
    Server(#[source] server::Error),
    #[error("failed to serve the probes")]
    Probes(#[source] probes::Error),
}

/// Viewers show no certificate: all of them are anonymous to the listener. Room for a thousand that follow live, and the rest.
const VIEWERS: usize = 4096;
/// For whom tokens are made that open the board and nothing else.
const AUDIENCE: &str = "waybill-board";
/// Tokens under review at once.
const LOGINS: usize = 16;

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
    let (probes, metrics, stop) = (Probes::new(&["cache", "board"]), Metrics::new("board"), CancellationToken::new());
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
    let material = tls::watch_dir(&args.tls_dir, files::POLL, stop.clone()).await.map_err(Error::Tls)?;
    let oidc = oidc::Oidc::new(&args.oidc, args.external_url().as_deref()).map_err(Error::Oidc)?;
    let feed = Feed::follow(&client, &args.namespaces(), probes.gate("cache"), &stop);
    let metered = (BoardMetrics::new(metrics), shutdown.clone());
    let service = assemble(client, (feed, oidc), args, metered);
    let requests = args.limit.per_minute;
    let limits = Limits { anonymous: VIEWERS, connections: VIEWERS, requests, ..Limits::default() };
    let app = app(service, HttpMetrics::new(metrics), &limits);
    let (clients, metrics, gate) = (ClientAuth::None, TlsMetrics::new(metrics), probes.gate("board"));
    let server = Server { listener, app, material, clients, limits, metrics, gate };
    server.run(shutdown).await.map_err(Error::Server)
}

/// The routes inside everything that stands around them.
fn app(service: Service, metrics: HttpMetrics, limits: &Limits) -> Router {
    // No client shows a certificate, so there is none to refuse.
    let (_, revocations) = revocation::channel();
    server::app(http::router(service), metrics, revocations, limits).layer(from_fn(http::around))
}

fn assemble(
    client: Client,
    (feed, oidc): (Feed, Option<oidc::Oidc>),
    args: &Args,
    (metrics, stop): (BoardMetrics, CancellationToken),
) -> Service {
    Arc::new(Shared {
        feed,
        oidc,
        sessions: session::Sessions::default(),
        visits: track::Visits::default(),
        reviews: Reviews::new(client.clone(), AUDIENCE),
        backends: Backends::new(args),
        thumbs: http::thumbs::Thumbs::default(),
        words: http::words::Words::default(),
        trusts: Trusts::new(client.clone()),
        metrics,
        external_url: args.external_url(),
        namespaces: args.namespaces(),
        logins: Semaphore::new(LOGINS),
        stop,
        client,
    })
}
