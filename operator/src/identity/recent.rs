//! What was issued a moment ago and may not be visible yet. A reconciler that reads its cache before its own write has come back would
//! have everything issued twice; this remembers the write until it is seen.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};

use jiff::{SignedDuration, Timestamp};

/// A cache that lags longer has bigger problems.
const MEMORY: SignedDuration = SignedDuration::from_mins(5);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Seen {
    pub(crate) certificate: Option<String>,
    pub(crate) key_statement: Option<String>,
}

#[derive(Default)]
pub(crate) struct Recent(Mutex<HashMap<String, (Seen, Timestamp)>>);

impl Recent {
    /// The newest state of this uid: what was issued last, or what is seen, once that is the same or the memory has faded.
    pub(crate) fn newest(&self, uid: &str, seen: Seen, now: Timestamp) -> Seen {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        match recent.get(uid) {
            Some((issued, at)) if *issued != seen && now.duration_since(*at).abs() < MEMORY => issued.clone(),
            Some(_) => {
                recent.remove(uid);
                seen
            }
            None => seen,
        }
    }

    pub(crate) fn issued(&self, uid: &str, issued: Seen, now: Timestamp) {
        let mut recent = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        // Objects deleted before their status came back: forgotten when the map would have to grow.
        if recent.len() == recent.capacity() {
            recent.retain(|_, (_, at)| now.duration_since(*at).abs() < MEMORY);
        }
        recent.insert(uid.to_owned(), (issued, now));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn seen(text: &str) -> Seen {
        Seen { certificate: Some(text.into()), key_statement: None }
    }

    #[test]
    fn a_stale_read_does_not_hide_what_was_just_issued() {
        let (recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH);
        assert_eq!(recent.newest("u", Seen::default(), now), Seen::default());
        recent.issued("u", seen("new"), now);
        assert_eq!(recent.newest("u", Seen::default(), now), seen("new"));
        assert_eq!(recent.newest("u", seen("new"), now), seen("new"));
        assert_eq!(recent.newest("u", seen("edited"), now), seen("edited"), "once seen, the cluster decides again");
    }

    #[test]
    fn what_never_shows_up_is_forgotten() {
        let (recent, now) = (Recent::default(), Timestamp::UNIX_EPOCH);
        recent.issued("u", seen("new"), now);
        assert_eq!(recent.newest("u", seen("old"), now + MEMORY), seen("old"));
    }
}
