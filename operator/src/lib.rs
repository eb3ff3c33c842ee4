//! The operator: provisions Sellers, Carriers and Deliveries, and is not in the way of any of them.
//!
//! - [`args`], [`context`]: settings and what everyone shares. `lead`: who may write. `cache`, `queue`, `controller`: what
//!   is known, what waits, how one object is worked on. [`apply`], `status`, [`events`], [`metrics`]: how it writes and tells.
//! - `participant` (what `seller` and `carrier` have in common), `carrier_api`, `delivery`: one reconciler each, in five steps,
//!   `dereference → validate → build → apply → update_status`; validate and build have no client and no clock. `workload`: what all
//!   pods have in common.
//! - [`identity`]: the CA, certificates, key statements, revocation. The reconcilers call it, it calls none of them.

// A future is copied whenever it moves; what is larger than a few pages is boxed where it is awaited.
#![warn(clippy::large_futures)]

pub mod apply;
pub mod args;
pub mod context;
pub mod events;
pub mod identity;
pub mod metrics;

mod broker;
mod cache;
mod carrier;
mod carrier_api;
mod controller;
mod delivery;
mod discovery;
#[cfg(test)]
mod fixtures;
mod forgotten;
mod gauges;
mod lead;
mod participant;
mod queue;
mod report;
mod seller;
mod status;
mod unneeded;
mod workload;
mod written;

use std::sync::Arc;

use kube::Client;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use waybill_chassis::probes::{self, Probes};
use waybill_cluster::lease::{self, Candidate};

pub use args::Args;
use cache::Queues;
use context::{Context, Scope};
use events::Events;
use identity::Identity;
use metrics::Metrics;

/// Why the operator could not run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to find the API server")]
    Client(#[source] kube::Error),
    #[error("failed to serve probes")]
    Probes(#[source] probes::Error),
}

/// Runs against the cluster this process finds itself in, until `shutdown`.
pub async fn run(args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let client = Client::try_default().await.map_err(Error::Client)?;
    Box::pin(run_on(client, args, shutdown)).await
}

/// Runs against the cluster of `client` until `shutdown`: what has begun is finished, the Lease is given back, probes end last.
pub async fn run_on(client: Client, args: Args, shutdown: CancellationToken) -> Result<(), Error> {
    let registry = waybill_chassis::metrics::Metrics::new("operator");
    let probes = Probes::new(&["crds", "cache"]);
    let end = CancellationToken::new();
    let served = probes::serve(&args.probes, &probes, registry.clone(), end.clone());
    let work = async {
        Box::pin(work(client, args.clone(), &registry, &probes, shutdown)).await;
        end.cancel();
    };
    // A probe listener that fails ends the process: a kubelet that cannot ask would end it anyway.
    tokio::select! {
        served = served => served.map_err(Error::Probes),
        () = work => Ok(()),
    }
}

async fn work(
    client: Client,
    args: Args,
    registry: &waybill_chassis::metrics::Metrics,
    probes: &Probes,
    shutdown: CancellationToken,
) {
    let (crds, synced) = (probes.gate("crds"), probes.gate("cache"));
    let (tasks, resign) = (TaskTracker::new(), CancellationToken::new());
    // Whoever drops this future half-way leaves no task behind.
    let _end = resign.clone().drop_guard();
    let holder = identity_of(&args.pod);
    let (context, telling) = context(client.clone(), args, registry, &holder, &resign);
    tasks.spawn(telling);
    discovery::wait(&client, &crds, &shutdown).await;
    crds.open();
    let queues = Queues::new(&context.metrics);
    let (departed, departures) = mpsc::unbounded_channel();
    let caches = cache::start(&context, &queues, departed, &tasks, &resign);
    registry.register(|r| r.register_collector(Box::new(gauges::Gauges(caches.clone()))));
    let waiting = caches.wait(|kind| synced.close(format!("listing {kind}")));
    if shutdown.run_until_cancelled(waiting).await.is_some() {
        synced.open();
        let (leads, follow) = watch::channel(false);
        let candidate = Candidate {
            namespace: context.settings.namespace.clone(),
            lease: LEASE.to_owned(),
            identity: holder,
            field_manager: context::FIELD_MANAGER,
            address: None,
        };
        tasks.spawn(lease::campaign(client, candidate, leads, resign.clone()));
        tasks.spawn(show_leading(follow.clone(), context.metrics.clone()));
        let term = lead::Term { context, caches, queues };
        tasks.spawn(term.clone().part_with(departures, follow.clone(), resign.clone()));
        term.serve(follow, shutdown).await;
    }
    // Only now: whoever takes over finds nobody still writing.
    resign.cancel();
    tasks.close();
    tasks.wait().await;
}

/// The Lease whose holder leads.
const LEASE: &str = "waybill-operator";

/// The pod's name, so that a container restarted in its pod goes on at once; a made-up one where there is none.
fn identity_of(pod: &str) -> String {
    if pod.is_empty() { format!("operator-{:016x}", rand::random::<u64>()) } else { pod.to_owned() }
}

/// Ends with the campaign.
async fn show_leading(mut leads: watch::Receiver<bool>, metrics: Metrics) {
    loop {
        metrics.leading(*leads.borrow_and_update());
        if leads.changed().await.is_err() {
            return;
        }
    }
}

fn context(
    client: Client,
    args: Args,
    registry: &waybill_chassis::metrics::Metrics,
    holder: &str,
    end: &CancellationToken,
) -> (Context, impl Future<Output = ()> + Send + use<>) {
    let metrics = Metrics::new(registry.clone());
    let (events, telling) = Events::new(client.clone(), holder.to_owned(), metrics.clone(), end.clone());
    let scope = Scope::of(&args.watch_namespaces);
    let identity = Identity::new(client.clone(), args.identity(), scope.clone(), registry);
    (Context { client, settings: Arc::new(args), scope, identity, events, metrics }, telling)
}
