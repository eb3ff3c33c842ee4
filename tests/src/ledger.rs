//! What the operator wrote down about certificates: its ledger, its authorities, its list of the revoked.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use waybill_crds::Carrier;
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::Namespace;

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

/// How many lists of the revoked there have been.
pub async fn crl_number(client: &Client) -> u64 {
    let api: Api<ConfigMap> = Api::namespaced(client.clone(), SYSTEM);
    let data = api.get("waybill-crl").await.expect("the list").data.expect("data");
    data["number"].parse().expect("a number")
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
    serial_of(&leaf)
}

/// Who signed the first certificate of a chain, by name.
pub fn issuer(chain_pem: &[u8]) -> String {
    let leaf = CertificateDer::pem_slice_iter(chain_pem).next().expect("a chain").expect("a certificate");
    let (_, leaf) = X509Certificate::from_der(&leaf).expect("a certificate");
    leaf.issuer().to_string()
}

/// The serial number of a certificate, as it stands in the ledger.
pub fn serial_of(der: &[u8]) -> String {
    let (_, leaf) = X509Certificate::from_der(der).expect("a certificate");
    leaf.raw_serial_as_string().replace(':', "")
}

/// No number twice, and none in use that the ledger doesn't know.
pub async fn certificates_are_written_down(namespace: &Namespace) {
    let entries = entries(&namespace.client).await;
    assert_eq!(duplicates(&entries), Vec::<String>::new(), "serials given out twice");
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.serial.as_str()).collect();
    let mut used = Vec::new();
    for secret in namespace.api::<Secret>().list(&ListParams::default()).await.expect("secrets") {
        let chain = secret.data.as_ref().and_then(|data| data.get("tls.crt"));
        used.extend(chain.map(|chain| (secret.name_any(), serial(&chain.0))));
    }
    for carrier in namespace.api::<Carrier>().list(&ListParams::default()).await.expect("carriers") {
        let chain = carrier.status.as_ref().and_then(|s| s.certificate.as_ref()?.pem.clone());
        used.extend(chain.map(|chain| (carrier.name_any(), serial(chain.as_bytes()))));
    }
    for (whose, number) in &used {
        assert!(known.contains(number.as_str()), "serial {number} of {whose} is in no ledger");
    }
    let here = entries.iter().filter(|entry| entry.namespace == namespace.name).count();
    println!("{} certificates in use, {here} numbers written down for them, {} in all", used.len(), entries.len());
}
