//! Tries of something that fails, further and further apart.

use std::time::{Duration, Instant};

use super::Now;

/// Between tries: doubling from the first to the second.
pub(super) const PAUSES: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(30));

#[derive(Debug, Default)]
pub(super) struct Retry {
    failures: u32,
    at: Option<Instant>,
}

impl Retry {
    pub(super) fn failed(&mut self, now: Now) {
        let pause = PAUSES.0.saturating_mul(1 << self.failures.min(16)).min(PAUSES.1);
        self.failures = self.failures.saturating_add(1);
        self.at = Some(now.instant + pause);
    }

    pub(super) fn succeeded(&mut self) {
        *self = Self::default();
    }

    /// Whether it may be tried now.
    pub(super) fn is_due(&mut self, now: Now) -> bool {
        self.at.take_if(|at| *at <= now.instant);
        self.at.is_none()
    }

    /// It worked, but what it is for may still fail.
    pub(super) fn go_on(&mut self) {
        self.at = None;
    }

    /// How often in a row it failed.
    pub(super) fn failures(&self) -> u32 {
        self.failures
    }

    pub(super) fn at(&self) -> Option<Instant> {
        self.at
    }
}
