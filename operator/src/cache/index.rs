//! Which Deliveries name a Seller, a Carrier or a UPC, so that a change of one wakes just those.

use std::collections::{BTreeSet, HashMap};
use std::sync::RwLock;

use kube::ResourceExt;
use waybill_crds::DeliveryView;

use super::reflect::Change;

type Names = BTreeSet<Box<str>>;
type ByValue = HashMap<(Box<str>, Box<str>), Names>;

/// What a Delivery can be found by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum By {
    Seller,
    Carrier,
    Upc,
}

/// Names of Deliveries by namespace and value.
#[derive(Debug, Default)]
pub(crate) struct Index {
    maps: RwLock<[ByValue; 3]>,
}

const ALL: [By; 3] = [By::Seller, By::Carrier, By::Upc];

fn value(delivery: &DeliveryView, by: By) -> Option<&str> {
    match by {
        By::Seller => Some(&delivery.spec.seller),
        By::Carrier => delivery.spec.carrier.as_deref(),
        By::Upc => Some(&delivery.spec.upc),
    }
}

fn key(delivery: &DeliveryView, by: By) -> Option<(Box<str>, Box<str>)> {
    let namespace = delivery.metadata.namespace.as_deref().unwrap_or_default();
    value(delivery, by).map(|value| (namespace.into(), value.into()))
}

impl Index {
    /// Follows one change of the cache.
    pub(crate) fn follow(&self, change: &Change<'_, DeliveryView>) {
        let moved = |by| change.old.and_then(|old| value(old, by)) != change.new.and_then(|new| value(new, by));
        let changed: Vec<By> = ALL.into_iter().filter(|by| moved(*by)).collect();
        if changed.is_empty() {
            return;
        }
        let mut maps = self.maps.write().expect("no code panics while it holds the index");
        for by in changed {
            let map = &mut maps[by as usize];
            if let Some((old, key)) = change.old.and_then(|old| Some((old, key(old, by)?))) {
                forget(map, key, &old.name_any());
            }
            if let Some((new, key)) = change.new.and_then(|new| Some((new, key(new, by)?))) {
                map.entry(key).or_default().insert(new.name_any().into());
            }
        }
    }

    /// The names of the Deliveries of `namespace` with this value.
    pub(crate) fn find(&self, by: By, namespace: &str, value: &str) -> Vec<Box<str>> {
        let maps = self.maps.read().expect("no code panics while it holds the index");
        let found = maps[by as usize].get(&(namespace.into(), value.into()));
        found.map(|names| names.iter().cloned().collect()).unwrap_or_default()
    }

    /// Whether any Delivery of `namespace` has this value.
    pub(crate) fn any(&self, by: By, namespace: &str, value: &str) -> bool {
        let maps = self.maps.read().expect("no code panics while it holds the index");
        maps[by as usize].contains_key(&(namespace.into(), value.into()))
    }
}

fn forget(map: &mut ByValue, key: (Box<str>, Box<str>), name: &str) {
    if let Some(names) = map.get_mut(&key) {
        names.remove(name);
        if names.is_empty() {
            map.remove(&key);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixtures::delivery;

    #[test]
    fn a_delivery_is_found_by_what_it_names_and_lost_when_it_goes() {
        let index = Index::default();
        let one = delivery("one").upc("U").seller("acme").carrier("truck").done();
        let two = delivery("two").upc("U").seller("acme").done();
        index.follow(&Change { old: None, new: Some(&one) });
        index.follow(&Change { old: None, new: Some(&two) });
        assert_eq!(index.find(By::Seller, "shop", "acme"), ["one".into(), "two".into()]);
        assert_eq!(index.find(By::Upc, "shop", "U").len(), 2);
        assert_eq!(index.find(By::Carrier, "shop", "truck"), ["one".into()]);
        assert!(!index.any(By::Carrier, "other", "truck"));

        let moved = delivery("one").upc("U").seller("acme").carrier("drone").done();
        index.follow(&Change { old: Some(&one), new: Some(&moved) });
        assert!(!index.any(By::Carrier, "shop", "truck") && index.any(By::Carrier, "shop", "drone"));

        index.follow(&Change { old: Some(&moved), new: None });
        assert!(!index.any(By::Carrier, "shop", "drone"));
        assert_eq!(index.find(By::Upc, "shop", "U"), ["two".into()]);
    }
}
