//! A Seller's or Carrier's identity as its reconciler sees it: a word for the condition, what status shows, when to look again.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::controller::Action;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, ResourceExt};
use waybill_crds::{CertificateStatus, Reason};

use crate::cache::SecretMeta;
use crate::context::Context;
use crate::identity::{self, Outcome, Participant};
use crate::report::Word;

/// Even where nothing falls due, a look now and then mends what no watch shows.
const AT_LEAST: Duration = Duration::from_secs(12 * 3600);

/// How long to wait for the authority before saying that it is not there.
const AUTHORITY: Duration = Duration::from_secs(5);

/// Why an identity could not be seen to.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read its uid")]
    Unstored,
    #[error("failed to keep its identity")]
    Identity(#[source] identity::Error),
    #[error("failed to find the Secret with its keys")]
    Keys(#[source] kube::Error),
    #[error("failed to take its identity back")]
    Remove(#[source] identity::Error),
}

impl Error {
    /// The authority is being set up, or somebody else was faster: a moment later is soon enough to say more.
    pub(crate) fn lost_race(&self) -> bool {
        matches!(self, Self::Identity(identity::Error::NotReady | identity::Error::Contended { .. }))
    }
}

/// What identity answered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Identified(pub Outcome);

/// The Carrier API's identity: the uid of the Secret that holds its keys stands for it.
#[derive(Clone, Debug)]
pub(crate) struct CarrierApiIdentity {
    pub identity: Identified,
    pub uid: String,
}

/// The Carrier API's Secrets.
pub(crate) const CARRIER_API_SECRETS: [&str; 2] = ["waybill-carrier-api-keys", "waybill-carrier-api-tls"];

/// The Carrier API's Secrets and statement; its uid from the cache, or asked for where the cache lags.
pub(crate) async fn of_carrier_api(
    context: &Context,
    secrets: &Store<SecretMeta>,
    namespace: &str,
) -> Result<CarrierApiIdentity, Error> {
    let mut changes = context.identity.changes();
    let outcome = match identity::carrier_api::ensure(context, namespace).await {
        Err(identity::Error::NotReady) => {
            authority(&mut changes).await;
            identity::carrier_api::ensure(context, namespace).await
        }
        decided => decided,
    };
    let outcome = outcome.map_err(Error::Identity)?;
    let [keys, _] = CARRIER_API_SECRETS;
    let uid = match secrets.get(&ObjectRef::new(keys).within(namespace)).and_then(|secret| secret.uid()) {
        Some(uid) => uid,
        None => {
            let api: Api<Secret> = context.api(namespace);
            api.get_metadata(keys).await.map_err(Error::Keys)?.uid().ok_or(Error::Unstored)?
        }
    };
    Ok(CarrierApiIdentity { identity: Identified(outcome), uid })
}

/// For the last Carrier of a namespace; again is a no-op.
pub(crate) async fn remove_carrier_api(context: &Context, namespace: &str) -> Result<(), Error> {
    identity::carrier_api::remove(context, namespace).await.map_err(Error::Remove)
}

/// Everything about the identity of one that is stored.
pub(super) async fn ensure(context: &Context, participant: Option<Participant>) -> Result<Identified, Error> {
    let participant = participant.ok_or(Error::Unstored)?;
    let mut changes = context.identity.changes();
    let first = identity::participant::ensure(context, &participant).await;
    let decided = match first {
        Err(identity::Error::NotReady) => {
            authority(&mut changes).await;
            identity::participant::ensure(context, &participant).await
        }
        decided => decided,
    };
    decided.map(Identified).map_err(Error::Identity)
}

/// A term as leader begins before the authority is there. Whoever comes first waits for it, instead of coming again and again; in
/// the end the next attempt tells.
async fn authority(changes: &mut identity::Changes) {
    let _ = tokio::time::timeout(AUTHORITY, changes.next()).await;
}

impl Identified {
    /// Whether there is a certificate to start pods with.
    pub(crate) fn issued(&self) -> bool {
        self.0.certificate.is_some()
    }

    pub(crate) fn word(&self) -> Word {
        match &self.0.refusal {
            Some(refusal) => Word::no(refusal.reason, refusal.message.clone()),
            None if self.issued() => Word::yes(Reason::Issued, "certificate and key statement are current"),
            None => Word::no(Reason::AuthorityUnavailable, "the certificate authority is being set up"),
        }
    }

    /// The certificate to show. A refusal that gives none leaves the former one in sight, unless it was revoked.
    pub(crate) fn certificate(&self, shown: Option<&CertificateStatus>) -> Option<CertificateStatus> {
        self.0.certificate.clone().or_else(|| shown.filter(|_| self.keeps()).cloned())
    }

    pub(crate) fn key_statement(&self, shown: Option<&String>) -> Option<String> {
        self.0.key_statement.clone().or_else(|| shown.filter(|_| self.keeps()).cloned())
    }

    fn keeps(&self) -> bool {
        self.0.refusal.as_ref().is_some_and(|refusal| refusal.reason != Reason::Revoked)
    }

    /// When to look again: in time for the renewal.
    pub(crate) fn look_again(&self, now: Timestamp) -> Action {
        let until = |at: Timestamp| at.duration_since(now).max(SignedDuration::ZERO).unsigned_abs();
        Action::requeue(self.0.renew_at.map_or(AT_LEAST, until).min(AT_LEAST))
    }
}
