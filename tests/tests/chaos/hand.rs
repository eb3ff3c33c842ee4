//! The hand of a seller's service: its account writes what happened to a parcel. The API server cannot check signatures.

use std::fmt::Debug;

use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::{ApiResource, DynamicObject, Patch, PatchParams};
use serde_json::{Value, json};
use waybill_crds::Delivery;
use waybill_e2e::Namespace;
use waybill_e2e::objects::{PROVISIONED, apply};

/// Merges `status` into the Delivery's as seller `shop` does. The account's own rights may be fewer.
pub(crate) async fn write(namespace: &Namespace, delivery: &str, status: Value) {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "hand"},
        "rules": [{"apiGroups": ["waybill.dev"], "resources": ["deliveries/status"], "verbs": ["patch"]}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "hand"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "hand"},
        "subjects": [{"kind": "ServiceAccount", "name": "wb-seller-shop", "namespace": namespace.name}]});
    apply::<Role>(namespace, &role).await.expect("a Role");
    apply::<RoleBinding>(namespace, &binding).await.expect("a RoleBinding");
    let account = namespace.cluster.as_account(&namespace.name, "wb-seller-shop");
    let kind = ApiResource::erase::<Delivery>(&());
    let deliveries: Api<DynamicObject> = Api::namespaced_with(account, &namespace.name, &kind);
    let patch = Patch::Merge(json!({"status": status}));
    let params = PatchParams::default();
    waybill_e2e::eventually("its account may write", PROVISIONED, || {
        forbidden_is_early(deliveries.patch_status(delivery, &params, &patch))
    })
    .await
    .unwrap_or_else(|why| panic!("{delivery}: {why}"));
}

/// Rights take a moment to be known; any other answer is one.
async fn forbidden_is_early<T: Debug>(
    answer: impl Future<Output = kube::Result<T>>,
) -> Result<kube::Result<T>, kube::Error> {
    match answer.await {
        Err(kube::Error::Api(status)) if status.message.contains("cannot patch resource") => {
            Err(kube::Error::Api(status))
        }
        answer => Ok(answer),
    }
}
