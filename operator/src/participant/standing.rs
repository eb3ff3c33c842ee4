//! Whether a participant is served at all, and what every builder needs to know of it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::{Resource, ResourceExt};
use waybill_crds::{annotation, label};

use super::Kind;
use crate::cache::Caches;

/// What to do.
#[derive(Debug, PartialEq)]
pub(super) enum Standing {
    /// Paused, or going away: hands off.
    Leave,
    /// Made for a Delivery that is gone.
    Unneeded,
    Serve(Known),
}

/// Whose objects are made.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Known {
    pub namespace: String,
    pub name: String,
    pub uid: String,
    pub owner: OwnerReference,
}

pub(super) fn dereference<K: Kind>(caches: &Caches, object: &K) -> Standing {
    let namespace = object.namespace().unwrap_or_default();
    let named = caches.index.any(K::BY, &namespace, &object.name_any());
    standing(object, caches.namespace_ends(&namespace), named)
}

/// `named`: a Delivery of its namespace names it.
fn standing<K: Resource<DynamicType = ()>>(object: &K, namespace_ends: bool, named: bool) -> Standing {
    let paused = object.annotations().get(annotation::PAUSED).is_some_and(|value| value == "true");
    if paused || namespace_ends || object.meta().deletion_timestamp.is_some() {
        return Standing::Leave;
    }
    let made_by_us = object.labels().get(label::AUTO_CREATED).is_some_and(|value| value == "true");
    if made_by_us && !named {
        return Standing::Unneeded;
    }
    // Only what the API server never stored has no uid.
    Known::of(object).map_or(Standing::Leave, Standing::Serve)
}

impl Known {
    pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> Option<Self> {
        Some(Self {
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid()?,
            owner: object.controller_owner_ref(&())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures;

    #[test]
    fn paused_ending_or_unneeded_participants_are_not_served() {
        let mut made = fixtures::seller("acme", false);
        made.labels_mut().insert(label::AUTO_CREATED.into(), "true".into());
        assert_eq!(standing(&made, false, false), Standing::Unneeded);
        assert!(matches!(standing(&made, false, true), Standing::Serve(_)));
        made.annotations_mut().insert(annotation::PAUSED.into(), "true".into());
        assert_eq!(standing(&made, false, false), Standing::Leave);
        let carrier = fixtures::carrier("truck", false);
        assert!(matches!(standing(&carrier, false, false), Standing::Serve(_)), "a user's own stays");
        assert_eq!(standing(&carrier, true, true), Standing::Leave);
    }
}
