//! Objects of the cluster, each followed by name: all this service may read, so it asks for nothing more.

use std::fmt::Debug;
use std::sync::Arc;
use std::time::Duration;

use futures::{Stream, StreamExt};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::telemetry::report;
use waybill_chassis::trust;

/// Where the operator publishes what this namespace trusts.
const TRUST: &str = "waybill-trust";

/// The object whenever it changes; `None` when there is none. Never ends; trouble is logged and waited out.
pub(crate) fn follow<K>(api: Api<K>, name: &str) -> impl Stream<Item = Option<K>> + Send + Unpin + use<K>
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

/// The latest state of an object, `None` until it is known, for those who need no history.
pub(crate) fn latest<K>(api: Api<K>, name: &str) -> watch::Receiver<Option<Arc<K>>>
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

/// The published trust of the namespace. A deleted ConfigMap changes nothing: the last known trust stays.
pub(crate) fn published_trust(client: &Client, namespace: &str) -> watch::Receiver<Arc<Files>> {
    let mut stream = follow(Api::<ConfigMap>::namespaced(client.clone(), namespace), TRUST);
    let (sender, receiver) = watch::channel(Arc::new(Files::default()));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                Some(seen) = stream.next() => match seen {
                    Some(map) => drop(sender.send_replace(Arc::new(files(&map)))),
                    None => tracing::warn!(name = TRUST, "the published trust is not there"),
                },
            }
        }
    });
    receiver
}

fn files(map: &ConfigMap) -> Files {
    let data = map.data.as_ref();
    let content = |name: &&'static str| Some((*name, data?.get(*name)?.clone().into_bytes()));
    trust::FILES.iter().filter_map(content).collect()
}

/// Between attempts to watch: short even after a long outage, because who is revoked must be known in seconds.
#[derive(Debug, Default)]
struct Patience(u32);

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
    fn only_the_trusted_files_are_taken_from_the_config_map() {
        let data = [("ca.crt", "roots"), ("revoked.json", "{}"), ("broker", "b:1")];
        let data = data.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let files = files(&ConfigMap { data: Some(data.into()), ..ConfigMap::default() });
        assert_eq!(
            (files.text("ca.crt"), files.text("revoked.json"), files.text("broker")),
            (Some("roots"), Some("{}"), None)
        );
    }

    #[test]
    fn patience_stays_within_seconds() {
        let longest = Patience::default().take(50).max().unwrap();
        assert!(longest <= Duration::from_secs(4), "{longest:?}");
    }
}
