//! What changed and was not looked at yet: each uid at most once, so a slow reader costs no memory and sees the latest.

use std::collections::{HashSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};

use tokio::sync::Notify;

#[derive(Debug, Default)]
struct Queue {
    waiting: Mutex<Waiting>,
    filled: Notify,
}

#[derive(Debug, Default)]
struct Waiting {
    order: VecDeque<String>,
    known: HashSet<String>,
}

/// The reader's end.
#[derive(Debug)]
pub struct Changes(Arc<Queue>);

/// The writer's end; closed with the reader's.
#[derive(Debug, Clone)]
pub(super) struct Feed(Weak<Queue>);

pub(super) fn queue() -> (Feed, Changes) {
    let queue = Arc::new(Queue::default());
    (Feed(Arc::downgrade(&queue)), Changes(queue))
}

impl Feed {
    /// False when nobody reads any more.
    pub(super) fn push(&self, uid: String) -> bool {
        let Some(queue) = self.0.upgrade() else { return false };
        queue.push(uid);
        true
    }
}

impl Changes {
    /// The uid of an object that changed, was added or removed. Losing the race in a `select!` loses nothing.
    pub async fn next(&mut self) -> String {
        loop {
            let filled = self.0.filled.notified();
            if let Some(uid) = self.0.pop() {
                return uid;
            }
            filled.await;
        }
    }

    /// One that is waiting, if any.
    pub fn try_next(&mut self) -> Option<String> {
        self.0.pop()
    }

    /// Puts one back: it is to be looked at again.
    pub fn again(&self, uid: String) {
        self.0.push(uid);
    }
}

impl Queue {
    fn push(&self, uid: String) {
        let mut waiting = self.waiting();
        if waiting.known.insert(uid.clone()) {
            waiting.order.push_back(uid);
            self.filled.notify_one();
        }
    }

    fn pop(&self) -> Option<String> {
        let mut waiting = self.waiting();
        let uid = waiting.order.pop_front()?;
        waiting.known.remove(&uid);
        Some(uid)
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_changes_often_waits_once_and_is_told_again_after_it_was_looked_at() {
        let (feed, mut changes) = queue();
        for uid in ["a", "b", "a", "a"] {
            assert!(feed.push(uid.into()));
        }
        assert_eq!((changes.next().await.as_str(), changes.next().await.as_str()), ("a", "b"));
        assert_eq!(changes.try_next(), None);
        feed.push("a".into());
        assert_eq!(changes.next().await, "a");
        drop(changes);
        assert!(!feed.push("a".into()));
    }
}
