//! When whose session is taken over. Pure: `now` comes in, uids that are due go out.
//!
//! A reloaded list refuses the next handshake, not the session that is up: connecting with its client id ends it. Once is
//! not enough. A handshake may finish just before the reload and its CONNECT arrive just after; and someone who expects
//! to be revoked may finish handshakes in advance and keep the CONNECT back, for as long as the broker waits for one
//! (90 s). So a newly revoked uid is taken over at once, again within the first seconds, and then every four seconds
//! until no handshake of before can still be there.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// The broker drops a connection that never said CONNECT after one and a half of its default keep-alive.
const LINGER: Duration = Duration::from_secs(100);

/// A late session lives this long at most: less than the five seconds that are promised.
const EVERY: Duration = Duration::from_secs(4);

/// The first rounds, for the race with the reload itself.
const FIRST: [Duration; 4] =
    [Duration::ZERO, Duration::from_millis(300), Duration::from_secs(1), Duration::from_millis(2500)];

/// How many a second when everybody a list names is gone through: it must not starve the living.
const SWEEP_RATE: u32 = 50;

/// How long an attempt that failed waits; the broker may be starting.
const RETRY: Duration = Duration::from_millis(500);

/// Attempts that are due, the earliest first.
#[derive(Debug, Default)]
pub(crate) struct Takeovers {
    due: BTreeSet<(Instant, String)>,
}

impl Takeovers {
    /// These were revoked just now.
    pub(crate) fn cut(&mut self, uids: impl IntoIterator<Item = String>, now: Instant) {
        for uid in uids {
            let later = (1..).map(|round| EVERY * round).take_while(|after| *after <= LINGER);
            for after in FIRST.into_iter().chain(later) {
                self.due.insert((now + after, uid.clone()));
            }
        }
    }

    /// These were revoked before this process started: nobody is likely to be there, but nobody knows. Twice, so that a
    /// handshake from before the start is outlived as well.
    pub(crate) fn sweep(&mut self, uids: impl IntoIterator<Item = String>, now: Instant) {
        for (number, uid) in (0_u32..).zip(uids) {
            let turn = now + Duration::from_secs(1) * number / SWEEP_RATE;
            self.due.insert((turn + LINGER, uid.clone()));
            self.due.insert((turn, uid));
        }
    }

    /// An attempt failed, and not because there is nobody to ask.
    pub(crate) fn again(&mut self, uid: String, now: Instant) {
        self.due.insert((now + RETRY, uid));
    }

    /// Who is due now, at most `limit`; of one uid's rounds that have piled up, one is enough.
    pub(crate) fn take_due(&mut self, now: Instant, limit: usize) -> Vec<String> {
        let mut uids = BTreeSet::new();
        while uids.len() < limit && self.due.first().is_some_and(|(due, _)| *due <= now) {
            if let Some((_, uid)) = self.due.pop_first() {
                uids.insert(uid);
            }
        }
        uids.into_iter().collect()
    }

    /// Forgets those who are revoked no longer.
    pub(crate) fn keep(&mut self, revoked: impl Fn(&str) -> bool) {
        self.due.retain(|(_, uid)| revoked(uid));
    }

    /// When to look again.
    pub(crate) fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rounds(takeovers: &mut Takeovers, start: Instant) -> Vec<Duration> {
        let mut rounds = Vec::new();
        while let Some(due) = takeovers.next_due() {
            assert_eq!(takeovers.take_due(due, 10), ["a"]);
            rounds.push(due - start);
        }
        rounds
    }

    #[test]
    fn a_revoked_uid_is_taken_over_until_no_old_handshake_can_be_left() {
        let (mut takeovers, start) = (Takeovers::default(), Instant::now());
        takeovers.cut(["a".to_owned()], start);
        let rounds = rounds(&mut takeovers, start);
        assert_eq!(rounds[0], Duration::ZERO);
        assert!(rounds.iter().filter(|round| **round < Duration::from_secs(3)).count() >= 4);
        assert!(rounds.windows(2).all(|pair| pair[1] - pair[0] < Duration::from_secs(5)), "{rounds:?}");
        assert!(*rounds.last().unwrap() >= Duration::from_secs(90));
    }

    #[test]
    fn a_sweep_is_spread_and_does_not_delay_a_new_revocation() {
        let (mut takeovers, start) = (Takeovers::default(), Instant::now());
        takeovers.sweep((0..10_000).map(|number| format!("old-{number}")), start);
        let now = start + Duration::from_secs(1);
        assert!(takeovers.take_due(now, usize::MAX).len() <= 51);
        takeovers.cut(["new".to_owned()], now);
        assert_eq!(takeovers.take_due(now, usize::MAX), ["new"]);
    }

    #[test]
    fn the_reinstated_are_left_alone() {
        let (mut takeovers, start) = (Takeovers::default(), Instant::now());
        takeovers.cut(["a".to_owned(), "b".to_owned()], start);
        takeovers.keep(|uid| uid == "a");
        assert_eq!(takeovers.take_due(start + LINGER, 10), ["a"]);
        assert_eq!(takeovers.next_due(), None);
    }

    #[test]
    fn a_failed_attempt_is_due_again_soon() {
        let (mut takeovers, start) = (Takeovers::default(), Instant::now());
        takeovers.again("a".to_owned(), start);
        assert!(takeovers.take_due(start, 1).is_empty());
        assert_eq!(takeovers.take_due(start + RETRY, 1), ["a"]);
    }
}
