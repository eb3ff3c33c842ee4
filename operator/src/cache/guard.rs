//! One unreadable object must not stop a watch: it is set apart with its name, and everything else goes on.
//!
//! kube's own guard buffers and clones the whole object first, a megabyte of custody at worst; this one reads the text twice
//! only when the first reading failed.

use std::borrow::Cow;

use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;

/// `K`, or the name of what could not be read as `K`.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<K>(pub Result<K, Unreadable>);

/// What is known of an object that is not what its kind says.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub metadata: ObjectMeta,
    pub error: String,
}

#[derive(Deserialize)]
struct Named {
    #[serde(default)]
    metadata: ObjectMeta,
}

impl<'de, K: DeserializeOwned> Deserialize<'de> for Guarded<K> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = Box::<RawValue>::deserialize(deserializer)?;
        let read = serde_json::from_str::<K>(text.get()).map_err(|error| Unreadable {
            // Without readable metadata it has no name to skip by; the empty one is counted all the same.
            metadata: serde_json::from_str::<Named>(text.get()).map(|named| named.metadata).unwrap_or_default(),
            error: error.to_string(),
        });
        Ok(Self(read))
    }
}

impl<K: Resource> Resource for Guarded<K> {
    type DynamicType = K::DynamicType;
    type Scope = K::Scope;

    fn metadata_api() -> bool {
        K::metadata_api()
    }

    fn kind(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::kind(dt)
    }

    fn group(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::group(dt)
    }

    fn version(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::version(dt)
    }

    fn plural(dt: &Self::DynamicType) -> Cow<'_, str> {
        K::plural(dt)
    }

    fn meta(&self) -> &ObjectMeta {
        self.0.as_ref().map_or_else(|bad| &bad.metadata, K::meta)
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        self.0.as_mut().map_or_else(|bad| &mut bad.metadata, K::meta_mut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::ConfigMap;
    use kube::api::{ObjectList, WatchEvent};

    const GOOD: &str = r#"{"metadata":{"name":"good"},"data":{"a":"b"}}"#;
    const BAD: &str = r#"{"metadata":{"name":"bad","resourceVersion":"7"},"data":["not a map"]}"#;

    #[test]
    fn in_a_list_one_bad_object_leaves_the_others() {
        let text = format!(r#"{{"kind":"ConfigMapList","apiVersion":"v1","metadata":{{}},"items":[{BAD},{GOOD}]}}"#);
        let list: ObjectList<Guarded<ConfigMap>> = serde_json::from_str(&text).unwrap();
        let names: Vec<_> = list.items.iter().map(|i| (i.meta().name.clone().unwrap(), i.0.is_ok())).collect();
        assert_eq!(names, [("bad".into(), false), ("good".into(), true)]);
    }

    #[test]
    fn in_a_watch_a_bad_object_keeps_its_version_so_that_the_watch_resumes_behind_it() {
        let text = format!(r#"{{"type":"MODIFIED","object":{BAD}}}"#);
        let event: WatchEvent<Guarded<ConfigMap>> = serde_json::from_str(&text).unwrap();
        let WatchEvent::Modified(object) = event else { panic!("a modified event") };
        assert!(object.0.is_err());
        assert_eq!(object.meta().resource_version.as_deref(), Some("7"));
    }
}
