//! The Seller service: keeps a merchant's orders and releases an address to the carrier one part at a time.
//!
//! - [`config`]: settings. [`state`]: what the parts share. `keys`, [`token`]: what it signs with.
//! - `http`: the Seller API, on every replica. `part`: which part of an order may be read now.
//! - [`orders`]: pure, bytes to a book and its faults. `shelf`: keeps the book current from the Secrets. [`source`]: reading a
//!   part over HTTP. [`availability`]: tells the Seller object about it.
//! - `door`: positions and courier checks, known to the replica that distributes; `colleague`: how the others ask it.
//! - `notify`: webhooks and e-mail, on the replica that holds the Lease.
//! - `distribution`: on the replica that holds the Lease, the session at the broker and the work on every delivery.
//!
//! What its account needs in its own namespace: by name, `list watch` on its Seller, its `orders-…` Secrets and ConfigMap
//! `waybill-trust`, `get list watch patch` on its Lease (`create` where nobody made it), `patch` on the Seller's status;
//! `get list watch` on Deliveries and Carriers, `patch` on the status of Deliveries. Where it notifies: `list watch` on the Secrets
//! `spec.notify` names, `get patch` on ConfigMap `wb-seller-<name>-notices`, `create` on Events.

pub mod availability;
pub mod config;
pub mod metrics;
pub mod orders;
pub mod shelf;
pub mod source;
pub mod state;
pub mod token;

mod clock;
mod colleague;
mod distribution;
mod door;
mod http;
mod keys;
mod notify;
mod part;

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Api, Client};
use rustls::ClientConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_chassis::files;
use waybill_chassis::jwt::Verifier;
use waybill_chassis::metrics::{HttpMetrics, Metrics};
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::server::{self, Limits, Server, TlsMetrics};
use waybill_chassis::tls::{self, ClientAuth, Material};
use waybill_chassis::trust::Trust;
use waybill_cluster::lease::{self, Candidate};
use waybill_cluster::logs::Logs;
use waybill_cluster::{follow, trust};
use waybill_crds::{SELLER_FIELD_MANAGER, Seller};
use waybill_link::{LinkMetrics, Settings, SettingsError};
use waybill_protocol::{NameError, TopicFilter, Uid};

use colleague::Colleague;
use distribution::Distribution;
use http::Desk;
use metrics::SellerMetrics;
use notify::{Notifications, Policy};
use state::State;
use token::ViewPass;

pub use config::Args;
pub use http::description;

/// Bytes of logs kept for those who ask at the API: some hundred deliveries under way.
const LOGS: usize = 4 << 20;

/// What must be so before anybody is sent here.
const GATES: [&str; 5] = ["trust", "keys", "lists", "api", "broker"];

/// Why the service ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load the TLS files")]
    Tls(#[source] tls::Error),
    #[error("failed to read the files of the keys")]
    Keys(#[source] files::Error),
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

/// Runs in the cluster this process finds itself in, until `shutdown`: then requests under way are answered, the session
/// ends, the Lease goes back.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let config = kube::Config::infer().await.map_err(Error::Cluster)?;
    let client = Client::try_from(config).map_err(Error::Client)?;
    run_on(client, args, shutdown).await
}

/// The same in the cluster of `client`.
pub async fn run_on(client: Client, args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let (probes, metrics, stop) = (Probes::new(&GATES), Metrics::new("seller"), CancellationToken::new());
    let _stopped_at_the_end = stop.clone().drop_guard();
    let probing = probes::serve(&args.probes, &probes, metrics.clone(), stop.clone());
    let working = Box::pin(work(client, &args, (&probes, &metrics), shutdown));
    tokio::select! {
        ended = working => ended,
        ended = probing => ended.map_err(Error::Probes),
    }
}

/// What everything in the process stands on.
struct Ground<'a> {
    client: Client,
    args: &'a Args,
    probes: &'a Probes,
    metrics: &'a Metrics,
    families: SellerMetrics,
    state: State,
    material: watch::Receiver<Arc<Material>>,
    trust: Trust,
    lease: watch::Receiver<Option<Arc<Lease>>>,
    tls: watch::Receiver<Arc<ClientConfig>>,
    published: watch::Receiver<Arc<files::Files>>,
}

async fn work(
    client: Client,
    args: &Args,
    (probes, metrics): (&Probes, &Metrics),
    shutdown: CancellationToken,
) -> Result<(), Error> {
    // Followed to the very end of the drain.
    let stop = CancellationToken::new();
    let _stopped_at_the_end = stop.clone().drop_guard();
    let leaf = tls::watch_dir(&args.tls_dir, files::POLL, stop.clone()).await.map_err(Error::Tls)?;
    let published = trust::published_trust(&client, &args.namespace);
    let first = leaf.borrow().clone();
    let trust = Trust::follow(&first, published.clone(), probes.gate("trust"));
    let material = trust.apply(leaf);
    let families = SellerMetrics::new(metrics);
    let (published_again, ours) = (published.clone(), published.clone());
    let authorities = trust::authorities(published);
    let viewers = token::viewers(args.namespace.clone(), published_again, authorities.clone());
    let uid = Uid::new(&args.uid).map_err(Error::Uid)?;
    let watched = keys::Sources {
        keys: files::watch(&args.keys_dir, keys::FILES, files::POLL, stop.clone()).await.map_err(Error::Keys)?,
        label: files::watch(&args.label_dir, keys::LABEL_FILES, files::POLL, stop).await.map_err(Error::Keys)?,
        trust: authorities,
        uid: args.uid.clone(),
    };
    let state = State::follow(&client, args, (uid, &families), watched, (&trust, probes));
    let lease = follow::latest(Api::<Lease>::namespaced(client.clone(), &args.namespace), &args.workload());
    let tls = tls::client_configs(material.clone()).map_err(Error::Tls)?;
    let ground =
        Ground { client, args, probes, metrics, families, state, material, trust, lease, tls, published: ours };
    let (elected, holds) = watch::channel(false);
    let serving = serve(&ground, (viewers, holds.clone()), shutdown.clone());
    let distributing = distribute(&ground, (elected, holds), shutdown);
    tokio::try_join!(serving, distributing).map(|((), ())| ())
}

async fn serve(
    ground: &Ground<'_>,
    (viewers, holds): (Verifier<ViewPass>, watch::Receiver<bool>),
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let Ground { args, probes, metrics, state, .. } = ground;
    let limits = Limits { requests: args.limit.per_minute, ..Limits::default() };
    let desk = Desk {
        name: args.name.clone(),
        uid: state.uid.clone(),
        verifier: token::verifier(state.keys.clone()),
        book: state.book.clone(),
        deliveries: state.deliveries.clone(),
        logs: Logs::within(LOGS),
        trust: state.trust.clone(),
        keys: state.keys.clone(),
        viewers,
        doors: state.doors.clone(),
        holds,
        colleague: Colleague::new(args.host(), ground.lease.clone(), ground.tls.clone()),
    };
    let http_metrics = HttpMetrics::new(metrics);
    let app = server::app(http::router(desk), http_metrics, ground.trust.revocations.clone(), &limits);
    let listener = server::bind(args.listen).await.map_err(Error::Server)?;
    let (clients, metrics, gate) = (ClientAuth::Optional, TlsMetrics::new(metrics), probes.gate("api"));
    let server = Server { listener, app, material: ground.material.clone(), clients, limits, metrics, gate };
    server.run(shutdown).await.map_err(Error::Server)
}

async fn distribute(
    ground: &Ground<'_>,
    (elected, holds): (watch::Sender<bool>, watch::Receiver<bool>),
    shutdown: CancellationToken,
) -> Result<(), Error> {
    let Ground { client, args, probes, metrics, families, state, tls, .. } = ground;
    let (health, asked) = watch::channel(None);

    let reported =
        availability::Watched { seller: state.seller.clone(), book: state.book.clone(), asked, holds: holds.clone() };
    let sellers = Api::<Seller>::namespaced(client.clone(), &args.namespace);
    let reporting = availability::keep_reported(sellers, reported, shutdown.clone());
    let notifying = notifications(ground).run(holds.clone(), shutdown.clone());
    let conversation = Distribution {
        settings: settings(args, &state.uid)?,
        tls: tls.clone(),
        holds,
        lease: ground.lease.clone(),
        identity: args.pod.clone(),
        gate: probes.gate("broker"),
        metrics: families.clone(),
        link_metrics: LinkMetrics::new(metrics),
        watched: state.watched(args, (tls.clone(), health, families.clone())),
    };
    // The Lease goes back after the session ended: the next holder must not meet this one at the broker.
    let (done, told) = (CancellationToken::new(), CancellationToken::new());
    let notified = async {
        notifying.await;
        told.cancel();
    };
    let conversing = async {
        let ended = conversation.run(shutdown).await;
        if ended.is_ok() {
            // How far everybody was told is written by who holds the Lease.
            told.cancelled().await;
        }
        done.cancel();
        ended.map_err(Error::Link)
    };
    let candidate = Candidate {
        namespace: args.namespace.clone(),
        lease: args.workload(),
        identity: args.pod.clone(),
        field_manager: SELLER_FIELD_MANAGER,
        address: args.own_address(),
    };
    let campaigning = lease::campaign(client.clone(), candidate, elected, done.clone());
    let ((), (), ended, ()) = tokio::join!(reporting, notified, conversing, campaigning);
    ended
}

fn notifications(ground: &Ground<'_>) -> Notifications {
    let Ground { client, args, families, state, tls, published, .. } = ground;
    Notifications {
        client: client.clone(),
        namespace: args.namespace.clone(),
        name: args.name.clone(),
        state: state.clone(),
        hosts: args.notify_hosts.clone(),
        order_urls: args.order_urls.clone().into(),
        policy: Policy { first: args.notify_retry.get(), give_up: args.notify_give_up.get() },
        tokens: args.grants_dir.clone(),
        published: published.clone(),
        tls: tls.clone(),
        metrics: families.clone(),
    }
}

/// The session of a seller: everything carriers send it, and nothing else.
fn settings(args: &Args, uid: &Uid) -> Result<Settings, Error> {
    let filter = TopicFilter::ToSeller(uid.clone()).to_string();
    Ok(Settings::new(&args.broker, &args.uid).map_err(Error::Link)?.subscribe([filter]))
}
