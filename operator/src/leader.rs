//! Who leads: the holder of Lease `waybill-operator`. Losing it ends the reconcilers of this replica before another one's begin.
//!
//! Time here is this replica's own, monotonic: a Lease has ended once it was seen unchanged for as long as it lasts, whatever the
//! wall clocks of two machines say. (kube-lease-manager compares wall clocks: after a step of an hour back its holder sleeps for an
//! hour, believing to lead, while others take over. It also waits for the end of a Lease that was given back.)
//!
//! A Lease is no fence: a request under way may still arrive after it ended. That is safe because every write of ours is an apply
//! under a fixed name, a creation under a fixed name, or carries a resource version.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;

use crate::context::FIELD_MANAGER;
use crate::metrics::Metrics;

pub(crate) const LEASE: &str = "waybill-operator";
/// How long a replica that vanished keeps the others waiting.
const LASTS: Duration = Duration::from_secs(15);
/// How long a holder goes on without having renewed: less, so that it has stopped before another one begins.
const TENURE: Duration = Duration::from_secs(10);
/// Between renewals.
const RENEW: Duration = Duration::from_secs(3);
/// Between looks of those who wait; a Lease given back is taken this soon.
const LOOK: Duration = Duration::from_secs(1);
/// A request that takes longer has failed.
const PATIENCE: Duration = Duration::from_secs(3);

/// Whom to elect, and where.
#[derive(Clone, Debug)]
pub(crate) struct Candidate {
    pub namespace: String,
    /// Unique among the replicas.
    pub identity: String,
}

/// The pod's name, so that a container restarted in its pod goes on at once; a made-up one where there is none.
pub(crate) fn identity(pod: &str) -> String {
    if pod.is_empty() { format!("operator-{:016x}", rand::random::<u64>()) } else { pod.to_owned() }
}

/// Takes part until `shutdown`, then gives the Lease back. `leads` shows whether this replica leads now.
pub(crate) async fn campaign(
    client: Client,
    candidate: Candidate,
    metrics: Metrics,
    leads: watch::Sender<bool>,
    shutdown: CancellationToken,
) {
    let leases: Api<Lease> = Api::namespaced(client, &candidate.namespace);
    let me = &candidate.identity;
    let (mut seen, mut until) = (None, None);
    loop {
        let asked = Instant::now();
        match timeout(PATIENCE, turn(&leases, me, &mut seen)).await {
            Ok(Ok(Turn::Lead)) => until = Some(asked + TENURE),
            Ok(Ok(Turn::Follow)) => until = None,
            // Somebody wrote at the same moment; the next look tells who.
            Ok(Ok(Turn::Unclear)) => {}
            Ok(Err(error)) => tracing::warn!(error = %report(&error), "failed to renew or read the leader's Lease"),
            Err(_) => tracing::warn!("the API server did not answer about the leader's Lease in time"),
        }
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        show(&leads, &metrics, !left.is_zero());
        let pause = if left.is_zero() { LOOK } else { RENEW.min(left) };
        if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
            break;
        }
    }
    if !matches!(timeout(PATIENCE, give_back(&leases, me)).await, Ok(Ok(()))) {
        tracing::warn!("the leader's Lease could not be given back; it ends by itself");
    }
    show(&leads, &metrics, false);
}

fn show(leads: &watch::Sender<bool>, metrics: &Metrics, now: bool) {
    metrics.leading(now);
    leads.send_if_modified(|shown| std::mem::replace(shown, now) != now);
}

/// How one look ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    Lead,
    Follow,
    Unclear,
}

/// What the Lease said, and since when this replica has seen it say so.
#[derive(Clone, Debug, PartialEq)]
struct Seen {
    holder: Option<String>,
    renewed: Option<Timestamp>,
    lasts: Duration,
    since: Instant,
}

/// One look, and a write if there is something to renew or to take.
async fn turn(leases: &Api<Lease>, me: &str, seen: &mut Option<Seen>) -> Result<Turn, kube::Error> {
    let Some(lease) = leases.get_opt(LEASE).await? else { return create(leases, me).await };
    let spec = lease.spec.clone().unwrap_or_default();
    let standing = judge(seen, &spec, me, Instant::now());
    let now = MicroTime(Timestamp::now());
    let said = match standing {
        Standing::Theirs => return Ok(Turn::Follow),
        Standing::Mine => json!({ "renewTime": now, "leaseDurationSeconds": LASTS.as_secs() }),
        Standing::Free => json!({
            "holderIdentity": me, "acquireTime": now, "renewTime": now, "leaseDurationSeconds": LASTS.as_secs(),
            "leaseTransitions": spec.lease_transitions.unwrap_or(0).saturating_add(1),
        }),
    };
    write(leases, &lease, said).await
}

/// Whose the Lease is, by what has been seen of it until now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    Mine,
    Free,
    Theirs,
}

fn judge(seen: &mut Option<Seen>, spec: &LeaseSpec, me: &str, now: Instant) -> Standing {
    let holder = spec.holder_identity.clone().filter(|holder| !holder.is_empty());
    let renewed = spec.renew_time.as_ref().map(|at| at.0);
    let seconds = spec.lease_duration_seconds.and_then(|seconds| u64::try_from(seconds).ok());
    let lasts = seconds.map_or(LASTS, Duration::from_secs);
    let unchanged = seen.take().filter(|before| (&before.holder, before.renewed) == (&holder, renewed));
    let current = unchanged.unwrap_or(Seen { holder, renewed, lasts, since: now });
    let standing = match current.holder.as_deref() {
        None => Standing::Free,
        Some(holder) if holder == me => Standing::Mine,
        Some(_) if now.saturating_duration_since(current.since) >= current.lasts => Standing::Free,
        Some(_) => Standing::Theirs,
    };
    *seen = Some(current);
    standing
}

/// Only on the very state that was judged; who loses the race looks again.
async fn write(leases: &Api<Lease>, judged: &Lease, spec: serde_json::Value) -> Result<Turn, kube::Error> {
    let version = &judged.metadata.resource_version;
    let patch = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    match leases.patch(LEASE, &params, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(Turn::Lead),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(Turn::Unclear),
        Err(error) => Err(error),
    }
}

async fn create(leases: &Api<Lease>, me: &str) -> Result<Turn, kube::Error> {
    let now = MicroTime(Timestamp::now());
    let lease = Lease {
        metadata: ObjectMeta { name: Some(LEASE.into()), ..ObjectMeta::default() },
        spec: Some(LeaseSpec {
            holder_identity: Some(me.to_owned()),
            acquire_time: Some(now.clone()),
            renew_time: Some(now),
            lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
            ..LeaseSpec::default()
        }),
    };
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match leases.create(&params, &lease).await {
        Ok(_) => Ok(Turn::Lead),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Turn::Unclear),
        Err(error) => Err(error),
    }
}

async fn give_back(leases: &Api<Lease>, me: &str) -> Result<(), kube::Error> {
    let Some(lease) = leases.get_opt(LEASE).await? else { return Ok(()) };
    let mine = lease.spec.as_ref().and_then(|spec| spec.holder_identity.as_deref()) == Some(me);
    if mine {
        write(leases, &lease, json!({ "holderIdentity": null, "renewTime": null, "acquireTime": null })).await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn held(by: &str, renewed: &str) -> LeaseSpec {
        LeaseSpec {
            holder_identity: Some(by.into()),
            renew_time: Some(MicroTime(renewed.parse().unwrap())),
            lease_duration_seconds: Some(15),
            ..LeaseSpec::default()
        }
    }

    #[test]
    fn a_lease_given_back_or_my_own_is_mine_to_take() {
        let (now, mut seen) = (Instant::now(), None);
        assert_eq!(judge(&mut seen, &LeaseSpec::default(), "me", now), Standing::Free);
        let empty = LeaseSpec { holder_identity: Some(String::new()), ..LeaseSpec::default() };
        assert_eq!(judge(&mut seen, &empty, "me", now), Standing::Free);
        assert_eq!(judge(&mut seen, &held("me", "2026-11-21T12:00:00Z"), "me", now), Standing::Mine);
    }

    #[test]
    fn anothers_lease_ends_when_it_was_seen_unchanged_for_as_long_as_it_lasts() {
        let (now, mut seen) = (Instant::now(), None);
        let spec = held("other", "2026-11-21T12:00:00Z");
        assert_eq!(judge(&mut seen, &spec, "me", now), Standing::Theirs);
        assert_eq!(judge(&mut seen, &spec, "me", now + Duration::from_secs(14)), Standing::Theirs);
        assert_eq!(judge(&mut seen, &spec, "me", now + Duration::from_secs(15)), Standing::Free);
    }

    #[test]
    fn clocks_that_differ_by_hours_neither_end_a_lease_nor_keep_it() {
        for renewed in ["2020-01-01T00:00:00Z", "2090-01-01T00:00:00Z"] {
            let (now, mut seen) = (Instant::now(), None);
            let spec = held("other", renewed);
            assert_eq!(judge(&mut seen, &spec, "me", now), Standing::Theirs, "{renewed}");
            assert_eq!(judge(&mut seen, &spec, "me", now + LASTS), Standing::Free, "{renewed}");
        }
    }

    #[test]
    fn each_renewal_starts_the_time_anew_even_one_that_goes_back() {
        let (now, mut seen) = (Instant::now(), None);
        judge(&mut seen, &held("other", "2026-11-21T12:00:00Z"), "me", now);
        let later = now + Duration::from_secs(14);
        assert_eq!(judge(&mut seen, &held("other", "2026-11-21T11:00:00Z"), "me", later), Standing::Theirs);
        let then = later + Duration::from_secs(14);
        assert_eq!(judge(&mut seen, &held("other", "2026-11-21T11:00:00Z"), "me", then), Standing::Theirs);
    }

    #[test]
    fn a_holder_that_cannot_renew_stops_before_another_begins() {
        assert!(TENURE + PATIENCE < LASTS);
    }
}
