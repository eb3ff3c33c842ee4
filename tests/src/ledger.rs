//! What the operator wrote down about certificates: its ledger, its authorities, its list of the revoked.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::{Api, Client};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use x509_parser::prelude::{FromDer, X509Certificate};

/// The operator's own namespace.
pub const SYSTEM: &str = "waybill-system";

/// One number and whose it is.
#[derive(Clone, Debug, Deserialize)]
pub struct Entry {
    pub serial: String,
    pub uid: String,
    pub namespace: String,
    pub kind: String,
}

/// Every entry of every batch.
pub async fn entries(client: &Client) -> Vec<Entry> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let batches = api.list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("ledgers");
    let text = |map: &ConfigMap| map.data.as_ref().and_then(|data| data.get("entries.json").cloned());
    let read = |map: &ConfigMap| serde_json::from_str::<Vec<Entry>>(&text(map).expect("entries")).expect("entries");
    batches.iter().flat_map(read).collect()
}

/// Numbers that were given out more than once.
pub fn duplicates(entries: &[Entry]) -> Vec<String> {
    let mut seen = BTreeMap::new();
    for entry in entries {
        *seen.entry(entry.serial.clone()).or_insert(0) += 1;
    }
    seen.into_iter().filter(|(_, times)| *times > 1).map(|(serial, _)| serial).collect()
}

/// Serials on the list of the revoked.
pub async fn revoked(client: &Client) -> kube::Result<BTreeSet<String>> {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let map = api.get("waybill-crl").await?;
    let text = map.data.and_then(|mut data| data.remove("revoked.json")).expect("the list as JSON");
    let list: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let entries = list["entries"].as_array().expect("entries");
    Ok(entries.iter().filter_map(|entry| entry["serial"].as_str()).map(str::to_owned).collect())
}

/// The authorities as they stand in their Secret: file names with what is in them.
pub async fn authorities(client: &Client) -> BTreeMap<String, Vec<u8>> {
    let api: Api<Secret> = Api::namespaced(client.clone(), SYSTEM);
    let data = api.get("waybill-ca").await.expect("the authority's Secret").data.expect("data");
    data.into_iter().map(|(key, value)| (key, value.0)).collect()
}

/// The serial number of the first certificate of a chain, as it stands in the ledger.
pub fn serial(chain_pem: &[u8]) -> String {
    let leaf = CertificateDer::pem_slice_iter(chain_pem).next().expect("a chain").expect("a certificate");
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
    leaf.raw_serial_as_string().replace(':', "")
}
