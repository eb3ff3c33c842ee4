//! The closed lists events are made of. A word is only ever appended; what no word says goes into a note, whose hash the event carries.

use minicbor::{Decode, Encode};

/// A text that is not in its closed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{text:?} is no {list}: it is one of {known}")]
pub struct NotListed {
    pub(crate) text: String,
    pub(crate) list: &'static str,
    pub(crate) known: String,
}

macro_rules! closed_list {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $number:literal $item:ident,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
        #[cbor(index_only)]
        pub enum $name {
            $($(#[$item_doc])* #[n($number)] $item,)+
        }

        impl $name {
            pub const ALL: &'static [Self] = &[$(Self::$item),+];

            /// In PascalCase, as it stands in events, conditions and the custom resource.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$item => stringify!($item)),+ }
            }
        }

        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(self.as_str())
            }
        }

        impl core::str::FromStr for $name {
            type Err = $crate::fact::reason::NotListed;

            /// Reads PascalCase and camelCase.
            fn from_str(text: &str) -> Result<Self, Self::Err> {
                let same = |known: &str| known.len() == text.len() && known.get(1..) == text.get(1..)
                    && known.as_bytes()[0].eq_ignore_ascii_case(&text.as_bytes()[0]);
                Self::ALL.iter().copied().find(|item| same(item.as_str())).ok_or_else(|| Self::Err {
                    text: text.to_owned(),
                    list: stringify!($name),
                    known: Self::ALL.iter().map(|item| item.as_str()).collect::<Vec<_>>().join(", "),
                })
            }
        }
    };
}
pub(crate) use closed_list;

closed_list! {
    /// The first axis of a failure: whose doing it is.
    Cause {
        0 Recipient,
        1 Seller,
        2 Carrier,
        3 ThirdParty,
        4 Nature,
        5 Unknown,
    }
}

closed_list! {
    /// The second axis of a failure: what happened.
    Happening {
        0 RecipientAbsent,
        1 RecipientUnknown,
        2 RecipientRefused,
        3 AddressIncomplete,
        4 AddressNotFound,
        5 NoAccess,
        6 IdentityNotProved,
        7 ParcelDamaged,
        8 ParcelLost,
        9 ParcelStolen,
        10 ParcelDoesNotFit,
        11 WrongParcel,
        12 VehicleBreakdown,
        13 OutOfTime,
        14 Unsafe,
        15 Weather,
        16 Customs,
        17 Other,
    }
}

closed_list! {
    /// Why a parcel waits.
    HoldReason {
        0 SellerRequest,
        1 RecipientRequest,
        2 CarrierRequest,
        /// The carrier's identity ended: what it signed beyond the hold's `seen` is void.
        3 CarrierRevoked,
        /// Another object stands under the carrier's name: as `CarrierRevoked`.
        4 CarrierReplaced,
        /// The carrier can no longer sign for itself: as `CarrierRevoked`.
        5 CarrierKeyLost,
        6 OrderMissing,
        7 AddressUnclear,
        8 Customs,
        9 Weather,
        10 Investigation,
        11 Other,
    }
}

impl Incident {
    /// Whether it says why no scan of the right label can be had. No other excuses one.
    pub const fn excuses_the_scan(self) -> bool {
        matches!(self, Self::LabelUnreadable | Self::LabelMismatch | Self::CameraBroken)
    }
}

impl HoldReason {
    /// Whether this hold ends the carrier's authority: only another carrier can go on.
    pub const fn cuts_carrier(self) -> bool {
        matches!(self, Self::CarrierRevoked | Self::CarrierReplaced | Self::CarrierKeyLost)
    }
}

closed_list! {
    /// Why a delivery is called off.
    CancelReason {
        0 RecipientRequest,
        1 SellerRequest,
        2 OutOfStock,
        3 AddressInvalid,
        4 Duplicate,
        5 Fraud,
        6 Other,
    }
}

closed_list! {
    /// Why a parcel is called back.
    ReturnReason {
        0 AttemptsExhausted,
        1 Refused,
        2 Damaged,
        3 NotCollected,
        4 AddressInvalid,
        5 SellerRequest,
        6 Other,
    }
}

closed_list! {
    /// Something on the way that is not an end.
    Incident {
        0 LabelUnreadable,
        1 LabelMismatch,
        2 CameraBroken,
        3 ParcelOpened,
        4 Accident,
        5 Theft,
        6 Delay,
        7 Other,
    }
}

closed_list! {
    /// Into whose hands, or where, the parcel went.
    DeliveredTo {
        0 Recipient,
        1 Household,
        2 Neighbour,
        3 Mailbox,
        4 SafePlace,
        5 PickupPoint,
    }
}

closed_list! {
    /// What a piece of evidence shows.
    EvidenceKind {
        0 Photo,
        1 Signature,
        2 Document,
    }
}

closed_list! {
    /// The form of a piece of evidence.
    Media {
        0 Jpeg,
        1 Png,
    }
}

closed_list! {
    /// What a named person may declare. It counts once the seller countersigns it.
    DeclaredFact {
        0 Delivered,
        1 AttemptFailed,
        2 Refused,
        3 Damaged,
        4 Lost,
        5 Found,
        6 GivenBack,
        7 Incident,
    }
}

closed_list! {
    /// What an agent has wiped.
    ErasedScope {
        /// The keys and address parts of one attempt.
        0 Attempt,
        /// Everything it held of this delivery but its own signed events.
        1 Delivery,
    }
}

closed_list! {
    /// How strong an erasure is.
    Guarantee {
        /// The salts were made from the order's own random salt, which is gone with it: nothing left can test a guess.
        0 Full,
        /// The salts were made from the seller's long-lived key: whoever holds that key and guesses the whole order can test the guess.
        1 WhileCommitKeyIsSafe,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_reads_in_both_spellings_and_no_other() {
        assert_eq!("RecipientAbsent".parse(), Ok(Happening::RecipientAbsent));
        assert_eq!("recipientAbsent".parse(), Ok(Happening::RecipientAbsent));
        for text in ["", "recipientabsent", "RecipientAbsen", "ünknown", "Recipient Absent"] {
            assert!(text.parse::<Happening>().is_err(), "{text}");
        }
        for item in Happening::ALL {
            assert_eq!(item.as_str().parse(), Ok(*item));
        }
    }
}
