//! What time it is: the device's own word, and the same put right by the Carrier API's.
//!
//! A device's clock may be off by years. Its word goes into events as it is; tokens and statements are checked with the
//! time the Carrier API's `Date` says, as soon as one was heard. A difference of a second or two is the header's grain.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{SystemTime, UNIX_EPOCH};

use waybill_protocol::UnixMillis;

use crate::job::Time;

/// Differences up to this are none.
const GRAIN: i64 = 2_000;
/// A difference worth a word in the log.
const SKEW: i64 = 60_000;

/// Cheap to clone; all clones hear the same.
#[derive(Debug, Clone)]
pub struct Clock {
    device: fn() -> UnixMillis,
    ahead: Arc<AtomicI64>,
}

impl Clock {
    /// By this device.
    pub fn system() -> Self {
        Self::by(system)
    }

    /// By another device.
    pub fn by(device: fn() -> UnixMillis) -> Self {
        Self { device, ahead: Arc::default() }
    }

    pub fn now(&self) -> Time {
        let device = (self.device)();
        Time { device, trusted: UnixMillis(device.0.saturating_add_signed(self.ahead.load(Ordering::Relaxed))) }
    }

    /// Another machine's time, as it came with an answer. True if ours was put right by it.
    pub fn hear(&self, date: UnixMillis) -> bool {
        let difference = date.0.cast_signed().saturating_sub((self.device)().0.cast_signed());
        let ahead = if difference.abs() <= GRAIN { 0 } else { difference };
        let before = self.ahead.swap(ahead, Ordering::Relaxed);
        let changed = (ahead - before).abs() > GRAIN;
        if changed && ahead.abs() > SKEW {
            tracing::warn!(seconds = -ahead / 1000, "this device's clock is off; tokens follow the Carrier API's");
        }
        changed
    }
}

fn system() -> UnixMillis {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    UnixMillis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_follow_the_other_machine_and_events_the_device() {
        let clock = Clock::by(|| UnixMillis::from_secs(1_000));
        assert_eq!(clock.now().trusted, clock.now().device);
        assert!(clock.hear(UnixMillis::from_secs(1_800_000_000)));
        assert_eq!(clock.now().trusted, UnixMillis::from_secs(1_800_000_000));
        assert_eq!(clock.now().device, UnixMillis::from_secs(1_000));
        assert!(!clock.hear(UnixMillis::from_secs(1_800_000_001)), "the grain of the header is no news");
    }

    #[test]
    fn a_clock_that_is_nearly_right_is_left_alone() {
        let clock = Clock::by(|| UnixMillis::from_secs(1_000));
        assert!(!clock.hear(UnixMillis(1_001_900)));
        assert_eq!(clock.now().trusted, UnixMillis::from_secs(1_000));
    }
}
