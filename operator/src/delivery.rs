//! One Delivery: admitted or not and why, topics, whether both ends are there. What happens to the parcel is none of the operator's
//! business: it never touches the log, and deliveries go on without it.
//!
//! A Delivery whose ends are ready costs one write, and none once that is done.

mod apply;
mod build;
mod decide;
mod dereference;
mod status;

#[cfg(test)]
mod decide_tests;

use std::sync::Arc;

use jiff::Timestamp;
use kube::runtime::controller::Action;
use waybill_crds::DeliveryView;

use crate::cache::Caches;
use crate::context::Context;
use crate::controller::{AFTER_RACE, Reconciler};
use crate::forgotten::Forgotten;
use crate::written::Written;
use decide::Verdict;

/// Why a Delivery could not be reconciled.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to look up what it names")]
    Dereference(#[source] dereference::Error),
    #[error("failed to do what it asks for")]
    Apply(#[source] apply::Error),
    #[error("failed to write its status")]
    Status(#[source] status::Error),
}

/// What the steps share.
pub(crate) struct Deliveries {
    pub context: Context,
    pub caches: Caches,
    pub written: Written,
    /// Whose order is forgotten.
    pub forgotten: Forgotten,
}

impl Reconciler for Deliveries {
    type Object = DeliveryView;
    type Error = Error;
    const NAME: &'static str = "delivery";

    async fn reconcile(self: Arc<Self>, delivery: Arc<DeliveryView>) -> Result<Action, Error> {
        if self.written.is_ahead_of(&*delivery) {
            return Ok(Action::await_change());
        }
        let _busy = self.written.begin(&*delivery);
        let facts = dereference::dereference(&self, &delivery).await.map_err(Error::Dereference)?;
        let now = Timestamp::now();
        let decision = match decide::decide(&delivery, &facts, now) {
            Verdict::Leave => return Ok(Action::await_change()),
            Verdict::Wait => return Ok(Action::requeue(AFTER_RACE)),
            Verdict::Decided(decision) => decision,
        };
        let wanted = build::build(&delivery, &decision, now);
        let applied = apply::apply(&self, &delivery, &decision, now).await.map_err(Error::Apply)?;
        if applied.still_there {
            status::update(&self, &delivery, wanted).await.map_err(Error::Status)?;
        }
        Ok(decision.look_again.map_or_else(Action::await_change, Action::requeue))
    }

    fn lost_race(error: &Error) -> bool {
        match error {
            Error::Dereference(_) => false,
            Error::Apply(source) => source.lost_race(),
            Error::Status(source) => source.lost_race(),
        }
    }
}
