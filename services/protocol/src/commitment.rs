//! Saying what an address is without saying it: a salted hash of each part stands in the log, the part and its salt go to the carrier.
//!
//! A salt depends on the part it is for, so two commitments tell nothing about each other, and it is made of a secret that is erased with
//! the order (its own random salt) or, where the order has none, of the seller's long-lived key and the whole order.

use hmac::{Hmac, KeyInit, Mac as _};
use minicbor::{Decode, Encode, Encoder};
use sha2::Sha256;

use crate::{
    fact::reason::Guarantee,
    id::{Hash, Mac, Uid},
    part::{Order, Part},
    phase::Stage,
};

/// What the three parts of an address are, without saying it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Commitments {
    #[n(0)]
    pub country: Hash,
    #[n(1)]
    pub postal_code: Hash,
    #[n(2)]
    pub door: Hash,
}

/// What makes one commitment hard to guess. Disclosed with its part.
pub type Salt = Mac;

/// The secret salts are made of.
#[derive(Clone, Copy)]
pub enum SaltKey<'k> {
    /// The order's own random salt, at least 16 bytes: erased with the order.
    Order(&'k [u8]),
    /// The seller's commit key, for orders that have no salt.
    Seller(&'k [u8; 32]),
}

impl Commitments {
    pub fn of(&self, stage: Stage) -> Hash {
        match stage {
            Stage::Country => self.country,
            Stage::PostalCode => self.postal_code,
            Stage::Door => self.door,
        }
    }

    /// The first part in which two addresses differ.
    pub fn first_difference(&self, other: &Self) -> Option<Stage> {
        Stage::ALL.into_iter().find(|stage| self.of(*stage) != other.of(*stage))
    }
}

impl SaltKey<'_> {
    /// The salt of one part of an order.
    pub fn salt(&self, delivery: &Uid, order: &Order, stage: Stage) -> Salt {
        let part = order.part(stage).encode();
        match self {
            Self::Order(salt) => {
                hmac(salt, "waybill.dev/salt", |e| e.str(delivery.as_str())?.encode(stage)?.bytes(&part)?.ok())
            }
            Self::Seller(key) => hmac(*key, "waybill.dev/salt-of-order", |e| {
                e.str(delivery.as_str())?.encode(stage)?.bytes(&part)?;
                Stage::ALL.into_iter().try_for_each(|each| e.bytes(&order.part(each).encode())?.ok())
            }),
        }
    }

    /// The commitments to a whole order.
    pub fn commit(&self, delivery: &Uid, order: &Order) -> Commitments {
        let of = |stage| commitment(delivery, &order.part(stage), &self.salt(delivery, order, stage));
        Commitments { country: of(Stage::Country), postal_code: of(Stage::PostalCode), door: of(Stage::Door) }
    }

    /// What erasing the order leaves behind.
    pub fn guarantee(&self) -> Guarantee {
        match self {
            Self::Order(_) => Guarantee::Full,
            Self::Seller(_) => Guarantee::WhileCommitKeyIsSafe,
        }
    }
}

/// The commitment to one part.
pub fn commitment(delivery: &Uid, part: &Part, salt: &Salt) -> Hash {
    let bytes = array("waybill.dev/commitment", |e| {
        e.str(delivery.as_str())?.encode(part.stage())?.bytes(&salt.0)?.bytes(&part.encode())?.ok()
    });
    Hash::of(&bytes)
}

/// The nonce of the seller's hello for an attempt: the same every time it is asked for, and nobody else's.
pub fn hello_nonce(commit_key: &[u8; 32], delivery: &Uid, attempt: u32) -> Mac {
    hmac(commit_key, "waybill.dev/hello", |e| e.str(delivery.as_str())?.u32(attempt)?.ok())
}

pub(crate) type Written = Result<(), minicbor::encode::Error<core::convert::Infallible>>;

/// HMAC-SHA-256 over a CBOR sequence that begins with what it is for.
pub(crate) fn hmac(key: &[u8], purpose: &str, body: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Mac {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes keys of any length");
    mac.update(&array(purpose, body));
    Mac(mac.finalize().into_bytes().into())
}

/// A CBOR sequence that begins with what it is for. Every item says its own length, so no two inputs look the same.
pub(crate) fn array(purpose: &str, body: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    encoder.str(purpose).and_then(body).expect("encoding into memory does not fail");
    encoder.into_writer()
}
