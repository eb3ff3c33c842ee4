//! A Delivery's log, verified here: nothing the cluster says about a signature is taken over.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::ConfigMap;
use waybill_crds::{Delivery, Seller};
use waybill_protocol::{Log, Trust, Uid};

use crate::cluster::Cluster;
use crate::error::Error;

/// What the operator publishes for everyone in a namespace.
pub(crate) struct Published(BTreeMap<String, String>);

impl Published {
    pub(crate) async fn of(cluster: &Cluster) -> Result<Self, Error> {
        let map: ConfigMap = cluster.get(waybill_cluster::trust::NAME).await?;
        Ok(Self(map.data.unwrap_or_default()))
    }

    pub(crate) fn text(&self, key: &str) -> &str {
        self.0.get(key).map_or("", String::as_str)
    }

    /// The authorities of today and, for what was recorded under them, those of before.
    pub(crate) fn authorities(&self) -> String {
        format!("{}{}", self.text("ca.crt"), self.text("former-ca.crt"))
    }

    pub(crate) fn trust(&self) -> Result<Trust, Error> {
        let keys = waybill_cluster::trust::keys(self.authorities().as_bytes());
        keys.map(Trust::new)
            .map_err(|error| Error::Missing(format!("failed to read the published authorities: {error}")))
    }
}

/// The log of a Delivery under the published authorities.
pub(crate) async fn read(cluster: &Cluster, delivery: &Delivery, published: &Published) -> Result<Log, Error> {
    let seller = seller_of(cluster, delivery).await?;
    let log = waybill_cluster::custody::read(delivery, &seller, &published.trust()?);
    log.map_err(|error| Error::Missing(format!("failed to read the log: {error}")))
}

/// The uid of its Seller: from its topics, so that a Seller deleted since is still the one; before there are any, by name.
pub(crate) async fn seller_of(cluster: &Cluster, delivery: &Delivery) -> Result<Uid, Error> {
    if let Some(uid) = waybill_cluster::custody::seller_of_topics(delivery) {
        return Ok(uid);
    }
    let seller: Seller = cluster.get(&delivery.spec.seller).await?;
    let uid = Uid::new(seller.metadata.uid.unwrap_or_default());
    uid.map_err(|error| Error::Missing(format!("failed to read the Seller's uid: {error}")))
}
