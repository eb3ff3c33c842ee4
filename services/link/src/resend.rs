//! What should be out, and when it is due again: a schedule without clock, dice or network of its own.
//!
//! The owner puts a key in when its log says a message should be out, and takes it out when the receiver's signed
//! answer is in the log. In between [`Schedule::take_due`] says which messages to build and publish now. Nothing here
//! remembers the message: it is built from the log each time, so what is sent is always what is true.
//!
//! A knock (the receiver says it is there) makes its keys due at once and starts their back-off anew, yet never sooner
//! than [`Policy::gap`] after the last send: whoever knocks without end gets no flood in return.

use std::collections::{BTreeMap, BTreeSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::time::{Duration, Instant};

/// How patient a schedule is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Policy {
    /// Pause after the first send; it doubles from there.
    pub first: Duration,
    /// Longest pause.
    pub cap: Duration,
    /// Shortest pause between two sends of one key, whatever happens.
    pub gap: Duration,
}

impl Default for Policy {
    /// For a peer that answers in milliseconds when it is there and knocks when it comes back.
    fn default() -> Self {
        Self { first: Duration::from_secs(1), cap: Duration::from_secs(60), gap: Duration::from_millis(100) }
    }
}

/// When each key is due. `K` names a message: a delivery's uid and the event that should be out, for instance.
#[derive(Debug, Clone)]
pub struct Schedule<K> {
    policy: Policy,
    seed: u64,
    entries: BTreeMap<K, Entry>,
    due: BTreeSet<(Instant, K)>,
}

#[derive(Debug, Clone, Copy)]
struct Entry {
    due: Instant,
    sends: u32,
    last: Option<Instant>,
}

impl<K: Ord + Clone + Hash> Schedule<K> {
    /// An empty schedule. `seed` spreads the pauses of different processes; the same seed gives the same ones.
    pub fn new(policy: Policy, seed: u64) -> Self {
        Self { policy, seed, entries: BTreeMap::new(), due: BTreeSet::new() }
    }

    /// A message should be out: due at once if it was not known, else as it was.
    pub fn expect(&mut self, key: K, now: Instant) {
        if !self.entries.contains_key(&key) {
            self.put(key, Entry { due: now, sends: 0, last: None });
        }
    }

    /// The answer is here: false when nobody waited for it.
    pub fn answered(&mut self, key: &K) -> bool {
        self.remove(key).is_some()
    }

    /// The receiver is there: due at once. False when nothing is out under this key.
    pub fn knock(&mut self, key: &K, now: Instant) -> bool {
        let Some((key, entry)) = self.remove(key) else { return false };
        let earliest = entry.last.map_or(now, |last| last + self.policy.gap);
        self.put(key, Entry { due: now.max(earliest), sends: 0, ..entry });
        true
    }

    /// A new connection: what the old one carried is lost, so everything is due.
    pub fn reconnected(&mut self, now: Instant) {
        let keys: Vec<K> = self.entries.keys().cloned().collect();
        for key in keys {
            self.knock(&key, now);
        }
    }

    /// Up to `limit` keys that are due, the longest waiting first; each is due again after its next pause. Whoever
    /// could not send one after all says so with [`Schedule::unsent`].
    pub fn take_due(&mut self, now: Instant, limit: usize) -> Vec<K> {
        let keys: Vec<K> =
            self.due.iter().take_while(|(due, _)| *due <= now).take(limit).map(|(_, key)| key.clone()).collect();
        for key in &keys {
            if let Some((key, entry)) = self.remove(key) {
                let pause = self.pause(&key, entry.sends);
                let sends = entry.sends.saturating_add(1);
                self.put(key, Entry { due: now + pause, sends, last: Some(now) });
            }
        }
        keys
    }

    /// A taken key never left: there was no session, or no room. Due again after the gap, its back-off as it was.
    pub fn unsent(&mut self, key: &K, now: Instant) {
        if let Some((key, entry)) = self.remove(key) {
            self.put(key, Entry { due: now + self.policy.gap, sends: entry.sends.saturating_sub(1), ..entry });
        }
    }

    /// When to look again.
    pub fn next_due(&self) -> Option<Instant> {
        self.due.first().map(|(due, _)| *due)
    }

    /// How many messages wait for their answer.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// True when every message was answered.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    fn put(&mut self, key: K, entry: Entry) {
        self.due.insert((entry.due, key.clone()));
        self.entries.insert(key, entry);
    }

    fn remove(&mut self, key: &K) -> Option<(K, Entry)> {
        let (key, entry) = self.entries.remove_entry(key)?;
        self.due.remove(&(entry.due, key.clone()));
        Some((key, entry))
    }

    /// The pause after send number `sends`, a quarter up or down, by key and seed.
    fn pause(&self, key: &K, sends: u32) -> Duration {
        let factor = 1_u32.checked_shl(sends).unwrap_or(u32::MAX);
        let step = self.policy.first.saturating_mul(factor).min(self.policy.cap);
        let mut hasher = DefaultHasher::new();
        (self.seed, key, sends).hash(&mut hasher);
        let dice = f64::from(u32::try_from(hasher.finish() >> 32).unwrap_or(0)) / f64::from(u32::MAX);
        step.mul_f64(0.75 + dice / 2.0).max(self.policy.gap)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POLICY: Policy =
        Policy { first: Duration::from_secs(1), cap: Duration::from_secs(8), gap: Duration::from_millis(100) };

    fn schedule(start: Instant, keys: &[u32]) -> Schedule<u32> {
        let mut schedule = Schedule::new(POLICY, 7);
        for key in keys {
            schedule.expect(*key, start);
        }
        schedule
    }

    #[test]
    fn a_message_is_sent_again_at_growing_pauses_until_it_is_answered() {
        let start = Instant::now();
        let mut schedule = schedule(start, &[1]);
        let (mut now, mut pauses) = (start, Vec::new());
        for _ in 0..10 {
            assert_eq!(schedule.take_due(now, 10), [1]);
            assert!(schedule.take_due(now, 10).is_empty(), "due twice at one time");
            let next = schedule.next_due().unwrap();
            pauses.push((next - now).as_secs_f64());
            now = next;
        }
        for (pause, step) in pauses.iter().zip([1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0, 8.0]) {
            assert!((0.75 * step..=1.25 * step).contains(pause), "{pauses:?}");
        }
        assert!(schedule.answered(&1));
        assert!(!schedule.answered(&1));
        assert_eq!((schedule.next_due(), schedule.is_empty()), (None, true));
    }

    #[test]
    fn a_knock_makes_a_message_due_at_once_and_starts_its_back_off_anew() {
        let mut now = Instant::now();
        let mut schedule = schedule(now, &[1]);
        for _ in 0..5 {
            schedule.take_due(now, 1);
            now = schedule.next_due().unwrap();
        }
        schedule.take_due(now, 1);
        now += Duration::from_secs(1);
        assert!(schedule.take_due(now, 1).is_empty());
        assert!(schedule.knock(&1, now));
        assert_eq!(schedule.take_due(now, 1), [1]);
        assert!(schedule.next_due().unwrap() - now <= Duration::from_millis(1250));
        assert!(!schedule.knock(&2, now), "a knock at a door nobody waits behind opens nothing");
    }

    #[test]
    fn knocking_without_end_gets_no_flood() {
        let start = Instant::now();
        let mut schedule = schedule(start, &[1]);
        let mut sent = 0;
        for milli in 0..1000 {
            let now = start + Duration::from_millis(milli);
            schedule.knock(&1, now);
            sent += schedule.take_due(now, 10).len();
        }
        assert_eq!(sent, 10, "one a gap");
    }

    #[test]
    fn a_new_connection_makes_everything_due() {
        let start = Instant::now();
        let mut schedule = schedule(start, &[1, 2, 3]);
        schedule.take_due(start, 10);
        let now = start + POLICY.gap;
        assert!(schedule.take_due(now, 10).is_empty());
        schedule.reconnected(now);
        assert_eq!(schedule.take_due(now, 10), [1, 2, 3]);
    }

    #[test]
    fn what_could_not_leave_is_due_soon_and_pays_no_back_off() {
        let start = Instant::now();
        let mut schedule = schedule(start, &[1]);
        for _ in 0..20 {
            let now = schedule.next_due().unwrap();
            assert_eq!(schedule.take_due(now, 1), [1]);
            schedule.unsent(&1, now);
            assert_eq!(schedule.next_due(), Some(now + POLICY.gap));
        }
    }

    #[test]
    fn the_longest_waiting_go_first_and_none_is_forgotten_under_a_limit() {
        let start = Instant::now();
        let mut schedule = schedule(start, &(0..100).collect::<Vec<_>>());
        let mut seen = BTreeSet::new();
        for _ in 0..10 {
            seen.extend(schedule.take_due(start, 10));
        }
        assert_eq!(seen.len(), 100);
        assert!(schedule.take_due(start, 10).is_empty());
    }

    #[test]
    fn processes_with_different_seeds_do_not_send_in_step() {
        let start = Instant::now();
        let next = |seed| {
            let mut schedule = Schedule::new(POLICY, seed);
            schedule.expect(1_u32, start);
            schedule.take_due(start, 1);
            schedule.next_due()
        };
        assert_eq!(next(1), next(1));
        assert_ne!(next(1), next(2));
    }
}
