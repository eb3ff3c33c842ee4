//! What every part of the operator shares: the client, the settings, where to work, and where to tell about it. Cheap to clone.

use std::sync::Arc;

use kube::{Api, Client, Resource};

use crate::args::Args;
use crate::events::Events;
use crate::identity::Identity;
use crate::metrics::Metrics;

/// The one field manager of everything the operator applies.
pub const FIELD_MANAGER: &str = "waybill-operator";

/// Shared by reconcilers and background loops.
#[derive(Clone)]
pub struct Context {
    pub client: Client,
    pub settings: Arc<Args>,
    pub scope: Scope,
    pub identity: Identity,
    pub events: Events,
    pub metrics: Metrics,
}

impl Context {
    /// Objects of kind `K` in one namespace.
    pub fn api<K>(&self, namespace: &str) -> Api<K>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        Api::namespaced(self.client.clone(), namespace)
    }
}

/// Where the operator works. It never looks outside.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Scope {
    Cluster,
    Namespaces(Arc<[String]>),
}

impl Scope {
    /// An empty list means the whole cluster; blanks and repeats are dropped.
    pub fn of(namespaces: &[String]) -> Self {
        let mut named: Vec<String> = namespaces.iter().map(|n| n.trim().to_owned()).filter(|n| !n.is_empty()).collect();
        named.sort();
        named.dedup();
        if named.is_empty() { Self::Cluster } else { Self::Namespaces(named.into()) }
    }

    /// True when the operator works in `namespace`.
    pub fn contains(&self, namespace: &str) -> bool {
        match self {
            Self::Cluster => true,
            Self::Namespaces(named) => named.iter().any(|n| n == namespace),
        }
    }

    /// One `Api` a stream: a single one cluster-wide, or one for each namespace, so that a Role in each is enough.
    pub fn apis<K>(&self, client: &Client) -> Vec<Api<K>>
    where
        K: Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>,
    {
        match self {
            Self::Cluster => vec![Api::all(client.clone())],
            Self::Namespaces(named) => named.iter().map(|n| Api::namespaced(client.clone(), n)).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_namespace_means_the_cluster_and_repeats_do_not_count() {
        assert_eq!(Scope::of(&[]), Scope::Cluster);
        assert_eq!(Scope::of(&["".into(), " ".into()]), Scope::Cluster);
        let two = Scope::of(&["b".into(), " a".into(), "b".into()]);
        assert_eq!(two, Scope::Namespaces(vec!["a".into(), "b".into()].into()));
        assert!(two.contains("a") && !two.contains("c"));
    }
}
