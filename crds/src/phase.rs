//! The phases of a parcel and which follows which: the one table from which the schema's rules are made.
//!
//! The state machine in `services/protocol` decides from the signed log which phase a parcel is in; this table is the
//! fence around it that the API server keeps, whoever writes. A test holds the two together.

use std::collections::BTreeSet;
use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Where the parcel is in its life. `Pending` (nobody has accepted it), `Accepted` (a carrier's agent has agreed to carry
/// it), `PickedUp` (both sides signed the hand-over), `InTransit`, `OutForDelivery`, `AvailableForPickup` (the recipient
/// fetches it), `AttemptFailed`, `Rescheduled`, `OnHold` (it waits, a condition says for what), `Refused` (by the
/// recipient), `Damaged`, `ReturnToSender` (on its way back). Finished are `Delivered`, `Returned`, `Lost` and `Cancelled`.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    #[default]
    Pending,
    Accepted,
    PickedUp,
    InTransit,
    OutForDelivery,
    AvailableForPickup,
    Delivered,
    AttemptFailed,
    Rescheduled,
    OnHold,
    Refused,
    Damaged,
    Lost,
    ReturnToSender,
    Returned,
    Cancelled,
}

/// The part of the address that is open to the carrier now: `None` (no attempt runs), `Country`, `PostalCode` or `Door`.
/// A part is open once its release stands in the log; counted anew for every attempt.
#[derive(Serialize, Deserialize, JsonSchema, Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Stage {
    #[default]
    None,
    Country,
    PostalCode,
    Door,
}

/// Which phase directly follows which, as they are shown. What is not here is left only by a `Corrected` event.
#[rustfmt::skip]
pub const NEXT: &[(Phase, &[Phase])] = {
    use Phase::*;
    &[
        (Pending, &[Accepted, Cancelled]),
        (Accepted, &[PickedUp, OnHold, Lost, ReturnToSender, Cancelled]),
        (PickedUp, &[InTransit, Delivered, AttemptFailed, OnHold, Refused, Damaged, Lost, ReturnToSender]),
        (InTransit, &[OutForDelivery, AvailableForPickup, Delivered, AttemptFailed, OnHold, Refused, Damaged, Lost, ReturnToSender]),
        (OutForDelivery, &[InTransit, AvailableForPickup, Delivered, AttemptFailed, OnHold, Refused, Damaged, Lost, ReturnToSender]),
        (AvailableForPickup, &[Delivered, AttemptFailed, Rescheduled, OnHold, Refused, Damaged, Lost, ReturnToSender]),
        (AttemptFailed, &[AvailableForPickup, Delivered, Rescheduled, OnHold, Refused, Damaged, Lost, ReturnToSender]),
        (Rescheduled, &[Accepted, AvailableForPickup, Delivered, OnHold, Refused, Damaged, Lost, ReturnToSender, Cancelled]),
        (OnHold, &[
            Accepted, PickedUp, InTransit, OutForDelivery, AvailableForPickup, Delivered, AttemptFailed, Rescheduled, Refused,
            Damaged, Lost, ReturnToSender, Returned, Cancelled,
        ]),
        (Refused, &[Delivered, Rescheduled, OnHold, Damaged, Lost, ReturnToSender]),
        (Damaged, &[Delivered, Rescheduled, OnHold, Lost, ReturnToSender]),
        (ReturnToSender, &[Delivered, OnHold, Damaged, Lost, Returned]),
        (Delivered, &[]),
        (Returned, &[]),
        (Lost, &[]),
        (Cancelled, &[]),
    ]
};

/// How many events one write may append, hence how many steps it may take.
pub const MAX_NEW_EVENTS: usize = 8;

impl Phase {
    /// Every phase, in the order a parcel usually meets them.
    pub const ALL: [Self; 16] = [
        Self::Pending,
        Self::Accepted,
        Self::PickedUp,
        Self::InTransit,
        Self::OutForDelivery,
        Self::AvailableForPickup,
        Self::Delivered,
        Self::AttemptFailed,
        Self::Rescheduled,
        Self::OnHold,
        Self::Refused,
        Self::Damaged,
        Self::Lost,
        Self::ReturnToSender,
        Self::Returned,
        Self::Cancelled,
    ];
    /// The phases in which `spec.carrier` may change.
    pub const CARRIER_MAY_CHANGE: [Self; 4] = [Self::Pending, Self::OnHold, Self::AttemptFailed, Self::Rescheduled];

    /// As it stands in the custom resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "Pending",
            Self::Accepted => "Accepted",
            Self::PickedUp => "PickedUp",
            Self::InTransit => "InTransit",
            Self::OutForDelivery => "OutForDelivery",
            Self::AvailableForPickup => "AvailableForPickup",
            Self::Delivered => "Delivered",
            Self::AttemptFailed => "AttemptFailed",
            Self::Rescheduled => "Rescheduled",
            Self::OnHold => "OnHold",
            Self::Refused => "Refused",
            Self::Damaged => "Damaged",
            Self::Lost => "Lost",
            Self::ReturnToSender => "ReturnToSender",
            Self::Returned => "Returned",
            Self::Cancelled => "Cancelled",
        }
    }

    /// Whether the parcel's life is over; only a `Corrected` event reopens it.
    pub const fn terminal(self) -> bool {
        matches!(self, Self::Delivered | Self::Returned | Self::Lost | Self::Cancelled)
    }

    /// Whether the Delivery may be given to another carrier.
    pub fn may_change_carrier(self) -> bool {
        Self::CARRIER_MAY_CHANGE.contains(&self)
    }

    /// The phases that directly follow.
    pub fn next(self) -> &'static [Self] {
        NEXT.iter().find(|(from, _)| *from == self).map_or(&[], |(_, to)| to)
    }

    /// The phases reachable with the events of one write.
    pub fn reachable(self) -> BTreeSet<Self> {
        let mut reached = BTreeSet::new();
        let mut edge = BTreeSet::from([self]);
        for _ in 0..MAX_NEW_EVENTS {
            edge = edge.iter().flat_map(|from| from.next()).copied().filter(|to| reached.insert(*to)).collect();
        }
        reached
    }

    pub(crate) fn is_pending(&self) -> bool {
        *self == Self::Pending
    }
}

impl Stage {
    /// As it stands in the custom resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "None",
            Self::Country => "Country",
            Self::PostalCode => "PostalCode",
            Self::Door => "Door",
        }
    }

    pub(crate) fn is_none(&self) -> bool {
        *self == Self::None
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_one_row_and_reads_as_it_is_written() {
        let rows: BTreeSet<_> = NEXT.iter().map(|(from, _)| *from).collect();
        assert_eq!(NEXT.len(), Phase::ALL.len());
        assert_eq!(rows, Phase::ALL.into_iter().collect());
        for phase in Phase::ALL {
            assert_eq!(serde_json::to_value(phase).expect("a string"), phase.as_str());
        }
        for stage in [Stage::None, Stage::Country, Stage::PostalCode, Stage::Door] {
            assert_eq!(serde_json::to_value(stage).expect("a string"), stage.as_str());
        }
    }

    #[test]
    fn exactly_the_terminal_phases_lead_nowhere() {
        for phase in Phase::ALL {
            assert_eq!(phase.next().is_empty(), phase.terminal(), "{phase}");
            assert_eq!(phase.reachable().is_empty(), phase.terminal(), "{phase}");
        }
    }

    #[test]
    fn nothing_leads_back_to_pending_and_every_running_phase_can_end() {
        for phase in Phase::ALL.into_iter().filter(|phase| !phase.terminal()) {
            assert!(!phase.reachable().contains(&Phase::Pending), "{phase}");
            assert!(phase.reachable().contains(&Phase::Returned), "{phase}");
        }
    }

    #[test]
    fn a_parcel_that_was_picked_up_is_not_cancelled_directly() {
        let cancellable: Vec<_> = Phase::ALL.into_iter().filter(|p| p.next().contains(&Phase::Cancelled)).collect();
        // Rescheduled and OnHold may lie before or after the pick-up: the rules ask the log.
        assert_eq!(cancellable, [Phase::Pending, Phase::Accepted, Phase::Rescheduled, Phase::OnHold]);
    }
}
