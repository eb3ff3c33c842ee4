//! How long to wait before the next connection. Pure: the caller brings the dice.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(500);
const CAP: Duration = Duration::from_secs(30);

/// A connection that held this long was a good one: the next loss starts the count anew. Shorter ones keep it growing,
/// so a broker that accepts and drops (a taken-over session, a poisonous message) is not hammered.
pub(crate) const STABLE: Duration = Duration::from_secs(15);

/// Doubles from half a second to half a minute.
#[derive(Debug, Default)]
pub(crate) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The next pause: anywhere in the upper two thirds of the step, by `dice` in 0..1, so that thousands of agents that
    /// lost one broker do not come back in one instant.
    pub(crate) fn next(&mut self, held: Duration, dice: f64) -> Duration {
        if held >= STABLE {
            self.failures = 0;
        }
        let step = FIRST.saturating_mul(1_u32.checked_shl(self.failures).unwrap_or(u32::MAX)).min(CAP);
        self.failures = self.failures.saturating_add(1).min(u32::BITS - 1);
        step.mul_f64((1.0 + 2.0 * dice.clamp(0.0, 1.0)) / 3.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_double_to_the_cap_and_stay_there() {
        let mut backoff = Backoff::default();
        let pauses: Vec<_> = (0..100).map(|_| backoff.next(Duration::ZERO, 1.0)).collect();
        assert_eq!(pauses[..4], [500, 1000, 2000, 4000].map(Duration::from_millis));
        assert!(pauses[7..].iter().all(|pause| *pause == CAP));
    }

    #[test]
    fn a_connection_that_held_starts_the_count_anew_and_a_short_one_does_not() {
        let mut backoff = Backoff::default();
        for _ in 0..5 {
            backoff.next(Duration::from_secs(1), 1.0);
        }
        assert!(backoff.next(STABLE - Duration::from_millis(1), 1.0) > Duration::from_secs(10));
        assert_eq!(backoff.next(STABLE, 1.0), FIRST);
    }

    #[test]
    fn dice_spread_a_pause_over_two_thirds_of_its_step() {
        let pause = |dice| Backoff::default().next(Duration::ZERO, dice);
        assert!(pause(0.0) < Duration::from_millis(170) && pause(0.0) > Duration::from_millis(160));
        assert_eq!(pause(1.0), FIRST);
    }
}
