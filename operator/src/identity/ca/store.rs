//! Reads and writes the Secret of a CA: `waybill-ca` for participants, another one for the broker's admin listener. Creation has a fixed name, so two operators for a moment still make one CA; every change is
//! made under the resourceVersion it was decided on, so whoever comes second decides again.

use std::collections::BTreeMap;
use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use waybill_crds::FIELD_MANAGER;
use zeroize::Zeroize;

use super::lifecycle::{self, Policy, Step};
use super::{Authority, Error as CaError, Fresh, codec};
use crate::identity::x509::key;
use crate::identity::{labels, secret};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read Secret {name}")]
    Read {
        name: &'static str,
        #[source]
        source: Arc<kube::Error>,
    },
    #[error("failed to write Secret {name}")]
    Write {
        name: &'static str,
        #[source]
        source: Arc<kube::Error>,
    },
    #[error("failed to use Secret {name}: restore it from a backup; no other CA is made in its place")]
    Decode {
        name: &'static str,
        #[source]
        source: codec::Error,
    },
    #[error("failed to make a CA")]
    Make(#[source] CaError),
    #[error("failed to make a key for a CA")]
    Key(#[source] key::Error),
    #[error(
        "failed to find Secret {name}, though it has issued certificates: restore it from a backup, or delete the ConfigMaps labelled waybill.dev/ledger to begin anew"
    )]
    Vanished { name: &'static str },
}

/// Where a CA lives, and how its parts are called.
#[derive(Clone)]
pub(crate) struct Store {
    pub(crate) client: Client,
    pub(crate) namespace: String,
    pub(crate) name: &'static str,
    /// Before the random part of each authority's id.
    pub(crate) prefix: &'static str,
    pub(crate) ttl: SignedDuration,
    pub(crate) policy: Policy,
}

impl Store {
    /// The CA as it stands in the cluster; made now if there never was one. One that was deleted is put back from memory, and where
    /// there is no memory of it but certificates (`has_issued`), that is for a person to decide.
    pub(crate) async fn load_or_create(
        &self,
        memory: Option<&Authority>,
        has_issued: bool,
        now: Timestamp,
    ) -> Result<Authority, Error> {
        if let Some(authority) = self.load().await? {
            return Ok(authority);
        }
        match memory {
            Some(memory) => self.create(memory).await?,
            None if has_issued => return Err(Error::Vanished { name: self.name }),
            None => {
                let made = Authority::bootstrap(self.fresh()?, now, self.ttl).map_err(Error::Make)?;
                self.create(&made).await?;
            }
        }
        self.load().await?.ok_or(Error::Vanished { name: self.name })
    }

    async fn create(&self, authority: &Authority) -> Result<(), Error> {
        let secret = Secret {
            metadata: ObjectMeta {
                name: Some(self.name.into()),
                namespace: Some(self.namespace.clone()),
                labels: Some(labels::of("ca")),
                ..ObjectMeta::default()
            },
            type_: Some("Opaque".into()),
            data: Some(codec::encode(authority).map_err(|source| self.undecodable(source))?),
            ..Secret::default()
        };
        let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let created = self.api().create(&params, &secret).await;
        secret::wipe(secret);
        match created {
            Ok(stored) => {
                drop(secret::Bytes::of(stored));
                tracing::info!(ca = %authority.active().id, secret = self.name, "certificate authority created");
                Ok(())
            }
            // Another operator was first: its CA counts, ours never existed.
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
            Err(error) => Err(Error::Write { name: self.name, source: Arc::new(error) }),
        }
    }

    pub(crate) async fn load(&self) -> Result<Option<Authority>, Error> {
        let read = self.api().get_opt(self.name).await;
        let found = read.map_err(|error| Error::Read { name: self.name, source: Arc::new(error) })?;
        found.map(codec::decode).transpose().map_err(|source| self.undecodable(source))
    }

    /// Takes the one step that is due, if any. `None`: nothing is due, or somebody else took a step first and it is to be read again.
    pub(crate) async fn step(
        &self,
        authority: &Authority,
        published: bool,
        spent: &[String],
        now: Timestamp,
    ) -> Result<Option<Step>, Error> {
        let observed = authority.observed(now, published, spent);
        let Some(step) = lifecycle::decide(&authority.state, &observed, &self.policy) else { return Ok(None) };
        let after = authority.after(&step, self.fresh()?, &observed, &self.policy, self.ttl).map_err(Error::Make)?;
        let mut patch = patch(authority, &after).map_err(|source| self.undecodable(source))?;
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let written = self.api().patch(self.name, &params, &Patch::Merge(&patch)).await;
        wipe(&mut patch["data"]);
        match written {
            Ok(stored) => {
                drop(secret::Bytes::of(stored));
                tracing::info!(?step, active = %after.active().id, secret = self.name, "certificate authority moved on");
                Ok(Some(step))
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(None),
            Err(error) => Err(Error::Write { name: self.name, source: Arc::new(error) }),
        }
    }

    fn fresh(&self) -> Result<Fresh, Error> {
        let fresh = Fresh::generate().map_err(Error::Key)?;
        Ok(Fresh { id: format!("{}{}", self.prefix, fresh.id), ..fresh })
    }

    fn undecodable(&self, source: codec::Error) -> Error {
        Error::Decode { name: self.name, source }
    }

    fn api(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }
}

/// The new data, nulls for what has left, and the resourceVersion it all rests on.
fn patch(before: &Authority, after: &Authority) -> Result<Value, codec::Error> {
    let new: BTreeMap<String, ByteString> = codec::encode(after)?;
    let mut data: serde_json::Map<String, Value> =
        codec::encode(before)?.into_keys().filter(|key| !new.contains_key(key)).map(|key| (key, Value::Null)).collect();
    data.extend(new.into_iter().map(|(key, bytes)| (key, json!(bytes))));
    Ok(json!({ "metadata": { "resourceVersion": before.resource_version }, "data": data }))
}

fn wipe(data: &mut Value) {
    for value in data.as_object_mut().into_iter().flat_map(|data| data.values_mut()) {
        if let Value::String(text) = value {
            text.zeroize();
        }
    }
}
