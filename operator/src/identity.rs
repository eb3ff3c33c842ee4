//! Identity: the CA, everybody's certificates and keys, the statements that bind them, and their revocation.
//!
//! - What is decided is pure: `ca::lifecycle` (rotation), `leaf` (keep or issue), `crl` (who is refused), `request` (what an
//!   external carrier hands in), `statement`, `names`, `keys`; time and randomness are arguments. `x509` reads and makes certificates.
//! - What is written: `ca::store`, `ledger` (numbers, before anything is signed), `crl::store`, `trust` (what participants believe),
//!   `broker`, `board`, and per participant `participant` and [`carrier_api`].
//! - `upkeep` is the leader's loop over all of that; `revocation` confirms who is gone.
//!
//! Trusted: the API server, and whoever may write Secrets in the operator's namespace. Not trusted: anything an external carrier sends,
//! and the contents of a participant's namespace beyond that participant.

pub mod carrier_api;
pub mod participant;

mod board;
mod broker;
mod ca;
mod crl;
mod error;
mod keys;
mod labels;
mod leaf;
mod ledger;
mod metrics;
mod names;
#[cfg(test)]
mod openssl;
mod pem;
mod recent;
mod request;
mod revocation;
mod secret;
mod serial;
mod statement;
mod trust;
mod upkeep;
mod x509;

use std::sync::Arc;

use jiff::SignedDuration;
use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use waybill_cluster::trust::keys;
use waybill_protocol::Trust;

use crate::context::{Context, Scope};
use ca::Authority;
use crl::store::{Ask, Revocations};
use ledger::Ledger;
use metrics::Metrics;

pub use error::Error;
pub use ledger::{Kind, Owner};
pub use participant::{Outcome, Participant};
pub use request::Refusal;

/// Everything is dated this much earlier, for clocks that lag.
pub(crate) const BACKDATE: SignedDuration = SignedDuration::from_hours(1);
/// How far a clock may be off before it is an error instead of weather.
pub(crate) const SKEW: SignedDuration = SignedDuration::from_hours(1);
/// The longest life the CRDs let a certificate have.
const LONGEST_LEAF: SignedDuration = SignedDuration::from_hours(2160);

/// What identity needs to know.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The operator's own namespace: CA, ledger, revocations and the broker's Secrets live there.
    pub namespace: String,
    /// Host name of the broker inside the cluster.
    pub broker_host: String,
    /// `mqtts://host:port` of a broker that is not ours.
    pub broker_url: Option<String>,
    pub broker_external_names: Vec<String>,
    pub carrier_api_external_names: Vec<String>,
    /// Where people reach the board.
    pub board_url: Option<String>,
    /// Whether there is a board that needs a certificate.
    pub board: bool,
    pub board_external_names: Vec<String>,
    pub ca_ttl: std::time::Duration,
    pub ca_overlap: std::time::Duration,
}

/// The handle on all of it; cheap to clone.
#[derive(Clone)]
pub struct Identity(Arc<Inner>);

pub(crate) struct Inner {
    client: Client,
    settings: Settings,
    scope: Scope,
    authority: watch::Sender<Option<Arc<Authority>>>,
    ledger: Ledger,
    revocations: Revocations,
    trust: trust::Places,
    recent: recent::Recent,
    metrics: Metrics,
}

impl Identity {
    pub fn new(client: Client, settings: Settings, scope: Scope, registry: &waybill_chassis::metrics::Metrics) -> Self {
        Self(Arc::new(Inner {
            ledger: Ledger::new(client.clone(), settings.namespace.clone()),
            revocations: Revocations::new(client.clone(), settings.namespace.clone()),
            client,
            settings,
            scope,
            authority: watch::Sender::new(None),
            trust: trust::Places::default(),
            recent: recent::Recent::default(),
            metrics: Metrics::new(registry),
        }))
    }

    /// The leader's background work, until `shutdown`. Failures are told and tried again; they never end it.
    pub async fn run(&self, shutdown: CancellationToken) {
        let inner = &self.0;
        tokio::join!(
            inner.ledger.serve(shutdown.clone()),
            inner.revocations.serve(&inner.ledger, inner.authority.subscribe(), shutdown.clone()),
            Box::pin(upkeep::run(inner, shutdown)),
        );
    }

    /// Changes whenever participants should be looked at again: a new authority issues, or another one is to be trusted.
    pub fn changes(&self) -> Changes {
        Changes(self.0.authority.subscribe())
    }

    /// By whom logs are judged: the trusted authorities and, for what was recorded under them, those before. `None` until the
    /// authority is known.
    pub(crate) fn judges(&self) -> Option<Trust> {
        let authority = self.0.authority.borrow().clone()?;
        let keys = |pem: String| if pem.is_empty() { Some(Vec::new()) } else { keys(pem.as_bytes()).ok() };
        Some(Trust::new(keys(authority.bundle())?).with_former(keys(authority.former())?))
    }

    /// Cuts identities off for good: every certificate they hold is revoked. For `revoked: true`; returns once it is written.
    pub async fn revoke(&self, uids: Vec<String>) -> Result<(), Error> {
        let asks = uids.into_iter().map(Ask::CutOff).collect();
        self.0.revocations.ask(asks).await.map_err(Error::Revocations)
    }

    /// To be called when an object is seen to disappear: revokes it once the API server confirms that it is gone. True when it was.
    pub async fn gone(&self, owner: &Owner) -> Result<bool, Error> {
        revocation::gone(&self.0, owner).await
    }
}

impl Inner {
    /// The authority and the list of revocations, once both are there: nothing is issued before.
    fn ready(&self) -> Result<(Arc<Authority>, Arc<crl::render::Published>), Error> {
        let authority = self.authority.borrow().clone().ok_or(Error::NotReady)?;
        let published = self.revocations.published().ok_or(Error::NotReady)?;
        let covered = published.crl.signed.iter().any(|signed| signed.ca == authority.active().fingerprint());
        if covered { Ok((authority, published)) } else { Err(Error::NotReady) }
    }

    fn policy(&self) -> ca::lifecycle::Policy {
        ca::lifecycle::Policy { overlap: signed(self.settings.ca_overlap), longest_leaf: LONGEST_LEAF }
    }

    fn leaf_issuer(&self, authority: &Authority) -> leaf::Issuer {
        let active = authority.active();
        leaf::Issuer {
            fingerprint: active.fingerprint(),
            since: authority.state.active.since,
            not_after: active.facts.not_after,
            spread: signed(self.settings.ca_overlap) / 2,
        }
    }
}

fn signed(duration: std::time::Duration) -> SignedDuration {
    SignedDuration::try_from(duration).unwrap_or(SignedDuration::MAX)
}

/// See [`Identity::changes`].
pub struct Changes(watch::Receiver<Option<Arc<Authority>>>);

impl Changes {
    /// Waits for the next change; false once there will be none.
    pub async fn next(&mut self) -> bool {
        self.0.changed().await.is_ok()
    }
}

/// The leader's background work, as `Identity::run`.
pub async fn run(ctx: Context, shutdown: CancellationToken) {
    ctx.identity.run(shutdown).await;
}

/// As `Identity::revoke`.
pub async fn revoke(ctx: &Context, uids: Vec<String>) -> Result<(), Error> {
    ctx.identity.revoke(uids).await
}

/// As `Identity::gone`.
pub async fn gone(ctx: &Context, owner: &Owner) -> Result<bool, Error> {
    ctx.identity.gone(owner).await
}
