//! Waiting for our kinds. Any account may ask which resources a group serves, so no right on CustomResourceDefinitions is needed.

use std::collections::BTreeSet;
use std::time::Duration;

use kube::{Client, Resource};
use tokio_util::sync::CancellationToken;
use waybill_chassis::probes::Gate;
use waybill_chassis::telemetry::report;
use waybill_crds::{Carrier, Delivery, GROUP, Seller, VERSION};

const BETWEEN_LOOKS: Duration = Duration::from_secs(1);

/// Returns once the API server serves every kind of ours, or with `shutdown`.
pub(crate) async fn wait(client: &Client, gate: &Gate, shutdown: &CancellationToken) {
    while !shutdown.is_cancelled() {
        match missing(client).await {
            Ok(missing) if missing.is_empty() => return,
            Ok(missing) => gate.close(format!("waiting for CRDs: {}", missing.join(", "))),
            Err(error) => {
                gate.close("waiting for the API server");
                tracing::warn!(error = %report(&error), "failed to ask which kinds are served");
            }
        }
        shutdown.run_until_cancelled(tokio::time::sleep(BETWEEN_LOOKS)).await;
    }
}

async fn missing(client: &Client) -> Result<Vec<String>, kube::Error> {
    let served = match client.list_api_group_resources(&format!("{GROUP}/{VERSION}")).await {
        Ok(list) => list.resources.into_iter().map(|resource| resource.name).collect(),
        Err(kube::Error::Api(status)) if status.is_not_found() => BTreeSet::new(),
        Err(error) => return Err(error),
    };
    let wanted = [Delivery::plural(&()), Seller::plural(&()), Carrier::plural(&())];
    Ok(wanted.into_iter().filter(|kind| !served.contains(&**kind)).map(Into::into).collect())
}
