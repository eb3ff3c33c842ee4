//! Which of our own writes the cache has yet to show. Deciding on a state from before our write would repeat it with a new time.
//!
//! Resource versions of one kind are compared as numbers, which the API server's contract allows; should one ever not be a
//! number, the object simply counts as fresh.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use kube::Resource;

/// The newest version each object was given by us; an entry lives until the cache has caught up.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<HashMap<String, u64>>);

impl Written {
    /// Remembers what a write answered.
    pub(crate) fn record<K: Resource>(&self, answer: &K) {
        let meta = answer.meta();
        if let (Some(uid), Some(version)) = (&meta.uid, version(answer)) {
            self.lock().insert(uid.clone(), version);
        }
    }

    /// True while the cache still shows `cached` as it was before our write; its event will come and ask again.
    pub(crate) fn is_ahead_of<K: Resource>(&self, cached: &K) -> bool {
        let (Some(uid), Some(seen)) = (&cached.meta().uid, version(cached)) else { return false };
        let mut written = self.lock();
        match written.get(uid) {
            Some(ours) if *ours > seen => true,
            Some(_) => {
                written.remove(uid);
                false
            }
            None => false,
        }
    }

    // One call on a map at a time: a panic elsewhere leaves it whole.
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<String, u64>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn version<K: Resource>(object: &K) -> Option<u64> {
    object.meta().resource_version.as_deref()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::delivery;

    #[test]
    fn an_object_is_left_until_the_cache_shows_our_write() {
        let at = |version: &str| delivery("one").with(|d| d.metadata.resource_version = Some(version.into())).done();
        let written = Written::default();
        assert!(!written.is_ahead_of(&at("10")));
        written.record(&at("12"));
        assert!(written.is_ahead_of(&at("10")));
        assert!(written.is_ahead_of(&at("11")), "somebody else's write in between is not ours yet");
        assert!(!written.is_ahead_of(&at("12")));
        assert!(written.lock().is_empty());
    }
}
