//! Which of our own writes the cache has yet to show. Deciding on a state from before our write would repeat it with a new time.
//!
//! Resource versions of one kind are compared as numbers, which the API server's contract allows; should one ever not be a
//! number, the object simply counts as fresh.

use std::collections::{HashMap, HashSet};
use std::sync::{Mutex, MutexGuard, PoisonError};

use kube::Resource;

/// What of ours is on its way.
#[derive(Debug, Default)]
pub(crate) struct Written(Mutex<Underway>);

#[derive(Debug, Default)]
struct Underway {
    /// The newest version each object was given by us; an entry lives until the cache has caught up.
    newest: HashMap<String, u64>,
    /// Objects that are being worked on.
    begun: HashSet<String>,
}

/// While it lives, its object is being worked on.
pub(crate) struct Busy<'a> {
    written: &'a Written,
    uid: String,
}

impl Drop for Busy<'_> {
    fn drop(&mut self) {
        self.written.lock().begun.remove(&self.uid);
    }
}

impl Written {
    /// Marks the beginning of work on an object; no two work on one at a time.
    pub(crate) fn begin<K: Resource>(&self, object: &K) -> Busy<'_> {
        let uid = object.meta().uid.clone().unwrap_or_default();
        self.lock().begun.insert(uid.clone());
        Busy { written: self, uid }
    }

    /// Remembers what a write answered.
    pub(crate) fn record<K: Resource>(&self, answer: &K) {
        let meta = answer.meta();
        if let (Some(uid), Some(version)) = (&meta.uid, version(answer)) {
            self.lock().newest.insert(uid.clone(), version);
        }
    }

    /// True while the cache still shows `cached` as it was before our write; its event will come and ask again.
    pub(crate) fn is_ahead_of<K: Resource>(&self, cached: &K) -> bool {
        let (Some(uid), Some(seen)) = (&cached.meta().uid, version(cached)) else { return false };
        let newest = &mut self.lock().newest;
        match newest.get(uid) {
            Some(ours) if *ours > seen => true,
            Some(_) => {
                newest.remove(uid);
                false
            }
            None => false,
        }
    }

    /// True while what the cache shows of it may be about to change by our own hand.
    pub(crate) fn is_unsettled<K: Resource>(&self, cached: &K) -> bool {
        let begun = cached.meta().uid.as_ref().is_some_and(|uid| self.lock().begun.contains(uid));
        begun || self.is_ahead_of(cached)
    }

    // Each change under the lock is one call on a map or set: a panic elsewhere leaves both whole.
    fn lock(&self) -> MutexGuard<'_, Underway> {
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
        assert!(written.lock().newest.is_empty());
    }

    #[test]
    fn an_object_is_unsettled_from_the_beginning_of_our_work_until_the_cache_shows_its_end() {
        let at = |version: &str| delivery("one").with(|d| d.metadata.resource_version = Some(version.into())).done();
        let written = Written::default();
        assert!(!written.is_unsettled(&at("10")));
        let busy = written.begin(&at("10"));
        assert!(written.is_unsettled(&at("10")) && !written.is_unsettled(&delivery("two").done()));
        written.record(&at("12"));
        drop(busy);
        assert!(written.is_unsettled(&at("10")), "written, not seen yet");
        assert!(!written.is_unsettled(&at("12")));
    }
}
