//! The address in its three parts. The only personal data of the protocol: it travels sealed and is never printed.

use core::fmt;

use minicbor::{Decode, Encode};

use crate::{
    codec::{self, WireError},
    phase::Stage,
};

/// The most bytes one field of an address may have: a long name or a line of directions in any script fits.
pub const MAX_FIELD: usize = 4096;
const WHAT: &str = "address part";

/// An order's address, as the seller knows it.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Order {
    pub country: String,
    pub province: String,
    pub city: String,
    pub postal_code: String,
    pub client_name: String,
    pub door_number: String,
    pub phone_number: String,
}

/// One part of it, as it is disclosed.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub enum Part {
    /// Where in the world.
    #[n(0)]
    Country {
        #[n(0)]
        country: String,
        #[n(1)]
        province: String,
        #[n(2)]
        city: String,
    },
    /// Which neighbourhood.
    #[n(1)]
    PostalCode {
        #[n(0)]
        postal_code: String,
    },
    /// Whose door.
    #[n(2)]
    Door {
        #[n(0)]
        client_name: String,
        #[n(1)]
        door_number: String,
        #[n(2)]
        phone_number: String,
    },
}

/// A field that no part can carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the order's {field} has {size} bytes, at most {MAX_FIELD} can be sent")]
pub struct FieldTooLong {
    pub field: &'static str,
    pub size: usize,
}

impl Order {
    pub fn part(&self, stage: Stage) -> Part {
        let own = String::clone;
        match stage {
            Stage::Country => {
                Part::Country { country: own(&self.country), province: own(&self.province), city: own(&self.city) }
            }
            Stage::PostalCode => Part::PostalCode { postal_code: own(&self.postal_code) },
            Stage::Door => Part::Door {
                client_name: own(&self.client_name),
                door_number: own(&self.door_number),
                phone_number: own(&self.phone_number),
            },
        }
    }

    /// Whether every part can be sent: checked before anything is promised.
    pub fn check(&self) -> Result<(), FieldTooLong> {
        Stage::ALL.into_iter().try_for_each(|stage| self.part(stage).check())
    }
}

impl Part {
    pub fn stage(&self) -> Stage {
        match self {
            Self::Country { .. } => Stage::Country,
            Self::PostalCode { .. } => Stage::PostalCode,
            Self::Door { .. } => Stage::Door,
        }
    }

    /// Whether it can be sent.
    pub fn check(&self) -> Result<(), FieldTooLong> {
        match self.fields().into_iter().find(|(_, text)| text.len() > MAX_FIELD) {
            Some((field, text)) => Err(FieldTooLong { field, size: text.len() }),
            None => Ok(()),
        }
    }

    /// The bytes that are committed to and sent.
    pub fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }

    /// Reads what [`Part::encode`] wrote, and nothing else.
    pub fn decode(bytes: &[u8]) -> Result<Self, WireError> {
        let part: Self = codec::decode(WHAT, bytes)?;
        match part.check() {
            Ok(()) => Ok(part),
            Err(error) => Err(WireError::TooLarge { what: WHAT, size: error.size, limit: MAX_FIELD }),
        }
    }

    fn fields(&self) -> Vec<(&'static str, &str)> {
        match self {
            Self::Country { country, province, city } => {
                vec![("country", country), ("province", province), ("city", city)]
            }
            Self::PostalCode { postal_code } => vec![("postal code", postal_code)],
            Self::Door { client_name, door_number, phone_number } => {
                vec![("client name", client_name), ("door number", door_number), ("phone number", phone_number)]
            }
        }
    }
}

impl fmt::Debug for Order {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Order(..)")
    }
}

impl fmt::Debug for Part {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Part::{}(..)", self.stage())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_part_of_an_address_is_ever_printed() {
        let order = Order { client_name: "MARKER".into(), city: "MARKER".into(), ..Order::default() };
        for stage in Stage::ALL {
            assert!(!format!("{:?}{:?}", order, order.part(stage)).contains("MARKER"));
        }
    }

    #[test]
    fn d_70_four_kib_in_any_script_are_a_field_and_one_byte_more_is_named() {
        let long = "ß".repeat(MAX_FIELD / 2);
        let order = Order { client_name: long.clone(), ..Order::default() };
        assert_eq!(order.check(), Ok(()));
        let part = order.part(Stage::Door);
        assert_eq!(Part::decode(&part.encode()), Ok(part));

        let order = Order { client_name: long + "!", ..Order::default() };
        assert_eq!(order.check(), Err(FieldTooLong { field: "client name", size: MAX_FIELD + 1 }));
        assert!(Part::decode(&order.part(Stage::Door).encode()).is_err());
    }
}
