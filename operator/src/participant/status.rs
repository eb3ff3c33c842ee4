//! What a participant's status says: one pure function, one write, and only if it says something new.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use serde::Serialize;
use waybill_crds::condition::Status;
use waybill_crds::{CertificateStatus, ConditionType};

use super::{Identified, Kind};
use crate::context::Context;
use crate::report::{Report, Word, owned, tellings};
use crate::status::{self as one, Error, Patched};
use crate::written::Written;

/// The operator's conditions on a participant; others are its own service's.
const OWNED: &[ConditionType] = &[
    ConditionType::CertificatesIssued,
    ConditionType::WorkloadReady,
    ConditionType::Ready,
    ConditionType::Reconciling,
    ConditionType::Stalled,
];

/// The operator's part of a status.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Shown {
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub certificate: Option<CertificateStatus>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key_statement: Option<String>,
}

pub(crate) fn build<K: Kind>(
    object: &K,
    found: &K::Found,
    valid: &K::Valid,
    identity: &Identified,
    applied: &K::Applied,
    now: Timestamp,
) -> Shown {
    let before = object.shown();
    let issued = identity.word();
    let works = K::works(applied);
    let ready = match issued.is_yes() {
        true => object.ready(found, valid, works.as_ref()),
        false => issued.clone(),
    };
    let mut said = vec![(ConditionType::CertificatesIssued, issued)];
    said.extend(works.map(|word| (ConditionType::WorkloadReady, word)));
    said.extend(one::outlook(&ready).map(|type_| (type_, Word { status: Status::True, ..ready.clone() })));
    said.push((ConditionType::Ready, ready));
    let generation = object.meta().generation;
    Shown {
        observed_generation: generation,
        conditions: Report { generation, said }.conditions(&before.conditions, now),
        certificate: identity.certificate(before.certificate.as_ref()),
        key_statement: identity.key_statement(before.key_statement.as_ref()),
    }
}

/// Writes what is new and tells what turned.
pub(super) async fn update<K: Kind>(
    context: &Context,
    written: &Written,
    object: &K,
    wanted: Shown,
) -> Result<(), Error> {
    let before = object.shown();
    let before = Shown { conditions: owned(&before.conditions, OWNED), ..before };
    if before == wanted {
        return Ok(());
    }
    let patched = one::patch(context, &Patched::of(object), &wanted).await?;
    written.record::<K>(&patched);
    let watched = [ConditionType::CertificatesIssued, ConditionType::Ready];
    for telling in tellings(&object.object_ref(&()), &before.conditions, &wanted.conditions, &watched) {
        context.events.tell(telling);
    }
    Ok(())
}
