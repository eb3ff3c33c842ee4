//! Who leads: the holder of Lease `waybill-operator`. Losing it ends the reconcilers of this replica before anything else.
//!
//! A Lease is no fence: two replicas may both believe they lead for a moment. That is safe because every write is a server-side
//! apply under a fixed name, a creation under a fixed name, or carries a resource version.

use std::time::Duration;

use kube::Client;
use kube_lease_manager::{LeaseManager, LeaseManagerBuilder, LeaseManagerError};
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;

use crate::metrics::Metrics;

pub const LEASE: &str = "waybill-operator";
/// How long a replica that vanished keeps the others waiting.
const DURATION: Duration = Duration::from_secs(15);
/// How long before its end the holder renews.
const GRACE: Duration = Duration::from_secs(5);
/// Between attempts while the API server does not answer.
const RETRY: Duration = Duration::from_secs(1);

/// Whom to elect, and where.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub namespace: String,
    /// Unique among the replicas.
    pub identity: String,
}

/// The pod's name, so that a container restarted in its pod goes on at once; a made-up one where there is none.
pub fn identity(pod: &str) -> String {
    if pod.is_empty() { format!("operator-{:016x}", rand::random::<u64>()) } else { pod.to_owned() }
}

/// Takes part until `shutdown`, then gives the Lease back. `leads` shows whether this replica leads now.
pub async fn campaign(
    client: Client,
    candidate: Candidate,
    metrics: Metrics,
    leads: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let show = |now: bool| {
        metrics.leading(now);
        leads.send_if_modified(|shown| std::mem::replace(shown, now) != now);
    };
    while !shutdown.is_cancelled() {
        match manager(&client, &candidate).await {
            Ok(manager) => {
                shutdown.run_until_cancelled(follow(&manager, &show)).await;
                show(false);
                if let Err(error) = manager.release().await {
                    tracing::warn!(error = %report(&error), "failed to release the leader's Lease");
                }
            }
            Err(error) => tracing::warn!(error = %report(&error), "failed to open the leader's Lease"),
        }
        shutdown.run_until_cancelled(tokio::time::sleep(RETRY)).await;
    }
}

async fn manager(client: &Client, candidate: &Candidate) -> Result<LeaseManager, LeaseManagerError> {
    LeaseManagerBuilder::new(client.clone(), LEASE)
        .with_namespace(&candidate.namespace)
        .with_identity(&candidate.identity)
        .with_duration(DURATION.as_secs())
        .with_grace(GRACE.as_secs())
        .build()
        .await
}

/// Follows the Lease; returns when it must be opened anew, because it is gone or the API server was away longer than a holder may
/// go without renewing.
async fn follow(manager: &LeaseManager, show: &impl Fn(bool)) {
    let mut failing: Option<Instant> = None;
    loop {
        let asked = Instant::now();
        match manager.changed().await {
            Ok(holds) => {
                failing = None;
                show(holds);
            }
            Err(error) => {
                tracing::warn!(error = %report(&error), "failed to renew the leader's Lease");
                // A call that lasted was renewing in between: only failures in a row count.
                let since = failing.filter(|_| asked.elapsed() < RETRY).unwrap_or(asked);
                failing = Some(since);
                if matches!(error, LeaseManagerError::NonexistentLease(_)) || since.elapsed() >= DURATION - GRACE {
                    return;
                }
                tokio::time::sleep(RETRY).await;
            }
        }
    }
}
