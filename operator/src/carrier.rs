//! One Carrier: its identity, and for a managed one the pod its agent runs in. The Carrier API is not its own: see `carrier_api`.

mod apply;
mod build;
mod dereference;
mod status;
mod validate;

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use waybill_crds::Carrier;

use crate::cache::Caches;
use crate::context::Context;
use crate::controller::Reconciler;
use crate::participant;
use crate::unneeded;
use crate::written::Written;
use validate::Verdict;

/// Why a Carrier could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to see to its identity")]
    Identity(#[source] participant::Error),
    #[error("failed to write what belongs to it")]
    Apply(#[source] apply::Error),
    #[error("failed to write its status")]
    Status(#[source] status::Error),
    #[error("failed to remove it")]
    Unneeded(#[source] unneeded::Error),
}

/// What the steps share.
pub(crate) struct Carriers {
    pub context: Context,
    pub caches: Caches,
    pub written: Written,
}

impl Reconciler for Carriers {
    type Object = Carrier;
    type Error = Error;
    const NAME: &'static str = "carrier";

    async fn reconcile(self: Arc<Self>, carrier: Arc<Carrier>) -> Result<Action, Error> {
        if self.written.is_ahead_of(&*carrier) {
            return Ok(Action::await_change());
        }
        let found = dereference::dereference(&self.caches, &carrier);
        let valid = match validate::validate(&carrier, &found) {
            Verdict::Leave => return Ok(Action::await_change()),
            Verdict::Unneeded => {
                unneeded::remove(&self.context, &*carrier, unneeded::Named::Carrier).await.map_err(Error::Unneeded)?;
                return Ok(Action::await_change());
            }
            Verdict::Serve(valid) => *valid,
        };
        // A revoked Carrier is revoked in here, before anything else is done about it.
        let identity = participant::of_carrier(&self.context, &carrier).await.map_err(Error::Identity)?;
        let prepared = build::build(&valid, identity.issued(), &self.context.settings);
        let applied = apply::apply(&self.context, &self.caches.children, prepared).await.map_err(Error::Apply)?;
        let wanted = status::status(&carrier, &found, &identity, &applied, Timestamp::now());
        status::update(&self, &carrier, wanted).await.map_err(Error::Status)?;
        Ok(identity.look_again(Timestamp::now()))
    }

    fn lost_race(error: &Error) -> bool {
        match error {
            Error::Identity(source) => source.lost_race(),
            Error::Apply(_) => false,
            Error::Status(source) => source.lost_race(),
            Error::Unneeded(source) => source.lost_race(),
        }
    }
}

#[cfg(test)]
mod tests;
