//! Sends what was built, or clears away what a former agent left; what is as it should be costs no request.

use k8s_openapi::api::apps::v1::Deployment;

use super::build::{Prepared, Transport};
use crate::apply::{self as one, Error};
use crate::cache::Children;
use crate::context::Context;

/// As the API server has it now.
pub(crate) struct Applied {
    /// None where no pod is wanted, or none could be made yet.
    pub deployment: Option<Deployment>,
    /// Whether the Carrier's agent is to run in a pod.
    pub in_pod: bool,
}

pub(super) async fn apply(context: &Context, children: &Children, prepared: Prepared) -> Result<Applied, Error> {
    match prepared {
        Prepared::Pod(transport) => {
            // No `..`: a new object cannot be forgotten here.
            let Transport { policy, deployment } = *transport;
            // The fence before what it is around.
            one::apply(context, &children.policies, policy).await?;
            let deployment = one::apply(context, &children.deployments, deployment).await?;
            Ok(Applied { deployment: Some(deployment), in_pod: true })
        }
        Prepared::Nothing { deployment, policy } => {
            one::remove(context, &children.deployments, &deployment).await?;
            one::remove(context, &children.policies, &policy).await?;
            Ok(Applied { deployment: None, in_pod: false })
        }
        Prepared::Wait { deployment } => {
            let present = children.deployments.get(&deployment).map(|present| Deployment::clone(&present));
            Ok(Applied { deployment: present, in_pod: true })
        }
    }
}
