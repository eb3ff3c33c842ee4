//! What is in the ledger and has not expired, in memory: numbers by owner, small, without the ledger's text. Pure.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::sync::Arc;

use jiff::Timestamp;

use super::batch::{Batch, Entry};
use super::{Kind, Owner};
use crate::identity::SKEW;
use crate::identity::crl;
use crate::identity::serial::Serial;

#[derive(Default)]
pub(crate) struct Index {
    owners: HashMap<Box<str>, Held>,
    serials: HashSet<Serial>,
    /// Batches known, and when the last certificate of each ends.
    batches: BTreeMap<String, Timestamp>,
    /// Namespaces and authorities are few: their names are shared.
    words: HashSet<Arc<str>>,
    last_issued: Option<Timestamp>,
}

struct Held {
    kind: Kind,
    namespace: Arc<str>,
    name: Box<str>,
    leaves: Vec<Leaf>,
}

/// One certificate of an owner.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Leaf {
    pub(crate) serial: Serial,
    pub(crate) not_after: Timestamp,
    pub(crate) ca: Arc<str>,
}

/// What the ledger knows of one number.
#[derive(Clone, Debug)]
pub(crate) struct Detail {
    pub(crate) uid: String,
    pub(crate) not_after: Timestamp,
    pub(crate) ca: Arc<str>,
}

impl Index {
    /// Adds a batch once; again is a no-op.
    pub(crate) fn add(&mut self, batch: &Batch) {
        if self.batches.contains_key(&batch.name) {
            return;
        }
        let last = batch.entries.iter().map(|entry| entry.not_after).max().unwrap_or(batch.issued);
        self.batches.insert(batch.name.clone(), last);
        self.last_issued = self.last_issued.max(Some(batch.issued));
        for entry in &batch.entries {
            self.enter(entry);
        }
    }

    fn enter(&mut self, entry: &Entry) {
        if !self.serials.insert(entry.serial) {
            return;
        }
        let (namespace, ca) = (self.word(&entry.namespace), self.word(&entry.ca));
        let leaf = Leaf { serial: entry.serial, not_after: entry.not_after, ca };
        match self.owners.get_mut(entry.uid.as_str()) {
            Some(held) => held.leaves.push(leaf),
            None => {
                let held = Held { kind: entry.kind, namespace, name: entry.name.as_str().into(), leaves: vec![leaf] };
                self.owners.insert(entry.uid.as_str().into(), held);
            }
        }
    }

    fn word(&mut self, text: &str) -> Arc<str> {
        if let Some(word) = self.words.get(text) {
            return word.clone();
        }
        let word: Arc<str> = text.into();
        self.words.insert(word.clone());
        word
    }

    pub(crate) fn knows_batch(&self, name: &str) -> bool {
        self.batches.contains_key(name)
    }

    pub(crate) fn knows(&self, serial: &Serial) -> bool {
        self.serials.contains(serial)
    }

    /// When a certificate was last issued, by anybody.
    pub(crate) fn last_issued(&self) -> Option<Timestamp> {
        self.last_issued
    }

    /// The certificates of one owner that a clock within reason could still accept.
    pub(crate) fn leaves(&self, uid: &str) -> &[Leaf] {
        self.owners.get(uid).map_or(&[], |held| &held.leaves)
    }

    /// The entries that cut this owner off: each of its certificates that has not ended.
    pub(crate) fn revoked(&self, uid: &str, now: Timestamp) -> Vec<crl::Entry> {
        let entry = |leaf: &Leaf| crl::Entry {
            serial: leaf.serial,
            uid: Some(uid.to_owned()),
            not_after: Some(leaf.not_after),
            revoked_at: now,
            ca: Some(leaf.ca.clone()),
        };
        self.leaves(uid).iter().filter(|leaf| leaf.not_after + SKEW >= now).map(entry).collect()
    }

    /// What the ledger knows of these numbers.
    pub(crate) fn details(&self, serials: &BTreeSet<Serial>) -> HashMap<Serial, Detail> {
        let mut details = HashMap::new();
        if serials.is_empty() {
            return details;
        }
        for (uid, held) in &self.owners {
            for leaf in held.leaves.iter().filter(|leaf| serials.contains(&leaf.serial)) {
                let Leaf { serial, not_after, ca } = leaf.clone();
                details.insert(serial, Detail { uid: uid.to_string(), not_after, ca });
            }
        }
        details
    }

    pub(crate) fn owners(&self) -> impl Iterator<Item = (Owner, &[Leaf])> {
        self.owners.iter().map(|(uid, held)| {
            let Held { kind, namespace, name, leaves } = held;
            let (namespace, name) = (namespace.to_string(), name.to_string());
            (Owner { kind: *kind, namespace, name, uid: uid.to_string() }, leaves.as_slice())
        })
    }

    /// When the last certificate of an authority ends.
    pub(crate) fn last_of(&self, ca: &str) -> Option<Timestamp> {
        self.owners
            .values()
            .flat_map(|held| &held.leaves)
            .filter(|leaf| &*leaf.ca == ca)
            .map(|leaf| leaf.not_after)
            .max()
    }

    /// Of the newest leaf of each owner, when it ends: what the certificate metrics are made of.
    pub(crate) fn newest(&self) -> impl Iterator<Item = (Kind, Timestamp)> {
        self.owners.values().filter_map(|held| Some((held.kind, held.leaves.iter().map(|leaf| leaf.not_after).max()?)))
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.batches.is_empty()
    }

    /// Is there a certificate that has not ended?
    pub(crate) fn lives(&self, now: Timestamp) -> bool {
        self.newest().any(|(_, end)| end + SKEW >= now)
    }

    pub(crate) fn len(&self) -> usize {
        self.serials.len()
    }

    /// Batches in which nothing lives any more, by any clock within `SKEW` of this one.
    pub(crate) fn expired_batches(&self, now: Timestamp) -> Vec<String> {
        self.batches.iter().filter(|(_, end)| **end + SKEW < now).map(|(name, _)| name.clone()).collect()
    }

    /// Forgets a deleted batch and every certificate that has ended.
    pub(crate) fn forget(&mut self, batch: &str, now: Timestamp) {
        self.batches.remove(batch);
        let (serials, owners) = (&mut self.serials, &mut self.owners);
        owners.retain(|_, held| {
            held.leaves.retain(|leaf| {
                let lives = leaf.not_after + SKEW >= now;
                if !lives {
                    serials.remove(&leaf.serial);
                }
                lives
            });
            !held.leaves.is_empty()
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(1_700_000_000 + seconds).unwrap()
    }

    fn entry(serial: u8, uid: &str, not_after: i64) -> Entry {
        Entry {
            serial: Serial::from_entropy([serial; 16]),
            uid: uid.into(),
            kind: Kind::Carrier,
            namespace: "shop".into(),
            name: "van".into(),
            not_after: at(not_after),
            ca: "ca1".into(),
        }
    }

    fn batch(name: &str, entries: Vec<Entry>) -> Batch {
        Batch { name: name.into(), issued: at(0), entries }
    }

    #[test]
    fn a_batch_counts_once() {
        let mut index = Index::default();
        let batch = batch("b1", vec![entry(1, "u1", 10), entry(2, "u1", 20)]);
        index.add(&batch);
        index.add(&batch);
        assert_eq!(index.len(), 2);
        assert_eq!(index.leaves("u1").len(), 2);
        assert_eq!(index.last_of("ca1"), Some(at(20)));
        assert_eq!(index.newest().collect::<Vec<_>>(), [(Kind::Carrier, at(20))]);
    }

    #[test]
    fn what_ended_is_forgotten_and_what_lives_is_not() {
        let mut index = Index::default();
        index.add(&batch("old", vec![entry(1, "u1", 10), entry(2, "u2", 10)]));
        index.add(&batch("new", vec![entry(3, "u1", 90_000)]));
        assert!(index.expired_batches(at(10)).is_empty(), "a clock may be off");
        let later = at(10) + SKEW + SKEW;
        assert_eq!(index.expired_batches(later), ["old"]);
        index.forget("old", later);
        assert_eq!(index.len(), 1);
        assert_eq!(index.leaves("u1").len(), 1);
        assert!(index.leaves("u2").is_empty());
        assert!(!index.knows(&Serial::from_entropy([1; 16])));
    }

    #[test]
    fn an_entry_stays_small() {
        let per_leaf = size_of::<Leaf>() + size_of::<Serial>();
        let per_owner = size_of::<Held>() + size_of::<Box<str>>();
        assert!(per_leaf <= 64 && per_owner <= 88, "{per_leaf} {per_owner}");
    }
}
