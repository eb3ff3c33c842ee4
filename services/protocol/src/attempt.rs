//! The secret of one attempt, known to the seller and to the agent that accepted it, and what it is for: the recipient checks the
//! courier at the door. When the agent erases its attempt key, the secret and all that was sealed to that key are gone with it.

use core::fmt;

use hkdf::Hkdf;
use minicbor::{Decode, Encode};
use sha2::Sha256;
use zeroize::Zeroizing;

use crate::{
    codec::{self, WireError},
    commitment::{array, hmac},
    cose::{self, Domain, Sign1},
    id::{Bytes, Uid},
    key::{AgreementSecret, Ed25519Key, X25519Key},
    label::same,
    signer::Signer,
    version,
};

/// The most bytes a challenge may have.
pub const MAX_CHALLENGE: usize = 32;

/// HKDF of what seller and agent agree on. Wiped when dropped, never printed.
pub struct AttemptSecret {
    delivery: Uid,
    attempt: u32,
    secret: Zeroizing<[u8; 32]>,
}

/// Six digits a person can type.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Digits([u8; 6]);

/// What a recipient asks the courier with: eight letters and digits, short enough to be typed. Its bytes are their ASCII, so the code on
/// the recipient's screen, what the courier types in and what crosses the broker are the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Challenge([u8; Challenge::LEN]);

/// What the agent shows as a code when both sides are online: its signature under the recipient's challenge.
#[derive(Debug, Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
struct CourierCheck {
    #[n(0)]
    version: u16,
    #[n(1)]
    delivery: Uid,
    #[n(2)]
    attempt: u32,
    #[n(3)]
    challenge: Bytes,
}

impl AttemptSecret {
    /// As the seller makes it: its statement's secret, the agent's attempt key.
    pub fn of_seller(own: &AgreementSecret, attempt_key: &X25519Key, delivery: &Uid, attempt: u32) -> Self {
        Self::derive(own, attempt_key, (&own.public(), attempt_key), delivery, attempt)
    }

    /// As the agent makes it: the attempt's secret, the key of the seller's statement.
    pub fn of_carrier(own: &AgreementSecret, seller_key: &X25519Key, delivery: &Uid, attempt: u32) -> Self {
        Self::derive(own, seller_key, (seller_key, &own.public()), delivery, attempt)
    }

    fn derive(
        own: &AgreementSecret,
        other: &X25519Key,
        (seller_key, attempt_key): (&X25519Key, &X25519Key),
        delivery: &Uid,
        attempt: u32,
    ) -> Self {
        let info = array("waybill.dev/attempt-secret", |e| {
            e.str(delivery.as_str())?.u32(attempt)?.bytes(seller_key.as_bytes())?.bytes(attempt_key.as_bytes())?.ok()
        });
        let mut secret = Zeroizing::new([0; 32]);
        Hkdf::<Sha256>::new(None, own.agree(other).as_bytes())
            .expand(&info, secret.as_mut())
            .expect("32 bytes are fewer than HKDF can give");
        Self { delivery: delivery.clone(), attempt, secret }
    }

    /// The answer to a challenge, for a courier who is offline: typed in by the recipient.
    pub fn digits(&self, challenge: &[u8]) -> Digits {
        let mac = hmac(self.secret.as_ref(), "waybill.dev/courier-digits", |e| {
            e.str(self.delivery.as_str())?.u32(self.attempt)?.bytes(challenge)?.ok()
        });
        let mut number = [0; 8];
        number.copy_from_slice(&mac.0[..8]);
        Digits::of(u64::from_be_bytes(number))
    }

    /// Whether these are the digits. The caller counts the tries and stops after a few.
    pub fn check(&self, challenge: &[u8], digits: &Digits) -> bool {
        same(&self.digits(challenge).0, &digits.0)
    }
}

impl fmt::Debug for AttemptSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("AttemptSecret(..)")
    }
}

impl Digits {
    fn of(mut number: u64) -> Self {
        let mut digits = [b'0'; 6];
        for digit in digits.iter_mut().rev() {
            *digit += u8::try_from(number % 10).expect("a remainder below ten");
            number /= 10;
        }
        Self(digits)
    }

    /// Reads six digits as a person types them: spaces and hyphens are passed over.
    pub fn parse(text: &str) -> Option<Self> {
        let digits: Vec<u8> = text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).collect();
        let digits: [u8; 6] = digits.try_into().ok()?;
        digits.iter().all(u8::is_ascii_digit).then_some(Self(digits))
    }

    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).expect("digits are ASCII")
    }
}

impl fmt::Display for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl fmt::Debug for Digits {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Digits(..)")
    }
}

impl Challenge {
    pub const LEN: usize = 8;
    /// Without I, L, O and U: nobody takes one of these for another.
    const LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";

    /// From bytes that nobody could guess.
    pub fn from_random(random: [u8; Self::LEN]) -> Self {
        Self(random.map(|byte| Self::LETTERS[usize::from(byte % 32)]))
    }

    /// Reads one as people type it: small letters, spaces and hyphens do no harm, and O, I and L are what they look like.
    pub fn parse(text: &str) -> Option<Self> {
        let typed =
            text.bytes().filter(|byte| !matches!(byte, b' ' | b'-')).map(|byte| match byte.to_ascii_uppercase() {
                b'O' => b'0',
                b'I' | b'L' => b'1',
                other => other,
            });
        let letters: Vec<u8> = typed.collect();
        let letters: [u8; Self::LEN] = letters.try_into().ok()?;
        letters.iter().all(|letter| Self::LETTERS.contains(letter)).then_some(Self(letters))
    }

    /// What is signed, what the digits are made of, and what crosses the broker.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

/// In two groups of four: `K7QF-2M9X`.
impl fmt::Display for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = core::str::from_utf8(&self.0).expect("letters and digits are ASCII");
        let (first, last) = text.split_at(Self::LEN / 2);
        write!(f, "{first}-{last}")
    }
}

impl fmt::Debug for Challenge {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Challenge({self})")
    }
}

/// The agent's signature under a challenge: shown as a QR code, it says "I am the courier of this attempt".
pub fn sign_courier_check(signer: &Signer, delivery: &Uid, attempt: u32, challenge: &[u8]) -> Vec<u8> {
    let check = CourierCheck {
        version: version::CURRENT,
        delivery: delivery.clone(),
        attempt,
        challenge: Bytes(challenge.to_vec()),
    };
    cose::sign_eddsa(Domain::Courier, signer.key(), &codec::encode(&check))
}

/// Whether `bytes` is that carrier's signature under this challenge for this attempt.
pub fn verify_courier_check(
    bytes: &[u8],
    carrier: &Ed25519Key,
    delivery: &Uid,
    attempt: u32,
    challenge: &[u8],
) -> Result<(), WireError> {
    let envelope = Sign1::read_eddsa(Domain::Courier, bytes)?;
    envelope.verify_eddsa(Domain::Courier, carrier)?;
    let check: CourierCheck = codec::decode_versioned(Domain::Courier.name(), envelope.payload)?;
    let meant = check.delivery == *delivery && check.attempt == attempt && same(&check.challenge.0, challenge);
    if meant { Ok(()) } else { Err(WireError::BadSignature { what: Domain::Courier.name() }) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_sides_make_the_same_digits_and_nobody_else_does() {
        let (seller, agent, other) = (secret(1), secret(2), secret(3));
        let delivery = Uid::new("d-1").unwrap();
        let ours = AttemptSecret::of_seller(&seller, &agent.public(), &delivery, 1);
        let theirs = AttemptSecret::of_carrier(&agent, &seller.public(), &delivery, 1);
        let digits = theirs.digits(b"K7QF");
        assert!(ours.check(b"K7QF", &digits));
        assert!(!ours.check(b"K7QG", &digits), "another challenge");
        for foreign in [
            AttemptSecret::of_carrier(&agent, &seller.public(), &delivery, 2),
            AttemptSecret::of_carrier(&agent, &seller.public(), &Uid::new("d-2").unwrap(), 1),
            AttemptSecret::of_carrier(&other, &seller.public(), &delivery, 1),
        ] {
            assert_ne!(foreign.digits(b"K7QF"), digits);
        }
    }

    #[test]
    fn digits_are_read_as_people_type_them() {
        assert_eq!(Digits::of(1_234_042).as_str(), "234042");
        assert_eq!(Digits::of(7).as_str(), "000007");
        assert_eq!(Digits::parse("234-042"), Some(Digits::of(234_042)));
        assert_eq!(Digits::parse(" 234 042 "), Some(Digits::of(234_042)));
        for text in ["", "23404", "2340422", "23404a", "２３４０４２"] {
            assert_eq!(Digits::parse(text), None, "{text}");
        }
    }

    #[test]
    fn a_challenge_is_read_as_people_type_it_and_is_what_it_was() {
        let challenge = Challenge::from_random([0, 1, 31, 32, 200, 17, 22, 255]);
        let shown = challenge.to_string();
        assert_eq!(shown, "01Z0-8HPZ");
        assert_eq!(challenge.as_bytes(), b"01Z08HPZ");
        for typed in [shown.as_str(), "01z08hpz", " oiz0 8hpz ", "0LZO-8HPZ"] {
            assert_eq!(Challenge::parse(typed), Some(challenge), "{typed}");
        }
        for typed in ["", "01Z0-8HP", "01Z0-8HPZ0", "01Z0-8HPU", "０1Z0-8HPZ"] {
            assert_eq!(Challenge::parse(typed), None, "{typed}");
        }
    }

    // === helpers ===

    fn secret(seed: u8) -> AgreementSecret {
        AgreementSecret::from_bytes([seed; 32])
    }
}
