//! The archive: the proof of every delivery that is over, written into the store, read back and checked, so that the Delivery may
//! go. It is written anew when the log grew (a picture that came late, a correction, an order forgotten) and when what may be kept
//! has changed.
//!
//! Under `archive/` lie the bundles, under `archive-lines/` a line about each, written last: what has a line is there. Both
//! outlive the Delivery. `archive-upcs/` finds them by UPC.

mod due;

use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};
use k8s_openapi::jiff::Timestamp;
use kube::Resource as _;
use kube::api::{Patch, PatchParams};
use object_store::path::Path;
use serde::{Deserialize, Serialize};
use serde_json::json;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_crds::Delivery;
use waybill_crds::condition::{self, ConditionType, Reason, Status};
use waybill_proof::report::Answer;
use waybill_proof::{Contents, ReadError, check};
use waybill_protocol::{Hash, Log, Phase};

use crate::bundle::{self, make};
use crate::retention::{Kept, kept};
use crate::service::{Shared, now};
use crate::store::{self, Store};
use crate::{declare, http};
use due::Due;

/// Field manager of the condition; apart from that of the log's writes, which own what the log says.
const FIELD_MANAGER: &str = "waybill-archive";
/// A log that grew is left alone for so long: most of what belongs together comes at once.
const QUIET: Duration = Duration::from_secs(2);
/// What failed is tried again after this.
const AGAIN: Duration = Duration::from_secs(30);
/// How long a delivery that was promised a picture waits for it.
const PICTURE: u64 = 600;
/// How often what is archived is looked through for pictures whose time is over.
const SWEEP: Duration = Duration::from_secs(6 * 3600);

/// Why a bundle was not archived.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to make it")]
    Make(#[source] bundle::Error),
    #[error("failed to keep it")]
    Store(#[source] store::Error),
    #[error("failed to read its log")]
    Unreadable,
    #[error("what was read back is not what was written, or does not verify")]
    Differs,
    #[error("failed to read an archived bundle")]
    Read(#[source] ReadError),
    #[error("failed to write its condition")]
    Tell(#[source] kube::Error),
}

/// What is known of an archived bundle without opening it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Line {
    pub(crate) uid: String,
    pub(crate) upc: String,
    pub(crate) name: String,
    pub(crate) phase: String,
    /// Seconds since the epoch.
    pub(crate) ended: u64,
    pub(crate) size: u64,
    pub(crate) sha256: String,
    /// How many entries of the log it holds.
    entries: usize,
    /// Whether the log says that the order is forgotten.
    forgotten: bool,
    /// Whether pictures may be in it, and until when: seconds since the epoch.
    photos: bool,
    photos_until: Option<u64>,
}

fn bundle_path(uid: &str) -> Path {
    Path::from_iter(["archive", &format!("{uid}.zip")])
}

fn lines() -> Path {
    Path::from("archive-lines")
}

fn line_path(uid: &str) -> Path {
    lines().join(format!("{uid}.json"))
}

/// A UPC is asked for by anybody who may read: its hash becomes part of a path, not its letters.
fn upc_folder(upc: &str) -> Path {
    Path::from_iter(["archive-upcs", &Hash::of(upc.as_bytes()).to_string()])
}

/// The line about a delivery, if it is archived.
pub(crate) async fn line(store: &Store, uid: &str) -> Result<Option<Line>, store::Error> {
    let bytes = store.get(&line_path(uid)).await?;
    Ok(bytes.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

/// Those of a UPC, the last to end first.
pub(crate) async fn of_upc(store: &Store, upc: &str) -> Result<Vec<Line>, store::Error> {
    let mut found = Vec::new();
    for path in store.list(&upc_folder(upc)).await? {
        found.extend(line(store, path.filename().unwrap_or_default()).await?.filter(|line| line.upc == upc));
    }
    found.sort_by_key(|line| std::cmp::Reverse(line.ended));
    Ok(found)
}

/// Up to `limit` of them after this uid, and whether there are more.
pub(crate) async fn page(store: &Store, after: &str, limit: usize) -> Result<(Vec<Line>, bool), store::Error> {
    let names = store.list(&lines()).await?;
    let uid = |path: &Path| path.filename().and_then(|name| name.strip_suffix(".json")).map(str::to_owned);
    let mut uids: Vec<String> = names.iter().filter_map(uid).filter(|uid| uid.as_str() > after).collect();
    uids.sort();
    let more = uids.len() > limit;
    let mut found = Vec::new();
    for uid in uids.into_iter().take(limit) {
        found.extend(line(store, &uid).await?);
    }
    Ok((found, more))
}

/// The bundle of a delivery, as it lies there.
pub(crate) async fn read(store: &Store, uid: &str) -> Result<Option<Vec<u8>>, store::Error> {
    Ok(store.get(&bundle_path(uid)).await?.map(Vec::from))
}

/// Follows the Deliveries until `stop`.
pub(crate) async fn run(service: &Shared, stop: CancellationToken) {
    let mut changes = service.deliveries.changed();
    let (mut due, mut sweep) = (Due::default(), Instant::now());
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            uid = changes.next() => match service.deliveries.get(&uid).is_some_and(|delivery| is_over(&delivery)) {
                true => due.put(uid, Instant::now() + QUIET),
                false => due.remove(&uid),
            },
            () = sleep_until(due.next().unwrap_or(sweep)), if due.next().is_some() => {
                let Some(uid) = due.pop() else { continue };
                let again = archive(service, &uid).await.unwrap_or_else(|error| {
                    tracing::warn!(delivery = %uid, error = %report(&error), "failed to archive a delivery");
                    Some(AGAIN)
                });
                again.into_iter().for_each(|again| due.put(uid.clone(), Instant::now() + again));
            }
            () = sleep_until(sweep) => {
                if let Err(error) = drop_lapsed(service).await {
                    tracing::warn!(error = %report(&error), "failed to remove pictures whose time is over");
                }
                sweep = Instant::now() + SWEEP;
            }
        }
    }
}

/// By its status; whether it is so the log says, before anything is written.
fn is_over(delivery: &Delivery) -> bool {
    delivery.phase().terminal() && delivery.status.as_ref().is_some_and(|status| !status.custody.is_empty())
}

/// Archives a delivery unless that is done; when to look again, if time alone will change something.
async fn archive(service: &Shared, uid: &str) -> Result<Option<Duration>, Error> {
    let Some(delivery) = service.deliveries.get(uid).filter(|delivery| is_over(delivery)) else { return Ok(None) };
    let entries = delivery.status.as_ref().map_or(0, |status| status.custody.len());
    let there = line(&service.store, uid).await.map_err(Error::Store)?.filter(|line| line.entries == entries);
    let forgotten = match &there {
        // What was read once is not read again: after a start there may be ten thousand of them.
        Some(line) => line.forgotten,
        None => match over(service, &delivery) {
            Over::No => return Ok(None),
            Over::AwaitsPicture(left) => return Ok(Some(left)),
            Over::Yes { forgotten } => forgotten,
        },
    };
    let kept = kept(service.retention(&delivery), forgotten, ended(&delivery), now());
    if there.is_none_or(|line| (line.photos, line.photos_until) != (kept.photos, kept.until)) {
        let log = service.log(&delivery).ok_or(Error::Unreadable)?;
        write(service, (&delivery, &log), kept).await?;
    }
    tell(service, &delivery, entries).await.map_err(Error::Tell)?;
    Ok(kept.until.map(|until| Duration::from_secs(until.saturating_sub(now()) + 1)))
}

enum Over {
    No,
    /// So much longer at most.
    AwaitsPicture(Duration),
    Yes {
        forgotten: bool,
    },
}

/// By its log, and by nothing that anybody can write without signing.
fn over(service: &Shared, delivery: &Delivery) -> Over {
    let Some(log) = service.log(delivery).filter(|log| log.phase().is_terminal()) else { return Over::No };
    let state = log.state();
    let promised = log.phase() == Phase::Delivered && state.terms().is_some_and(|terms| terms.photo);
    let left = (ended(delivery) + PICTURE).saturating_sub(now()).min(PICTURE);
    match promised && state.proofs().is_empty() && left > 0 {
        true => Over::AwaitsPicture(Duration::from_secs(left)),
        false => Over::Yes { forgotten: state.forgotten().is_some() },
    }
}

/// Seconds since the epoch.
fn ended(delivery: &Delivery) -> u64 {
    let at = delivery.status.as_ref().and_then(|status| status.finished_at.as_ref());
    at.and_then(|at| u64::try_from(at.0.as_second()).ok()).unwrap_or_else(now)
}

async fn write(service: &Shared, (delivery, log): (&Delivery, &Log), kept: Kept) -> Result<(), Error> {
    let uid = log.subject().delivery.to_string();
    if !kept.photos {
        for folder in [http::photos_of(&uid), declare::folder(&uid)] {
            service.store.clear(&folder).await.map_err(Error::Store)?;
        }
    }
    let bytes = make(service, delivery, log).await.map_err(Error::Make)?;
    let line = Line {
        upc: delivery.spec.upc.clone(),
        name: delivery.metadata.name.clone().unwrap_or_default(),
        phase: log.phase().as_str().to_owned(),
        ended: ended(delivery),
        size: bytes.len() as u64,
        sha256: Hash::of(&bytes).to_string(),
        entries: log.entries().len(),
        forgotten: log.state().forgotten().is_some(),
        photos: kept.photos,
        photos_until: kept.until,
        uid,
    };
    keep(&service.store, &line, bytes).await?;
    tracing::info!(delivery = %line.uid, entries = line.entries, size = line.size, "archived a delivery");
    Ok(())
}

/// The bundle, read back and checked; then what finds it.
async fn keep(store: &Store, line: &Line, bytes: Vec<u8>) -> Result<(), Error> {
    store.put(&bundle_path(&line.uid), bytes).await.map_err(Error::Store)?;
    let back = read(store, &line.uid).await.map_err(Error::Store)?.unwrap_or_default();
    let hash = line.sha256.clone();
    let good = move || Hash::of(&back).to_string() == hash && check(&back, None).answer != Answer::Broken;
    if !tokio::task::spawn_blocking(good).await.unwrap_or(false) {
        return Err(Error::Differs);
    }
    store.put(&upc_folder(&line.upc).join(line.uid.as_str()), Vec::new()).await.map_err(Error::Store)?;
    let text = serde_json::to_vec(line).expect("a line is plain data");
    store.put(&line_path(&line.uid), text).await.map_err(Error::Store)
}

/// Says on the Delivery how much of its log is archived, where something waits for that: a write less for all others.
async fn tell(service: &Shared, delivery: &Delivery, entries: usize) -> kube::Result<()> {
    let status = delivery.status.clone().unwrap_or_default();
    let archived = i32::try_from(entries).unwrap_or(i32::MAX);
    let there = condition::find(&status.conditions, ConditionType::Archived);
    if delivery.spec.ttl_after_finished.is_none() || (status.archived == Some(archived) && there.is_some()) {
        return Ok(());
    }
    let since = there.map_or_else(this_second, |there| there.last_transition_time.clone());
    let condition = Condition {
        type_: ConditionType::Archived.as_str().into(),
        status: Status::True.as_str().into(),
        reason: Reason::Archived.as_str().into(),
        message: format!("the proof bundle with {entries} entries of the log is in the archive"),
        observed_generation: delivery.metadata.generation,
        last_transition_time: since,
    };
    let patch = json!({
        "apiVersion": Delivery::api_version(&()), "kind": Delivery::kind(&()),
        "metadata": {"uid": delivery.metadata.uid},
        "status": {"archived": archived, "conditions": [condition]},
    });
    let name = delivery.metadata.name.as_deref().unwrap_or_default();
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match service.deliveries.api().patch_status(name, &params, &Patch::Apply(patch)).await {
        Ok(now) => service.deliveries.offer(now),
        // It is gone, or another one by now: nothing waits for this any more.
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
        Err(error) => return Err(error),
    }
    Ok(())
}

/// Whole seconds, as Kubernetes keeps them.
fn this_second() -> Time {
    let now = Timestamp::now();
    Time(Timestamp::from_second(now.as_second()).unwrap_or(now))
}

/// Takes the pictures out of bundles whose Delivery went before their time was over.
async fn drop_lapsed(service: &Shared) -> Result<(), Error> {
    for path in service.store.list(&lines()).await.map_err(Error::Store)? {
        let uid = path.filename().and_then(|name| name.strip_suffix(".json")).unwrap_or_default();
        let found = line(&service.store, uid).await.map_err(Error::Store)?;
        let lapsed = |line: &Line| line.photos && line.photos_until.is_some_and(|until| until <= now());
        let Some(found) = found.filter(lapsed) else { continue };
        let Some(bytes) = read(&service.store, uid).await.map_err(Error::Store)? else { continue };
        let without = without_pictures(&bytes)?;
        let (size, sha256) = (without.len() as u64, Hash::of(&without).to_string());
        keep(&service.store, &Line { photos: false, size, sha256, ..found }, without).await?;
        tracing::info!(delivery = uid, "took the pictures out of an archived bundle: their time is over");
    }
    Ok(())
}

fn without_pictures(bundle: &[u8]) -> Result<Vec<u8>, Error> {
    let contents = Contents::read(bundle).map_err(Error::Read)?;
    Contents { photos: Vec::new(), ..contents }.write().map_err(|error| Error::Make(bundle::Error::Write(error)))
}
