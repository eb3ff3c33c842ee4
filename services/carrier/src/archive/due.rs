//! What is to be looked at, and when: each once, the first one first.

use std::collections::{BTreeSet, HashMap};

use tokio::time::Instant;

#[derive(Debug, Default)]
pub(super) struct Due {
    by_time: BTreeSet<(Instant, String)>,
    by_name: HashMap<String, Instant>,
}

impl Due {
    /// In place of whenever it was to be looked at before.
    pub(super) fn put(&mut self, name: String, at: Instant) {
        self.remove(&name);
        self.by_time.insert((at, name.clone()));
        self.by_name.insert(name, at);
    }

    pub(super) fn remove(&mut self, name: &str) {
        if let Some((name, at)) = self.by_name.remove_entry(name) {
            self.by_time.remove(&(at, name));
        }
    }

    /// When the first one is due.
    pub(super) fn next(&self) -> Option<Instant> {
        self.by_time.first().map(|(at, _)| *at)
    }

    /// Takes the first one.
    pub(super) fn pop(&mut self) -> Option<String> {
        let (_, name) = self.by_time.pop_first()?;
        self.by_name.remove(&name);
        Some(name)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn what_changes_again_is_looked_at_once_and_later() {
        let (mut due, now) = (Due::default(), Instant::now());
        due.put("one".into(), now);
        due.put("two".into(), now + Duration::from_secs(1));
        due.put("one".into(), now + Duration::from_secs(2));
        due.put("three".into(), now + Duration::from_secs(3));
        due.remove("three");
        assert_eq!(due.next(), Some(now + Duration::from_secs(1)));
        assert_eq!([due.pop(), due.pop(), due.pop()], [Some("two".into()), Some("one".into()), None]);
        assert!(due.by_name.is_empty());
    }
}
