//! The right to ask the API server who a token belongs to and what they may do (`system:auth-delegator`), for the Carrier API's
//! account. Both reviews are cluster-scoped, so a Role cannot give it.
//!
//! Where the chart lists the namespaces it binds the accounts itself, and the operator has no right to. Cluster-wide nobody knows
//! them beforehand: the operator then may bind this one ClusterRole, by name, and makes one binding a namespace, which goes with it.

use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::api::rbac::v1::{ClusterRoleBinding, RoleRef, Subject};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Resource, ResourceExt};
use waybill_crds::{FIELD_MANAGER, label};

use crate::cache::NamespaceMeta;
use crate::context::{Context, Scope};

const ROLE: &str = "system:auth-delegator";

/// Why the binding is not there.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to look for ClusterRoleBinding {name}")]
    Ask {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to create ClusterRoleBinding {name}")]
    Create {
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to use ClusterRoleBinding {0}: it is still the one of a namespace that is gone")]
    Former(String),
}

/// Makes the binding where it is the operator's to make; costs one read once it is there.
pub(super) async fn permit(context: &Context, namespace: &NamespaceMeta) -> Result<(), Error> {
    if context.scope != Scope::Cluster {
        return Ok(());
    }
    let binding = binding(namespace);
    let name = binding.name_any();
    let api: Api<ClusterRoleBinding> = Api::all(context.client.clone());
    let found = api.get_metadata_opt(&name).await.map_err(|source| Error::Ask { name: name.clone(), source })?;
    if let Some(found) = found {
        let ours = found.owner_references().iter().any(|owner| Some(&owner.uid) == namespace.metadata.uid.as_ref());
        // The garbage collector is about to take a former namespace's.
        return if ours { Ok(()) } else { Err(Error::Former(name)) };
    }
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, &binding).await {
        Ok(_) => Ok(()),
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(Error::Create { name, source }),
    }
}

fn binding(namespace: &NamespaceMeta) -> ClusterRoleBinding {
    let name = namespace.name_any();
    let labels =
        [(label::NAME, label::APP_NAME), (label::COMPONENT, "carrier-api"), (label::MANAGED_BY, FIELD_MANAGER)];
    let owner = OwnerReference {
        api_version: Namespace::api_version(&()).into_owned(),
        kind: Namespace::kind(&()).into_owned(),
        name: name.clone(),
        uid: namespace.uid().unwrap_or_default(),
        ..OwnerReference::default()
    };
    ClusterRoleBinding {
        metadata: ObjectMeta {
            name: Some(format!("{}.{name}", super::NAME)),
            labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
            owner_references: Some(vec![owner]),
            ..ObjectMeta::default()
        },
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "ClusterRole".into(),
            name: ROLE.into(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: super::NAME.into(),
            namespace: Some(name),
            ..Subject::default()
        }]),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_account_of_one_namespace_is_bound_and_only_as_long_as_the_namespace_is_there() {
        let mut namespace = NamespaceMeta::default();
        namespace.metadata.name = Some("shop".into());
        namespace.metadata.uid = Some("the-uid".into());
        let binding = binding(&namespace);
        assert_eq!(binding.metadata.name.as_deref(), Some("waybill-carrier-api.shop"));
        let owner = &binding.metadata.owner_references.unwrap()[0];
        assert_eq!((owner.kind.as_str(), owner.uid.as_str()), ("Namespace", "the-uid"));
        assert_eq!(binding.role_ref.name, "system:auth-delegator");
        let subjects = binding.subjects.unwrap();
        assert_eq!(subjects.len(), 1);
        assert_eq!(
            (subjects[0].name.as_str(), subjects[0].namespace.as_deref()),
            ("waybill-carrier-api", Some("shop"))
        );
    }
}
