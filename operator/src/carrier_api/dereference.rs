//! Everything the reconciliation of a namespace's Carrier API looks up, all of it in the cache. No judgement here.

use std::sync::Arc;

use kube::ResourceExt;
use waybill_crds::Carrier;

use crate::cache::{Caches, NamespaceMeta};

pub(super) struct Found {
    pub namespace_ends: bool,
    /// The Carriers of the namespace.
    pub carriers: Vec<Arc<Carrier>>,
    /// Something of a Carrier API is there.
    pub present: bool,
}

pub(super) fn dereference(caches: &Caches, namespace: &NamespaceMeta) -> Found {
    let name = namespace.name_any();
    let account = kube::runtime::reflector::ObjectRef::new(super::NAME).within(&name);
    Found {
        namespace_ends: namespace.metadata.deletion_timestamp.is_some(),
        carriers: caches.carriers.state_filter(|carrier| carrier.metadata.namespace.as_deref() == Some(&name)),
        present: caches.children.accounts.get(&account).is_some(),
    }
}
