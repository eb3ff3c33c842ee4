//! An account of the bench's own that may look at Deliveries.

use anyhow::Result;
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::Patch;
use serde_json::json;

use crate::cluster::{Setting, apply};

pub(crate) const VIEWER: &str = "bench-viewer";

/// The account, and its right to do this with Deliveries of the example's namespace.
pub(crate) async fn viewer(setting: &Setting, verbs: &[&str]) -> Result<Api<ServiceAccount>> {
    let (client, namespace) = (&setting.client, &setting.example);
    let meta = json!({"name": VIEWER});
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": meta,
                      "rules": [{"apiGroups": ["waybill.dev"], "resources": ["deliveries"], "verbs": verbs}]});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": VIEWER},
        "subjects": [{"kind": "ServiceAccount", "name": VIEWER, "namespace": namespace}]});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta});
    let accounts: Api<ServiceAccount> = Api::namespaced(client.clone(), namespace);
    accounts.patch(VIEWER, &apply(), &Patch::Apply(account)).await?;
    Api::<Role>::namespaced(client.clone(), namespace).patch(VIEWER, &apply(), &Patch::Apply(role)).await?;
    Api::<RoleBinding>::namespaced(client.clone(), namespace).patch(VIEWER, &apply(), &Patch::Apply(binding)).await?;
    Ok(accounts)
}
