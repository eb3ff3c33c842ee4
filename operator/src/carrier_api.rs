//! The one Carrier API of a namespace: there from its first Carrier to its last, reconciled under the namespace.
//!
//! Nobody may be left to clean up by hand, in whatever order operator, Carriers and namespace go, and nothing may wait for the
//! operator to go. So there is no finalizer: the ServiceAccount is owned by Carriers, everything else by the ServiceAccount, and the
//! garbage collector does the rest even with the operator gone. At most [`OWNERS`] of the Carriers are owners, the oldest ones: ten
//! thousand references would not fit into an object. While the operator runs it names others before the last of those is gone.

mod apply;
mod build;
mod dereference;
mod photos;
mod reviews;
mod validate;

use std::sync::Arc;

use jiff::Timestamp;
use kube::ResourceExt;
use kube::runtime::controller::Action;
use kube::runtime::reflector::ObjectRef;
use waybill_crds::{ConditionType, condition};

use crate::cache::{Caches, NamespaceMeta, Queues};
use crate::context::Context;
use crate::controller::Reconciler;
use crate::participant;
use crate::workload::{Progress, progress};
use validate::Verdict;

/// Name of every object of it.
pub(crate) const NAME: &str = "waybill-carrier-api";
/// Where it is served.
pub(crate) const PORT: i32 = 5001;
/// How many Carriers own it at most.
const OWNERS: usize = 16;

/// Where agents inside the cluster find it.
pub(crate) fn url(namespace: &str) -> String {
    format!("https://{NAME}.{namespace}.svc:{PORT}")
}

/// Why a namespace's Carrier API could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to see to its identity")]
    Identity(#[source] participant::IdentityError),
    #[error("failed to write what belongs to it")]
    Apply(#[source] apply::Error),
    #[error("failed to let its account ask for reviews")]
    Reviews(#[source] reviews::Error),
}

/// What the steps share.
pub(crate) struct CarrierApis {
    pub context: Context,
    pub caches: Caches,
    pub queues: Queues,
}

impl Reconciler for CarrierApis {
    type Object = NamespaceMeta;
    type Error = Error;
    const NAME: &'static str = "carrier-api";

    async fn reconcile(self: Arc<Self>, namespace: Arc<NamespaceMeta>) -> Result<Action, Error> {
        let name = namespace.name_any();
        let found = dereference::dereference(&self.caches, &namespace);
        let valid = match validate::validate(&name, found) {
            Verdict::Leave => return Ok(Action::await_change()),
            Verdict::Remove => {
                if apply::is_empty(&self.context, &name).await.map_err(Error::Apply)? {
                    // Its identity first: the account is what shows that there is still something to remove.
                    participant::remove_carrier_api(&self.context, &name).await.map_err(Error::Identity)?;
                    apply::remove(&self.context, &self.caches.children, &name).await.map_err(Error::Apply)?;
                }
                return Ok(Action::await_change());
            }
            Verdict::Serve(valid) => valid,
        };
        let anchor =
            apply::anchor(&self.context, &self.caches.children, build::anchor(&valid)).await.map_err(Error::Apply)?;
        reviews::permit(&self.context, &namespace).await.map_err(Error::Reviews)?;
        let made =
            participant::of_carrier_api(&self.context, &self.caches.secrets, &name).await.map_err(Error::Identity)?;
        if !made.identity.issued() {
            tracing::warn!(namespace = %name, why = made.identity.word().message, "the Carrier API has no certificate");
            return Ok(made.identity.look_again(Timestamp::now()));
        }
        let prepared = build::build(&valid, &anchor, &made.uid, &self.context.settings);
        let applied =
            Box::pin(apply::apply(&self.context, &self.caches, prepared, &anchor)).await.map_err(Error::Apply)?;
        if progress(&applied.deployment) == Progress::Available {
            self.wake_waiting(&name);
        }
        Ok(made.identity.look_again(Timestamp::now()))
    }

    fn lost_race(error: &Error) -> bool {
        match error {
            Error::Identity(source) => source.lost_race(),
            Error::Apply(_) | Error::Reviews(_) => false,
        }
    }
}

impl CarrierApis {
    /// Carriers that lacked nothing but the Carrier API.
    fn wake_waiting(&self, namespace: &str) {
        let waiting = self.caches.carriers.state_filter(|carrier| {
            let conditions = carrier.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
            carrier.metadata.namespace.as_deref() == Some(namespace)
                && condition::is_true(conditions, ConditionType::CertificatesIssued)
                && !condition::is_true(conditions, ConditionType::Ready)
        });
        for carrier in waiting {
            self.queues.carriers.push(ObjectRef::from_obj(&*carrier));
        }
    }
}

#[cfg(test)]
mod tests;
