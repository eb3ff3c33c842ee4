//! Everything a Seller's reconciliation looks up, all of it in the cache. No judgement here.

use kube::ResourceExt;
use waybill_crds::Seller;

use crate::cache::Caches;
use crate::cache::index::By;

pub(super) struct Found {
    /// The namespace is going away, or is not one of ours.
    pub namespace_ends: bool,
    /// A Delivery of the namespace names this Seller.
    pub named: bool,
}

pub(super) fn dereference(caches: &Caches, seller: &Seller) -> Found {
    let namespace = seller.namespace().unwrap_or_default();
    Found {
        namespace_ends: caches.namespace_ends(&namespace),
        named: caches.index.any(By::Seller, &namespace, &seller.name_any()),
    }
}
