//! The transport: a carrier's agent, in a pod or on a device. It speaks with sellers through the broker and with the
//! Carrier API over HTTPS, and has no access to any cluster: what it trusts and where it connects come as files.
//!
//! - [`config`]: settings. [`keys`]: who it is. `session`: the one session at the broker. [`api`]: the Carrier API.
//! - [`job`]: one delivery, a pure state machine. [`journal`]: what must not be forgotten. `agent`: all deliveries, each
//!   a task that brings about what its machine asks for.
//! - `enrolled`: an agent outside any cluster, from one file. `renew`: it gets its certificate, and keeps it fresh.
//! - `taps`: what the person who carries says and sees.
//! - [`simulator`]: how the way goes. [`camera`]: what is seen on it. [`token`], [`clock`], [`metrics`].

pub mod api;
pub mod camera;
pub mod clock;
pub mod config;
pub mod job;
pub mod journal;
pub mod keys;
pub mod metrics;
pub mod simulator;
pub mod token;

mod agent;
mod enrolled;
mod renew;
mod session;
mod taps;

use std::sync::Arc;

use tokio::sync::{Semaphore, mpsc, watch};
use tokio_util::sync::CancellationToken;
use waybill_chassis::files::{self, Files};
use waybill_chassis::metrics::Metrics;
use waybill_chassis::probes::{self, Probes};
use waybill_chassis::tls;
use waybill_chassis::trust::Trust;
use waybill_link::{LinkMetrics, SettingsError};

use agent::{Agent, Request, Shared, Sources};
use api::{Address, Api};
use camera::Camera;
use clock::Clock;
use enrolled::Enrolled;
use job::Profile;
use keys::{Identity, Kept};
use metrics::TransportMetrics;
use renew::{Folders, Renewal, Who};
use session::{Ends, Sessions, purposes};
use simulator::Simulator;

pub use config::Args;

/// Files of the published trust an agent reads.
const TRUST: &[&str] = &["ca.crt", "former-ca.crt", "revoked.json", "broker", "carrier-api"];
/// Frames between the link and the deliveries' tasks.
const MESSAGES: usize = 64;
/// Questions at the device that wait.
const REQUESTS: usize = 16;
/// Journals that are read at the same time.
const OPENING: usize = 8;

/// What must be so before the agent is ready; the first only where it makes its own keys.
const GATES: [&str; 4] = ["identity", "broker", "trust", "keys"];

/// Why the agent ended.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to load the TLS files")]
    Tls(#[source] tls::Error),
    #[error("failed to load the published trust")]
    Trust(#[source] files::Error),
    #[error("failed to load the keys")]
    Keys(#[source] files::Error),
    #[error("failed to open the journals")]
    Journal(#[source] journal::Error),
    #[error("failed to make a client for the Carrier API")]
    Client(#[source] reqwest::Error),
    #[error("failed to set up the link")]
    Link(#[source] SettingsError),
    #[error("failed to serve the probes")]
    Probes(#[source] probes::Error),
    #[error("failed to use the agent's file")]
    Enrolled(#[source] enrolled::Error),
    #[error("failed to take taps")]
    Taps(#[source] taps::Error),
}

/// Runs until `shutdown`.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    run_by(args, Clock::system(), shutdown).await
}

/// Runs by another clock than this machine's.
pub async fn run_by(args: Args, clock: Clock, shutdown: CancellationToken) -> Result<(), Error> {
    let Enrolled { args, who } = enrolled::load(args).map_err(Error::Enrolled)?;
    let gates: &[_] = if args.renew { &GATES } else { &GATES[1..] };
    let (probes, metrics, stop) = (Probes::new(gates), Metrics::new("transport"), CancellationToken::new());
    let _stopped_at_the_end = stop.clone().drop_guard();
    let probing = probes::serve(&args.probes, &probes, metrics.clone(), stop.clone());
    let working = Box::pin(work((&args, who), (&probes, &metrics), clock, (shutdown, stop.clone())));
    tokio::select! {
        ended = working => ended,
        ended = probing => ended.map_err(Error::Probes),
    }
}

async fn work(
    (args, who): (&Args, Option<Who>),
    (probes, metrics): (&Probes, &Metrics),
    clock: Clock,
    (shutdown, stop): (CancellationToken, CancellationToken),
) -> Result<(), Error> {
    let folder = journal::Folder::open(&args.journal_dir).map_err(Error::Journal)?;
    let gate = probes.gate("broker");
    let published = files::watch(&args.trust_dir, TRUST, files::POLL, stop.clone()).await.map_err(Error::Trust)?;
    let renewal = args.renew.then(|| renewal(args, who, published.clone(), clock.clone()));
    if let Some(renewal) = &renewal {
        let entering = probes.gate("identity");
        entering.close("no certificate yet");
        if !renewal.enter(&shutdown).await {
            return Ok(());
        }
        entering.open();
    }
    let leaf = tls::watch_dir(&args.tls_dir, files::POLL, stop.clone()).await.map_err(Error::Tls)?;
    let first = leaf.borrow().clone();
    let trust = Trust::follow(&first, published.clone(), probes.gate("trust"));
    let material = trust.apply(leaf);
    let keys = files::watch(&args.keys_dir, keys::FILES, files::POLL, stop).await.map_err(Error::Keys)?;
    let kept = Kept::open(args.journal_dir.join(keys::KEPT));
    let identity = keys::follow((keys, published.clone()), kept, probes.gate("keys"));

    let purposes = purposes(material.clone(), published.clone(), args.broker.clone());
    let tls = tls::client_configs(material).map_err(Error::Tls)?;
    let (requests, asked) = mpsc::channel(REQUESTS);
    let (ends, link, sources) = ends(asked);
    let sessions = Sessions { tls: tls.clone(), gate, link_metrics: LinkMetrics::new(metrics), ends };
    let api = carrier_api(args, (tls, published, identity.clone()), clock.clone())?;
    let revocations = trust.revocations;
    let metrics = TransportMetrics::new(metrics);
    let shared = shared(args, Parts { identity, api, folder, clock, link, revocations, metrics });
    if let Some(renewal) = renewal {
        tokio::spawn(renewal.run(shared.identity.clone(), shutdown.clone()));
    }
    let tapping = async {
        match &args.taps {
            Some(path) => taps::serve(path, requests, shutdown.clone()).await.map_err(Error::Taps)?,
            None => drop(requests),
        }
        // The session takes its leave in good order.
        std::future::pending().await
    };
    let delivering = async {
        deliver(shared, sources, shutdown.clone()).await;
        // The session takes its leave in good order.
        std::future::pending::<()>().await;
    };
    tokio::select! {
        ended = sessions.run(purposes, shutdown.clone()) => ended.map_err(Error::Link),
        () = delivering => Ok(()),
        failed = tapping => failed,
    }
}

/// Nothing is done before it is known as whom.
async fn deliver(shared: Shared, sources: Sources, shutdown: CancellationToken) {
    let mut identity = shared.identity.clone();
    let known = async { identity.wait_for(Option::is_some).await.is_ok() };
    tokio::select! {
        known = known => if !known { return shutdown.cancelled().await },
        () = shutdown.cancelled() => return,
    }
    Agent::new(Arc::new(shared)).run(sources, shutdown).await;
}

fn renewal(args: &Args, who: Option<Who>, published: watch::Receiver<Arc<Files>>, clock: Clock) -> Renewal {
    let Args { tls_dir, keys_dir, trust_dir, .. } = args.clone();
    let folders = Folders { tls: tls_dir, keys: keys_dir, trust: trust_dir };
    Renewal { folders, address: Address { set: args.carrier_api.clone(), published }, clock, who }
}

fn ends(requests: mpsc::Receiver<Request>) -> (Ends, watch::Receiver<Option<waybill_link::Link>>, Sources) {
    let ((link, links), (connects, connected)) = (watch::channel(None), watch::channel(0));
    let (messages, arrived) = mpsc::channel(MESSAGES);
    (Ends { link, connects, messages }, links, Sources { messages: arrived, connects: connected, requests })
}

type Followed =
    (watch::Receiver<Arc<rustls::ClientConfig>>, watch::Receiver<Arc<Files>>, watch::Receiver<Option<Arc<Identity>>>);

fn carrier_api(args: &Args, (tls, published, identity): Followed, clock: Clock) -> Result<Api, Error> {
    let clients = api::clients(tls).map_err(Error::Client)?;
    let address = Address { set: args.carrier_api.clone(), published };
    Ok(Api::new(clients, address, identity, clock))
}

/// What comes from elsewhere than the settings.
struct Parts {
    identity: watch::Receiver<Option<Arc<Identity>>>,
    api: Api,
    folder: journal::Folder,
    clock: Clock,
    link: watch::Receiver<Option<waybill_link::Link>>,
    revocations: waybill_chassis::revocation::Revocations,
    metrics: TransportMetrics,
}

fn shared(args: &Args, parts: Parts) -> Shared {
    let Parts { identity, api, folder, clock, link, revocations, metrics } = parts;
    // Whoever taps decides how the way goes, unless a script does.
    let by_hand = args.taps.is_some() && args.script.0.is_empty();
    let simulator = Simulator { kind: args.kind, pace: args.pace.get(), script: args.script.0.clone() };
    // With a folder of pictures, or with taps, somebody is there to look at a label.
    let alone = args.camera_dir.is_none() && !by_hand;
    let profile = Profile { kind: args.kind, camera: args.camera, alone };
    let (camera, simulator) = (Camera::new(args.camera_dir.clone()), (!by_hand).then_some(simulator));
    let opening = Semaphore::new(OPENING);
    Shared { identity, api, folder, simulator, camera, profile, clock, link, revocations, metrics, opening }
}
