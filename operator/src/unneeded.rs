//! Removing a Seller or Carrier that was made because a Delivery named it, after the last such Delivery is gone.
//!
//! The cache may lag, so the API server is asked again, and the removal names the very object in the very state that was judged: a
//! Delivery created meanwhile finds it gone at worst, and has it made anew.

use kube::api::{DeleteParams, ListParams, PartialObjectMeta, Preconditions};
use kube::{Api, Resource, ResourceExt};
use waybill_crds::Delivery;

use crate::context::Context;

/// Why it could not be removed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to list the Deliveries that name it")]
    List(#[source] kube::Error),
    #[error("failed to delete {kind} {name}")]
    Delete {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
}

impl Error {
    pub(crate) fn lost_race(&self) -> bool {
        matches!(self, Self::Delete { source: kube::Error::Api(status), .. } if status.is_conflict())
    }
}

/// Deletes `object` unless a Delivery of its namespace names it in `field` after all.
pub(crate) async fn remove<K>(context: &Context, object: &K, field: &str) -> Result<(), Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let (namespace, name) = (object.namespace().unwrap_or_default(), object.name_any());
    let deliveries: Api<PartialObjectMeta<Delivery>> = Api::namespaced(context.client.clone(), &namespace);
    let naming = ListParams::default().fields(&format!("{field}={name}")).limit(1);
    if !deliveries.list(&naming).await.map_err(Error::List)?.items.is_empty() {
        return Ok(());
    }
    let judged = Preconditions { uid: object.uid(), resource_version: object.resource_version() };
    let api: Api<K> = context.api(&namespace);
    match api.delete(&name, &DeleteParams::background().preconditions(judged)).await {
        Ok(_) => {
            tracing::info!(kind = %K::kind(&()), %namespace, %name, "removed: no Delivery names it any more");
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(()),
        Err(source) => Err(Error::Delete { kind: K::kind(&()).into_owned(), name, source }),
    }
}
