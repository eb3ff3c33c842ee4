//! One Seller: its identity, its pods, the rights they use and no others, and what its status says about them.

mod apply;
mod build;
mod dereference;
mod status;
mod validate;

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use waybill_crds::Seller;

use crate::cache::Caches;
use crate::context::Context;
use crate::controller::Reconciler;
use crate::participant;
use crate::unneeded;
use crate::written::Written;
use validate::Verdict;

/// Why a Seller could not be reconciled.
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
pub(crate) struct Sellers {
    pub context: Context,
    pub caches: Caches,
    pub written: Written,
}

impl Reconciler for Sellers {
    type Object = Seller;
    type Error = Error;
    const NAME: &'static str = "seller";

    async fn reconcile(self: Arc<Self>, seller: Arc<Seller>) -> Result<Action, Error> {
        if self.written.is_ahead_of(&*seller) {
            return Ok(Action::await_change());
        }
        let found = dereference::dereference(&self.caches, &seller);
        let valid = match validate::validate(&seller, &found, &self.context.settings) {
            Verdict::Leave => return Ok(Action::await_change()),
            Verdict::Unneeded => {
                unneeded::remove(&self.context, &*seller, unneeded::Named::Seller).await.map_err(Error::Unneeded)?;
                return Ok(Action::await_change());
            }
            Verdict::Serve(valid) => *valid,
        };
        let identity = participant::of_seller(&self.context, &seller).await.map_err(Error::Identity)?;
        let applied = match identity.issued() {
            true => {
                let prepared = build::build(&valid, &self.context.settings);
                Some(apply::apply(&self.context, &self.caches.children, prepared).await.map_err(Error::Apply)?)
            }
            false => None,
        };
        let wanted = status::status(&seller, &valid, &identity, applied.as_ref(), Timestamp::now());
        status::update(&self, &seller, wanted).await.map_err(Error::Status)?;
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
