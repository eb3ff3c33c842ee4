//! The objects themselves. Pure.

use std::collections::HashMap;
use std::sync::Arc;

use kube::{Resource, ResourceExt};

/// What several objects may have in common, and never changes in one.
pub(super) type Group<K> = fn(&K) -> &str;

#[derive(Debug)]
pub(super) struct Store<K> {
    by_uid: HashMap<String, Arc<K>>,
    uid_by_name: HashMap<String, String>,
    group: Option<Group<K>>,
    uids_by_group: HashMap<String, Vec<String>>,
}

impl<K> Default for Store<K> {
    fn default() -> Self {
        Self::grouped(None)
    }
}

impl<K> Store<K> {
    pub(super) fn grouped(group: Option<Group<K>>) -> Self {
        Self { by_uid: HashMap::new(), uid_by_name: HashMap::new(), group, uids_by_group: HashMap::new() }
    }
}

impl<K: Resource<DynamicType = ()>> Store<K> {
    /// Whose state is another one now: nobody's where the very same or a later version is here already.
    pub(super) fn put(&mut self, uid: String, object: K) -> Vec<String> {
        if self.by_uid.get(&uid).is_some_and(|known| !is_newer(&object, known)) {
            return Vec::new();
        }
        // Under one name there is one object: its forerunner is gone, whatever the watch says later.
        let forerunner = self.uid_by_name.insert(object.name_any(), uid.clone()).filter(|before| *before != uid);
        let gone = forerunner.filter(|before| self.take(before).is_some());
        if let Some(group) = self.group
            && !self.by_uid.contains_key(&uid)
        {
            self.uids_by_group.entry(group(&object).to_owned()).or_default().push(uid.clone());
        }
        self.by_uid.insert(uid.clone(), Arc::new(object));
        gone.into_iter().chain([uid]).collect()
    }

    /// Like [`Store::put`], for an object that is here and for no other.
    pub(super) fn update(&mut self, uid: &str, object: K) -> Vec<String> {
        if self.by_uid.contains_key(uid) { self.put(uid.to_owned(), object) } else { Vec::new() }
    }

    pub(super) fn remove(&mut self, uid: &str) {
        if let Some(object) = self.take(uid) {
            let name = object.name_any();
            if self.uid_by_name.get(&name).is_some_and(|current| current == uid) {
                self.uid_by_name.remove(&name);
            }
        }
    }

    /// Out of everything but the names, which may be another's already.
    fn take(&mut self, uid: &str) -> Option<Arc<K>> {
        let object = self.by_uid.remove(uid)?;
        if let Some(group) = self.group
            && let Some(uids) = self.uids_by_group.get_mut(group(&object))
        {
            uids.retain(|one| one != uid);
            if uids.is_empty() {
                self.uids_by_group.remove(group(&object));
            }
        }
        Some(object)
    }

    /// Removes what `keep` does not keep, and names it.
    pub(super) fn retain(&mut self, keep: impl Fn(&str) -> bool) -> Vec<String> {
        let gone: Vec<String> = self.by_uid.keys().filter(|uid| !keep(uid)).cloned().collect();
        gone.iter().for_each(|uid| self.remove(uid));
        gone
    }

    pub(super) fn get(&self, uid: &str) -> Option<Arc<K>> {
        self.by_uid.get(uid).cloned()
    }

    pub(super) fn by_name(&self, name: &str) -> Option<Arc<K>> {
        self.get(self.uid_by_name.get(name)?)
    }

    /// Those of one group, in no order.
    pub(super) fn group(&self, group: &str) -> Vec<Arc<K>> {
        self.uids_by_group.get(group).into_iter().flatten().filter_map(|uid| self.get(uid)).collect()
    }

    pub(super) fn all(&self) -> impl Iterator<Item = &Arc<K>> {
        self.by_uid.values()
    }

    pub(super) fn uids(&self) -> Vec<String> {
        self.by_uid.keys().cloned().collect()
    }
}

/// Versions of one object are numbers that grow. Where they are not, the later word counts.
fn is_newer<K: Resource>(object: &K, known: &K) -> bool {
    let version = |of: &K| of.meta().resource_version.as_ref().and_then(|version| version.parse::<u64>().ok());
    match (version(object), version(known)) {
        (Some(new), Some(old)) => new > old,
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::ConfigMap;

    use super::*;

    #[test]
    fn an_older_version_never_replaces_a_newer_one() {
        let mut store = Store::default();
        assert_eq!(store.put("u1".into(), object("a", "5")), ["u1"]);
        assert!(store.put("u1".into(), object("a", "5")).is_empty());
        assert!(store.put("u1".into(), object("a", "4")).is_empty());
        assert_eq!(store.put("u1".into(), object("a", "10")), ["u1"]);
        assert_eq!(store.get("u1").unwrap().resource_version().as_deref(), Some("10"));
    }

    #[test]
    fn who_comes_under_the_same_name_is_somebody_else() {
        let mut store = Store::default();
        store.put("u1".into(), object("a", "5"));
        assert_eq!(store.put("u2".into(), object("a", "7")), ["u1", "u2"], "both are told: one is gone");
        assert!(store.get("u1").is_none());
        store.remove("u1");
        assert_eq!(store.by_name("a").unwrap().resource_version().as_deref(), Some("7"));
        assert_eq!(store.retain(|_| false), ["u2"]);
        assert!(store.by_name("a").is_none() && store.uids().is_empty());
    }

    #[test]
    fn a_late_answer_neither_brings_back_what_is_gone_nor_evicts_who_has_its_name() {
        let mut store = Store::default();
        store.put("u1".into(), object("a", "5"));
        assert_eq!(store.update("u1", object("a", "6")), ["u1"]);
        assert!(store.update("u1", object("a", "5")).is_empty());
        store.remove("u1");
        assert!(store.update("u1", object("a", "7")).is_empty());
        store.put("u2".into(), object("a", "8"));
        assert!(store.update("u1", object("a", "9")).is_empty());
        assert!(store.get("u1").is_none() && store.get("u2").is_some());
    }

    #[test]
    fn those_of_a_group_are_found_until_they_are_gone() {
        let group: Group<ConfigMap> = |map| map.metadata.generate_name.as_deref().unwrap_or_default();
        let mut store = Store::grouped(Some(group));
        let of = |name: &str, version: &str, group: &str| {
            let mut object = object(name, version);
            object.metadata.generate_name = Some(group.into());
            object
        };
        let names = |store: &Store<ConfigMap>, group: &str| {
            let mut names: Vec<String> = store.group(group).iter().map(|object| object.name_any()).collect();
            names.sort();
            names
        };
        store.put("u1".into(), of("a", "1", "g"));
        store.put("u2".into(), of("b", "2", "g"));
        store.put("u3".into(), of("c", "3", "h"));
        store.put("u1".into(), of("a", "4", "g"));
        assert_eq!((names(&store, "g"), names(&store, "h")), (vec!["a".into(), "b".into()], vec!["c".to_owned()]));
        store.put("u4".into(), of("a", "5", "h"));
        store.remove("u2");
        assert_eq!((names(&store, "g").len(), names(&store, "h")), (0, vec!["a".into(), "c".into()]));
        store.retain(|_| false);
        assert!(store.uids_by_group.is_empty(), "nothing is kept for who is gone");
    }

    // === helpers ===

    fn object(name: &str, version: &str) -> ConfigMap {
        let mut object = ConfigMap::default();
        object.metadata.name = Some(name.into());
        object.metadata.resource_version = Some(version.into());
        object
    }
}
