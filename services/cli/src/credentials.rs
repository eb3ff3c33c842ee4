//! What a way to a service inside the cluster begins with: whose certificates count there, and a token that is good there alone.

use std::sync::Arc;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{ConfigMap, ServiceAccount};
use kube::api::PostParams;
use tokio_rustls::TlsConnector;
use waybill_chassis::tls::{Bundle, anonymous_client};
use waybill_cluster::trust::NAME as TRUST;
use zeroize::Zeroizing;

use crate::cluster::Cluster;
use crate::error::Error;

/// Seconds; the API server gives none shorter.
const TOKEN_LIFE: i64 = 600;

/// Connections whose certificates are checked against what the operator published in the namespace.
pub(crate) async fn connector(cluster: &Cluster) -> Result<TlsConnector, Error> {
    let trust: ConfigMap = cluster.get(TRUST).await?;
    let roots = trust.data.unwrap_or_default().remove("ca.crt").unwrap_or_default();
    let tls = Bundle::from_pem(roots.as_bytes()).and_then(|bundle| anonymous_client(&bundle));
    let tls = tls.map_err(|error| {
        Error::Missing(format!("failed to use ConfigMap {TRUST} of namespace {:?}: {error}", cluster.namespace))
    })?;
    Ok(TlsConnector::from(Arc::new(tls)))
}

/// A token of this account of the namespace for this audience, by the user's own rights.
pub(crate) async fn account_token(
    cluster: &Cluster,
    account: &str,
    audience: &str,
) -> Result<Zeroizing<String>, Error> {
    let spec = TokenRequestSpec {
        audiences: vec![audience.to_owned()],
        expiration_seconds: Some(TOKEN_LIFE),
        ..TokenRequestSpec::default()
    };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let made = cluster.api::<ServiceAccount>().create_token_request(account, &PostParams::default(), &request).await;
    let made = made.map_err(|error| match &error {
        kube::Error::Api(status) if status.is_not_found() => Error::Missing(format!(
            "there is no ServiceAccount {account:?} in namespace {:?}\n  the chart makes waybill-viewer in the namespaces it lists; docs/board.md says how to make one elsewhere",
            cluster.namespace
        )),
        _ => cluster.failed("create", &format!("serviceaccounts/token {account}"), error),
    })?;
    Ok(Zeroizing::new(made.status.map(|status| status.token).unwrap_or_default()))
}
