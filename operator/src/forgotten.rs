//! Which UPCs had an order that is forgotten: told as long as nobody deletes it, also when the Delivery itself is long gone, so that
//! what was forgotten does not come back with the next `kubectl apply`.
//!
//! Kept as hashes in sixteen ConfigMaps a namespace (`waybill-forgotten-0` to `-f`), each with room for some twenty thousand. The
//! operator that leads writes them alone and remembers what it has read: one look a ConfigMap in its life, one write a forgotten UPC.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::{Mutex, MutexGuard, PoisonError};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client};
use serde_json::json;
use sha2::{Digest, Sha256};
use waybill_crds::{FIELD_MANAGER, label};

/// Begins the name of each ConfigMap.
const NAME: &str = "waybill-forgotten";
/// Half a hash: nobody looks for two UPCs with the same half.
const BYTES: usize = 16;

/// Namespace and ConfigMap.
type Place = (String, String);

/// What is known of them.
#[derive(Debug, Default)]
pub(crate) struct Forgotten(Mutex<HashMap<Place, BTreeSet<String>>>);

impl Forgotten {
    pub(crate) async fn has(&self, client: &Client, namespace: &str, upc: &str) -> kube::Result<bool> {
        let (place, mark) = place_of(namespace, upc);
        if let Some(known) = self.known().get(&place) {
            return Ok(known.contains(&mark));
        }
        let found = api(client, namespace).get_opt(&place.1).await?;
        let marks: BTreeSet<String> = found.and_then(|map| map.data).unwrap_or_default().into_keys().collect();
        let has = marks.contains(&mark);
        self.known().entry(place).or_default().extend(marks);
        Ok(has)
    }

    /// For good; true where that is news.
    pub(crate) async fn add(&self, client: &Client, namespace: &str, upc: &str) -> kube::Result<bool> {
        if self.has(client, namespace, upc).await? {
            return Ok(false);
        }
        let (place, mark) = place_of(namespace, upc);
        let data = BTreeMap::from([(mark.clone(), String::new())]);
        let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
        let patched = api(client, namespace).patch(&place.1, &params, &Patch::Merge(json!({ "data": data }))).await;
        match patched {
            Err(kube::Error::Api(status)) if status.is_not_found() => create(client, &place, data).await?,
            other => drop(other?),
        }
        self.known().entry(place).or_default().insert(mark);
        Ok(true)
    }

    fn known(&self) -> MutexGuard<'_, HashMap<Place, BTreeSet<String>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

async fn create(client: &Client, place: &Place, data: BTreeMap<String, String>) -> kube::Result<()> {
    let labels = [(label::NAME, label::APP_NAME), (label::MANAGED_BY, FIELD_MANAGER)];
    let metadata = ObjectMeta {
        name: Some(place.1.clone()),
        namespace: Some(place.0.clone()),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    };
    let map = ConfigMap { metadata, data: Some(data), ..ConfigMap::default() };
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    api(client, &place.0).create(&params, &map).await.map(drop)
}

fn api(client: &Client, namespace: &str) -> Api<ConfigMap> {
    Api::namespaced(client.clone(), namespace)
}

fn place_of(namespace: &str, upc: &str) -> (Place, String) {
    let mark = hex::encode(&Sha256::digest(upc)[..BYTES]);
    ((namespace.to_owned(), format!("{NAME}-{}", &mark[..1])), mark)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_upc_has_one_place_and_its_letters_stand_nowhere() {
        let (place, mark) = place_of("shop", "UPC_1");
        assert_eq!(place_of("shop", "UPC_1"), (place.clone(), mark.clone()));
        assert_eq!((place.1.as_str(), mark.len()), (&*format!("waybill-forgotten-{}", &mark[..1]), 32));
        assert_ne!(place_of("shop", "UPC_2").1, mark);
    }
}
