//! What is to be done about a Carrier, and its specification read once into what the builders need. Pure.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::ResourceExt;
use waybill_crds::carrier::Managed;
use waybill_crds::{Carrier, CarrierKind, annotation, label};

use super::dereference::Found;

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Verdict {
    /// Paused, or going away: hands off.
    Leave,
    /// Made for a Delivery that is gone.
    Unneeded,
    Serve(Box<Valid>),
}

/// A Carrier whose specification is understood.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Valid {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub owner: OwnerReference,
    pub kind: CarrierKind,
    pub camera: bool,
    pub agent: Agent,
}

/// Where its agent runs.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Agent {
    /// In a pod; asleep while the Carrier is suspended and nothing is under way.
    Pod {
        managed: Managed,
        awake: bool,
    },
    Elsewhere,
    /// Nowhere any more.
    Revoked,
}

pub(super) fn validate(carrier: &Carrier, found: &Found) -> Verdict {
    let paused = carrier.annotations().get(annotation::PAUSED).is_some_and(|value| value == "true");
    if paused || found.namespace_ends || carrier.metadata.deletion_timestamp.is_some() {
        return Verdict::Leave;
    }
    let made_by_us = carrier.labels().get(label::AUTO_CREATED).is_some_and(|value| value == "true");
    if made_by_us && !found.named {
        return Verdict::Unneeded;
    }
    let (Some(uid), Some(owner)) = (carrier.uid(), kube::Resource::controller_owner_ref(carrier, &())) else {
        // Only what the API server never stored has no uid.
        return Verdict::Leave;
    };
    Verdict::Serve(Box::new(Valid {
        namespace: carrier.namespace().unwrap_or_default(),
        name: carrier.name_any(),
        uid,
        owner,
        kind: carrier.spec.kind,
        camera: carrier.spec.camera,
        agent: agent(carrier, found),
    }))
}

fn agent(carrier: &Carrier, found: &Found) -> Agent {
    let transport = carrier.spec.transport.clone().unwrap_or_default();
    match (carrier.spec.revoked, transport.external) {
        (true, _) => Agent::Revoked,
        (false, Some(_)) => Agent::Elsewhere,
        (false, None) => Agent::Pod {
            managed: transport.managed.unwrap_or_default(),
            awake: !carrier.spec.suspended || found.under_way,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    const HERE: Found = Found { namespace_ends: false, named: true, under_way: false, carrier_api: None };

    fn agent_of(carrier: &Carrier, found: &Found) -> Agent {
        match validate(carrier, found) {
            Verdict::Serve(valid) => valid.agent,
            other => panic!("to be served, not {other:?}"),
        }
    }

    #[test]
    fn without_a_transport_the_agent_runs_in_a_pod() {
        let awake = Agent::Pod { managed: Managed::default(), awake: true };
        assert_eq!(agent_of(&fixtures::carrier("truck", false), &HERE), awake);
    }

    #[test]
    fn a_suspended_agent_sleeps_once_nothing_is_under_way() {
        let mut carrier = fixtures::carrier("truck", false);
        carrier.spec.suspended = true;
        let pod = |awake| Agent::Pod { managed: Managed::default(), awake };
        assert_eq!(agent_of(&carrier, &HERE), pod(false));
        assert_eq!(agent_of(&carrier, &Found { under_way: true, ..HERE }), pod(true));
    }

    #[test]
    fn a_revoked_carrier_has_no_agent_and_is_still_served_so_that_it_is_revoked() {
        let mut carrier = fixtures::carrier("truck", false);
        carrier.spec.revoked = true;
        assert_eq!(agent_of(&carrier, &HERE), Agent::Revoked);
    }

    #[test]
    fn paused_ending_or_unneeded_carriers_are_not_served() {
        let mut made = fixtures::carrier("truck", false);
        made.labels_mut().insert(label::AUTO_CREATED.into(), "true".into());
        let alone = Found { named: false, ..HERE };
        assert_eq!(validate(&made, &alone), Verdict::Unneeded);
        made.annotations_mut().insert(annotation::PAUSED.into(), "true".into());
        assert_eq!(validate(&made, &alone), Verdict::Leave);
        let going = Found { namespace_ends: true, ..HERE };
        assert_eq!(validate(&fixtures::carrier("truck", false), &going), Verdict::Leave);
    }
}
