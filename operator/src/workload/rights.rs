//! Roles: each rule names what it is for by its resource, and names objects wherever Kubernetes can limit by name.

use k8s_openapi::api::rbac::v1::{PolicyRule, Role, RoleBinding, RoleRef, Subject};

use super::Made;

/// A rule on the named objects only. An empty list of names would mean all, so there is no rule then.
pub(crate) fn named(group: &str, resource: &str, names: &[String], verbs: &[&str]) -> Option<PolicyRule> {
    (!names.is_empty()).then(|| PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(vec![resource.to_owned()]),
        resource_names: Some(names.to_vec()),
        verbs: verbs.iter().map(|verb| (*verb).to_owned()).collect(),
        ..PolicyRule::default()
    })
}

/// A rule on all objects of these kinds in the namespace.
pub(crate) fn every(group: &str, resources: &[&str], verbs: &[&str]) -> PolicyRule {
    let texts = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect();
    PolicyRule {
        api_groups: Some(vec![group.to_owned()]),
        resources: Some(texts(resources)),
        verbs: texts(verbs),
        ..PolicyRule::default()
    }
}

pub(crate) fn role(made: &Made, rules: Vec<PolicyRule>) -> Role {
    Role { metadata: made.metadata(), rules: Some(rules) }
}

/// The account of the same name holds the role of the same name.
pub(crate) fn binding(made: &Made) -> RoleBinding {
    RoleBinding {
        metadata: made.metadata(),
        role_ref: RoleRef {
            api_group: "rbac.authorization.k8s.io".into(),
            kind: "Role".into(),
            name: made.name.clone(),
        },
        subjects: Some(vec![Subject {
            kind: "ServiceAccount".into(),
            name: made.name.clone(),
            namespace: Some(made.namespace.clone()),
            ..Subject::default()
        }]),
    }
}
