//! Applying Waybill's resources as a user does, and reading what became of them.

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{Patch, PatchParams};
use kube::core::NamespaceResourceScope;
use kube::{Api, Resource};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Seller};

use crate::{Namespace, eventually};

/// How long provisioning may take on a busy machine before a test gives up.
pub const PROVISIONED: Duration = Duration::from_secs(120);

/// `kubectl apply --server-side`.
pub async fn apply<K>(namespace: &Namespace, body: &Value) -> kube::Result<K>
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()> + Clone + DeserializeOwned + std::fmt::Debug,
{
    let name = body["metadata"]["name"].as_str().expect("a name");
    namespace.api::<K>().patch(name, &PatchParams::apply("user").force(), &Patch::Apply(body)).await
}

/// A seller with one order for each UPC, and its orders Secret.
pub async fn seller(namespace: &Namespace, name: &str, upcs: &[&str]) -> Seller {
    orders(namespace, name, upcs).await;
    let body = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": name}, "spec": {}});
    apply(namespace, &body).await.expect("a Seller")
}

/// The Secret a seller of this name looks for, with one order for each UPC.
pub async fn orders(namespace: &Namespace, name: &str, upcs: &[&str]) {
    let orders: serde_json::Map<String, Value> = upcs.iter().map(|upc| ((*upc).into(), order(upc).into())).collect();
    let secret = format!("orders-{name}");
    let body = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": secret}, "stringData": orders});
    apply::<Secret>(namespace, &body).await.expect("an orders Secret");
}

/// Marker texts stand for a person's data, so a scan can find them where they must not be.
pub fn order(upc: &str) -> String {
    json!({
        "country": format!("MARKER-country-{upc}"), "province": "MARKER-province", "city": "MARKER-city",
        "door": "MARKER-door", "clientname": "MARKER-name", "clientphone": "MARKER-phone", "postalCode": "MARKER-postal"
    })
    .to_string()
}

/// A carrier run by Waybill.
pub async fn managed_carrier(namespace: &Namespace, name: &str) -> Carrier {
    let body = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": name},
                      "spec": {"kind": "truck", "transport": {"managed": {}}}});
    apply(namespace, &body).await.expect("a Carrier")
}

/// A plain Delivery; its name is its UPC.
pub fn delivery(upc: &str, seller: &str, carrier: &str) -> Value {
    json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": upc},
           "spec": {"upc": upc, "seller": seller, "carrier": carrier}})
}

/// The condition of this type, for those kinds that have conditions.
pub trait Conditions {
    fn conditions(&self) -> &[Condition];

    fn condition(&self, kind: &str) -> Option<&Condition> {
        self.conditions().iter().find(|c| c.type_ == kind)
    }
}

impl Conditions for Seller {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

impl Conditions for Carrier {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

impl Conditions for Delivery {
    fn conditions(&self) -> &[Condition] {
        self.status.as_ref().map_or(&[], |s| &s.conditions)
    }
}

/// Waits until the condition has this status and, if given, reason; answers with the object.
pub async fn wait_condition<K>(namespace: &Namespace, name: &str, kind: &str, status: &str, reason: Option<&str>) -> K
where
    K: Resource<Scope = NamespaceResourceScope, DynamicType = ()>
        + Clone
        + DeserializeOwned
        + std::fmt::Debug
        + Conditions,
{
    let api: Api<K> = namespace.api();
    eventually(&format!("{name}: {kind}={status} {}", reason.unwrap_or_default()), PROVISIONED, || async {
        let object = api.get(name).await.map_err(|why| why.to_string())?;
        let met = object.condition(kind).is_some_and(|c| c.status == status && reason.is_none_or(|r| c.reason == r));
        if met { Ok(object) } else { Err(format!("{:?}", object.conditions())) }
    })
    .await
}

/// A key of a ConfigMap, once it is there.
pub async fn config(namespace: &Namespace, name: &str, key: &str) -> String {
    let api: Api<ConfigMap> = namespace.api();
    eventually(&format!("ConfigMap {name}/{key}"), PROVISIONED, || async {
        let map = api.get(name).await.map_err(|why| why.to_string())?;
        map.data.and_then(|mut data| data.remove(key)).ok_or_else(|| "no such key".to_owned())
    })
    .await
}

/// The address of a Service inside the node, reached from outside.
pub async fn service(client: &kube::Client, namespace: &str, name: &str, port: u16) -> std::net::SocketAddr {
    let api: Api<Service> = Api::namespaced(client.clone(), namespace);
    let service = api.get(name).await.expect("the Service");
    let address = service.spec.and_then(|s| s.cluster_ip).expect("a cluster address");
    crate::node::forward(&address, port)
}

/// What a pod answers at its probe port, fetched through the API server.
pub async fn probe(namespace: &Namespace, pod: &str, path: &str) -> Result<String, String> {
    let path = format!("/api/v1/namespaces/{}/pods/{pod}:8080/proxy{path}", namespace.name);
    let request = http::Request::get(path).body(Vec::new()).map_err(|why| why.to_string())?;
    namespace.client.request_text(request).await.map_err(|why| why.to_string())
}
