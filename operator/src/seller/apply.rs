//! Sends what was built, in the order in which each thing needs the one before it; what is as it should be costs no request.

use k8s_openapi::api::apps::v1::Deployment;

use super::build::Prepared;
use crate::apply::{self as one, Error};
use crate::cache::Children;
use crate::context::Context;

pub(super) async fn apply(context: &Context, children: &Children, prepared: Prepared) -> Result<Deployment, Error> {
    // No `..`: a new object cannot be forgotten here.
    let Prepared { account, role, binding, lease, notices, service, policy, budget, deployment } = prepared;
    one::apply(context, &children.accounts, account).await?;
    one::apply(context, &children.roles, role).await?;
    one::apply(context, &children.bindings, binding).await?;
    // Made once; what it says is its holder's. Not watched, because it changes every few seconds.
    one::create_once(context, &lease).await?;
    if let Some(notices) = &notices {
        one::create_once(context, notices).await?;
    }
    one::apply(context, &children.services, service).await?;
    one::apply(context, &children.policies, policy).await?;
    one::apply(context, &children.budgets, budget).await?;
    // Last: its pods start with everything they need.
    one::apply(context, &children.deployments, deployment).await
}
