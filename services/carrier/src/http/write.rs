//! Into a delivery's log: decided on what is known, written under the version it was decided on, and decided anew whenever
//! the log moved meanwhile.

use std::time::Duration;

use axum::http::StatusCode;
use waybill_chassis::problem::Problem;
use waybill_cluster::custody::{self, AppendError, CARRIER_API_FIELD_MANAGER};
use waybill_crds::Delivery;
use waybill_protocol::{Log, SignedEvent};

use super::problems::{BUSY, later, of_cluster, unknown_delivery};
use crate::service::Shared;

/// How often a write is decided anew because somebody else wrote first.
const ATTEMPTS: u32 = 12;

/// What a write comes to: these events, none if they are there already, and what its asker is told.
pub(super) struct Decided<T> {
    pub(super) new: Vec<SignedEvent>,
    pub(super) told: T,
}

/// Why nothing is written.
pub(super) enum Refused {
    /// Whatever the log says.
    Always(Problem),
    /// By what the log says: told only when that is what the API server has, not what the watch has seen of it.
    Now(Problem),
}

/// `201` with what was decided once it is written, `200` where all of it was there.
pub(super) async fn write<T>(
    service: &Shared,
    uid: &str,
    decide: impl Fn(&Delivery, &Log) -> Result<Decided<T>, Refused>,
) -> Result<(StatusCode, T), Problem> {
    let (mut fresh, mut refused_once) = (false, false);
    for attempt in 0..ATTEMPTS {
        let turn = service.deliveries.turn().await;
        let delivery = service.deliveries.get(uid).ok_or_else(unknown_delivery)?;
        let log = service.log(&delivery).ok_or_else(unknown_delivery)?;
        match decide(&delivery, &log) {
            Ok(Decided { new, told }) if new.is_empty() => return Ok((StatusCode::OK, told)),
            Ok(Decided { new, told }) => {
                let api = service.deliveries.api();
                let wrote = custody::append(api, &delivery, &log, &new, CARRIER_API_FIELD_MANAGER).await;
                drop(turn);
                match wrote {
                    Ok(now) => {
                        service.deliveries.offer(now);
                        return Ok((StatusCode::CREATED, told));
                    }
                    Err(AppendError::Conflict) => tokio::time::sleep(pause(attempt)).await,
                    // A place this write changes may be gone from a newer object, which reads like a mistake of ours: only
                    // what is refused again is one.
                    Err(AppendError::Refused(_)) if !refused_once => refused_once = true,
                    Err(error) => return Err(failed(&error)),
                }
            }
            Err(Refused::Always(problem)) => return Err(problem),
            Err(Refused::Now(problem)) if fresh => return Err(problem),
            Err(Refused::Now(_)) => drop(turn),
        }
        // What an agent has seen, or somebody wrote, is on its way here; only what is still refused then is asked for.
        let caught_up = match attempt {
            0 => service.deliveries.catch_up(&delivery).await,
            _ => service.deliveries.refresh(delivery.metadata.name.as_deref().unwrap_or_default()).await,
        };
        caught_up.map_err(|error| of_cluster(&error))?.ok_or_else(unknown_delivery)?;
        fresh = attempt > 0;
    }
    Err(later(BUSY, "others kept writing this delivery's log; send it again"))
}

/// Two who met once do not meet again at the same moment.
fn pause(attempt: u32) -> Duration {
    Duration::from_millis(rand::random_range(0..=5 << attempt.min(5)))
}

fn failed(error: &AppendError) -> Problem {
    match error {
        AppendError::Gone => unknown_delivery(),
        // It may be there all the same; sent again, it is found.
        AppendError::Api(error) => of_cluster(error),
        other => Problem::internal(other),
    }
}
