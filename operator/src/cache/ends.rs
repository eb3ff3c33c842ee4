//! When an end of a Delivery counts as provisioned. One function decides both what a Delivery is told and what wakes it.
//!
//! Not the end's `Ready`: that also tells of orders that cannot be read, or of a Carrier API that is not there yet. Those are the
//! end's own news; who can be reached with a current certificate is provisioned.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use waybill_crds::{Carrier, ConditionType, Seller, condition};

/// A Seller: certificates, and pods that are available.
pub(crate) fn seller_is_provisioned(seller: &Seller) -> bool {
    let conditions = seller.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    all(conditions, &[ConditionType::CertificatesIssued, ConditionType::WorkloadReady])
}

/// A Carrier: certificates, and its agent's pod where it has one.
pub(crate) fn carrier_is_provisioned(carrier: &Carrier) -> bool {
    let conditions = carrier.status.as_ref().map(|status| &status.conditions[..]).unwrap_or_default();
    let elsewhere = carrier.spec.transport.as_ref().is_some_and(|transport| transport.external.is_some());
    match elsewhere {
        true => all(conditions, &[ConditionType::CertificatesIssued]),
        false => all(conditions, &[ConditionType::CertificatesIssued, ConditionType::WorkloadReady]),
    }
}

fn all(conditions: &[Condition], types: &[ConditionType]) -> bool {
    types.iter().all(|type_| condition::is_true(conditions, *type_))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;
    use waybill_crds::Reason;
    use waybill_crds::carrier::{External, Transport};
    use waybill_crds::condition::{Status, Wanted, set};

    fn say(conditions: &mut Vec<Condition>, said: &[(ConditionType, bool)]) {
        for (type_, status) in said {
            let wanted = Wanted {
                type_: *type_,
                status: Status::from(*status),
                reason: Reason::Provisioned,
                message: "fixture".into(),
                observed_generation: Some(1),
            };
            set(conditions, wanted, fixtures::noon());
        }
    }

    #[test]
    fn orders_that_cannot_be_read_leave_a_seller_provisioned() {
        use ConditionType::{CertificatesIssued, OrdersAvailable, Ready, WorkloadReady};
        let rows: [(&[(ConditionType, bool)], bool); 4] = [
            (&[(CertificatesIssued, true), (WorkloadReady, true), (OrdersAvailable, false), (Ready, false)], true),
            (&[(CertificatesIssued, true), (WorkloadReady, false)], false),
            (&[(CertificatesIssued, false), (WorkloadReady, true)], false),
            (&[(Ready, true)], false),
        ];
        for (said, provisioned) in rows {
            let mut seller = fixtures::seller("acme", false);
            seller.status = Some(Default::default());
            say(&mut seller.status.as_mut().unwrap().conditions, said);
            assert_eq!(seller_is_provisioned(&seller), provisioned, "{said:?}");
        }
    }

    #[test]
    fn only_an_agent_in_a_pod_needs_its_pod() {
        use ConditionType::{CertificatesIssued, Ready, WorkloadReady};
        let mut van = fixtures::carrier("van", false);
        van.status = Some(Default::default());
        say(&mut van.status.as_mut().unwrap().conditions, &[(CertificatesIssued, true), (Ready, false)]);
        assert!(!carrier_is_provisioned(&van), "its pod is not there yet");
        let mut pod = van.clone();
        say(&mut pod.status.as_mut().unwrap().conditions, &[(WorkloadReady, true)]);
        assert!(carrier_is_provisioned(&pod), "although the Carrier API is still awaited");
        van.spec.transport = Some(Transport { managed: None, external: Some(External::default()) });
        assert!(carrier_is_provisioned(&van));
    }
}
