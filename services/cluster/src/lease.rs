//! Who of several replicas acts: the holder of a Lease. Losing it ends the work of this replica before another one's begins.
//!
//! Time here is this replica's own, monotonic: a Lease has ended once it was seen unchanged for as long as it lasts, whatever the
//! wall clocks of two machines say. A Lease that was given back is taken at the next look.
//!
//! A Lease is no fence: a request under way may still arrive after it ended. That is safe because every write of ours is an apply
//! under a fixed name, a creation under a fixed name, or carries a resource version.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use tokio::sync::watch;
use tokio::time::{Instant, sleep, timeout};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;

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

/// The annotation with the holder's address.
const ADDRESS: &str = "waybill.dev/address";

/// Whom to elect, and where.
#[derive(Clone, Debug)]
pub struct Candidate {
    pub namespace: String,
    /// Name of the Lease; it is made where nobody has made it.
    pub lease: String,
    /// Unique among the replicas.
    pub identity: String,
    pub field_manager: &'static str,
    /// Where the others reach this replica while it leads; it is written on the Lease.
    pub address: Option<SocketAddr>,
}

/// Takes part until `shutdown`, then gives the Lease back. `leads` shows whether this replica leads now.
pub async fn campaign(client: Client, candidate: Candidate, leads: watch::Sender<bool>, shutdown: CancellationToken) {
    let me = &Me { leases: Api::namespaced(client, &candidate.namespace), candidate };
    let (mut seen, mut until) = (None, None);
    loop {
        let asked = Instant::now();
        match timeout(PATIENCE, me.turn(&mut seen)).await {
            Ok(Ok(Turn::Lead)) => until = Some(asked + TENURE),
            Ok(Ok(Turn::Follow)) => until = None,
            // Somebody wrote at the same moment; the next look tells who.
            Ok(Ok(Turn::Unclear)) => {}
            Ok(Err(error)) => tracing::warn!(error = %report(&error), "failed to renew or read the leader's Lease"),
            Err(_) => tracing::warn!("the API server did not answer about the leader's Lease in time"),
        }
        let left = until.map_or(Duration::ZERO, |until| until.saturating_duration_since(Instant::now()));
        show(&leads, !left.is_zero());
        let pause = if left.is_zero() { LOOK } else { RENEW.min(left) };
        if shutdown.run_until_cancelled(sleep(pause)).await.is_none() {
            break;
        }
    }
    if !matches!(timeout(PATIENCE, me.give_back()).await, Ok(Ok(()))) {
        tracing::warn!("the leader's Lease could not be given back; it ends by itself");
    }
    show(&leads, false);
}

fn show(leads: &watch::Sender<bool>, now: bool) {
    leads.send_if_modified(|shown| std::mem::replace(shown, now) != now);
}

/// Who holds a Lease.
pub fn holder(lease: Option<&Lease>) -> Option<&str> {
    lease?.spec.as_ref()?.holder_identity.as_deref().filter(|name| !name.is_empty())
}

/// Where its holder is reached.
pub fn address(lease: Option<&Lease>) -> Option<SocketAddr> {
    holder(lease)?;
    lease?.metadata.annotations.as_ref()?.get(ADDRESS)?.parse().ok()
}

/// A candidate and the Leases it writes.
struct Me {
    leases: Api<Lease>,
    candidate: Candidate,
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

impl Me {
    /// One look, and a write if there is something to renew or to take.
    async fn turn(&self, seen: &mut Option<Seen>) -> Result<Turn, kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.candidate.lease).await? else { return self.create().await };
        let spec = lease.spec.clone().unwrap_or_default();
        let standing = judge(seen, &spec, &self.candidate.identity, Instant::now());
        let now = MicroTime(Timestamp::now());
        let said = match standing {
            Standing::Theirs => return Ok(Turn::Follow),
            Standing::Mine => json!({ "renewTime": now, "leaseDurationSeconds": LASTS.as_secs() }),
            Standing::Free => json!({
                "holderIdentity": self.candidate.identity, "acquireTime": now, "renewTime": now, "leaseDurationSeconds": LASTS.as_secs(),
                "leaseTransitions": spec.lease_transitions.unwrap_or(0).saturating_add(1),
            }),
        };
        self.write(&lease, said).await
    }

    /// Only on the very state that was judged; who loses the race looks again.
    async fn write(&self, judged: &Lease, spec: serde_json::Value) -> Result<Turn, kube::Error> {
        let version = &judged.metadata.resource_version;
        let mut patch = json!({ "metadata": { "resourceVersion": version }, "spec": spec });
        if let Some(annotations) = self.annotations() {
            patch["metadata"]["annotations"] = json!(annotations);
        }
        let params = PatchParams { field_manager: Some(self.candidate.field_manager.into()), ..PatchParams::default() };
        match self.leases.patch(&self.candidate.lease, &params, &Patch::Merge(&patch)).await {
            Ok(_) => Ok(Turn::Lead),
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(Turn::Unclear),
            Err(error) => Err(error),
        }
    }

    fn annotations(&self) -> Option<BTreeMap<String, String>> {
        self.candidate.address.map(|address| BTreeMap::from([(ADDRESS.to_owned(), address.to_string())]))
    }

    async fn create(&self) -> Result<Turn, kube::Error> {
        let now = MicroTime(Timestamp::now());
        let lease = Lease {
            metadata: ObjectMeta {
                name: Some(self.candidate.lease.clone()),
                annotations: self.annotations(),
                ..ObjectMeta::default()
            },
            spec: Some(LeaseSpec {
                holder_identity: Some(self.candidate.identity.clone()),
                acquire_time: Some(now.clone()),
                renew_time: Some(now),
                lease_duration_seconds: i32::try_from(LASTS.as_secs()).ok(),
                ..LeaseSpec::default()
            }),
        };
        let params = PostParams { field_manager: Some(self.candidate.field_manager.into()), ..PostParams::default() };
        match self.leases.create(&params, &lease).await {
            Ok(_) => Ok(Turn::Lead),
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Turn::Unclear),
            Err(error) => Err(error),
        }
    }

    async fn give_back(&self) -> Result<(), kube::Error> {
        let Some(lease) = self.leases.get_opt(&self.candidate.lease).await? else { return Ok(()) };
        if holder(Some(&lease)) == Some(self.candidate.identity.as_str()) {
            self.write(&lease, json!({ "holderIdentity": null, "renewTime": null, "acquireTime": null })).await?;
        }
        Ok(())
    }
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
