//! A TLS Secret of ours: key, leaf with its chain, and the bundle its holder trusts. The key is made once; the leaf is replaced when
//! `leaf::decide` says so; the bundle follows the CA.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use rcgen::PublicKeyData;
use sha2::{Digest, Sha256};
use waybill_crds::FIELD_MANAGER;

use super::keyring::{self, Held};
use crate::identity::ca::{Authority, Ca};
use crate::identity::leaf::{self, Current, Decision, Reason};
use crate::identity::ledger::{Owner, Request};
use crate::identity::secret::{self, Bytes};
use crate::identity::x509::key::PrivateKey;
use crate::identity::x509::{Names, Usage};
use crate::identity::{Error, Inner};

pub(crate) const CERTIFICATE: &str = "tls.crt";
pub(crate) const KEY: &str = "tls.key";
pub(crate) const BUNDLE: &str = "ca.crt";
const TYPE: &str = "kubernetes.io/tls";
const ATTEMPTS: usize = 4;

/// A TLS Secret that should be.
pub(crate) struct Wanted<'a> {
    pub(crate) owner: &'a Owner,
    pub(crate) controller: Option<&'a OwnerReference>,
    pub(crate) labels: BTreeMap<String, String>,
    pub(crate) secret: &'a str,
    pub(crate) names: Names,
    pub(crate) usage: Usage,
    pub(crate) ttl: SignedDuration,
    pub(crate) renew_before: Option<SignedDuration>,
}

/// What is in it now.
pub(crate) struct Tls {
    pub(crate) leaf: Current,
    pub(crate) issuer: Arc<Ca>,
    pub(crate) renew_at: Timestamp,
    pub(crate) hash: String,
}

/// What a signature needs to be made.
pub(crate) struct Issued {
    pub(crate) chain: String,
    pub(crate) leaf: Current,
    pub(crate) renew_at: Timestamp,
}

pub(crate) async fn ensure(inner: &Inner, wanted: &Wanted<'_>, now: Timestamp) -> Result<Tls, Error> {
    for _ in 0..ATTEMPTS {
        if let Some(tls) = attempt(inner, wanted, now).await? {
            return Ok(tls);
        }
    }
    Err(Error::Contended { what: format!("Secret {}/{}", wanted.owner.namespace, wanted.secret) })
}

/// `None`: the Secret changed under our hands and is to be read again.
async fn attempt(inner: &Inner, wanted: &Wanted<'_>, now: Timestamp) -> Result<Option<Tls>, Error> {
    let (authority, published) = inner.ready()?;
    let held = keyring::read(inner, &wanted.owner.namespace, wanted.secret, wanted.controller).await?;
    let key = held.data.text(KEY).and_then(|pem| PrivateKey::from_pem(pem).ok());
    let (key, kept) = match key {
        Some(key) => (key, true),
        None => (PrivateKey::generate().map_err(Error::Key)?, false),
    };
    let desired = desired(wanted, key.spki_sha256());
    let current = held.data.text(CERTIFICATE).and_then(|chain| Current::read(chain, &authority));
    let revoked = current.as_ref().is_some_and(|current| published.crl.refuses(&current.serial));
    let issuer = inner.leaf_issuer(&authority);
    let (chain, current, renew_at) = match (leaf::decide(current.as_ref(), revoked, &desired, &issuer, now), current) {
        (Decision::Keep { renew_at }, Some(current)) => {
            let chain = held.data.text(CERTIFICATE).unwrap_or_default().to_owned();
            (chain, current, renew_at)
        }
        (decision, _) => {
            let issued = issue(inner, &authority, wanted.owner, &desired, &key, reason(decision), now).await?;
            (issued.chain, issued.leaf, issued.renew_at)
        }
    };
    let bundle = authority.bundle();
    let unchanged = kept && held.data.text(CERTIFICATE) == Some(&chain) && held.data.text(BUNDLE) == Some(&bundle);
    if !unchanged && !write(inner, wanted, &held, &chain, &bundle, &key).await? {
        return Ok(None);
    }
    let known = authority.trusted().find(|ca| ca.fingerprint() == current.issuer).unwrap_or(authority.active());
    let hash = hex::encode(Sha256::new().chain_update(&chain).chain_update(&bundle).finalize());
    Ok(Some(Tls { leaf: current, issuer: known.clone(), renew_at, hash }))
}

fn desired(wanted: &Wanted<'_>, spki_sha256: [u8; 32]) -> leaf::Wanted {
    leaf::Wanted {
        uid: wanted.owner.uid.clone(),
        names: wanted.names.clone(),
        usage: wanted.usage,
        ttl: wanted.ttl,
        renew_before: wanted.renew_before,
        spki_sha256,
    }
}

pub(super) fn reason(decision: Decision) -> Reason {
    match decision {
        Decision::Issue(reason) => reason,
        // Kept without being there cannot be; if it ever were, a new one is the way out.
        Decision::Keep { .. } => Reason::Missing,
    }
}

/// Ledger first, signature second.
pub(crate) async fn issue(
    inner: &Inner,
    authority: &Authority,
    owner: &Owner,
    wanted: &leaf::Wanted,
    key: &impl PublicKeyData,
    reason: Reason,
    now: Timestamp,
) -> Result<Issued, Error> {
    let ca = authority.active();
    let at = leaf::issued(now, ca);
    let not_after = leaf::not_after(at, wanted.ttl, ca.facts.not_after);
    let request = Request { owner: owner.clone(), ca: ca.id.clone(), now, not_after };
    let serial = inner.ledger.reserve(request).await.map_err(Error::Ledger)?;
    let name = || format!("{} {}/{}", owner.kind, owner.namespace, owner.name);
    let sign = |source| Error::Sign { owner: name(), source };
    let pem = leaf::issue(wanted, serial, key, ca, at).map_err(sign)?;
    let chain = pem + &authority.chain();
    let leaf = Current::read(&chain, authority).ok_or(Error::NotReady)?;
    inner.metrics.issued(owner.kind, reason);
    tracing::info!(owner = %name(), uid = %owner.uid, %serial, reason = reason.as_str(), "certificate issued");
    Ok(Issued { renew_at: leaf::renewal(&leaf, wanted), chain, leaf })
}

/// False when somebody else wrote first.
async fn write(
    inner: &Inner,
    wanted: &Wanted<'_>,
    held: &Held,
    chain: &str,
    bundle: &str,
    key: &PrivateKey,
) -> Result<bool, Error> {
    let data = [
        (CERTIFICATE, chain.as_bytes().to_vec()),
        (KEY, key.to_pem().as_bytes().to_vec()),
        (BUNDLE, bundle.as_bytes().to_vec()),
    ];
    let secret = Secret {
        metadata: ObjectMeta {
            name: Some(wanted.secret.to_owned()),
            namespace: Some(wanted.owner.namespace.clone()),
            labels: Some(wanted.labels.clone()),
            owner_references: wanted.controller.map(|owner| vec![owner.clone()]),
            resource_version: held.resource_version.clone(),
            ..ObjectMeta::default()
        },
        type_: Some(TYPE.into()),
        data: Some(data.into_iter().map(|(key, bytes)| (key.to_owned(), ByteString(bytes))).collect()),
        ..Secret::default()
    };
    let written = put(inner, &secret).await;
    secret::wipe(secret);
    written
}

/// Creates, or applies under the resourceVersion that was read. False when somebody else was first.
pub(crate) async fn put(inner: &Inner, secret: &Secret) -> Result<bool, Error> {
    let (namespace, name) = (secret.namespace().unwrap_or_default(), secret.name_any());
    let api: Api<Secret> = Api::namespaced(inner.client.clone(), &namespace);
    let written = match &secret.metadata.resource_version {
        None => {
            let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
            api.create(&params, secret).await
        }
        Some(_) => api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(secret)).await,
    };
    match written {
        Ok(stored) => {
            drop(Bytes::of(stored));
            Ok(true)
        }
        Err(kube::Error::Api(status))
            if status.is_conflict() || status.is_already_exists() || status.is_not_found() && held_before(secret) =>
        {
            Ok(false)
        }
        Err(error) => Err(Error::api("write", format!("Secret {namespace}/{name}"))(error)),
    }
}

/// A missing Secret is a race only if it was there; else its namespace is missing, which reading again does not mend.
fn held_before(secret: &Secret) -> bool {
    secret.metadata.resource_version.is_some()
}
