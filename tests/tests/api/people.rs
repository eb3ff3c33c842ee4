//! Users of the cluster with just the rights a test gives them.

use std::time::Duration;

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use waybill_e2e::objects::apply;
use waybill_e2e::{Namespace, eventually};

const SOON: Duration = Duration::from_secs(30);

/// A ServiceAccount that may do this, as `verb resource` words of the API group `waybill.dev`.
pub(crate) async fn account(namespace: &Namespace, name: &str, rights: &[(&str, &str)]) {
    let meta = json!({"name": name});
    let group = "rbac.authorization.k8s.io";
    let rules: Vec<_> = rights
        .iter()
        .map(|(verb, resource)| json!({"apiGroups": ["waybill.dev"], "resources": [resource], "verbs": [verb]}))
        .collect();
    let role = json!({"apiVersion": format!("{group}/v1"), "kind": "Role", "metadata": meta, "rules": rules});
    let binding = json!({"apiVersion": format!("{group}/v1"), "kind": "RoleBinding", "metadata": meta,
        "roleRef": {"apiGroup": group, "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}]});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": meta});
    apply::<ServiceAccount>(namespace, &account).await.unwrap();
    apply::<Role>(namespace, &role).await.unwrap();
    apply::<RoleBinding>(namespace, &binding).await.unwrap();
}

/// A token of it, for this audience.
pub(crate) async fn token(namespace: &Namespace, name: &str, audience: &str) -> String {
    let accounts: Api<ServiceAccount> = namespace.api();
    let wish = TokenRequest {
        spec: TokenRequestSpec { audiences: vec![audience.into()], ..TokenRequestSpec::default() },
        ..TokenRequest::default()
    };
    eventually("a token", SOON, || async {
        let made = accounts.create_token_request(name, &PostParams::default(), &wish).await;
        made.map_err(|why| why.to_string())?.status.map(|status| status.token).ok_or("no token".to_owned())
    })
    .await
}
