//! What one receiver is still to be told, and when. Pure: times and outcomes in, notices out.
//!
//! Each delivery is a line of its own, told in order; a line that fails is tried again more and more rarely and holds nobody else up.
//! A receiver that is not there at all is asked by one line at a time until it is back.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::notice::Notice;

/// How many are on their way to one receiver at once.
const AT_ONCE: usize = 4;
/// Between tries, at most.
const RAREST: Duration = Duration::from_secs(3600);

/// How often is tried, and how long.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Policy {
    pub(crate) first: Duration,
    pub(crate) give_up: Duration,
}

/// What became of a try.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Outcome {
    Told,
    /// There is nobody to tell, and that is no fault.
    Nobody,
    /// It may work later, not before `after` if the receiver says so.
    Later {
        why: String,
        away: bool,
        after: Option<Duration>,
    },
    /// It never will, for this notice.
    Never {
        why: String,
    },
    /// The receiver wants no more of anything.
    Closed {
        why: String,
    },
}

/// What will not be told any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Dropped {
    pub(super) notice: Arc<Notice>,
    pub(super) why: String,
    pub(super) tries: u32,
}

/// What is wrong with a receiver now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Trouble {
    Failing(String),
    GivenUp(String),
}

#[derive(Debug, Default)]
struct Line {
    waiting: VecDeque<Arc<Notice>>,
    tries: u32,
    since: Option<Instant>,
    busy: bool,
}

/// All lines of one receiver.
#[derive(Debug, Default)]
pub(super) struct Queue {
    lines: BTreeMap<String, Line>,
    due: BTreeSet<(Instant, String)>,
    busy: usize,
    /// How often in a row it was not there, and when it is asked again.
    away: u32,
    rests_until: Option<Instant>,
    trouble: Option<Trouble>,
    closed: bool,
}

impl Queue {
    pub(super) fn add(&mut self, notice: Arc<Notice>, now: Instant) {
        if self.closed {
            return;
        }
        let uid = notice.delivery.clone();
        let line = self.lines.entry(uid.clone()).or_default();
        line.waiting.push_back(notice);
        if line.waiting.len() == 1 {
            self.due.insert((now, uid));
        }
    }

    /// The next that can be told now; it is on its way then.
    pub(super) fn take(&mut self, now: Instant) -> Option<Arc<Notice>> {
        let most = if self.away > 0 { 1 } else { AT_ONCE };
        if self.closed || self.busy >= most || self.rests_until.is_some_and(|until| until > now) {
            return None;
        }
        let (at, _) = self.due.first()?;
        if *at > now {
            return None;
        }
        let (_, uid) = self.due.pop_first()?;
        let line = self.lines.get_mut(&uid)?;
        let notice = line.waiting.front()?.clone();
        line.busy = true;
        self.busy += 1;
        Some(notice)
    }

    /// What became of one that was on its way; what will not be told any more because of it.
    pub(super) fn ended(&mut self, uid: &str, outcome: Outcome, (now, policy): (Instant, Policy)) -> Vec<Dropped> {
        let Some(line) = self.lines.get_mut(uid).filter(|line| line.busy) else { return Vec::new() };
        line.busy = false;
        self.busy -= 1;
        match outcome {
            Outcome::Told | Outcome::Nobody => {
                (self.away, self.rests_until, self.trouble) = (0, None, None);
                self.next(uid, now);
                Vec::new()
            }
            Outcome::Later { why, away, after } => self.later(uid, why, (away, after), (now, policy)),
            Outcome::Never { why } => {
                (self.away, self.rests_until) = (0, None);
                self.give_up(uid, why, now)
            }
            Outcome::Closed { why } => self.close(&why),
        }
    }

    fn later(
        &mut self,
        uid: &str,
        why: String,
        (away, after): (bool, Option<Duration>),
        (now, policy): (Instant, Policy),
    ) -> Vec<Dropped> {
        self.away = if away { self.away.saturating_add(1) } else { 0 };
        self.rests_until = away.then(|| now + wait(policy, self.away));
        let Some(line) = self.lines.get_mut(uid) else { return Vec::new() };
        line.tries = line.tries.saturating_add(1);
        let since = *line.since.get_or_insert(now);
        if now.duration_since(since) >= policy.give_up {
            return self.give_up(uid, why, now);
        }
        let at = now + wait(policy, line.tries).max(after.unwrap_or_default().min(RAREST));
        self.due.insert((at, uid.to_owned()));
        self.trouble = Some(Trouble::Failing(why));
        Vec::new()
    }

    fn give_up(&mut self, uid: &str, why: String, now: Instant) -> Vec<Dropped> {
        let Some(line) = self.lines.get(uid) else { return Vec::new() };
        let tries = line.tries.max(1);
        let dropped = line.waiting.front().cloned();
        self.trouble = Some(Trouble::GivenUp(why.clone()));
        self.next(uid, now);
        dropped.map(|notice| Dropped { notice, why, tries }).into_iter().collect()
    }

    fn close(&mut self, why: &str) -> Vec<Dropped> {
        self.closed = true;
        self.trouble = Some(Trouble::GivenUp(why.to_owned()));
        self.due.clear();
        let left = std::mem::take(&mut self.lines).into_values();
        self.busy = 0;
        left.flat_map(|line| line.waiting.into_iter().map(move |notice| (notice, line.tries.max(1))))
            .map(|(notice, tries)| Dropped { notice, why: why.to_owned(), tries })
            .collect()
    }

    /// The first of a line is done with.
    fn next(&mut self, uid: &str, now: Instant) {
        let Some(line) = self.lines.get_mut(uid) else { return };
        line.waiting.pop_front();
        (line.tries, line.since) = (0, None);
        if line.waiting.is_empty() {
            self.lines.remove(uid);
        } else {
            self.due.insert((now, uid.to_owned()));
        }
    }

    /// When something can be told that cannot be told now.
    pub(super) fn wake(&self) -> Option<Instant> {
        let most = if self.away > 0 { 1 } else { AT_ONCE };
        let (at, _) = self.due.first().filter(|_| !self.closed && self.busy < most)?;
        Some(self.rests_until.map_or(*at, |until| until.max(*at)))
    }

    pub(super) fn trouble(&self) -> Option<&Trouble> {
        self.trouble.as_ref()
    }

    pub(super) fn waiting(&self) -> usize {
        self.lines.values().map(|line| line.waiting.len()).sum()
    }

    /// For each delivery the first place in its log that was not told.
    pub(super) fn behind(&self) -> BTreeMap<String, usize> {
        let first = |(uid, line): (&String, &Line)| Some((uid.clone(), line.waiting.front()?.position));
        self.lines.iter().filter_map(first).collect()
    }
}

/// Twice as long each time, and never quite the same.
fn wait(policy: Policy, tries: u32) -> Duration {
    let plain = policy.first.saturating_mul(1 << tries.saturating_sub(1).min(20)).min(RAREST);
    plain.mul_f64(rand::random_range(0.75..1.25))
}

#[cfg(test)]
#[path = "queue_tests.rs"]
mod tests;
