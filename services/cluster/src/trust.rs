//! What a namespace trusts, as the operator publishes it in ConfigMap `waybill-trust`: followed through the API, because a
//! mounted ConfigMap would be up to a minute late.
//!
//! [`published_trust`] gives the files; `waybill_chassis::trust::Trust` makes TLS roots and revocations of them, [`authorities`]
//! the CAs that sign key statements, [`carrier_api_statement`] the statement of the namespace's Carrier API.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::StreamExt;
use k8s_openapi::api::core::v1::ConfigMap;
use kube::{Api, Client};
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_protocol::{CaKey, StatementError, Trust};
use x509_parser::pem::Pem;

use crate::follow::follow;

/// Name of the ConfigMap.
pub const NAME: &str = "waybill-trust";
/// The list of revocations, and the certificates of former authorities.
pub const REVOKED: &str = "revoked.json";
pub const FORMER: &str = "former-ca.crt";
/// The operator's signatures on them (`waybill_protocol::published`), base64.
pub const REVOKED_SIGNATURE: &str = "revoked.sig";
pub const FORMER_SIGNATURE: &str = "former-ca.sig";
/// The address of the board as people reach it, where there is one.
pub const BOARD: &str = "board";
/// The Carrier API's key statement, base64.
pub const CARRIER_API_STATEMENT: &str = "carrier-api-statement";
/// What is taken from it: the files of `waybill_chassis::trust`, addresses and the Carrier API's statement.
pub const FILES: &[&str] = &[
    "ca.crt",
    REVOKED,
    REVOKED_SIGNATURE,
    FORMER,
    FORMER_SIGNATURE,
    "root-fingerprint",
    "broker",
    "broker-sellers",
    "carrier-api",
    BOARD,
    CARRIER_API_STATEMENT,
];
/// How many verified signatures a [`Trust`] remembers: some hundred deliveries' worth, 400 KiB.
const REMEMBERED: usize = 4096;

/// Why a bundle of authorities was not taken.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to parse a certificate of the trust bundle")]
    Parse,
    #[error("failed to use the key of a certificate of the trust bundle")]
    Key(#[source] StatementError),
    #[error("no certificate in the trust bundle")]
    Empty,
}

/// The published files, empty until they are known. A deleted ConfigMap changes nothing: the last known trust stays.
pub fn published_trust(client: &Client, namespace: &str) -> watch::Receiver<Arc<Files>> {
    let mut stream = follow(Api::<ConfigMap>::namespaced(client.clone(), namespace), NAME);
    let (sender, receiver) = watch::channel(Arc::new(Files::default()));
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                Some(seen) = stream.next() => match seen {
                    Some(map) => drop(sender.send_replace(Arc::new(files(&map)))),
                    None => tracing::warn!(name = NAME, "the published trust is not there"),
                },
            }
        }
    });
    receiver
}

/// The authorities whose key statements count, none until the first bundle, and those that counted once, for what stands in
/// a log; a damaged part leaves the last good ones in force. Each value remembers what it has verified: keep one for all deliveries.
pub fn authorities(mut published: watch::Receiver<Arc<Files>>) -> watch::Receiver<Trust> {
    let (sender, receiver) = watch::channel(Trust::new(Vec::new()));
    let mut known = Known::default();
    // What is there already counts from the first look on.
    take(&published.borrow_and_update().clone(), &mut known, &sender);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                () = sender.closed() => return,
                changed = published.changed() => if changed.is_err() { return },
            }
            take(&published.borrow_and_update().clone(), &mut known, &sender);
        }
    });
    receiver
}

/// The bundles in force.
#[derive(Default, PartialEq, Eq)]
struct Known {
    current: Vec<u8>,
    former: Vec<u8>,
}

fn take(files: &Files, known: &mut Known, sender: &watch::Sender<Trust>) {
    let Some(current) = files.get("ca.crt") else { return };
    let published = Known { current: current.to_vec(), former: files.get(FORMER).unwrap_or_default().to_vec() };
    if published == *known {
        return;
    }
    match trust_of(&published) {
        Ok(trust) => {
            tracing::info!(authorities = trust.cas().len(), "authorities of key statements in force");
            *known = published;
            sender.send_replace(trust);
        }
        Err(error) => tracing::warn!(%error, "kept the last good authorities of key statements"),
    }
}

fn trust_of(published: &Known) -> Result<Trust, Error> {
    let former = if published.former.is_empty() { Vec::new() } else { keys(&published.former)? };
    Ok(Trust::remembering(keys(&published.current)?, REMEMBERED).with_former(former))
}

/// The authorities of a PEM bundle.
pub fn keys(bundle: &[u8]) -> Result<Vec<CaKey>, Error> {
    let keys: Vec<CaKey> = Pem::iter_from_buffer(bundle)
        .map(|pem| {
            let pem = pem.map_err(|_| Error::Parse)?;
            let certificate = pem.parse_x509().map_err(|_| Error::Parse)?;
            let point = &certificate.public_key().subject_public_key.data;
            CaKey::new(&pem.contents, point).map_err(Error::Key)
        })
        .collect::<Result<_, _>>()?;
    if keys.is_empty() { Err(Error::Empty) } else { Ok(keys) }
}

/// The Carrier API's key statement, as the CA signed it.
pub fn carrier_api_statement(files: &Files) -> Option<Vec<u8>> {
    STANDARD.decode(files.text(CARRIER_API_STATEMENT)?).ok()
}

fn files(map: &ConfigMap) -> Files {
    let data = map.data.as_ref();
    let content = |name: &&'static str| Some((*name, data?.get(*name)?.clone().into_bytes()));
    FILES.iter().filter_map(content).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_meant_for_services_is_taken_from_the_config_map() {
        let data = [("ca.crt", "roots"), ("revoked.json", "{}"), ("crl.pem", "long")];
        let data = data.map(|(name, text)| (name.to_owned(), text.to_owned()));
        let files = files(&ConfigMap { data: Some(data.into()), ..ConfigMap::default() });
        assert_eq!(
            (files.text("ca.crt"), files.text("revoked.json"), files.text("crl.pem")),
            (Some("roots"), Some("{}"), None)
        );
    }

    #[tokio::test]
    async fn a_damaged_bundle_leaves_the_last_good_one() {
        let root = || {
            let key = rcgen::KeyPair::generate().unwrap();
            rcgen::CertificateParams::default().self_signed(&key).unwrap()
        };
        let (first, second) = (root(), root());
        let files = |pem: String| Arc::new(Files::from_iter([("ca.crt", pem.into_bytes())]));
        let (publish, published) = watch::channel(files(first.pem()));
        let mut trust = authorities(published);
        assert_eq!(trust.borrow_and_update().cas().len(), 1, "known from the start");
        publish.send_replace(files("junk".into()));
        publish.send_replace(files(first.pem() + &second.pem()));
        trust.changed().await.unwrap();
        let ids: Vec<_> = trust.borrow().cas().iter().map(CaKey::kid).collect();
        assert_eq!(ids, [first, second].map(|root| waybill_protocol::Hash::of(root.der())));
    }
}
