//! A namespace with our definitions served, and the people who write into it.

use std::fmt::Debug;
use std::future::Future;
use std::time::Duration;

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::core::Request;
use kube::{Api, Client, CustomResourceExt, Resource};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::{Namespace, eventually, in_namespace};

const SERVED: Duration = Duration::from_secs(60);

/// One test's namespace.
pub(crate) struct Room {
    pub(crate) namespace: Namespace,
    /// The account that may append to the logs of the Seller `acme`.
    pub(crate) seller: Client,
    /// The account that writes topics and the operator's conditions.
    pub(crate) operator: Client,
}

/// Runs `story` in a fresh namespace in which the definitions of this source tree are served.
pub(crate) async fn in_room<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Room) -> Fut,
    Fut: Future<Output = ()>,
{
    in_namespace(test, &[], async |namespace| {
        static DEFINED: OnceCell<()> = OnceCell::const_new();
        DEFINED.get_or_init(|| define(namespace.client.clone())).await;
        let seller = namespace.cluster.as_account(&namespace.name, "wb-seller-acme");
        let operator = namespace.cluster.as_account("waybill-system", "waybill-operator");
        let room = Room { seller, operator, namespace };
        room.let_accounts_write_status().await;
        story(room).await;
    })
    .await;
}

/// Applies the definitions and waits until the API server serves exactly their rules.
async fn define(client: Client) {
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for crd in waybill_crds::all() {
        let name = crd.metadata.name.clone().unwrap();
        let apply = PatchParams::apply("waybill-crds-test").force();
        api.patch(&name, &apply, &Patch::Apply(&crd)).await.expect("the definition is valid");
        let established = kube::runtime::wait::conditions::is_crd_established();
        let waiting = kube::runtime::wait::await_condition(api.clone(), &name, established);
        tokio::time::timeout(SERVED, waiting).await.expect("established in time").expect("a watch");
        eventually(&format!("{name} is served as applied"), SERVED, || serves(&client, &crd)).await;
    }
}

/// The published schema follows the served one, so it is a sign that the handler is up to date.
async fn serves(client: &Client, crd: &CustomResourceDefinition) -> Result<(), String> {
    let path = format!("/openapi/v3/apis/{}/{}", waybill_crds::GROUP, waybill_crds::VERSION);
    let request = Request::new(path).list(&ListParams::default()).map_err(|why| why.to_string())?;
    let published: Value = client.request(request).await.map_err(|why| why.to_string())?;
    let kind = &crd.spec.names.kind;
    let schema = &published["components"]["schemas"][format!("dev.waybill.v1alpha1.{kind}")];
    let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
    let wanted = &version["schema"]["openAPIV3Schema"];
    let differs =
        ["spec", "status"].into_iter().find(|part| !within(&wanted["properties"][part], &schema["properties"][part]));
    match differs {
        None if within(&wanted["x-kubernetes-validations"], &schema["x-kubernetes-validations"]) => Ok(()),
        None => Err(format!("old rules of {kind}")),
        Some(part) => Err(format!("old {part} of {kind}")),
    }
}

/// Whether everything `wanted` says is also in `there`; numbers compare by value.
fn within(wanted: &Value, there: &Value) -> bool {
    match (wanted, there) {
        (Value::Object(wanted), Value::Object(there)) => {
            wanted.iter().all(|(key, value)| there.get(key).is_some_and(|other| within(value, other)))
        }
        (Value::Array(wanted), Value::Array(there)) => {
            wanted.len() == there.len() && wanted.iter().zip(there).all(|(a, b)| within(a, b))
        }
        (Value::Number(wanted), Value::Number(there)) => wanted.as_f64() == there.as_f64(),
        _ => wanted == there,
    }
}

impl Room {
    async fn let_accounts_write_status(&self) {
        let role = json!({
            "metadata": {"name": "status"},
            "rules": [{
                "apiGroups": [waybill_crds::GROUP],
                "resources": ["deliveries", "deliveries/status", "sellers/status", "carriers/status"],
                "verbs": ["get", "list", "create", "update", "patch"],
            }],
        });
        let binding = json!({
            "metadata": {"name": "status"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "status"},
            "subjects": [
                {"kind": "ServiceAccount", "name": "wb-seller-acme", "namespace": self.namespace.name},
                {"kind": "ServiceAccount", "name": "waybill-operator", "namespace": "waybill-system"},
            ],
        });
        let roles: Api<Role> = self.namespace.api();
        let bindings: Api<RoleBinding> = self.namespace.api();
        roles.create(&PostParams::default(), &serde_json::from_value(role).unwrap()).await.expect("a Role");
        bindings
            .create(&PostParams::default(), &serde_json::from_value(binding).unwrap())
            .await
            .expect("a RoleBinding");
    }

    /// Objects of a kind as plain JSON, so that a test can write what the types could not.
    pub(crate) fn plain<K: Resource<DynamicType = ()>>(&self) -> Api<DynamicObject> {
        let kind = ApiResource::erase::<K>(&());
        Api::namespaced_with(self.namespace.client.clone(), &self.namespace.name, &kind)
    }

    /// What the API server would answer to `kubectl create`; nothing is stored.
    pub(crate) async fn try_create<K: Resource<DynamicType = ()>>(
        &self,
        object: &Value,
    ) -> kube::Result<DynamicObject> {
        let params = PostParams { dry_run: true, ..PostParams::default() };
        self.plain::<K>().create(&params, &serde_json::from_value(object.clone()).unwrap()).await
    }

    /// Creates it.
    pub(crate) async fn create<K: Resource<DynamicType = ()>>(&self, object: &Value) -> DynamicObject {
        let object = serde_json::from_value(object.clone()).unwrap();
        self.plain::<K>().create(&PostParams::default(), &object).await.expect("a valid object")
    }

    /// `kubectl patch --type merge` by the user.
    pub(crate) async fn merge<K: Resource<DynamicType = ()>>(
        &self,
        name: &str,
        change: &Value,
    ) -> kube::Result<DynamicObject> {
        self.plain::<K>().patch(name, &PatchParams::default(), &Patch::Merge(change)).await
    }

    /// Deliveries as the Seller's account sees them.
    pub(crate) fn as_seller(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.seller.clone(), &self.namespace.name, &Delivery::api_resource())
    }

    /// Deliveries as the operator's account sees them.
    pub(crate) fn as_operator(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.operator.clone(), &self.namespace.name, &Delivery::api_resource())
    }

    /// Merges into the status of a Delivery as the Seller's account.
    pub(crate) async fn status(&self, name: &str, change: &Value) -> kube::Result<DynamicObject> {
        let change = json!({"status": change});
        self.as_seller().patch_status(name, &PatchParams::default(), &Patch::Merge(&change)).await
    }

    /// Appends events to the log of a Delivery, as the services do it.
    pub(crate) async fn append(&self, name: &str, events: &[Value]) -> kube::Result<DynamicObject> {
        let operations: Vec<_> =
            events.iter().map(|event| json!({"op": "add", "path": "/status/custody/-", "value": event})).collect();
        let patch: Patch<()> = Patch::Json(serde_json::from_value(json!(operations)).unwrap());
        self.as_seller().patch_status(name, &PatchParams::default(), &patch).await
    }
}

/// A Delivery the operator of a shared cluster leaves alone.
pub(crate) fn delivery(name: &str) -> Value {
    object::<Delivery>(name, json!({"upc": "UPC_1", "seller": "acme", "carrier": "truck-7"}))
}

pub(crate) fn seller(name: &str, spec: Value) -> Value {
    object::<Seller>(name, spec)
}

pub(crate) fn carrier(name: &str, spec: Value) -> Value {
    object::<Carrier>(name, spec)
}

fn object<K: Resource<DynamicType = ()>>(name: &str, spec: Value) -> Value {
    json!({
        "apiVersion": K::api_version(&()), "kind": K::kind(&()),
        "metadata": {"name": name, "annotations": {waybill_crds::annotation::PAUSED: "true"}},
        "spec": spec,
    })
}

/// The same object with `change` merged into its spec.
pub(crate) fn with(mut object: Value, change: Value) -> Value {
    for (field, value) in change.as_object().unwrap() {
        object["spec"][field] = value.clone();
    }
    object
}

/// A log entry; `author` and `event` are all the schema looks at.
pub(crate) fn event(author: &str, seq: usize, event: &str) -> Value {
    json!({
        "author": author, "seq": seq, "event": event, "at": format!("2026-12-01T09:30:{:02}.000000Z", seq % 60),
        "signed": "aGVsbG8=", "id": format!("{seq:064x}"),
    })
}

/// Fails unless the API server refused with a message that contains `text`.
#[track_caller]
pub(crate) fn refused<T: Debug>(answer: kube::Result<T>, text: &str) {
    match answer {
        Err(kube::Error::Api(status)) => {
            assert!(status.message.contains(text), "refused, but not with {text:?}:\n{}", status.message);
            assert!(status.is_invalid(), "refused with {} {}", status.code, status.reason);
        }
        other => panic!("expected a refusal with {text:?}, got {other:?}"),
    }
}
