//! How far everybody has been told, in ConfigMap `wb-seller-<name>-notices`: what the next holder of the Lease goes on from. No more is kept than
//! places in logs, and what was given up; both without anything personal.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::Api;
use kube::api::{Patch, PatchParams};
use serde::{Deserialize, Serialize};
use serde_json::json;
use waybill_crds::NOTIFY_FIELD_MANAGER;

/// What was given up, at most.
const MOST_DROPPED: usize = 100;
const TOLD: &str = "told.json";
const DROPPED: &str = "given-up.json";

/// Places in logs, by uid of the Delivery.
type Places = BTreeMap<String, usize>;

/// All that is kept.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub(super) struct Memory {
    /// How far each log was looked at.
    pub(super) seen: Places,
    /// Who has not been told all of that yet: from which place on.
    pub(super) behind: BTreeMap<String, Places>,
    #[serde(skip)]
    pub(super) dropped: Vec<Kept>,
}

/// What was given up, for people to see.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub(super) id: String,
    /// Who was not told: `mail`, or the host of a webhook.
    pub(super) to: String,
    pub(super) delivery: String,
    pub(super) upc: String,
    pub(super) phase: String,
    pub(super) why: String,
    pub(super) tries: u32,
    pub(super) at: String,
}

impl Memory {
    pub(super) fn drop_one(&mut self, kept: Kept) {
        self.dropped.push(kept);
        let over = self.dropped.len().saturating_sub(MOST_DROPPED);
        self.dropped.drain(..over);
    }

    fn read(map: &ConfigMap) -> Option<Self> {
        let data = map.data.as_ref()?;
        let mut memory: Self = serde_json::from_str(data.get(TOLD)?).ok()?;
        memory.dropped = data.get(DROPPED).and_then(|text| serde_json::from_str(text).ok()).unwrap_or_default();
        Some(memory)
    }

    /// What is kept; none where nobody has been told anything yet.
    pub(super) async fn load(api: &Api<ConfigMap>, name: &str) -> kube::Result<Option<Self>> {
        Ok(Self::read(&api.get(name).await?))
    }

    pub(super) async fn save(&self, api: &Api<ConfigMap>, name: &str) -> kube::Result<()> {
        let told = serde_json::to_string(self).map_err(kube::Error::SerdeError)?;
        let dropped = serde_json::to_string_pretty(&self.dropped).map_err(kube::Error::SerdeError)?;
        let patch = json!({"data": {TOLD: told, DROPPED: dropped}});
        let params = PatchParams { field_manager: Some(NOTIFY_FIELD_MANAGER.into()), ..PatchParams::default() };
        api.patch(name, &params, &Patch::Merge(patch)).await.map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_given_up_is_kept_up_to_a_bound_the_latest_last() {
        let mut memory = Memory::default();
        let kept = |n: usize| Kept {
            id: n.to_string(),
            to: "mail".into(),
            delivery: "d".into(),
            upc: "u".into(),
            phase: "Lost".into(),
            why: "answered with status 500".into(),
            tries: 3,
            at: "2026-01-01T00:00:00Z".into(),
        };
        (0..MOST_DROPPED + 5).for_each(|n| memory.drop_one(kept(n)));
        assert_eq!(memory.dropped.len(), MOST_DROPPED);
        assert_eq!(memory.dropped.last().map(|kept| kept.id.clone()), Some((MOST_DROPPED + 4).to_string()));
    }

    #[test]
    fn an_empty_config_map_means_that_nobody_was_told_anything_yet() {
        assert_eq!(Memory::read(&ConfigMap::default()), None);
        let data = [(TOLD.to_owned(), r#"{"seen":{"d-1":3},"behind":{"mail":{"d-1":2}}}"#.to_owned())];
        let memory = Memory::read(&ConfigMap { data: Some(data.into()), ..ConfigMap::default() }).unwrap();
        assert_eq!((memory.seen["d-1"], memory.behind["mail"]["d-1"]), (3, 2));
    }
}
