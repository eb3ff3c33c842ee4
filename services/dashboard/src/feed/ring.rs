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
    /// These, each row once and as it is now.
    Changes(Vec<Arc<Change>>),
    /// More than is known, or than is worth telling.
    TooMuch,
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

    /// Everything after `seen`, unless that is more than `most` rows.
    pub(crate) fn after(&self, seen: u64, most: usize) -> Missed {
        let oldest = self.changes.front().map_or(self.next, |change| change.id);
        if seen > self.last() || seen + 1 < oldest {
            return Missed::TooMuch;
        }
        let from = usize::try_from(seen + 1 - oldest).unwrap_or(usize::MAX).min(self.changes.len());
        let mut missed: Vec<Arc<Change>> = Vec::new();
        let mut known = HashSet::new();
        for change in self.changes.range(from..).rev() {
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

    fn ids(missed: Missed) -> Option<Vec<u64>> {
        match missed {
            Missed::Changes(changes) => Some(changes.iter().map(|change| change.id).collect()),
            Missed::TooMuch => None,
        }
    }

    #[test]
    fn a_reader_gets_each_row_once_as_it_is_now_and_nothing_twice() {
        let ring = ring(9, &["a", "b", "a"]);
        assert_eq!(ids(ring.after(0, 9)), Some(vec![2, 3]));
        assert_eq!(ids(ring.after(2, 9)), Some(vec![3]));
        assert_eq!(ids(ring.after(3, 9)), Some(vec![]));
    }

    #[test]
    fn who_missed_more_than_is_kept_or_worth_telling_looks_anew() {
        let ring = ring(2, &["a", "b", "c"]);
        assert_eq!(ids(ring.after(0, 9)), None, "the first is forgotten");
        assert_eq!(ids(ring.after(1, 9)), Some(vec![2, 3]));
        assert_eq!(ids(ring.after(1, 1)), None, "two rows are too many for who takes one");
        assert_eq!(ids(ring.after(7, 9)), None, "a number of another life");
        assert_eq!(ids(Ring::default().after(0, 9)), Some(vec![]));
    }
}
