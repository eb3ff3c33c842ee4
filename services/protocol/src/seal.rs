//! Sealing: HPKE (RFC 9180) base mode with DHKEM(X25519, HKDF-SHA256), HKDF-SHA256 and ChaCha20-Poly1305, one message a context.
//!
//! What the broker sees of a message is its [`Frame`]: version, attempt, which of the receiver's keys it is for, the id of the event it is
//! about, and ciphertext. All of it, the delivery and the direction go into HPKE's `info`, so a frame opens nowhere but where it belongs.

use hpke::{
    Deserializable, OpModeR, OpModeS, Serializable, aead::ChaCha20Poly1305, kdf::HkdfSha256, kem::X25519HkdfSha256,
    rand_core::CryptoRng, setup_receiver, setup_sender_with_rng,
};
use minicbor::{Decode, Encode};

use crate::{
    codec::{self, WireError},
    commitment::array,
    id::{Bytes, EventId, Uid},
    key::{AgreementSecret, X25519Key},
    topic::Direction,
    version,
};

/// The largest frame that is sent or read. A broker must let at least this pass.
pub const MAX_FRAME: usize = 64 * 1024;
const WHAT: &str = "frame";

type Kem = X25519HkdfSha256;
type PublicKey = <Kem as hpke::Kem>::PublicKey;
type PrivateKey = <Kem as hpke::Kem>::PrivateKey;
type EncappedKey = <Kem as hpke::Kem>::EncappedKey;

/// Which of the receiver's keys a frame is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Encode, Decode)]
#[cbor(index_only)]
pub enum SealedTo {
    /// The key of the receiver's statement: first contact, everything to a seller, and news after an attempt.
    #[n(0)]
    Statement,
    /// The key of one attempt: everything that is to be unreadable once that key is erased.
    #[n(1)]
    Attempt,
}

/// What crosses the broker.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub struct Frame {
    #[n(0)]
    pub version: u16,
    #[n(1)]
    pub attempt: u32,
    #[n(2)]
    pub sealed_to: SealedTo,
    /// The event the message is about; zeroes if none.
    #[n(3)]
    pub about: EventId,
    /// HPKE's encapsulated key.
    #[n(4)]
    pub enc: X25519Key,
    #[n(5)]
    pub ciphertext: Bytes,
}

/// What a frame is bound to besides its own fields.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Binding<'a> {
    pub(crate) delivery: &'a Uid,
    pub(crate) direction: Direction,
    pub(crate) attempt: u32,
    pub(crate) sealed_to: SealedTo,
    pub(crate) about: EventId,
}

/// The ciphertext does not open with this key for this delivery, attempt, direction and event. Why not is nobody's business.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct DoesNotOpen;

impl Frame {
    /// Reads a frame and refuses every form but the canonical one. Low-order and bent keys are refused here.
    pub fn read(bytes: &[u8]) -> Result<Self, WireError> {
        if bytes.len() > MAX_FRAME {
            return Err(WireError::TooLarge { what: WHAT, size: bytes.len(), limit: MAX_FRAME });
        }
        codec::decode_versioned(WHAT, bytes)
    }

    pub(crate) fn seal(binding: Binding<'_>, to: &X25519Key, plaintext: &[u8], rng: &mut impl CryptoRng) -> Self {
        let (enc, ciphertext) = seal(&binding.info(version::CURRENT), to, plaintext, rng);
        let Binding { attempt, sealed_to, about, .. } = binding;
        Self { version: version::CURRENT, attempt, sealed_to, about, enc, ciphertext: Bytes(ciphertext) }
    }

    pub(crate) fn open(
        &self,
        delivery: &Uid,
        direction: Direction,
        own: &AgreementSecret,
    ) -> Result<Vec<u8>, DoesNotOpen> {
        let Self { attempt, sealed_to, about, .. } = *self;
        let info = Binding { delivery, direction, attempt, sealed_to, about }.info(self.version);
        open(&info, own, &self.enc, &self.ciphertext.0)
    }

    /// What goes to the broker.
    pub(crate) fn encode(&self) -> Vec<u8> {
        codec::encode(self)
    }
}

impl Binding<'_> {
    fn info(&self, version: u16) -> Vec<u8> {
        array("waybill.dev/seal", |e| {
            e.u16(version)?.str(self.delivery.as_str())?.u32(self.attempt)?.encode(self.direction)?;
            e.encode(self.sealed_to)?.bytes(&self.about.0)?.ok()
        })
    }
}

fn seal(info: &[u8], to: &X25519Key, plaintext: &[u8], rng: &mut impl CryptoRng) -> (X25519Key, Vec<u8>) {
    let to = PublicKey::from_bytes(to.as_bytes()).expect("an X25519 key has 32 bytes");
    // Encapsulation fails only for a shared secret of zero, which no X25519Key gives.
    let (enc, mut context) = setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeS::Base, &to, info, rng)
        .expect("an X25519Key is never of low order");
    let ciphertext = context.seal(plaintext, &[]).expect("the first message of a context has a nonce");
    let enc: [u8; 32] = enc.to_bytes().into();
    (X25519Key::from_bytes(&enc).expect("a multiple of the base point is never of low order"), ciphertext)
}

fn open(info: &[u8], own: &AgreementSecret, enc: &X25519Key, ciphertext: &[u8]) -> Result<Vec<u8>, DoesNotOpen> {
    let own = PrivateKey::from_bytes(&own.to_bytes()).map_err(|_| DoesNotOpen)?;
    let enc = EncappedKey::from_bytes(enc.as_bytes()).map_err(|_| DoesNotOpen)?;
    setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeR::Base, &own, &enc, info)
        .and_then(|mut context| context.open(ciphertext, &[]))
        .map_err(|_| DoesNotOpen)
}
