//! What a Carrier's reconciliation looks up besides, all of it in the cache. No judgement here.

use kube::ResourceExt;
use kube::runtime::reflector::ObjectRef;
use waybill_crds::Carrier;

use crate::cache::Caches;
use crate::cache::index::By;
use crate::carrier_api;
use crate::workload::{Progress, progress};

pub(crate) struct Found {
    /// It has accepted a job that is not finished.
    pub under_way: bool,
    /// How far the namespace's Carrier API is; none is made yet.
    pub carrier_api: Option<Progress>,
}

pub(super) fn dereference(caches: &Caches, carrier: &Carrier) -> Found {
    let (namespace, name) = (carrier.namespace().unwrap_or_default(), carrier.name_any());
    let api = ObjectRef::new(carrier_api::NAME).within(&namespace);
    Found {
        // Asked only where it matters: a busy Carrier has many Deliveries.
        under_way: carrier.spec.suspended && under_way(caches, &namespace, &name),
        carrier_api: caches.children.deployments.get(&api).map(|deployment| progress(&deployment)),
    }
}

fn under_way(caches: &Caches, namespace: &str, carrier: &str) -> bool {
    let named = caches.index.find(By::Carrier, namespace, carrier);
    named
        .iter()
        .filter_map(|name| caches.deliveries.get(&ObjectRef::new(name).within(namespace)))
        .any(|delivery| crate::cache::started(&delivery) && !delivery.phase().terminal())
}
