//! The Secrets that hold a participant's own keys. Created once, never overwritten: an old uid's Secret is removed, a Secret nobody owns
//! (restored from a backup) is taken over as it is.

use std::collections::BTreeMap;

use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, Preconditions};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_crds::FIELD_MANAGER;

use super::tls::put;
use crate::identity::keys::STATEMENT;
use crate::identity::secret::{self, Bytes};
use crate::identity::{Error, Inner};

/// A Secret as it was read.
pub(crate) struct Held {
    pub(crate) data: Bytes,
    pub(crate) uid: Option<String>,
    /// `None`: it is not there.
    pub(crate) resource_version: Option<String>,
    adopted: bool,
}

impl Held {
    pub(crate) fn exists(&self) -> bool {
        self.resource_version.is_some()
    }
}

/// A key Secret that should be.
pub(crate) struct Wanted<'a> {
    pub(crate) namespace: &'a str,
    pub(crate) name: &'a str,
    pub(crate) controller: Option<&'a OwnerReference>,
    pub(crate) labels: BTreeMap<String, String>,
}

/// Reads a Secret of `controller`'s. One that belongs to somebody else, such as an object of the same name that was deleted, is
/// removed: a participant made anew under an old name inherits nothing.
pub(crate) async fn read(
    inner: &Inner,
    namespace: &str,
    name: &str,
    controller: Option<&OwnerReference>,
) -> Result<Held, Error> {
    let api: Api<Secret> = Api::namespaced(inner.client.clone(), namespace);
    let what = || format!("Secret {namespace}/{name}");
    let found = api.get_opt(name).await.map_err(Error::api("read", what()))?;
    let Some(found) = found else { return Ok(absent()) };
    let owner = found.owner_references().iter().find(|owner| owner.controller == Some(true));
    let foreign = matches!((owner, controller), (Some(owner), Some(wanted)) if owner.uid != wanted.uid);
    if foreign {
        let (uid, resource_version) = (found.uid(), found.resource_version());
        let params =
            DeleteParams { preconditions: Some(Preconditions { uid, resource_version }), ..DeleteParams::default() };
        return match api.delete(name, &params).await {
            Ok(_) => Ok(absent()),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(absent()),
            Err(kube::Error::Api(status)) if status.is_conflict() => Err(Error::Contended { what: what() }),
            Err(error) => Err(Error::api("delete", what())(error)),
        };
    }
    let adopted = owner.is_some() || controller.is_none();
    Ok(Held { uid: found.uid(), resource_version: found.resource_version(), data: Bytes::of(found), adopted })
}

fn absent() -> Held {
    Held { data: Bytes::default(), uid: None, resource_version: None, adopted: false }
}

/// The Secret with its keys, made if it is not there. `lost` is what it means that it isn't: `Ok` to make new keys.
pub(crate) async fn ensure<L>(
    inner: &Inner,
    wanted: &Wanted<'_>,
    create: impl Fn() -> BTreeMap<String, ByteString>,
    lost: Option<L>,
) -> Result<Result<Held, L>, Error> {
    let mut held = read(inner, wanted.namespace, wanted.name, wanted.controller).await?;
    if !held.exists() {
        if let Some(lost) = lost {
            return Ok(Err(lost));
        }
        let secret = secret_of(wanted, create(), None);
        // Whether this write or another operator's made it: what is stored counts.
        put(inner, &secret).await?;
        secret::wipe(secret);
        held = read(inner, wanted.namespace, wanted.name, wanted.controller).await?;
    }
    if held.exists() && !held.adopted {
        // Ownership and labels only: the data stays whose it is.
        let secret = Secret { data: None, ..secret_of(wanted, BTreeMap::new(), held.resource_version.clone()) };
        put(inner, &secret).await?;
    }
    Ok(Ok(held))
}

/// Puts the current statement beside the keys it is about. The keys are neither sent nor read back.
pub(crate) async fn publish(inner: &Inner, wanted: &Wanted<'_>, held: &Held, statement: Vec<u8>) -> Result<(), Error> {
    if held.data.get(STATEMENT) == Some(&statement) {
        return Ok(());
    }
    let api: Api<Secret> = Api::namespaced(inner.client.clone(), wanted.namespace);
    // The uid makes it a conflict where somebody put another Secret in its place.
    let patch = json!({"metadata": {"uid": held.uid}, "data": {STATEMENT: ByteString(statement)}});
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let what = || format!("Secret {}/{}", wanted.namespace, wanted.name);
    match api.patch_metadata(wanted.name, &params, &Patch::Merge(&patch)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => {
            Err(Error::Contended { what: what() })
        }
        Err(error) => Err(Error::api("write", what())(error)),
    }
}

fn secret_of(wanted: &Wanted<'_>, data: BTreeMap<String, ByteString>, resource_version: Option<String>) -> Secret {
    Secret {
        metadata: ObjectMeta {
            name: Some(wanted.name.to_owned()),
            namespace: Some(wanted.namespace.to_owned()),
            labels: Some(wanted.labels.clone()),
            owner_references: wanted.controller.map(|owner| vec![owner.clone()]),
            resource_version,
            ..ObjectMeta::default()
        },
        type_: Some("Opaque".into()),
        data: Some(data),
        ..Secret::default()
    }
}
