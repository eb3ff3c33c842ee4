//! The last changes, numbered: whoever was away reads on where they stopped, or learns that it was too long. Pure.
//!
//! Nobody has a queue of their own: a viewer who does not read costs nothing and is told to look anew.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, OnceLock};

use super::row::Row;

/// How many changes are kept: some minutes of a busy day.
const KEPT: usize = 4096;

/// A row that came, changed or went.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) id: u64,
    pub(crate) uid: Arc<str>,
    pub(crate) namespace: Arc<str>,
    /// `None`: it is gone.
    pub(crate) row: Option<Arc<Row>>,
    /// Written once for all who see it.
    pub(crate) html: OnceLock<Box<str>>,
}

#[derive(Debug)]
pub(crate) struct Ring {
    changes: VecDeque<Arc<Change>>,
    next: u64,
    kept: usize,
}

impl Default for Ring {
    fn default() -> Self {
        Self { changes: VecDeque::new(), next: 1, kept: KEPT }
    }
}

/// What a reader missed.
#[derive(Debug)]
pub(crate) enum Missed {
    /// These, each row once and as it was last.
    Changes(Vec<Arc<Change>>),
    /// More than is worth telling one by one.
    TooMuch,
    /// Nobody knows: it is too long ago, or was in another life.
    Unknown,
}

impl Ring {
    pub(crate) fn push(&mut self, uid: Arc<str>, namespace: Arc<str>, row: Option<Arc<Row>>) -> u64 {
        let id = self.next;
        self.next += 1;
        if self.changes.len() >= self.kept {
            self.changes.pop_front();
        }
        self.changes.push_back(Arc::new(Change { id, uid, namespace, row, html: OnceLock::new() }));
        id
    }

    /// The number of the last change.
    pub(crate) fn last(&self) -> u64 {
        self.next - 1
    }

    /// Everything after `seen` and up to `until` of what a reader `sees`, unless that is more than `most` rows.
    pub(crate) fn between(&self, (seen, until): (u64, u64), most: usize, sees: impl Fn(&Change) -> bool) -> Missed {
        let oldest = self.changes.front().map_or(self.next, |change| change.id);
        if seen > self.last() || seen + 1 < oldest {
            return Missed::Unknown;
        }
        let place =
            |id: u64| usize::try_from((id + 1).saturating_sub(oldest)).unwrap_or(usize::MAX).min(self.changes.len());
        let (from, to) = (place(seen), place(until));
        let mut missed: Vec<Arc<Change>> = Vec::new();
        let mut known = HashSet::new();
        for change in self.changes.range(from..to.max(from)).rev().filter(|change| sees(change)) {
            if known.insert(&change.uid) {
                if missed.len() >= most {
                    return Missed::TooMuch;
                }
                missed.push(Arc::clone(change));
            }
        }
        missed.reverse();
        Missed::Changes(missed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ring(kept: usize, uids: &[&str]) -> Ring {
        let mut ring = Ring { kept, ..Ring::default() };
        for uid in uids {
            ring.push((*uid).into(), "shop".into(), None);
        }
        ring
    }

    fn all(_: &Change) -> bool {
        true
    }

    fn ids(missed: Missed) -> Option<Vec<u64>> {
        match missed {
            Missed::Changes(changes) => Some(changes.iter().map(|change| change.id).collect()),
            Missed::TooMuch | Missed::Unknown => None,
        }
    }

    #[test]
    fn a_reader_gets_each_row_once_as_it_is_now_and_nothing_twice() {
        let ring = ring(9, &["a", "b", "a"]);
        assert_eq!(ids(ring.between((0, 3), 9, all)), Some(vec![2, 3]));
        assert_eq!(ids(ring.between((2, 3), 9, all)), Some(vec![3]));
        assert_eq!(ids(ring.between((3, 3), 9, all)), Some(vec![]));
        assert_eq!(ids(ring.between((0, 2), 9, all)), Some(vec![1, 2]), "what came later is told later");
        assert_eq!(ids(ring.between((3, 2), 9, all)), Some(vec![]), "who has more than that already");
    }

    #[test]
    fn who_missed_more_than_is_kept_or_worth_telling_looks_anew() {
        let ring = ring(2, &["a", "b", "c"]);
        assert_eq!(ids(ring.between((0, 3), 9, all)), None, "the first is forgotten");
        assert_eq!(ids(ring.between((1, 3), 9, all)), Some(vec![2, 3]));
        assert_eq!(ids(ring.between((1, 3), 1, all)), None, "two rows are too many for who takes one");
        assert_eq!(ids(ring.between((7, 7), 9, all)), None, "a number of another life");
        assert_eq!(ids(Ring::default().between((0, 0), 9, all)), Some(vec![]));
    }
}
