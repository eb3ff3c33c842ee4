//! What a Carrier's status says: one pure function, one write, and only if it says something new.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use waybill_crds::condition::{self, Status};
use waybill_crds::{Carrier, CarrierStatus, ConditionType, Reason};

use super::Carriers;
use super::apply::Applied;
use super::dereference::Found;
use crate::participant::Identified;
use crate::report::{Report, Word, owned, tellings};
use crate::status::{self as one, Patched, works};
use crate::workload::{Progress, progress};

pub(crate) use crate::status::Error;

/// All conditions of a Carrier are the operator's.
const OWNED: &[ConditionType] = &[
    ConditionType::CertificatesIssued,
    ConditionType::WorkloadReady,
    ConditionType::Ready,
    ConditionType::Reconciling,
    ConditionType::Stalled,
];

pub(super) fn status(
    carrier: &Carrier,
    found: &Found,
    identity: &Identified,
    applied: &Applied,
    now: Timestamp,
) -> CarrierStatus {
    let observed = carrier.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let issued = identity.word();
    let works = workload(applied);
    let ready = ready(observed, found, &issued, works.as_ref());
    let mut said = vec![(ConditionType::CertificatesIssued, issued)];
    said.extend(works.map(|word| (ConditionType::WorkloadReady, word)));
    said.extend(one::outlook(&ready).map(|type_| (type_, Word { status: Status::True, ..ready.clone() })));
    said.push((ConditionType::Ready, ready));
    let report = Report { generation: carrier.metadata.generation, said };
    CarrierStatus {
        observed_generation: carrier.metadata.generation,
        conditions: report.conditions(observed, now),
        certificate: identity.certificate(carrier.status.as_ref().and_then(|status| status.certificate.as_ref())),
        key_statement: identity.key_statement(carrier.status.as_ref().and_then(|status| status.key_statement.as_ref())),
    }
}

/// Only agents in pods have one.
fn workload(applied: &Applied) -> Option<Word> {
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

/// The first thing in the way. Once Ready, an interruption of the Carrier API is not every Carrier's news.
fn ready(observed: &[Condition], found: &Found, issued: &Word, works: Option<&Word>) -> Word {
    if !issued.is_yes() {
        return issued.clone();
    }
    if let Some(works) = works.filter(|works| !works.is_yes()) {
        return works.clone();
    }
    let was_ready = condition::is_true(observed, ConditionType::Ready);
    if found.carrier_api != Some(Progress::Available) && !was_ready {
        return Word::no(Reason::Provisioning, "waiting for the Carrier API of this namespace");
    }
    let message = match works {
        Some(_) => "certificates are issued and its pod is available",
        None => "certificates are issued; its agent runs elsewhere",
    };
    Word::yes(Reason::Provisioned, message)
}

/// Writes what is new and tells what turned.
pub(super) async fn update(carriers: &Carriers, carrier: &Carrier, wanted: CarrierStatus) -> Result<(), Error> {
    let before = carrier.status.clone().unwrap_or_default();
    let before = CarrierStatus { conditions: owned(&before.conditions, OWNED), ..before };
    if before == wanted {
        return Ok(());
    }
    let patched = one::patch(&carriers.context, &Patched::of(carrier), &wanted).await?;
    carriers.written.record::<Carrier>(&patched);
    let watched = [ConditionType::CertificatesIssued, ConditionType::Ready];
    for telling in tellings(&carrier.object_ref(&()), &before.conditions, &wanted.conditions, &watched) {
        carriers.context.events.tell(telling);
    }
    Ok(())
}
