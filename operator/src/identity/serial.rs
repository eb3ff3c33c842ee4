//! Certificate serial numbers: 16 random bytes, positive, of constant length, so that text and DER forms compare alike.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// Its first byte lies in 0x40..=0x7f: the DER integer is then exactly 16 bytes and never negative. 126 bits stay random.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial([u8; 16]);

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("failed to read serial number: expected 32 hexadecimal digits, the first of them 4 to 7")]
pub struct ParseError;

impl Serial {
    pub(crate) fn from_entropy(mut bytes: [u8; 16]) -> Self {
        bytes[0] = (bytes[0] & 0x3f) | 0x40;
        Self(bytes)
    }

    /// The big-endian integer as a certificate carries it. Numbers of another length are not ours.
    pub(crate) fn from_der(bytes: &[u8]) -> Option<Self> {
        let bytes: [u8; 16] = bytes.try_into().ok()?;
        (0x40..=0x7f).contains(&bytes[0]).then_some(Self(bytes))
    }

    pub(crate) fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl fmt::Debug for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for Serial {
    type Err = ParseError;

    fn from_str(text: &str) -> Result<Self, ParseError> {
        hex::decode(text).ok().and_then(|bytes| Self::from_der(&bytes)).ok_or(ParseError)
    }
}

impl TryFrom<String> for Serial {
    type Error = ParseError;

    fn try_from(text: String) -> Result<Self, ParseError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.to_string()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_entropy_gives_a_positive_sixteen_byte_number_that_round_trips(bytes: [u8; 16]) {
            let serial = Serial::from_entropy(bytes);
            prop_assert!((0x40..=0x7f).contains(&serial.as_bytes()[0]));
            prop_assert_eq!(&serial.as_bytes()[1..], &bytes[1..]);
            prop_assert_eq!(serial.to_string().parse::<Serial>(), Ok(serial));
            prop_assert_eq!(serial.to_string().len(), 32);
        }
    }

    #[test]
    fn foreign_numbers_are_not_ours() {
        for text in ["", "00", "zz", "ff000000000000000000000000000000", "4000000000000000000000000000000000"] {
            assert_eq!(text.parse::<Serial>(), Err(ParseError), "{text}");
        }
    }
}
