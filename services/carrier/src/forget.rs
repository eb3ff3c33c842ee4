//! Forgetting: what was kept beside the cluster for a Delivery goes once its order is forgotten, or when the Delivery itself
//! goes (the log goes with it, and nothing names the photos any more; its bundle stays in the archive).
//!
//! Only what was seen to go is removed. A Delivery that is merely unknown, after a restore or with a store that others use
//! too, is no reason: evidence survives a start (D-60). Grants that have ended go by themselves.

use std::collections::BTreeSet;
use std::time::Duration;

use object_store::path::Path;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_crds::Delivery;
use waybill_crds::seller::OnForget;

use crate::service::{Shared, now};
use crate::{declare, grants, http};

/// What could not be removed is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// How often grants are looked through for those that have ended.
const SWEEP: Duration = Duration::from_secs(6 * 3600);

/// Follows the Deliveries until `stop`.
pub(crate) async fn run(service: &Shared, stop: CancellationToken) {
    let mut changes = service.deliveries.changed();
    let mut due = BTreeSet::new();
    let (mut next, mut sweep) = (Instant::now(), Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            uid = changes.next() => if is_forgotten(service, &uid) && due.insert(uid) { next = Instant::now() },
            () = sleep_until(next), if !due.is_empty() => {
                due = remove(service, due).await;
                next = Instant::now() + AGAIN;
            }
            () = sleep_until(sweep) => {
                if let Err(error) = grants::sweep(&service.store, now()).await {
                    tracing::warn!(error = %report(&error), "failed to remove grants that have ended");
                }
                sweep = Instant::now() + SWEEP;
            }
        }
    }
}

fn is_forgotten(service: &Shared, uid: &str) -> bool {
    let Some(delivery) = service.deliveries.get(uid) else { return true };
    says_forgotten(&delivery) && service.log(&delivery).is_some_and(|log| log.state().forgotten().is_some())
}

/// Cheap: only then is the log read.
fn says_forgotten(delivery: &Delivery) -> bool {
    let word = waybill_protocol::Kind::Forgotten.as_str();
    delivery.status.iter().flat_map(|status| &status.custody).any(|entry| entry.event == word)
}

/// What goes: everything, but the pictures of a forgotten order where its Seller keeps them.
fn folders(service: &Shared, uid: &str) -> Vec<Path> {
    let mut folders = vec![grants::folder(uid), declare::folder(uid)];
    let keeps = service
        .deliveries
        .get(uid)
        .is_some_and(|delivery| service.retention(&delivery).on_forget.photos == OnForget::Keep);
    if !keeps {
        folders.push(http::photos_of(uid));
    }
    folders
}

/// What is still left afterwards.
async fn remove(service: &Shared, due: BTreeSet<String>) -> BTreeSet<String> {
    let mut left = BTreeSet::new();
    for uid in due {
        for folder in folders(service, &uid) {
            match service.store.clear(&folder).await {
                Ok(0) => {}
                Ok(count) => tracing::info!(delivery = %uid, count, "forgot what was kept for a delivery"),
                Err(error) => {
                    tracing::warn!(delivery = %uid, error = %report(&error), "failed to forget");
                    left.insert(uid.clone());
                }
            }
        }
    }
    left
}
