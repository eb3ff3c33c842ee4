//! Tokens that verified, by hash: a client sends the same one many times, and a signature costs more than a look-up.
//! Bounded; what is in it counts only for the very keys that accepted it.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use sha2::{Digest, Sha256};

use super::{Claims, Keys, LEEWAY};

const CAPACITY: usize = 4096;

#[derive(Debug)]
pub(super) struct Cache<C> {
    accepted: Mutex<Accepted<C>>,
}

#[derive(Debug)]
struct Accepted<C> {
    /// The keys all of this was accepted with; weak, so that old keys are not kept alive by what they accepted.
    keys: Weak<Keys>,
    claims: HashMap<[u8; 32], Arc<C>>,
}

impl<C> Default for Cache<C> {
    fn default() -> Self {
        Self { accepted: Mutex::new(Accepted { keys: Weak::new(), claims: HashMap::new() }) }
    }
}

impl<C: Claims> Cache<C> {
    pub(super) fn get(&self, token: &str, keys: &Arc<Keys>) -> Option<Arc<C>> {
        let accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let same = accepted.keys.ptr_eq(&Arc::downgrade(keys));
        accepted.claims.get(&hash(token)).filter(|_| same).cloned()
    }

    pub(super) fn put(&self, token: &str, keys: &Arc<Keys>, claims: &Arc<C>, now: u64) {
        let mut accepted = self.accepted.lock().unwrap_or_else(PoisonError::into_inner);
        let keys = Arc::downgrade(keys);
        if !accepted.keys.ptr_eq(&keys) {
            *accepted = Accepted { keys, claims: HashMap::new() };
        }
        if accepted.claims.len() >= CAPACITY {
            accepted.claims.retain(|_, claims| claims.expires().saturating_add(LEEWAY) >= now);
        }
        // All of them live: a flood of good tokens is only slower, never larger.
        if accepted.claims.len() >= CAPACITY {
            accepted.claims.clear();
        }
        accepted.claims.insert(hash(token), Arc::clone(claims));
    }
}

fn hash(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}
