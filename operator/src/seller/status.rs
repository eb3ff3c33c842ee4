//! What a Seller's status says: one pure function, one write, and only if it says something new.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::Resource;
use waybill_crds::condition::{self, Status};
use waybill_crds::{ConditionType, Reason, Seller, SellerStatus};

use super::Sellers;
use super::apply::Applied;
use super::validate::{Orders, Valid};
use crate::participant::Identified;
use crate::report::{Report, Word, owned, tellings};
use crate::status::{self as one, Patched, works};
use crate::workload::progress;

pub(crate) use crate::status::Error;

/// The operator's conditions on a Seller; `OrdersAvailable` is its own service's.
const OWNED: &[ConditionType] = &[
    ConditionType::CertificatesIssued,
    ConditionType::WorkloadReady,
    ConditionType::Ready,
    ConditionType::Reconciling,
    ConditionType::Stalled,
];

pub(super) fn status(
    seller: &Seller,
    valid: &Valid,
    identity: &Identified,
    applied: Option<&Applied>,
    now: Timestamp,
) -> SellerStatus {
    let observed = seller.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let issued = identity.word();
    let works = applied.map(|applied| works(progress(&applied.deployment)));
    let ready = ready(observed, valid, &issued, works.as_ref());
    let mut said = vec![(ConditionType::CertificatesIssued, issued)];
    said.extend(works.map(|word| (ConditionType::WorkloadReady, word)));
    said.extend(one::outlook(&ready).map(|type_| (type_, Word { status: Status::True, ..ready.clone() })));
    said.push((ConditionType::Ready, ready));
    let report = Report { generation: seller.metadata.generation, said };
    SellerStatus {
        observed_generation: seller.metadata.generation,
        conditions: report.conditions(observed, now),
        certificate: identity.certificate(seller.status.as_ref().and_then(|status| status.certificate.as_ref())),
        key_statement: identity.key_statement(seller.status.as_ref().and_then(|status| status.key_statement.as_ref())),
    }
}

/// The first thing in the way. One malformed order is reported, but does not stop the Seller's other parcels.
fn ready(observed: &[Condition], valid: &Valid, issued: &Word, works: Option<&Word>) -> Word {
    if !issued.is_yes() {
        return issued.clone();
    }
    if let Orders::Refused { reason, message } = &valid.orders {
        return Word::no(*reason, message.clone());
    }
    match works {
        Some(works) if works.is_yes() => {}
        Some(works) => return works.clone(),
        None => return Word::no(Reason::Provisioning, "its pods are being made"),
    }
    let stopping = [Reason::OrdersMissing, Reason::OrdersUnreachable, Reason::OrdersUrlForbidden];
    let orders = condition::find(observed, ConditionType::OrdersAvailable).filter(|c| c.status == "False");
    match orders.and_then(|c| stopping.iter().find(|reason| reason.as_str() == c.reason).map(|reason| (*reason, c))) {
        Some((reason, orders)) => Word::no(reason, orders.message.clone()),
        None => Word::yes(Reason::Provisioned, "certificates are issued and its pods are available"),
    }
}

/// Writes what is new and tells what turned.
pub(super) async fn update(sellers: &Sellers, seller: &Seller, wanted: SellerStatus) -> Result<(), Error> {
    let before = seller.status.clone().unwrap_or_default();
    let before = SellerStatus { conditions: owned(&before.conditions, OWNED), ..before };
    if before == wanted {
        return Ok(());
    }
    let patched = one::patch(&sellers.context, &Patched::of(seller), &wanted).await?;
    sellers.written.record::<Seller>(&patched);
    let watched = [ConditionType::CertificatesIssued, ConditionType::Ready];
    for telling in tellings(&seller.object_ref(&()), &before.conditions, &wanted.conditions, &watched) {
        sellers.context.events.tell(telling);
    }
    Ok(())
}
