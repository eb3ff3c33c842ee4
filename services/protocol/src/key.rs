//! Public keys as they stand in statements, and the agreement keys messages are sealed to. A key that could make a signature or a shared
//! secret mean nothing (small order, not canonical) never becomes a value of these types.

use core::fmt;

use ed25519_dalek::VerifyingKey;
use minicbor::{Decode, Decoder, Encode, Encoder, decode, encode};
use x25519_dalek::{PublicKey, StaticSecret};

/// Why 32 bytes are not a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    #[error("the bytes are not a canonical point of the curve")]
    NotAPoint,
    #[error("the key has small order: anyone could sign or agree for it")]
    SmallOrder,
}

/// A public key that verifies signatures.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Ed25519Key(VerifyingKey);

impl Ed25519Key {
    /// Refuses small-order points and encodings that are not canonical.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        let key = VerifyingKey::from_bytes(bytes).map_err(|_| KeyError::NotAPoint)?;
        if key.to_edwards().compress().as_bytes() != bytes {
            return Err(KeyError::NotAPoint);
        }
        if key.is_weak() {
            return Err(KeyError::SmallOrder);
        }
        Ok(Self(key))
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        self.0.as_bytes()
    }

    pub(crate) fn as_dalek(&self) -> &VerifyingKey {
        &self.0
    }
}

impl From<VerifyingKey> for Ed25519Key {
    /// The key of a signing key we hold: never weak.
    fn from(key: VerifyingKey) -> Self {
        Self(key)
    }
}

/// A public key that messages are sealed to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct X25519Key([u8; 32]);

impl X25519Key {
    /// Refuses the low-order points, with which every shared secret is zero, and every second way to write a point.
    pub fn from_bytes(bytes: &[u8; 32]) -> Result<Self, KeyError> {
        if !is_below_p(bytes) {
            return Err(KeyError::NotAPoint);
        }
        if LOW_ORDER.contains(bytes) { Err(KeyError::SmallOrder) } else { Ok(Self(*bytes)) }
    }

    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

/// The points of low order of Curve25519 and its twist, in their one canonical spelling.
const LOW_ORDER: [[u8; 32]; 5] = [
    [0; 32],
    [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    [
        0xe0, 0xeb, 0x7a, 0x7c, 0x3b, 0x41, 0xb8, 0xae, 0x16, 0x56, 0xe3, 0xfa, 0xf1, 0x9f, 0xc4, 0x6a, 0xda, 0x09,
        0x8d, 0xeb, 0x9c, 0x32, 0xb1, 0xfd, 0x86, 0x62, 0x05, 0x16, 0x5f, 0x49, 0xb8, 0x00,
    ],
    [
        0x5f, 0x9c, 0x95, 0xbc, 0xa3, 0x50, 0x8c, 0x24, 0xb1, 0xd0, 0xb1, 0x55, 0x9c, 0x83, 0xef, 0x5b, 0x04, 0x44,
        0x5c, 0xc4, 0x58, 0x1c, 0x8e, 0x86, 0xd8, 0x22, 0x4e, 0xdd, 0xd0, 0x9f, 0x11, 0x57,
    ],
    [
        0xec, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x7f,
    ],
];

/// Whether a little-endian number is below 2^255 - 19: X25519 itself would take it modulo that, and ignore the top bit.
fn is_below_p(bytes: &[u8; 32]) -> bool {
    let is_p_or_more = bytes[31] == 0x7f && bytes[1..31].iter().all(|byte| *byte == 0xff) && bytes[0] >= 0xed;
    bytes[31] <= 0x7f && !is_p_or_more
}

/// The secret of an agreement key: a participant's own, or the one of a single attempt. Wiped when dropped, never printed.
#[derive(Clone)]
pub struct AgreementSecret(StaticSecret);

impl AgreementSecret {
    /// From 32 random bytes, or from 32 bytes kept earlier.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(StaticSecret::from(bytes))
    }

    pub fn public(&self) -> X25519Key {
        X25519Key(PublicKey::from(&self.0).to_bytes())
    }

    /// What a journal keeps of it.
    pub fn to_bytes(&self) -> [u8; 32] {
        self.0.to_bytes()
    }

    /// The shared secret with `other`. Never zero: [`X25519Key`] holds no low-order point.
    pub(crate) fn agree(&self, other: &X25519Key) -> x25519_dalek::SharedSecret {
        self.0.diffie_hellman(&PublicKey::from(other.0))
    }
}

impl fmt::Debug for AgreementSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AgreementSecret(..)")
    }
}

impl fmt::Debug for Ed25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Ed25519Key({})", crate::id::Hex(self.as_bytes()))
    }
}

impl fmt::Debug for X25519Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "X25519Key({})", crate::id::Hex(self.as_bytes()))
    }
}

macro_rules! as_cbor_bytes {
    ($($name:ty),*) => {$(
        impl<C> Encode<C> for $name {
            fn encode<W: encode::Write>(&self, e: &mut Encoder<W>, _: &mut C) -> Result<(), encode::Error<W::Error>> {
                e.bytes(self.as_bytes())?.ok()
            }
        }
        impl<'b, C> Decode<'b, C> for $name {
            fn decode(d: &mut Decoder<'b>, _: &mut C) -> Result<Self, decode::Error> {
                let at = d.position();
                let bytes = <[u8; 32]>::try_from(d.bytes()?).map_err(|_| decode::Error::message("a key has 32 bytes").at(at))?;
                Self::from_bytes(&bytes).map_err(|error| decode::Error::message(error).at(at))
            }
        }
    )*};
}

as_cbor_bytes!(Ed25519Key, X25519Key);

#[cfg(test)]
mod tests {
    use super::*;

    /// The list of cr.yp.to/ecdh.html: all low-order points of Curve25519 and its twist, and their other spellings.
    const LISTED: [&str; 12] = [
        "0000000000000000000000000000000000000000000000000000000000000000",
        "0100000000000000000000000000000000000000000000000000000000000000",
        "e0eb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b800",
        "5f9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f1157",
        "ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
        "cdeb7a7c3b41b8ae1656e3faf19fc46ada098deb9c32b1fd866205165f49b880",
        "4c9c95bca3508c24b1d0b1559c83ef5b04445cc4581c8e86d8224eddd09f11d7",
        "d9ffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "daffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
        "dbffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
    ];

    #[test]
    fn no_low_order_point_becomes_an_agreement_key() {
        for point in LISTED {
            let bytes: [u8; 32] = hex::decode(point).unwrap().try_into().unwrap();
            assert!(X25519Key::from_bytes(&bytes).is_err(), "{point}");
            let mut top_bit = bytes;
            top_bit[31] |= 0x80;
            assert!(X25519Key::from_bytes(&top_bit).is_err(), "{point} with the top bit set");
        }
        // The five of our list are low-order points indeed: every scalar, a multiple of eight, takes them to zero.
        for point in LOW_ORDER {
            let probe = StaticSecret::from([1; 32]).diffie_hellman(&PublicKey::from(point));
            assert!(!probe.was_contributory(), "{point:02x?}");
        }
        let honest = AgreementSecret::from_bytes([7; 32]).public();
        assert_eq!(X25519Key::from_bytes(honest.as_bytes()), Ok(honest));
    }

    #[test]
    fn no_small_order_or_bent_point_becomes_a_signature_key() {
        let mut identity = [0; 32];
        identity[0] = 1;
        assert_eq!(Ed25519Key::from_bytes(&identity), Err(KeyError::SmallOrder));
        // y = 2^255 - 18 is 1 again, written with a y beyond the field.
        let mut bent = [0xff; 32];
        bent[0] = 0xee;
        bent[31] = 0x7f;
        assert_eq!(Ed25519Key::from_bytes(&bent), Err(KeyError::NotAPoint));
    }

    #[test]
    fn a_secret_is_never_printed() {
        assert_eq!(format!("{:?}", AgreementSecret::from_bytes([0xab; 32])), "AgreementSecret(..)");
    }
}
