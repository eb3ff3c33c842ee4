//! Sends what was built, the anchor first, because everything else hangs on its uid.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ListParams, PartialObjectMeta, Patch, PatchParams};
use kube::runtime::reflector::ObjectRef;
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use waybill_crds::Carrier;

use super::build::Prepared;
use crate::apply::{self as one, Error as ObjectError};
use crate::cache::{Caches, Children};
use crate::context::{Context, FIELD_MANAGER};
use crate::participant::CARRIER_API_SECRETS;

/// Which step, and why not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to apply an object")]
    Object(#[source] ObjectError),
    #[error("failed to find the uid of the ServiceAccount {0}")]
    NoUid(&'static str),
    #[error("failed to list the Carriers left")]
    List(#[source] kube::Error),
    #[error("failed to make Secret {name} go with the others")]
    Adopt {
        name: &'static str,
        #[source]
        source: kube::Error,
    },
}

/// As the API server has it now.
pub(super) struct Applied {
    pub deployment: Deployment,
}

/// Applies the ServiceAccount and returns the reference by which it owns the rest.
pub(super) async fn anchor(
    context: &Context,
    children: &Children,
    account: ServiceAccount,
) -> Result<OwnerReference, Error> {
    let account = one::apply(context, &children.accounts, account).await.map_err(Error::Object)?;
    account.controller_owner_ref(&()).ok_or(Error::NoUid(super::NAME))
}

pub(super) async fn apply(
    context: &Context,
    caches: &Caches,
    prepared: Prepared,
    anchor: &OwnerReference,
) -> Result<Applied, Error> {
    let (children, namespace) = (&caches.children, prepared.deployment.namespace().unwrap_or_default());
    adopt(context, caches, &namespace, anchor).await?;
    // No `..`: a new object cannot be forgotten here.
    let Prepared { role, binding, service, policy, budget, claim, deployment } = prepared;
    one::apply(context, &children.roles, role).await.map_err(Error::Object)?;
    one::apply(context, &children.bindings, binding).await.map_err(Error::Object)?;
    one::apply(context, &children.services, service).await.map_err(Error::Object)?;
    one::apply(context, &children.policies, policy).await.map_err(Error::Object)?;
    one::apply(context, &children.budgets, budget).await.map_err(Error::Object)?;
    if let Some(claim) = &claim {
        one::create_once(context, claim).await.map_err(Error::Object)?;
    }
    // Last: its pods start with everything they need.
    let deployment = one::apply(context, &children.deployments, deployment).await.map_err(Error::Object)?;
    Ok(Applied { deployment })
}

/// The Secrets with its identity go with the anchor too, even when no operator is there to remove them.
async fn adopt(context: &Context, caches: &Caches, namespace: &str, anchor: &OwnerReference) -> Result<(), Error> {
    for name in CARRIER_API_SECRETS {
        let secret = caches.secrets.get(&ObjectRef::new(name).within(namespace));
        // Not in the cache yet: its event asks again.
        let Some(secret) = secret.filter(|s| s.owner_references().iter().all(|owner| owner.uid != anchor.uid)) else {
            continue;
        };
        let owner = OwnerReference { controller: None, ..anchor.clone() };
        let patch = json!({"metadata": {"ownerReferences": [owner], "uid": secret.uid()}});
        let api: Api<Secret> = context.api(namespace);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        // Only metadata comes back: the content is none of this module's business.
        api.patch_metadata(name, &params, &Patch::Merge(&patch))
            .await
            .map_err(|source| Error::Adopt { name, source })?;
    }
    Ok(())
}

/// True once the API server says that the last Carrier is gone; the cache may lag. One that comes a moment later has all made anew.
pub(super) async fn is_empty(context: &Context, namespace: &str) -> Result<bool, Error> {
    let carriers = context.api::<PartialObjectMeta<Carrier>>(namespace);
    let left = carriers.list(&ListParams::default().limit(1)).await.map_err(Error::List)?;
    Ok(left.items.is_empty())
}

/// Removes the anchor, and with it everything that hangs on it.
pub(super) async fn remove(context: &Context, children: &Children, namespace: &str) -> Result<(), Error> {
    let anchor = ObjectRef::new(super::NAME).within(namespace);
    one::remove(context, &children.accounts, &anchor).await.map_err(Error::Object)
}
