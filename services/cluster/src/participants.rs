//! Sellers and Carriers of a namespace, with the keys the CA says are theirs.
//!
//! Trust: the status of an object is the operator's word, but what counts is the CA's signature on the key statement, and
//! that it speaks of this very object: role, namespace and uid.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::ListParams;
use kube::runtime::watcher;
use kube::{Api, Client, ResourceExt};
use tokio::sync::watch;
use waybill_chassis::revocation::Revocations;
use waybill_crds::{Carrier, Seller};
use waybill_protocol::{Bytes, KeyStatement, Role, StatementError, Trust, Uid, UnixMillis};

use crate::objects::{Changes, Followed, Objects};

/// A kind with keys of its own.
pub trait Participant: Followed + kube::Resource<Scope = kube::core::NamespaceResourceScope> {
    const ROLE: Role;
    fn key_statement(&self) -> Option<&str>;
    /// By its specification; the list of revocations is asked apart.
    fn is_revoked(&self) -> bool;
}

impl Participant for Seller {
    const ROLE: Role = Role::Seller;

    fn key_statement(&self) -> Option<&str> {
        self.status.as_ref()?.key_statement.as_deref()
    }

    fn is_revoked(&self) -> bool {
        false
    }
}

impl Participant for Carrier {
    const ROLE: Role = Role::Carrier;

    fn key_statement(&self) -> Option<&str> {
        self.status.as_ref()?.key_statement.as_deref()
    }

    fn is_revoked(&self) -> bool {
        self.spec.revoked
    }
}

/// Why somebody's keys are not believed.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    #[error("no key statement yet")]
    Missing,
    #[error("failed to decode the key statement")]
    Encoding,
    #[error("failed to verify the key statement")]
    Statement(#[source] StatementError),
    #[error("the key statement is of another {0}")]
    Foreign(&'static str),
}

/// One participant as it is now.
#[derive(Debug, Clone)]
pub struct Party<K> {
    pub object: Arc<K>,
    pub uid: Uid,
    /// What the CA says its keys are, valid now.
    pub statement: KeyStatement,
    pub statement_bytes: Bytes,
}

/// Everybody of one kind; cheap to clone.
#[derive(Debug, Clone)]
pub struct Participants<K: Participant> {
    objects: Objects<K>,
    api: Api<K>,
    trust: watch::Receiver<Trust>,
    revocations: Revocations,
}

impl<K: Participant> Participants<K> {
    /// Follows everybody of this kind in `namespace`.
    pub fn follow(client: Client, namespace: &str, trust: watch::Receiver<Trust>, revocations: Revocations) -> Self {
        let api = Api::<K>::namespaced(client, namespace);
        Self { objects: Objects::follow(api.clone(), watcher::Config::default()), api, trust, revocations }
    }

    /// The object with this name, whatever its keys.
    pub fn object(&self, name: &str) -> Option<Arc<K>> {
        self.objects.by_name(name)
    }

    /// The object with this uid, whatever its keys.
    pub fn object_of(&self, uid: &str) -> Option<Arc<K>> {
        self.objects.get(uid)
    }

    /// The uid of whoever stands under this name by the word of the API server itself: the watch may be late. None where nobody
    /// does. A list by name, because whoever may watch may list.
    pub async fn look_up(&self, name: &str) -> kube::Result<Option<String>> {
        let found = self.api.list_metadata(&ListParams::default().fields(&format!("metadata.name={name}"))).await?;
        Ok(found.items.into_iter().find_map(|object| object.metadata.uid))
    }

    /// Whoever stands under this name, with keys that count at `now`.
    pub fn by_name(&self, name: &str, now: UnixMillis) -> Option<Result<Party<K>, KeysError>> {
        self.object(name).map(|object| self.party(object, now))
    }

    /// Whoever has this uid, with keys that count at `now`.
    pub fn by_uid(&self, uid: &str, now: UnixMillis) -> Option<Result<Party<K>, KeysError>> {
        self.object_of(uid).map(|object| self.party(object, now))
    }

    /// Whether this uid is cut off: revoked by its specification or on the list of revocations.
    pub fn is_revoked(&self, uid: &str) -> bool {
        let listed = self.revocations.current().is_some_and(|list| list.names(uid));
        listed || self.object_of(uid).is_some_and(|object| object.is_revoked())
    }

    /// Who is cut off: for those who must act when the list changes.
    pub fn revocations(&self) -> Revocations {
        self.revocations.clone()
    }

    /// Everybody, in no order.
    pub fn all(&self) -> Vec<Arc<K>> {
        self.objects.all()
    }

    /// The uids of those that change, beginning with all there are.
    pub fn changes(&self) -> Changes {
        self.objects.changes()
    }

    /// True once the first list is here.
    pub fn synced(&self) -> watch::Receiver<bool> {
        self.objects.synced()
    }

    /// Waits for the first list.
    pub async fn ready(&self) {
        self.objects.ready().await;
    }

    fn party(&self, object: Arc<K>, now: UnixMillis) -> Result<Party<K>, KeysError> {
        let trust = self.trust.borrow().clone();
        let (statement, statement_bytes) = statement(&*object, &trust, now)?;
        Ok(Party { uid: statement.uid.clone(), object, statement, statement_bytes })
    }
}

/// The keys of one object, as the CA states them, valid at `now`.
pub fn statement<K: Participant>(
    object: &K,
    trust: &Trust,
    now: UnixMillis,
) -> Result<(KeyStatement, Bytes), KeysError> {
    let text = object.key_statement().ok_or(KeysError::Missing)?;
    let bytes = STANDARD.decode(text).map_err(|_| KeysError::Encoding)?;
    // By the memory of `trust`; the dates are looked at here.
    let statement = trust.statement(&bytes).map_err(KeysError::Statement)?;
    let KeyStatement { not_before, not_after, .. } = statement;
    if now < not_before {
        return Err(KeysError::Statement(StatementError::NotYetValid { not_before, now }));
    }
    if now >= not_after {
        return Err(KeysError::Statement(StatementError::Expired { not_after, now }));
    }
    let same = [
        ("role", statement.role == K::ROLE),
        ("namespace", Some(statement.namespace.as_str()) == object.namespace().as_deref()),
        ("uid", Some(statement.uid.as_str()) == object.uid().as_deref()),
    ];
    match same.into_iter().find(|(_, same)| !same) {
        Some((what, _)) => Err(KeysError::Foreign(what)),
        None => Ok((statement, Bytes(bytes))),
    }
}
