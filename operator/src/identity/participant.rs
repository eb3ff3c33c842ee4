//! Everything about one participant's identity in one call: its keys, its leaf, its key statement, its standing.
//!
//! dereference (its Secrets) → decide (`leaf`, `statement`, `request`: pure) → issue (ledger, then signature) → apply. Each call starts
//! from what the cluster holds, so a crash anywhere in between is mended by the next one.

mod external;
pub(crate) mod keyring;
pub(crate) mod managed;
pub(crate) mod tls;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{OwnerReference, Time};
use kube::Resource;
use waybill_crds::carrier::External;
use waybill_crds::condition::Reason;
use waybill_crds::{Carrier, CertificateSpec, CertificateStatus, Seller};

use super::ca::Ca;
use super::crl::store::Ask;
use super::leaf::Current;
use super::ledger::{Kind, Owner};
use super::recent::Seen;
use super::request::Refusal;
use super::{Error, Identity, Inner, trust};
use crate::context::Context;

/// A Seller or Carrier as far as identity is concerned.
#[derive(Clone, Debug)]
pub struct Participant {
    pub owner: Owner,
    pub controller: OwnerReference,
    pub ttl: SignedDuration,
    pub renew_before: Option<SignedDuration>,
    /// Set for a carrier whose keys are its own.
    pub external: Option<External>,
    pub revoked: bool,
    /// `status.certificate.pem`, where an external carrier's certificate lives.
    pub certificate: Option<String>,
    /// `status.keyStatement`.
    pub key_statement: Option<String>,
}

/// What status needs to say. Nothing in it is secret.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Outcome {
    /// With its PEM chain for an external carrier.
    pub certificate: Option<CertificateStatus>,
    /// base64 of the signed statement.
    pub key_statement: Option<String>,
    /// Changes with the contents of the TLS Secret.
    pub tls_hash: Option<String>,
    /// Why there is no certificate, or no new one; the next step is in its message.
    pub refusal: Option<Refusal>,
    /// When to call again at the latest.
    pub renew_at: Option<Timestamp>,
}

impl Participant {
    /// `None` for an object the API server never stored: it has no uid.
    pub fn of_carrier(carrier: &Carrier) -> Option<Self> {
        let status = carrier.status.as_ref();
        Some(Self {
            external: carrier.spec.transport.as_ref().and_then(|transport| transport.external.clone()),
            revoked: carrier.spec.revoked,
            certificate: status.and_then(|status| status.certificate.as_ref()?.pem.clone()),
            key_statement: status.and_then(|status| status.key_statement.clone()),
            ..Self::new(Kind::Carrier, carrier, &carrier.spec.certificate)?
        })
    }

    pub fn of_seller(seller: &Seller) -> Option<Self> {
        let key_statement = seller.status.as_ref().and_then(|status| status.key_statement.clone());
        Some(Self { key_statement, ..Self::new(Kind::Seller, seller, &seller.spec.certificate)? })
    }

    fn new<K: Resource<DynamicType = ()>>(kind: Kind, object: &K, spec: &CertificateSpec) -> Option<Self> {
        let meta = object.meta();
        let owner =
            Owner { kind, namespace: meta.namespace.clone()?, name: meta.name.clone()?, uid: meta.uid.clone()? };
        Some(Self {
            owner,
            controller: object.controller_owner_ref(&())?,
            ttl: super::signed(spec.ttl.get()),
            renew_before: spec.renew_before.map(|before| super::signed(before.get())),
            external: None,
            revoked: false,
            certificate: None,
            key_statement: None,
        })
    }
}

/// See the module; `now` is the system's.
pub async fn ensure(ctx: &Context, participant: &Participant) -> Result<Outcome, Error> {
    ctx.identity.ensure(participant, Timestamp::now()).await
}

impl Identity {
    /// As [`ensure`], at a given time.
    pub async fn ensure(&self, participant: &Participant, now: Timestamp) -> Result<Outcome, Error> {
        let inner = &self.0;
        trust::ensure(inner, &participant.owner.namespace).await?;
        if participant.revoked {
            return revoked(inner, &participant.owner).await;
        }
        reinstate(inner, &participant.owner).await?;
        let uid = &participant.owner.uid;
        let seen =
            Seen { certificate: participant.certificate.clone(), key_statement: participant.key_statement.clone() };
        let newest = inner.recent.newest(uid, seen, now);
        let Seen { certificate, key_statement } = newest.clone();
        let participant = Participant { certificate, key_statement, ..participant.clone() };
        let outcome = match &participant.external {
            Some(external) => external::ensure(inner, &participant, external, now).await?,
            None => managed::ensure(inner, &managed::Wanted::of(&participant), now).await?,
        };
        if outcome.refusal.is_none() {
            let certificate = outcome.certificate.as_ref().and_then(|certificate| certificate.pem.clone());
            let issued = Seen { certificate, key_statement: outcome.key_statement.clone() };
            if issued != newest {
                inner.recent.issued(uid, issued, now);
            }
        }
        Ok(outcome)
    }
}

/// Level-triggered: whatever certificate of it the ledger holds, it is on the list.
async fn revoked(inner: &Inner, owner: &Owner) -> Result<Outcome, Error> {
    let (_, published) = inner.ready()?;
    let open = inner.ledger.index().leaves(&owner.uid).iter().any(|leaf| !published.crl.refuses(&leaf.serial));
    let held = !inner.ledger.index().leaves(&owner.uid).is_empty();
    if open || (held && !published.cuts_off(&owner.uid)) {
        let asks = vec![Ask::CutOff(owner.uid.clone())];
        inner.revocations.ask(asks).await.map_err(Error::Revocations)?;
    }
    let message = "its certificates are revoked; create another one to go on".to_owned();
    Ok(Outcome { refusal: Some(Refusal { reason: Reason::Revoked, message }), ..Outcome::default() })
}

/// An identity in good standing is not cut off. Its old certificates stay refused, and it is given a new one.
async fn reinstate(inner: &Inner, owner: &Owner) -> Result<(), Error> {
    let (_, published) = inner.ready()?;
    if published.cuts_off(&owner.uid) {
        let asks = vec![Ask::Reinstate(owner.uid.clone())];
        inner.revocations.ask(asks).await.map_err(Error::Revocations)?;
    }
    Ok(())
}

/// A leaf as status shows it.
fn status(leaf: &Current, issuer: &Ca, renew_at: Timestamp, pem: Option<String>) -> CertificateStatus {
    CertificateStatus {
        serial: leaf.serial.to_string(),
        not_before: Time(leaf.facts.not_before),
        not_after: Time(leaf.facts.not_after),
        renew_at: Time(renew_at),
        issuer: issuer.fingerprint().to_string(),
        pem,
    }
}
