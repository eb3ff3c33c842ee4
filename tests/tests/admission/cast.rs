//! The people of these stories: accounts that RBAC lets write every status, and what they try.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Patch, PatchParams, PostParams};
use kube::{Api, Client, Error};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::{Namespace, eventually};

/// Where the release under test lives, if not in `waybill-system`.
const OPERATOR_NAMESPACE: &str = "WAYBILL_OPERATOR_NAMESPACE";
const SELLER: &str = "acme";
const PATIENCE: Duration = Duration::from_secs(20);

/// The accounts of one namespace, each as a client of its own.
pub(crate) struct Cast {
    pub(crate) namespace: Namespace,
    pub(crate) operator: Client,
    /// The service of the Seller `acme`.
    pub(crate) seller: Client,
    /// The service of another Seller, who bears the name of the Carrier `truck`.
    pub(crate) other_seller: Client,
    pub(crate) carrier_api: Client,
    pub(crate) user: Client,
    /// `system:masters`: no RBAC rule holds it back.
    pub(crate) admin: Client,
}

impl Cast {
    /// Lets everyone write everything as far as RBAC goes, and waits until that is so.
    pub(crate) async fn assemble(namespace: &Namespace) -> Self {
        let cluster = &namespace.cluster;
        let home = operator_namespace();
        let cast = Self {
            namespace: namespace.clone(),
            operator: cluster.as_account(&home, "waybill-operator"),
            seller: cluster.as_account(&namespace.name, "wb-seller-acme"),
            other_seller: cluster.as_account(&namespace.name, "wb-seller-truck"),
            carrier_api: cluster.as_account(&namespace.name, "waybill-carrier-api"),
            user: cluster.as_user("dora", &["system:authenticated"]),
            admin: cluster.as_user("root", &["system:masters", "system:authenticated"]),
        };
        cast.permit(&home).await;
        cast
    }

    async fn permit(&self, home: &str) {
        let rules = json!({"metadata": {"name": "writers"}, "rules": [
            {"apiGroups": ["waybill.dev"], "resources": ["deliveries", "sellers", "carriers"],
             "verbs": ["get", "create", "patch", "delete"]},
            {"apiGroups": ["waybill.dev"], "resources": ["deliveries/status", "sellers/status", "carriers/status"],
             "verbs": ["get", "patch"]}]});
        let account =
            |namespace: &str, name: &str| json!({"kind": "ServiceAccount", "namespace": namespace, "name": name});
        let own = &self.namespace.name;
        let group = "rbac.authorization.k8s.io";
        let binding = json!({"metadata": {"name": "writers"},
            "roleRef": {"apiGroup": group, "kind": "Role", "name": "writers"},
            "subjects": [account(home, "waybill-operator"), account(own, "wb-seller-acme"), account(own, "wb-seller-truck"),
                account(own, "waybill-carrier-api"), {"kind": "User", "apiGroup": group, "name": "dora"}]});
        create::<Role>(&self.namespace.api(), rules).await;
        create::<RoleBinding>(&self.namespace.api(), binding).await;
        for client in [&self.operator, &self.seller, &self.other_seller, &self.carrier_api, &self.user] {
            let api: Api<Delivery> = self.as_seen_by(client);
            eventually("the role takes effect", PATIENCE, || async {
                match api.get_status("nobody").await {
                    Err(Error::Api(status)) if status.code == 404 => Ok(()),
                    other => Err(format!("{other:?}")),
                }
            })
            .await;
        }
    }

    /// Objects of this namespace through another's eyes.
    pub(crate) fn as_seen_by<K>(&self, client: &Client) -> Api<K>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(client.clone(), &self.namespace.name)
    }

    /// A Delivery of the seller `acme`, left alone by the operator.
    pub(crate) async fn delivery(&self, name: &str) {
        let object = json!({"metadata": paused(name), "spec": {"upc": name, "seller": SELLER, "carrier": "truck"}});
        create::<Delivery>(&self.as_seen_by(&self.user), object).await;
    }

    /// A Delivery whose parcel is under way.
    pub(crate) async fn running_delivery(&self, name: &str) {
        self.delivery(name).await;
        let status = json!({"phase": "OutForDelivery", "custody": log(&["Accepted", "HandedOver"])});
        self.write_status::<Delivery>(&self.seller, name, status).await.expect("the seller moves its delivery on");
    }

    pub(crate) async fn participants(&self) {
        create::<Seller>(&self.as_seen_by(&self.user), json!({"metadata": paused(SELLER), "spec": {}})).await;
        create::<Seller>(&self.as_seen_by(&self.user), json!({"metadata": paused("truck"), "spec": {}})).await;
        let truck = json!({"metadata": paused("truck"), "spec": {"kind": "truck"}});
        create::<Carrier>(&self.as_seen_by(&self.user), truck).await;
    }

    /// Merges into the status of `K` named `name`, as `client`.
    pub(crate) async fn write_status<K>(&self, client: &Client, name: &str, status: Value) -> Result<K, Error>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + DeserializeOwned,
    {
        let patch = Patch::Merge(json!({ "status": status }));
        self.as_seen_by::<K>(client).patch_status(name, &PatchParams::default(), &patch).await
    }

    /// Says these conditions, as `client`, beside those that others say. `manager` owns them and no others of its own.
    pub(crate) async fn say<K>(&self, client: &Client, manager: &str, name: &str, said: &[&str]) -> Result<K, Error>
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()> + DeserializeOwned,
    {
        let conditions: Vec<_> = said.iter().map(|type_| condition(type_)).collect();
        let body = json!({"apiVersion": K::api_version(&()), "kind": K::kind(&()), "metadata": {"name": name},
            "status": {"conditions": conditions}});
        let params = PatchParams::apply(manager).force();
        self.as_seen_by::<K>(client).patch_status(name, &params, &Patch::Apply(&body)).await
    }
}

pub(crate) async fn create<K>(api: &Api<K>, object: Value)
where
    K: kube::Resource + serde::Serialize + DeserializeOwned + Clone + std::fmt::Debug,
{
    let object: K = serde_json::from_value(object).expect("a well-formed object");
    api.create(&PostParams::default(), &object).await.expect("an object of the test");
}

/// Asserts that the policy refused it, and says so readably.
pub(crate) fn forbidden<K: std::fmt::Debug>(outcome: Result<K, Error>, message: &str) {
    refused(outcome, 403, message);
}

/// Asserts a refusal with this code, whose message holds this text.
pub(crate) fn refused<K: std::fmt::Debug>(outcome: Result<K, Error>, code: u16, message: &str) {
    match outcome {
        Err(Error::Api(status)) => {
            assert_eq!(status.code, code, "{}", status.message);
            assert!(status.message.contains(message), "{message:?} is not in {:?}", status.message);
        }
        other => panic!("expected a refusal saying {message:?}, got {other:?}"),
    }
}

/// A log of the seller's events with these names.
pub(crate) fn log(events: &[&str]) -> Value {
    events.iter().enumerate().map(|(i, event)| entry("Seller", i, event)).collect()
}

/// An entry whose bytes nobody checks here: the policy looks at who and what only.
pub(crate) fn entry(author: &str, seq: usize, event: &str) -> Value {
    json!({"author": author, "seq": seq, "event": event, "at": "2026-12-01T09:30:00.000000Z",
        "signed": "AAAA", "id": format!("{seq:064x}")})
}

fn condition(type_: &str) -> Value {
    json!({"type": type_, "status": "True", "reason": "Tested", "message": "said by a test",
        "lastTransitionTime": "2026-12-01T09:30:00Z"})
}

fn paused(name: &str) -> Value {
    json!({"name": name, "annotations": {"waybill.dev/paused": "true"}})
}

fn operator_namespace() -> String {
    std::env::var(OPERATOR_NAMESPACE).unwrap_or_else(|_| "waybill-system".into())
}
