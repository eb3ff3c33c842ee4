//! The trust of the namespace, followed through the API: a mounted ConfigMap would be up to a minute late.

use std::sync::Arc;
use std::time::Duration;

use futures::{StreamExt, pin_mut};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::runtime::WatchStreamExt;
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client};
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::telemetry::report;
use waybill_chassis::trust::FILES;

/// Where the operator publishes what this namespace trusts.
const NAME: &str = "waybill-trust";

/// The published files. A deleted ConfigMap changes nothing: the last known trust stays.
pub(crate) fn trust(client: &Client, namespace: &str) -> watch::Receiver<Arc<Files>> {
    let api = Api::<ConfigMap>::namespaced(client.clone(), namespace);
    let (sender, receiver) = watch::channel(Arc::new(Files::default()));
    tokio::spawn(async move {
        let events = watch_object(api, NAME).backoff(Patience::default());
        pin_mut!(events);
        loop {
            tokio::select! {
                () = sender.closed() => return,
                Some(seen) = events.next() => match seen {
                    Ok(Some(map)) => drop(sender.send_replace(Arc::new(files(&map)))),
                    Ok(None) => tracing::warn!(name = NAME, "the published trust is not there"),
                    Err(error) => tracing::warn!(error = %report(&error), "failed to watch the published trust"),
                },
            }
        }
    });
    receiver
}

fn files(map: &ConfigMap) -> Files {
    let data = map.data.as_ref();
    let content = |name: &&'static str| Some((*name, data?.get(*name)?.clone().into_bytes()));
    FILES.iter().filter_map(content).collect()
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
}
