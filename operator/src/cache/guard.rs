//! One unreadable object must not stop a watch: it is set apart with its name, and everything else goes on.
//!
//! kube's own guard buffers and clones the whole object first, a megabyte of custody at worst; this one reads the text twice
//! only when the first reading failed.

use std::borrow::Cow;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::ObjectReference;
use kube::Resource;
use kube::api::ObjectMeta;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use waybill_crds::Reason;

use crate::events::{Severity, Telling};

/// `K`, or the name of what could not be read as `K`.
#[derive(Clone, Debug)]
pub(crate) struct Guarded<K>(pub Result<K, Unreadable>);

/// What is known of an object that is not what its kind says.
#[derive(Clone, Debug)]
pub(crate) struct Unreadable {
    pub metadata: ObjectMeta,
    /// Without the texts that stood there: it goes to the log and into an Event.
    pub error: String,
}

impl Unreadable {
    /// The sign a person sees on the object itself. The same for as long as it is wrong in the same way, so it is told once
    /// however often it is met. None without a name to tell it of.
    pub(super) fn telling<K: Resource<DynamicType = ()>>(&self) -> Option<Telling> {
        let metadata = &self.metadata;
        let kind = K::kind(&()).into_owned();
        let note = format!(
            "this {kind} cannot be read and is left as it is: {}. Correct it, or delete it and create it anew",
            self.error
        );
        Some(Telling {
            about: ObjectReference {
                api_version: Some(K::api_version(&()).into_owned()),
                kind: Some(kind),
                name: Some(metadata.name.clone()?),
                namespace: Some(metadata.namespace.clone()?),
                uid: metadata.uid.clone(),
                ..ObjectReference::default()
            },
            severity: Severity::Warning,
            reason: Reason::Unreadable.as_str().to_owned(),
            note,
            at: metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |at| at.0),
        })
    }
}

/// What the reader says, without texts that stood there (`invalid type: string "…", expected …`): nobody knows what they are.
/// An unknown word where one of a closed list belongs stays, because it is the news.
/// Nor where it stood: that moves with every edit of the rest, and the same fault would be told anew.
fn without_values(error: &str) -> String {
    let fault = error.rsplit_once(" at line ").map_or(error, |(fault, _)| fault);
    match (fault.split_once('"'), fault.rsplit_once('"')) {
        (Some((before, _)), Some((_, after))) => format!("{before}\"…\"{after}"),
        _ => fault.to_owned(),
    }
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
            error: without_values(&error.to_string()),
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
    fn the_sign_names_the_object_and_the_fault_and_not_what_stood_there() {
        let bad = r#"{"metadata":{"name":"bad","namespace":"shop","uid":"u"},"data":"Jane Doe, \"Elm\" Street 1"}"#;
        let told = serde_json::from_str::<Guarded<ConfigMap>>(bad).unwrap().0.unwrap_err();
        assert!(!told.error.contains("Jane") && !told.error.contains("Elm"), "the log: {}", told.error);
        let telling = told.telling::<ConfigMap>().unwrap();
        assert_eq!((telling.about.kind.as_deref(), telling.about.name.as_deref()), (Some("ConfigMap"), Some("bad")));
        assert!(telling.note.contains("invalid type") && telling.note.contains("expected"), "{}", telling.note);
        assert!(!telling.note.contains("Jane") && !telling.note.contains("Elm"), "{}", telling.note);
        let moved = serde_json::from_str::<Guarded<ConfigMap>>(&bad.replace(r#""uid""#, r#"  "uid""#));
        let moved = moved.unwrap().0.unwrap_err().telling::<ConfigMap>().unwrap();
        assert_eq!(moved.note, telling.note, "the same fault in another place is the same news");
        let nameless = serde_json::from_str::<Guarded<ConfigMap>>(r#"{"metadata":7}"#).unwrap().0.unwrap_err();
        assert!(nameless.telling::<ConfigMap>().is_none());
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
