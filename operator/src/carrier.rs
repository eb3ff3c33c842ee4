//! One Carrier: its identity, and for a managed one the pod its agent runs in. The steps are [`participant`](crate::participant)'s;
//! the Carrier API is not its own: see `carrier_api`.

mod apply;
mod build;
mod dereference;
mod validate;

#[cfg(test)]
mod tests;

use waybill_crds::{Carrier, CarrierStatus, ConditionType, Reason, condition};

use crate::apply::Error;
use crate::args::Args;
use crate::cache::index::By;
use crate::cache::{Caches, Children};
use crate::context::Context;
use crate::identity;
use crate::participant::{Kind, Known, Shown};
use crate::report::Word;
use crate::status::works;
use crate::workload::{Progress, progress};
use apply::Applied;
use build::Prepared;
use dereference::Found;
use validate::Valid;

impl Kind for Carrier {
    const NAME: &'static str = "carrier";
    const BY: By = By::Carrier;
    const FIELD: &'static str = "spec.carrier";
    type Found = Found;
    type Valid = Valid;
    type Prepared = Prepared;
    type Applied = Applied;

    fn dereference(&self, caches: &Caches) -> Found {
        dereference::dereference(caches, self)
    }

    fn validate(&self, known: Known, found: &Found, _: &Args) -> Valid {
        validate::validate(self, known, found)
    }

    fn identity(&self) -> Option<identity::Participant> {
        identity::Participant::of_carrier(self)
    }

    fn build(valid: &Valid, issued: bool, settings: &Args) -> Prepared {
        build::build(valid, issued, settings)
    }

    async fn apply(context: &Context, children: &Children, prepared: Prepared) -> Result<Applied, Error> {
        apply::apply(context, children, prepared).await
    }

    /// Only agents in pods have one.
    fn works(applied: &Applied) -> Option<Word> {
        let deployment = applied.deployment.as_ref();
        match deployment {
            _ if !applied.in_pod => None,
            None => Some(Word::no(Reason::WorkloadProgressing, "its pod is made once it has a certificate")),
            Some(asleep) if asleep.spec.as_ref().is_some_and(|spec| spec.replicas == Some(0)) => {
                Some(Word::no(Reason::Suspended, "suspended, and nothing is under way: its pod is stopped"))
            }
            Some(deployment) => Some(works(progress(deployment))),
        }
    }

    /// Once Ready, an interruption of the Carrier API is not every Carrier's news.
    fn ready(&self, found: &Found, _: &Valid, pod: Option<&Word>) -> Word {
        if let Some(works) = pod.filter(|works| !works.is_yes()) {
            return works.clone();
        }
        let observed = self.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
        let was_ready = condition::is_true(observed, ConditionType::Ready);
        if found.carrier_api != Some(Progress::Available) && !was_ready {
            return Word::no(Reason::Provisioning, "waiting for the Carrier API of this namespace");
        }
        let message = match pod {
            Some(_) => "certificates are issued and its pod is available",
            None => "certificates are issued; its agent runs elsewhere",
        };
        Word::yes(Reason::Provisioned, message)
    }

    fn shown(&self) -> Shown {
        let status = self.status.clone().unwrap_or_default();
        let CarrierStatus { observed_generation, conditions, certificate, key_statement } = status;
        Shown { observed_generation, conditions, certificate, key_statement }
    }
}
