//! How an agent asks for what the operator has signed for it, when its own certificate no longer opens a door: signed with the key its
//! statement names, so an expired leaf is no dead end. The answer holds nothing secret; the request proves only that its sender is alive
//! and who it is.

use ed25519_dalek::SigningKey;
use minicbor::{Decode, Encode};

use crate::{
    codec::{self, WireError},
    cose::{self, Domain, Sign1},
    id::{Name, Uid, UnixMillis},
    key::Ed25519Key,
    signer::Signer,
    version,
};

/// The largest request that is read.
pub const MAX_RENEWAL: usize = 512;

/// Who asks, where, and when by its clock.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct RenewalRequest {
    #[n(0)]
    pub version: u16,
    /// The uid of the Carrier.
    #[n(1)]
    pub uid: Uid,
    /// Its namespace: no other Carrier API takes the request.
    #[n(2)]
    pub namespace: Name,
    #[n(3)]
    pub at: UnixMillis,
}

impl RenewalRequest {
    /// Signs a request of this participant.
    pub fn sign(signer: &Signer, at: UnixMillis) -> Vec<u8> {
        Self::by(signer.key(), signer.uid(), &signer.statement().namespace, at)
    }

    /// The same before the participant has any statement: `seed` as in [`Signer::new`].
    pub fn sign_first(seed: &[u8; 32], uid: &Uid, namespace: &Name, at: UnixMillis) -> Vec<u8> {
        Self::by(&SigningKey::from_bytes(seed), uid, namespace, at)
    }

    /// What a statement has to name for that seed.
    pub fn key_of(seed: &[u8; 32]) -> Ed25519Key {
        Ed25519Key::from(SigningKey::from_bytes(seed).verifying_key())
    }

    fn by(key: &SigningKey, uid: &Uid, namespace: &Name, at: UnixMillis) -> Vec<u8> {
        let request = Self { version: version::CURRENT, uid: uid.clone(), namespace: namespace.clone(), at };
        cose::sign_eddsa(Domain::Renewal, key, &codec::encode(&request))
    }

    /// Reads a request and verifies nothing but its form: its `uid` says with whose key to [`verify`](Self::verify) it.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        let what = Domain::Renewal.name();
        if bytes.len() > MAX_RENEWAL {
            return Err(WireError::TooLarge { what, size: bytes.len(), limit: MAX_RENEWAL });
        }
        codec::decode_versioned(what, Sign1::read_eddsa(Domain::Renewal, bytes)?.payload)
    }

    /// Whether these bytes are signed with that key, strictly.
    pub fn verify(bytes: &[u8], key: &Ed25519Key) -> Result<(), WireError> {
        Sign1::read_eddsa(Domain::Renewal, bytes)?.verify_eddsa(Domain::Renewal, key)
    }
}
