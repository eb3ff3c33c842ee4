//! One object, followed by name: all that a service with narrow rights may ask for.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::watch_object;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use waybill_chassis::telemetry::report;

/// The object whenever it changes; `None` when there is none. Never ends; trouble is logged and waited out.
pub fn follow<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + Send + Unpin + use<K>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let events = watch_object(api, name).backoff(Patience::default());
    let name = name.to_owned();
    Box::pin(events.filter_map(move |seen| {
        let seen = seen.inspect_err(|error| tracing::warn!(name, error = %report(error), "failed to watch an object"));
        std::future::ready(seen.ok())
    }))
}

/// The latest state of an object, `None` until it is known and when it is gone, for those who need no history.
pub fn latest<K>(api: Api<K>, name: &str) -> watch::Receiver<Option<Arc<K>>>
where
    K: Resource + Clone + Debug + DeserializeOwned + Send + Sync + 'static,
{
    let mut stream = follow(api, name);
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                Some(seen) = stream.next() => drop(sender.send_replace(seen.map(Arc::new))),
            }
        }
    });
    receiver
}

/// Between attempts to watch: short even after a long outage, because who is revoked must be known in seconds.
#[derive(Debug, Default)]
pub struct Patience(u32);

const FIRST_WAIT: Duration = Duration::from_millis(250);
const LONGEST_DOUBLING: u32 = 4;

impl Iterator for Patience {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        let wait = FIRST_WAIT * (1 << self.0);
        self.0 = (self.0 + 1).min(LONGEST_DOUBLING);
        Some(wait)
    }
}

impl Backoff for Patience {
    fn reset(&mut self) {
        self.0 = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_stays_within_seconds() {
        let longest = Patience::default().take(50).max().unwrap();
        assert!(longest <= Duration::from_secs(4), "{longest:?}");
    }
}
