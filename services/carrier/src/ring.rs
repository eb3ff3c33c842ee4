//! The keys that sign view tokens. A new key is shown before it signs and an old one counts for as long as a token signed
//! with it may live, so neither another replica nor a reader of the JWKS meets a key it has not heard of. Pure: the caller
//! has the clock.
//!
//! A key changes within one identity. A new identity has a uid of its own and the former one is revoked: nothing of it
//! overlaps, and viewers exchange their grants anew.

use std::fmt;

use ed25519_dalek::SigningKey as Pair;
use waybill_chassis::jwt::{Keys, SigningKey, key_id};

use crate::tokens::LIFE;

/// How long a new key is shown before it signs, in seconds: longer than other replicas need to see it and than readers
/// keep the JWKS.
pub(crate) const SHOWN_BEFORE: u64 = 120;
/// How long an old key counts once another one signs: a token's life, and the difference of two clocks.
const COUNTS_AFTER: u64 = LIFE + 30;

/// The keys that count, oldest first.
pub(crate) struct Ring {
    issuer: String,
    held: Vec<Held>,
}

struct Held {
    key: SigningKey,
    kid: String,
    public: [u8; 32],
    since: u64,
}

impl fmt::Debug for Ring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ring").field("kids", &self.held.iter().map(|held| &held.kid).collect::<Vec<_>>()).finish()
    }
}

impl Ring {
    /// Starts with the key at hand, which signs at once.
    pub(crate) fn new(issuer: &str, seed: &[u8; 32], now: u64) -> Self {
        let first = Held { since: now.saturating_sub(SHOWN_BEFORE), ..Held::new(seed, now) };
        Self { issuer: issuer.to_owned(), held: vec![first] }
    }

    /// Takes the key that lies there now; true if it is another one.
    pub(crate) fn take(&mut self, seed: &[u8; 32], now: u64) -> bool {
        let held = Held::new(seed, now);
        let new = self.held.last().is_none_or(|last| last.public != held.public);
        if new {
            self.held.retain(|old| old.public != held.public);
            self.held.push(held);
        }
        new
    }

    /// Forgets keys that count no longer; true if there were any.
    pub(crate) fn prune(&mut self, now: u64) -> bool {
        let over = (1..self.held.len()).take_while(|next| self.held[*next].since + SHOWN_BEFORE + COUNTS_AFTER <= now);
        let over = over.count();
        self.held.drain(..over);
        over > 0
    }

    /// When [`prune`](Self::prune) will have something to do.
    pub(crate) fn next_prune(&self) -> Option<u64> {
        self.held.get(1).map(|next| next.since + SHOWN_BEFORE + COUNTS_AFTER)
    }

    /// The key that signs now: the latest that was shown long enough.
    pub(crate) fn signer(&self, now: u64) -> &SigningKey {
        let shown = self.held.iter().rev().find(|held| held.since + SHOWN_BEFORE <= now);
        &shown.unwrap_or(&self.held[0]).key
    }

    pub(crate) fn issuer(&self) -> &str {
        &self.issuer
    }

    /// For a verifier.
    pub(crate) fn keys(&self) -> Keys {
        self.held.iter().fold(Keys::default(), |keys, held| keys.with(&held.kid, &self.issuer, &held.public))
    }

    /// The public halves, as `(kid, key)`.
    pub(crate) fn public(&self) -> impl Iterator<Item = (&str, &[u8; 32])> {
        self.held.iter().map(|held| (held.kid.as_str(), &held.public))
    }
}

impl Held {
    fn new(seed: &[u8; 32], now: u64) -> Self {
        let public = Pair::from_bytes(seed).verifying_key().to_bytes();
        let kid = key_id(&public);
        Self { key: SigningKey::from_seed(&kid, seed), kid, public, since: now }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn kids(ring: &Ring) -> Vec<String> {
        ring.public().map(|(kid, _)| kid.to_owned()).collect()
    }

    fn signs(ring: &Ring, now: u64) -> String {
        let token = ring.signer(now).sign("t", &serde_json::json!({})).unwrap();
        let header = token.split('.').next().unwrap().to_owned();
        let kid = |kid: &String| header == sign_header(kid);
        kids(ring).into_iter().find(kid).unwrap()
    }

    fn sign_header(kid: &str) -> String {
        let token = SigningKey::from_seed(kid, &[0; 32]).sign("t", &serde_json::json!({})).unwrap();
        token.split('.').next().unwrap().to_owned()
    }

    #[test]
    fn the_first_key_signs_at_once() {
        let ring = Ring::new("api", &[1; 32], NOW);
        assert_eq!(kids(&ring).len(), 1);
        assert_eq!(signs(&ring, NOW), kids(&ring)[0]);
    }

    #[test]
    fn a_new_key_is_shown_before_it_signs_and_the_old_one_counts_until_its_tokens_ended() {
        let mut ring = Ring::new("api", &[1; 32], NOW);
        assert!(!ring.take(&[1; 32], NOW + 1), "the same key again is no change");
        assert!(ring.take(&[2; 32], NOW + 10));
        let [old, new] = kids(&ring).try_into().unwrap();
        let begins = NOW + 10 + SHOWN_BEFORE;
        assert_eq!((signs(&ring, begins - 1), signs(&ring, begins)), (old, new.clone()));
        assert!(!ring.prune(begins + LIFE), "a token signed a moment before still lives");
        assert_eq!(ring.next_prune(), Some(begins + COUNTS_AFTER));
        assert!(ring.prune(begins + COUNTS_AFTER));
        assert_eq!((kids(&ring), ring.next_prune()), (vec![new], None));
    }

    #[test]
    fn seeds_never_show_in_debug() {
        let text = format!("{:?}", Ring::new("api", &[7; 32], NOW));
        assert!(!text.contains("7, 7, 7") && text.starts_with("Ring { kids:"), "{text}");
    }
}
