//! Follows the four objects by name through the API: a mounted ConfigMap would be up to a minute late.

use std::fmt::Debug;
use std::sync::Arc;

use futures::StreamExt;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::runtime::WatchStreamExt;
use kube::runtime::watcher::watch_object;
use kube::{Api, Client, Resource};
use serde::de::DeserializeOwned;
use tokio::sync::watch;
use waybill_chassis::telemetry::report;

use crate::inputs::{Data, Inputs};

/// Feeds `inputs` for as long as it is polled. What cannot be watched keeps its last value.
pub(crate) async fn follow(client: &Client, namespace: &str, inputs: &watch::Sender<Inputs>) {
    tokio::join!(
        object(client, namespace, "waybill-crl", config_map, |data| set(inputs, |all| &mut all.revocations, data)),
        object(client, namespace, "waybill-broker-tls", secret, |data| set(inputs, |all| &mut all.server, data)),
        object(client, namespace, "waybill-broker-admin", secret, |data| set(inputs, |all| &mut all.admin, data)),
        object(client, namespace, "waybill-broker", config_map, |data| set(inputs, |all| &mut all.access, data)),
    );
}

async fn object<K>(client: &Client, namespace: &str, name: &str, read: fn(K) -> Data, set: impl Fn(Option<Data>))
where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope> + Clone + Debug + DeserializeOwned + Send + 'static,
{
    let api = Api::<K>::namespaced(client.clone(), namespace);
    let mut changes = watch_object(api, name).default_backoff().boxed();
    while let Some(change) = changes.next().await {
        match change {
            Ok(object) => set(object.map(read)),
            Err(error) => tracing::warn!(object = name, error = %report(&error), "the watch failed and goes on"),
        }
    }
}

fn set(inputs: &watch::Sender<Inputs>, part: impl Fn(&mut Inputs) -> &mut Option<Data>, data: Option<Data>) {
    inputs.send_if_modified(|all| {
        let part = part(all);
        let changed = *part != data;
        *part = data;
        changed
    });
}

fn config_map(object: ConfigMap) -> Data {
    let text = object.data.unwrap_or_default().into_iter().map(|(key, text)| (key, text.into_bytes()));
    let binary = object.binary_data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0));
    Arc::new(text.chain(binary).collect())
}

fn secret(object: Secret) -> Data {
    Arc::new(object.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect())
}
