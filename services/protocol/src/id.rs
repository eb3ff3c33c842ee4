//! Names of things: objects, events, moments. All bounded and checked, so they are safe in a topic, a log line and a signature.

use core::{fmt, str::FromStr};

use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    #[error("a {what} has 1 to {limit} bytes, this has {size}")]
    Length { what: &'static str, size: usize, limit: usize },
    #[error("a {what} holds only {allowed}")]
    Character { what: &'static str, allowed: &'static str },
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $limit:literal, $allowed:literal, $check:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
                let text = text.into();
                if text.is_empty() || text.len() > $limit {
                    return Err(NameError::Length { what: $what, size: text.len(), limit: $limit });
                }
                let check: fn(char) -> bool = $check;
                if !text.chars().all(check) {
                    return Err(NameError::Character { what: $what, allowed: $allowed });
                }
                Ok(Self(text))
            }

            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;
            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::new(text)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.str(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                Self::new(d.str()?).map_err(|error| decode::Error::message(error).at(at))
            }
        }
    };
}

name! {
    /// The uid of an object: who someone is, even when a name is used again.
    Uid, "uid", 64, "letters, digits and '-'", |c| c.is_ascii_alphanumeric() || c == '-'
}

name! {
    /// The name of an object or a namespace, as Kubernetes has it.
    Name, "name", 63, "lower-case letters, digits, '-' and '.'",
    |c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-' || c == '.'
}

name! {
    /// What a parcel is called by its seller.
    Upc, "UPC", 128, "printable ASCII without spaces", |c| c.is_ascii_graphic()
}

macro_rules! fixed_bytes {
    ($(#[$doc:meta])* $name:ident, $len:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(pub [u8; $len]);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(&Hex(&self.0), f)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}..", Hex(&self.0[..6]))
            }
        }

        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(&self.0)?.ok()
            }
        }

        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                let bytes = d.bytes()?.try_into();
                bytes.map(Self).map_err(|_| decode::Error::message(concat!($len, " bytes expected")).at(at))
            }
        }
    };
}

fixed_bytes! {
    /// SHA-256 of something that was hashed on purpose: an event's Sig_structure, a photo, a note, a part of the address with its salt.
    Hash, 32
}

fixed_bytes! {
    /// HMAC-SHA-256 of something: a nonce only the seller can make, a proof that a label was read.
    Mac, 32
}

fixed_bytes! {
    /// The recipient's code. Worth nothing before the delivery but to be shown; shown in the log it proves the receipt.
    ReceiptCode, 16
}

/// The name of an event: SHA-256 of its Sig_structure.
pub type EventId = Hash;

impl Hash {
    /// Stands where a message is about no event in particular.
    pub const NONE: Self = Self([0; 32]);

    /// SHA-256 of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        Self(Sha256::digest(bytes).into())
    }
}

/// Bytes shown in hexadecimal.
pub(crate) struct Hex<'b>(pub(crate) &'b [u8]);

impl fmt::Display for Hex<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

/// A text of at most `MAX` bytes of UTF-8.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Text<const MAX: usize>(String);

impl<const MAX: usize> Text<MAX> {
    pub fn new(text: impl Into<String>) -> Result<Self, NameError> {
        let text = text.into();
        match text.len() {
            size if size > MAX => Err(NameError::Length { what: "text", size, limit: MAX }),
            _ => Ok(Self(text)),
        }
    }

    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl<const MAX: usize> fmt::Debug for Text<MAX> {
    /// Texts may be personal: only their length is shown.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Text({} bytes)", self.0.len())
    }
}

impl<C, const MAX: usize> Encode<C> for Text<MAX> {
    fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
        e.str(&self.0)?.ok()
    }
}

impl<'b, C, const MAX: usize> Decode<'b, C> for Text<MAX> {
    fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
        let at = d.position();
        Self::new(d.str()?).map_err(|error| decode::Error::message(error).at(at))
    }
}

/// Bytes that are carried and checked elsewhere.
#[derive(Clone, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct Bytes(#[cbor(n(0), with = "minicbor::bytes")] pub Vec<u8>);

impl fmt::Debug for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Bytes({})", self.0.len())
    }
}

/// A moment in milliseconds since 1970-01-01T00:00:00Z. Always handed in: this crate has no clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Encode, Decode)]
#[cbor(transparent)]
pub struct UnixMillis(#[n(0)] pub u64);

impl UnixMillis {
    pub const fn from_secs(secs: u64) -> Self {
        Self(secs.saturating_mul(1000))
    }

    pub const fn as_secs(self) -> u64 {
        self.0 / 1000
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uid_never_bends_a_topic() {
        for text in ["", "a/b", "+", "#", "$SYS", "a b", "ü", &"a".repeat(65)] {
            assert!(Uid::new(text).is_err(), "{text:?}");
        }
        assert_eq!(Uid::new("3f0c1d2e-0000-4000-8000-000000000001").unwrap().as_str().len(), 36);
    }

    #[test]
    fn a_hash_prints_whole_but_debugs_short() {
        assert_eq!(Hash::of(b"").to_string(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
        assert_eq!(format!("{:?}", Hash::of(b"")), "e3b0c44298fc..");
    }
}
