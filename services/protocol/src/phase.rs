//! Where a parcel is in its life, and which part of the address is open: the two words the rest of Waybill shows.

use core::{fmt, str::FromStr};

use minicbor::{Decode, Encode};

/// Where the parcel is in its life. The names are those of the custom resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
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

/// A part of the address, from the coarse to the precise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum Stage {
    #[n(0)]
    Country,
    #[n(1)]
    PostalCode,
    #[n(2)]
    Door,
}

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

    /// Whether the parcel's life is over: facts may still be added, but only a correction changes the phase.
    pub const fn is_terminal(self) -> bool {
        matches!(self, Self::Delivered | Self::Returned | Self::Lost | Self::Cancelled)
    }
}

impl Stage {
    pub const ALL: [Self; 3] = [Self::Country, Self::PostalCode, Self::Door];

    /// As it stands in the custom resource.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Country => "Country",
            Self::PostalCode => "PostalCode",
            Self::Door => "Door",
        }
    }

    /// The part that is due once this one was posted.
    pub const fn next(self) -> Option<Self> {
        match self {
            Self::Country => Some(Self::PostalCode),
            Self::PostalCode => Some(Self::Door),
            Self::Door => None,
        }
    }

    /// The part before this one.
    pub const fn previous(self) -> Option<Self> {
        match self {
            Self::Country => None,
            Self::PostalCode => Some(Self::Country),
            Self::Door => Some(Self::PostalCode),
        }
    }
}

/// A text that names no phase or stage.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is no {1}")]
pub struct UnknownName(String, &'static str);

impl FromStr for Phase {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|phase| phase.as_str() == text);
        known.ok_or_else(|| UnknownName(text.to_owned(), "phase"))
    }
}

impl FromStr for Stage {
    type Err = UnknownName;

    fn from_str(text: &str) -> Result<Self, UnknownName> {
        let known = Self::ALL.into_iter().find(|stage| stage.as_str() == text);
        known.ok_or_else(|| UnknownName(text.to_owned(), "stage"))
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
