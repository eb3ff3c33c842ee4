//! The proof of a delivery as one file, made of what the cluster and the store hold now. `waybill-proof` says what stands in it.
//!
//! One is made at a time, and only so many bytes of them wait for slow readers: pictures are large.

use std::sync::Arc;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, Client};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore};
use waybill_cluster::trust::{FORMER, NAME};
use waybill_crds::{CertificateStatus, Delivery};
use waybill_proof::{About, Contents, Photo, WriteError, pictures};
use waybill_protocol::fact::reason::Media;
use waybill_protocol::{Entry, Log, Uid};

use crate::http::photo_at;
use crate::photo;
use crate::service::Shared;
use crate::store;

/// Mebibytes of bundles that may be on their way at once: more than the largest one.
const ROOM: u32 = 96;

/// Why no bundle was made.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to read the published trust")]
    Cluster(#[source] kube::Error),
    #[error("failed to read a picture")]
    Store(#[source] store::Error),
    #[error("failed to make the bundle")]
    Write(#[source] WriteError),
    #[error("failed to make the bundle: its task ended")]
    Ended,
}

/// Places for bundles that are made and sent.
#[derive(Debug)]
pub(crate) struct Bundles {
    one: Mutex<()>,
    room: Arc<Semaphore>,
}

impl Default for Bundles {
    fn default() -> Self {
        Self { one: Mutex::new(()), room: Arc::new(Semaphore::new(ROOM as usize)) }
    }
}

impl Bundles {
    /// Room for so many bytes until they are sent; `None` while others take it.
    pub(crate) fn room(&self, bytes: usize) -> Option<OwnedSemaphorePermit> {
        let needed = u32::try_from(bytes >> 20).unwrap_or(ROOM).saturating_add(1).min(ROOM);
        Arc::clone(&self.room).try_acquire_many_owned(needed).ok()
    }
}

/// The bundle of a delivery as it is now.
pub(crate) async fn make(service: &Shared, delivery: &Delivery, log: &Log) -> Result<Vec<u8>, Error> {
    let _one = service.bundles.one.lock().await;
    let published =
        published(service.deliveries.api().clone().into_client(), &service.namespace).await.map_err(Error::Cluster)?;
    let text = |key: &str| published.data.as_ref().and_then(|data| data.get(key)).map_or("", String::as_str);
    let subject = log.subject();
    let contents = Contents {
        about: About {
            uid: subject.delivery.to_string(),
            namespace: subject.namespace.to_string(),
            name: delivery.metadata.name.clone().unwrap_or_default(),
            upc: delivery.spec.upc.clone(),
            seller: subject.seller.to_string(),
        },
        log: log.entries().iter().map(|entry| entry.bytes().to_vec()).collect(),
        authorities: format!("{}{}", text("ca.crt"), text(FORMER)),
        crosses: text("cross.crt").to_owned(),
        revocations: text("crl.pem").to_owned(),
        certificates: certificates(service, log),
        photos: photos(service, log).await.map_err(Error::Store)?,
    };
    let written = tokio::task::spawn_blocking(move || contents.write()).await;
    written.map_err(|_| Error::Ended)?.map_err(Error::Write)
}

/// Everything that is published, what is too long to be followed included. A list by name: no more than who may follow it may.
async fn published(client: Client, namespace: &str) -> kube::Result<ConfigMap> {
    let api = Api::<ConfigMap>::namespaced(client, namespace);
    let found = api.list(&ListParams::default().fields(&format!("metadata.name={NAME}"))).await?;
    Ok(found.items.into_iter().next().unwrap_or_default())
}

/// The TLS certificates of those who signed, where their status shows them.
fn certificates(service: &Shared, log: &Log) -> Vec<(Uid, String)> {
    let pem = |status: Option<&CertificateStatus>| status?.pem.clone();
    let of = |uid: &Uid| {
        let seller = service.sellers.object_of(uid.as_str());
        let carrier = service.carriers.object_of(uid.as_str());
        seller
            .and_then(|seller| pem(seller.status.as_ref()?.certificate.as_ref()))
            .or_else(|| pem(carrier?.status.as_ref()?.certificate.as_ref()))
    };
    let mut signers: Vec<Uid> =
        log.entries().iter().filter_map(Entry::event).map(|signed| signed.event().uid.clone()).collect();
    signers.sort();
    signers.dedup();
    signers.into_iter().filter_map(|uid| of(&uid).map(|pem| (uid, pem))).collect()
}

/// The pictures the log names, as far as they are kept.
async fn photos(service: &Shared, log: &Log) -> Result<Vec<Photo>, store::Error> {
    let mut photos: Vec<Photo> = Vec::new();
    for (hash, media) in pictures(log) {
        let kind = match media {
            Media::Jpeg => photo::Media::Jpeg,
            Media::Png => photo::Media::Png,
        };
        let place = photo_at(log.subject().delivery.as_str(), &hash.to_string(), kind);
        let kept = service.store.get(&place).await?;
        photos.extend(kept.map(|bytes| Photo { media, bytes: bytes.to_vec() }));
    }
    Ok(photos)
}
