//! A Delivery as the board watches it: of the log only the heads of its entries, so that no signature is kept ten thousand times.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime, ObjectMeta};
use kube::Resource;
use serde::Deserialize;
use waybill_crds::delivery::{Author, ProofStatus};
use waybill_crds::{Delivery, DeliverySpec, Phase, Stage};

/// A Delivery without its log. Read-only.
#[derive(Resource, Deserialize, Clone, Debug)]
#[resource(inherit = "Delivery")]
pub(crate) struct Parcel {
    pub(crate) metadata: ObjectMeta,
    pub(crate) spec: DeliverySpec,
    #[serde(default)]
    pub(crate) status: ParcelStatus,
}

#[derive(Deserialize, Clone, Debug, Default)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct ParcelStatus {
    pub(crate) phase: Phase,
    pub(crate) stage: Stage,
    pub(crate) attempt: i32,
    pub(crate) proof: Option<ProofStatus>,
    pub(crate) conditions: Vec<Condition>,
    pub(crate) custody: Vec<Head>,
}

/// What an entry of the log says of itself. Not verified: whoever opens the timeline sees what is.
#[derive(Deserialize, Clone, Debug)]
pub(crate) struct Head {
    pub(crate) author: Author,
    pub(crate) event: String,
    pub(crate) at: MicroTime,
}
