//! Sends what was built, in the order in which each thing needs the one before it; what is as it should be costs no request.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt;
use kube::api::PostParams;

use super::build::Prepared;
use crate::apply::{self as one, Error as ObjectError};
use crate::cache::Children;
use crate::context::{Context, FIELD_MANAGER};

/// Which object, and why not.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to apply an object")]
    Object(#[source] ObjectError),
    #[error("failed to create Lease {name}")]
    Lease {
        name: String,
        #[source]
        source: kube::Error,
    },
}

/// As the API server has it now.
pub(super) struct Applied {
    pub deployment: Deployment,
}

pub(super) async fn apply(context: &Context, children: &Children, prepared: Prepared) -> Result<Applied, Error> {
    // No `..`: a new object cannot be forgotten here.
    let Prepared { account, role, binding, lease, service, policy, budget, deployment } = prepared;
    one::apply(context, &children.accounts, account).await.map_err(Error::Object)?;
    one::apply(context, &children.roles, role).await.map_err(Error::Object)?;
    one::apply(context, &children.bindings, binding).await.map_err(Error::Object)?;
    create_lease(context, lease).await?;
    one::apply(context, &children.services, service).await.map_err(Error::Object)?;
    one::apply(context, &children.policies, policy).await.map_err(Error::Object)?;
    one::apply(context, &children.budgets, budget).await.map_err(Error::Object)?;
    // Last: its pods start with everything they need.
    let deployment = one::apply(context, &children.deployments, deployment).await.map_err(Error::Object)?;
    Ok(Applied { deployment })
}

/// Made once; what it says is its holder's. Not watched, because it changes every few seconds.
async fn create_lease(context: &Context, lease: Lease) -> Result<(), Error> {
    let name = lease.name_any();
    let api = context.api::<Lease>(&lease.namespace().unwrap_or_default());
    let failed = |source| Error::Lease { name: name.clone(), source };
    if api.get_metadata_opt(&name).await.map_err(failed)?.is_some() {
        return Ok(());
    }
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, &lease).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(Error::Lease { name, source }),
    }
}
