//! A Carrier's specification, read once into what the builders need. Pure.

use waybill_crds::carrier::Managed;
use waybill_crds::{Carrier, CarrierKind};

use super::dereference::Found;
use crate::participant::Known;

/// A Carrier whose specification is understood.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Valid {
    pub known: Known,
    pub kind: CarrierKind,
    pub camera: bool,
    pub agent: Agent,
}

/// Where its agent runs.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Agent {
    /// In a pod; asleep while the Carrier is suspended and nothing is under way.
    Pod {
        managed: Managed,
        awake: bool,
    },
    Elsewhere,
    /// Nowhere any more.
    Revoked,
}

pub(super) fn validate(carrier: &Carrier, known: Known, found: &Found) -> Valid {
    Valid { known, kind: carrier.spec.kind, camera: carrier.spec.camera, agent: agent(carrier, found) }
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

    const HERE: Found = Found { under_way: false, carrier_api: None };

    fn agent_of(carrier: &Carrier, found: &Found) -> Agent {
        validate(carrier, Known::of(carrier).expect("it is stored"), found).agent
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
}
