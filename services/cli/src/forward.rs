//! The way to a pod's port, through the cluster's API server and by the user's own rights.

use http::StatusCode;
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use kube::api::ListParams;
use tokio::io::{AsyncRead, AsyncWrite};

use crate::cluster::Cluster;
use crate::error::Error;

/// Bytes to it and back.
pub(crate) trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

/// A stream to this port of a ready pod of `component`; `missing` is said where none is ready.
pub(crate) async fn forward(
    cluster: &Cluster,
    component: &str,
    port: u16,
    missing: String,
) -> Result<Box<dyn Stream>, Error> {
    let pods = cluster.api::<Pod>();
    let labels = format!("app.kubernetes.io/name=waybill,app.kubernetes.io/component={component}");
    let found = pods.list(&ListParams::default().labels(&labels)).await;
    let found = found.map_err(|error| cluster.failed("list", "pods", error))?;
    let ready = found.items.iter().find(|pod| is_ready(pod)).map(ResourceExt::name_any);
    let ready = ready.ok_or(Error::Missing(missing))?;
    let what = format!("pods/portforward {ready}");
    let forwarded = pods.portforward(&ready, &[port]).await;
    let mut forwarded = forwarded.map_err(|error| cluster.failed("create", &what, told(error)))?;
    let stream = forwarded.take_stream(port);
    Ok(Box::new(stream.expect("the port that was asked for has a stream, once")))
}

/// A WebSocket that was refused says only the status; which right was missing follows from that.
fn told(error: kube::Error) -> kube::Error {
    use kube::client::UpgradeConnectionError::ProtocolSwitch;
    match error {
        kube::Error::UpgradeConnection(ProtocolSwitch(StatusCode::FORBIDDEN)) => {
            let status = kube::core::Status::failure("forbidden", "Forbidden").with_code(403);
            kube::Error::Api(status.boxed())
        }
        other => other,
    }
}

fn is_ready(pod: &Pod) -> bool {
    let conditions = pod.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    conditions.iter().any(|one| one.type_ == "Ready" && one.status == "True")
}
