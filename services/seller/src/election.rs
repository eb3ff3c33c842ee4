//! Which replica distributes: the holder of the Seller's Lease. The others are ready without it.
//!
//! A Lease is no fence: for a moment two replicas may both believe they hold it. They then evict each other at the
//! broker, and nothing is released twice, because every release is first written under a resource version.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::{Client, Config};
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;

/// How long a holder that vanished keeps the others waiting.
const DURATION: Duration = Duration::from_secs(12);
/// How long before its end the holder renews: time for two attempts, so that it steps down before the Lease ends.
const GRACE: Duration = Duration::from_secs(6);
/// A call that takes longer has failed.
const CALL: Duration = Duration::from_secs(2);
/// Between attempts while the API server does not answer.
const RETRY: Duration = Duration::from_millis(500);

/// What is stood for, and by whom.
#[derive(Debug, Clone)]
pub(crate) struct Candidate {
    pub(crate) namespace: String,
    pub(crate) lease: String,
    /// Unique among the replicas.
    pub(crate) identity: String,
}

/// A client for renewals alone: nothing else waits on its connections, and a server that does not answer is an error
/// soon enough to step down before the Lease ends.
pub(crate) fn impatient(mut config: Config) -> kube::Result<Client> {
    config.connect_timeout = Some(CALL);
    config.read_timeout = Some(CALL);
    config.reset_reader_on_write = true;
    Client::try_from(config)
}

/// Stands for election until `release`, then gives the Lease back. `holds` shows whether this replica holds it.
/// `lease` is the Lease as it is watched: one given back is taken up at once instead of when it would have ended.
pub(crate) async fn campaign(
    client: Client,
    candidate: Candidate,
    lease: watch::Receiver<Option<Arc<Lease>>>,
    holds: watch::Sender<bool>,
    release: CancellationToken,
) {
    let show = |now: bool| {
        if holds.send_if_modified(|shown| std::mem::replace(shown, now) != now) {
            tracing::info!(holds = now, "lease changed hands");
        }
    };
    while !release.is_cancelled() {
        match open(&client, &candidate).await {
            Ok(manager) => {
                tokio::select! {
                    () = release.cancelled() => {}
                    () = hold(&manager, &show) => {}
                    () = vacated(lease.clone(), &holds) => {}
                }
                show(false);
                if release.is_cancelled()
                    && let Err(error) = manager.release().await
                {
                    tracing::warn!(error = %report(&error), "failed to give the Lease back");
                }
            }
            Err(error) => {
                tracing::warn!(error = %report(&error), "failed to open the Lease");
                release.run_until_cancelled(tokio::time::sleep(RETRY)).await;
            }
        }
    }
}

async fn open(client: &Client, candidate: &Candidate) -> Result<LeaseManager, LeaseManagerError> {
    LeaseManagerBuilder::new(client.clone(), &candidate.lease)
        .with_namespace(&candidate.namespace)
        .with_identity(&candidate.identity)
        .with_duration(DURATION.as_secs())
        .with_grace(GRACE.as_secs())
        .build()
        .await
}

/// Follows the Lease; returns when it is gone or could not be renewed for as long as a holder may go without.
async fn hold(manager: &LeaseManager, show: &impl Fn(bool)) {
    let mut failing: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        match manager.changed().await {
            Ok(now) => {
                failing = None;
                show(now);
            }
            Err(error) => {
                tracing::warn!(error = %report(&error), "failed to renew the Lease");
                // The failed call began at most so long ago; one that lasted longer was renewing before it failed.
                let began = Instant::now() - CALL;
                let since = failing.filter(|_| asked.elapsed() <= 2 * CALL).unwrap_or(began);
                failing = Some(since);
                let gone = matches!(error, LeaseManagerError::NonexistentLease(_));
                if gone || since.elapsed() + RETRY + CALL >= GRACE {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}

/// Returns when the Lease loses its holder while this replica stands by. A Lease that never had one is no news.
async fn vacated(mut lease: watch::Receiver<Option<Arc<Lease>>>, holds: &watch::Sender<bool>) {
    lease.mark_unchanged();
    while lease.changed().await.is_ok() {
        let vacant = holder(lease.borrow_and_update().as_deref()).is_none();
        if vacant && !*holds.borrow() {
            return;
        }
    }
    std::future::pending().await
}

/// Who holds a Lease.
pub(crate) fn holder(lease: Option<&Lease>) -> Option<&str> {
    lease?.spec.as_ref()?.holder_identity.as_deref().filter(|name| !name.is_empty())
}
