//! One Seller: its identity, its pods, the rights they use and no others. The steps are [`participant`](crate::participant)'s.

mod apply;
mod build;
mod validate;

#[cfg(test)]
mod tests;

use k8s_openapi::api::apps::v1::Deployment;
use waybill_crds::{ConditionType, Reason, Seller, SellerStatus, condition};

use crate::apply::Error;
use crate::args::Args;
use crate::cache::index::By;
use crate::cache::{Caches, Children};
use crate::context::Context;
use crate::identity;
use crate::participant::{Kind, Known, Shown};
use crate::report::Word;
use crate::status::works;
use crate::workload::progress;
use build::Prepared;
use validate::{Orders, Valid};

impl Kind for Seller {
    const NAME: &'static str = "seller";
    const BY: By = By::Seller;
    const FIELD: &'static str = "spec.seller";
    type Found = ();
    type Valid = Valid;
    /// None without a certificate.
    type Prepared = Option<Box<Prepared>>;
    type Applied = Option<Deployment>;

    fn dereference(&self, _: &Caches) {}

    fn validate(&self, known: Known, (): &(), settings: &Args) -> Valid {
        validate::validate(self, known, settings)
    }

    fn identity(&self) -> Option<identity::Participant> {
        identity::Participant::of_seller(self)
    }

    fn build(valid: &Valid, issued: bool, settings: &Args) -> Option<Box<Prepared>> {
        issued.then(|| Box::new(build::build(valid, settings)))
    }

    async fn apply(
        context: &Context,
        children: &Children,
        prepared: Option<Box<Prepared>>,
    ) -> Result<Option<Deployment>, Error> {
        match prepared {
            Some(prepared) => Box::pin(apply::apply(context, children, *prepared)).await.map(Some),
            None => Ok(None),
        }
    }

    fn works(applied: &Option<Deployment>) -> Option<Word> {
        applied.as_ref().map(|deployment| works(progress(deployment)))
    }

    /// One malformed order is reported, but does not stop the Seller's other parcels.
    fn ready(&self, (): &(), valid: &Valid, pods: Option<&Word>) -> Word {
        if let Orders::Refused { reason, message } = &valid.orders {
            return Word::no(*reason, message.clone());
        }
        match pods {
            Some(works) if works.is_yes() => {}
            Some(works) => return works.clone(),
            None => return Word::no(Reason::Provisioning, "its pods are being made"),
        }
        let observed = self.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
        let stopping = [Reason::OrdersMissing, Reason::OrdersUnreachable, Reason::OrdersUrlForbidden];
        let orders = condition::find(observed, ConditionType::OrdersAvailable).filter(|c| c.status == "False");
        match orders.and_then(|c| Some((stopping.iter().find(|reason| reason.as_str() == c.reason)?, c))) {
            Some((reason, orders)) => Word::no(*reason, orders.message.clone()),
            None => Word::yes(Reason::Provisioned, "certificates are issued and its pods are available"),
        }
    }

    fn shown(&self) -> Shown {
        let status = self.status.clone().unwrap_or_default();
        let SellerStatus { observed_generation, conditions, certificate, key_statement } = status;
        Shown { observed_generation, conditions, certificate, key_statement }
    }
}
