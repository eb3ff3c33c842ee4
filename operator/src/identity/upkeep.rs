//! The leader's loop: CA, revocations, broker, trust, ledger. Each round starts from what the cluster holds and does whatever is due,
//! so it doesn't matter in which round a crash, another operator or a failing API server interrupted the last one.
//!
//! Order matters in two places. A list of revocations names a new authority before any bundle does, because a bundle with an authority
//! that has no list makes brokers refuse that authority's certificates. And a next authority counts as published only after a complete
//! look at all participants: before it, there might be a bundle we don't know of.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::ca::Authority;
use super::ca::store::Store;
use super::crl::Change;
use super::{Error, Inner, SKEW, board, broker, revocation, signed, trust};

const ROUND: Duration = Duration::from_secs(5);
const SWEEP: Duration = Duration::from_secs(600);
const FIRST_RETRY: Duration = Duration::from_millis(250);
const LONGEST_RETRY: Duration = Duration::from_secs(10);
/// After an activation, another operator may for a moment still issue from the authority that was active.
const SETTLED: SignedDuration = SignedDuration::from_mins(10);

pub(crate) async fn run(inner: &Inner, shutdown: CancellationToken) {
    if shutdown.run_until_cancelled(start(inner)).await.is_some() {
        tokio::join!(rounds(inner, &shutdown), spread(inner, &shutdown));
    }
}

/// Until CA and revocations are there: from then on participants can be served.
async fn start(inner: &Inner) {
    let mut pause = FIRST_RETRY;
    while let Err(error) = begin(inner, Timestamp::now()).await {
        failed(inner, &error, "identity cannot start yet");
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_RETRY);
    }
}

/// The ledger before anything else: what has been issued must be known before anything is.
pub(super) async fn begin(inner: &Inner, now: Timestamp) -> Result<(), Error> {
    inner.ledger.load().await.map_err(Error::Ledger)?;
    refresh(inner, now).await.map(drop)
}

async fn rounds(inner: &Inner, shutdown: &CancellationToken) {
    let (mut complete, mut next_sweep) = (false, Instant::now());
    let mut pause = FIRST_RETRY;
    loop {
        let swept = if Instant::now() >= next_sweep { Some(sweep(inner, Timestamp::now()).await) } else { None };
        let due = match swept {
            Some(Ok(whole)) => {
                complete = whole;
                next_sweep = Instant::now() + SWEEP;
                round(inner, complete, Timestamp::now()).await
            }
            Some(Err(error)) => Err(error),
            None => round(inner, complete, Timestamp::now()).await,
        };
        let wait = match due {
            Ok(again) => {
                pause = FIRST_RETRY;
                if again { Duration::ZERO } else { ROUND }
            }
            Err(error) => {
                failed(inner, &error, "identity upkeep failed; it is tried again");
                pause = (pause * 2).min(LONGEST_RETRY);
                pause
            }
        };
        if shutdown.run_until_cancelled(tokio::time::sleep(wait)).await.is_none() {
            return;
        }
    }
}

/// Everything that is due now. True when a step of the CA was taken and the next may be due at once.
pub(super) async fn round(inner: &Inner, complete: bool, now: Timestamp) -> Result<bool, Error> {
    let authority = refresh(inner, now).await?;
    let told =
        [broker::ensure(inner, now).await, board::ensure(inner, now).await, trust::apply_all(inner, false).await];
    inner.metrics.certificates(&inner.ledger.index());
    // The lists of revocations came first; if now every bundle we know of could be written, everybody knows `authority`.
    let published = complete && told.iter().all(Result::is_ok);
    let spent = spent(inner, &authority, now);
    let step = store(inner).step(&authority, published, &spent, now).await.map_err(Error::Authority)?;
    if step.is_some() {
        refresh(inner, now).await?;
    }
    told.into_iter().collect::<Result<(), Error>>()?;
    Ok(step.is_some())
}

/// Reads the CA, brings the lists of revocations in line with it, and only then lets others see it.
async fn refresh(inner: &Inner, now: Timestamp) -> Result<Arc<Authority>, Error> {
    let memory = inner.authority.borrow().clone();
    let has_issued = inner.ledger.index().lives(now);
    let authority = store(inner).load_or_create(memory.as_deref(), has_issued, now).await.map_err(Error::Authority)?;
    let authority = Arc::new(authority);
    let revocations = &inner.revocations;
    revocations.update(Change::default(), &inner.ledger, &authority, now).await.map_err(Error::Revocations)?;
    inner.metrics.authority(&authority);
    if let Some(published) = revocations.published() {
        inner.metrics.revocations(&published);
    }
    inner.authority.send_if_modified(|current| {
        let same = current.as_ref().is_some_and(|current| current.state == authority.state);
        *current = Some(authority.clone());
        !same
    });
    Ok(authority)
}

/// Everybody is looked at, the ledger is read again and cleaned, every trust ConfigMap is verified.
pub(super) async fn sweep(inner: &Inner, now: Timestamp) -> Result<bool, Error> {
    inner.ledger.load().await.map_err(Error::Ledger)?;
    let complete = revocation::sweep(inner).await?;
    trust::apply_all(inner, true).await?;
    inner.ledger.collect(now).await.map_err(Error::Ledger)?;
    Ok(complete)
}

/// Tells every namespace of a change as it happens.
async fn spread(inner: &Inner, shutdown: &CancellationToken) {
    let (mut authority, mut revocations) = (inner.authority.subscribe(), inner.revocations.watch());
    let mut pause = FIRST_RETRY;
    loop {
        let again = match trust::apply_all(inner, false).await {
            Ok(()) => {
                pause = FIRST_RETRY;
                None
            }
            Err(error) => {
                failed(inner, &error, "a trust ConfigMap could not be written; it is tried again");
                pause = (pause * 2).min(LONGEST_RETRY);
                Some(pause)
            }
        };
        let retry = async {
            match again {
                Some(pause) => tokio::time::sleep(pause).await,
                None => std::future::pending().await,
            }
        };
        // Both senders live as long as `inner`.
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = retry => {}
            _ = authority.changed() => {}
            _ = revocations.changed() => {}
        }
    }
}

/// Previous authorities none of whose leafs lives, once nobody can be issuing from them any more.
fn spent(inner: &Inner, authority: &Authority, now: Timestamp) -> Vec<String> {
    let state = &authority.state;
    if now < state.active.since + SETTLED {
        return Vec::new();
    }
    let index = inner.ledger.index();
    let lives = |id: &str| index.last_of(id).is_some_and(|end| end + SKEW >= now);
    state.previous.iter().filter(|previous| !lives(&previous.id)).map(|previous| previous.id.clone()).collect()
}

fn store(inner: &Inner) -> Store {
    Store {
        client: inner.client.clone(),
        namespace: inner.settings.namespace.clone(),
        name: "waybill-ca",
        prefix: "",
        ttl: signed(inner.settings.ca_ttl),
        policy: inner.policy(),
    }
}

fn failed(inner: &Inner, error: &Error, what: &'static str) {
    inner.metrics.failed();
    tracing::warn!(error = %waybill_chassis::telemetry::report(error), "{what}");
}
