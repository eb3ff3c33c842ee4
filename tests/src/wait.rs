//! Waiting on conditions with a deadline; never a bare sleep.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior, interval};

const BETWEEN_LOOKS: Duration = Duration::from_millis(100);

/// Looks until `probe` answers `Ok`, or fails with what it answered last once `deadline` has passed.
pub async fn eventually<T, E, F, Fut>(what: &str, deadline: Duration, mut probe: F) -> T
where
    F: FnMut() -> Fut,
    Fut: Future<Output = Result<T, E>>,
    E: Display,
{
    let end = Instant::now() + deadline;
    let mut tick = interval(BETWEEN_LOOKS);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    loop {
        tick.tick().await;
        match probe().await {
            Ok(value) => return value,
            Err(why) => assert!(Instant::now() < end, "{what}: not within {deadline:?}; last seen: {why}"),
        }
    }
}
