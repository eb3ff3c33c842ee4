//! The one way the operator writes an object it owns: server-side apply under one field manager, and only when something differs.
//!
//! "Differs" is decided from the cache: every desired field must be there with the desired value (the API server adds defaults,
//! never takes ours away), and the hash of what was applied last must match, so that a field we no longer want counts too. A user's
//! edit of our fields is undone; fields of others are left alone.

use kube::api::{DeleteParams, Patch, PatchParams, PostParams, Preconditions};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::context::{Context, FIELD_MANAGER};

/// Hash of the applied object, on the object itself.
const APPLIED: &str = "waybill.dev/applied-hash";

/// Why an object could not be written.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to render {kind} {name}")]
    Render {
        kind: String,
        name: String,
        #[source]
        source: serde_json::Error,
    },
    #[error("failed to apply {kind} {name}")]
    Apply {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to create {kind} {name}")]
    Create {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to delete {kind} {name}")]
    Delete {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// The API server's refusal, if it was one.
    pub fn cause(&self) -> Option<&kube::Error> {
        match self {
            Self::Render { .. } => None,
            Self::Apply { source, .. } | Self::Create { source, .. } | Self::Delete { source, .. } => Some(source),
        }
    }
}

/// What the helper can write.
pub trait Owned:
    Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
    + Serialize
    + DeserializeOwned
    + Clone
    + std::fmt::Debug
    + Send
    + Sync
    + 'static
{
}
impl<K> Owned for K where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Serialize
        + DeserializeOwned
        + Clone
        + std::fmt::Debug
        + Send
        + Sync
        + 'static
{
}

/// Makes the cluster's object what `desired` says and returns it as it is then. Costs no request when nothing differs.
pub async fn apply<K: Owned>(context: &Context, observed: &Store<K>, desired: K) -> Result<K, Error> {
    let (kind, name) = (K::kind(&()).into_owned(), desired.name_any());
    let render = |source| Error::Render { kind: kind.clone(), name: name.clone(), source };
    let desired = stamped(&desired).map_err(render)?;
    if let Some(present) = observed.get(&ObjectRef::from_obj(&desired.object)) {
        let rendered = serde_json::to_value(&*present).map_err(render)?;
        if covers(&rendered, &desired.body) {
            return Ok(K::clone(&present));
        }
    }
    let api: Api<K> = context.api(&desired.object.namespace().unwrap_or_default());
    api.patch(&name, &PatchParams::apply(FIELD_MANAGER).force(), &Patch::Apply(&desired.body)).await.map_err(|source| {
        let kind = kind.clone();
        Error::Apply { kind, name: name.clone(), source }
    })
}

/// Makes an object that is somebody else's to write from then on, and that no cache follows.
pub async fn create_once<K: Owned>(context: &Context, object: &K) -> Result<(), Error> {
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    let api: Api<K> = context.api(&object.namespace().unwrap_or_default());
    let failed = |source| Error::Create { kind: kind.clone(), name: name.clone(), source };
    if api.get_metadata_opt(&name).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, object).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(failed(source)),
    }
}

/// Removes an object of ours if the cache shows it, and only that very object.
pub async fn remove<K: Owned>(context: &Context, observed: &Store<K>, object: &ObjectRef<K>) -> Result<(), Error> {
    let Some(present) = observed.get(object) else { return Ok(()) };
    if present.meta().deletion_timestamp.is_some() {
        return Ok(());
    }
    let only_this = Preconditions { uid: present.uid(), resource_version: None };
    let api: Api<K> = context.api(object.namespace.as_deref().unwrap_or_default());
    match api.delete(&object.name, &DeleteParams::background().preconditions(only_this)).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => Ok(()),
        Err(source) => Err(Error::Delete { kind: K::kind(&()).into_owned(), name: object.name.clone(), source }),
    }
}

struct Stamped<K> {
    object: K,
    body: Value,
}

fn stamped<K: Owned>(desired: &K) -> Result<Stamped<K>, serde_json::Error> {
    let mut object = desired.clone();
    let hash = hash(&serde_json::to_value(desired)?);
    object.annotations_mut().insert(APPLIED.into(), hash);
    let body = serde_json::to_value(&object)?;
    Ok(Stamped { object, body })
}

/// A short, stable fingerprint of a value: equal values, equal text (`serde_json` keeps keys sorted).
pub fn hash(value: &Value) -> String {
    hex::encode(&Sha256::digest(value.to_string().as_bytes())[..8])
}

/// True when everything in `desired` is in `present` with the same value. Lists must match element by element; what is empty may be
/// missing, because the API server drops it.
fn covers(present: &Value, desired: &Value) -> bool {
    match (present, desired) {
        (Value::Object(present), Value::Object(desired)) => {
            desired.iter().all(|(key, wanted)| match present.get(key) {
                Some(value) => covers(value, wanted),
                None => is_empty(wanted),
            })
        }
        (Value::Array(present), Value::Array(desired)) => {
            present.len() == desired.len() && present.iter().zip(desired).all(|(p, d)| covers(p, d))
        }
        (present, desired) => present == desired,
    }
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Object(map) => map.values().all(is_empty),
        Value::Array(list) => list.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn defaults_of_the_server_are_no_difference_and_our_fields_are() {
        let desired = json!({"spec": {"replicas": 1, "ports": [{"port": 5000}], "selector": {}}});
        let present =
            json!({"spec": {"replicas": 1, "ports": [{"port": 5000, "protocol": "TCP"}], "type": "ClusterIP"}});
        assert!(covers(&present, &desired));
        for (edit, path) in [(json!(2), "/spec/replicas"), (json!(5001), "/spec/ports/0/port")] {
            let mut edited = present.clone();
            *edited.pointer_mut(path).unwrap() = edit;
            assert!(!covers(&edited, &desired), "{path}");
        }
        let more = json!({"spec": {"replicas": 1, "ports": [{"port": 5000}, {"port": 1}]}});
        assert!(!covers(&more, &desired), "an element that isn't ours");
    }

    #[test]
    fn a_field_no_longer_wanted_changes_the_hash() {
        let config = |data: &[(&str, &str)]| k8s_openapi::api::core::v1::ConfigMap {
            data: Some(data.iter().map(|(k, v)| ((*k).into(), (*v).into())).collect()),
            ..Default::default()
        };
        let (two, one) =
            (stamped(&config(&[("a", "1"), ("b", "2")])).unwrap(), stamped(&config(&[("a", "1")])).unwrap());
        assert!(covers(&two.body["data"], &one.body["data"]));
        assert!(!covers(&two.body, &one.body));
    }
}
