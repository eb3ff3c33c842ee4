//! Asking until there is an answer.

use std::time::Duration;

use waybill_chassis::telemetry::report;

use crate::api::{Api, Error};

const FIRST: Duration = Duration::from_millis(100);
const CAP: Duration = Duration::from_secs(30);
/// Those who wait for good news all hear it in one moment, and ask within this time.
const SPREAD: Duration = Duration::from_millis(250);
/// So many times "not found" in a row, the last ones half a minute apart, is no lagging watch any more.
const NOT_FOUND: u32 = 20;

/// Asks again after growing pauses, and soon after somebody else got an answer, but never all in one moment. Gives up only on what is not there,
/// and when told that this agent is nobody any more.
pub(super) async fn until_answered<T, F>(api: &Api, ask: impl Fn() -> F) -> Result<T, Error>
where
    F: Future<Output = Result<T, Error>>,
{
    let mut restored = api.restored();
    let (mut failures, mut missing) = (0_u32, 0);
    loop {
        let error = match ask().await {
            Ok(answer) => return Ok(answer),
            Err(error) => error,
        };
        if matches!(error, Error::Revoked) {
            return Err(error);
        }
        missing = if error.is_not_found() { missing + 1 } else { 0 };
        if missing >= NOT_FOUND {
            return Err(error);
        }
        if failures == 3 {
            tracing::warn!(error = %report(&error), "the Carrier API does not answer as it should; it is asked again");
        }
        // Good news from before this failure is none any more.
        restored.mark_unchanged();
        tokio::select! {
            () = tokio::time::sleep(pause(failures)) => {}
            Ok(()) = restored.changed() => tokio::time::sleep(SPREAD.mul_f64(rand::random())).await,
        }
        failures = failures.saturating_add(1);
    }
}

/// Doubles up to the cap, anywhere in the upper half of its step.
pub(crate) fn pause(failures: u32) -> Duration {
    let step = FIRST.saturating_mul(1_u32.checked_shl(failures).unwrap_or(u32::MAX)).min(CAP);
    step.mul_f64(0.5 + rand::random::<f64>() / 2.0)
}
