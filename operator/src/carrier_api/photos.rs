//! Where a namespace's photos are: a volume of its own, or its part of a bucket that all share. Pure.

use k8s_openapi::api::core::v1::{PersistentVolumeClaim, PersistentVolumeClaimSpec, VolumeResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use kube::api::ObjectMeta;

use crate::args::Args;
use crate::workload::{Made, Mount, Rollout};

/// Name of the claim.
pub(super) const CLAIM: &str = "waybill-carrier-api-photos";
const FOLDER: &str = "/photos";

/// Where they are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Photos {
    Volume,
    /// `s3://bucket/prefix/namespace`.
    Bucket(String),
}

impl Photos {
    pub(super) fn of(namespace: &str, settings: &Args) -> Self {
        match settings.photos_url.as_deref().map(|url| url.trim().trim_end_matches('/')) {
            None | Some("") => Self::Volume,
            // One namespace is one trust domain: each has a part of its own.
            Some(url) => Self::Bucket(format!("{url}/{namespace}")),
        }
    }

    /// As the Carrier API is told.
    pub(super) fn url(&self) -> String {
        match self {
            Self::Volume => format!("file://{FOLDER}"),
            Self::Bucket(url) => url.clone(),
        }
    }

    pub(super) fn mount(&self) -> Option<Mount> {
        (*self == Self::Volume).then(|| Mount::Claim { path: FOLDER, name: CLAIM.to_owned() })
    }

    /// A volume has one writer, and it lets go before the next one begins.
    pub(super) fn rollout(&self, settings: &Args) -> (i32, Rollout) {
        match self {
            Self::Volume => (1, Rollout::OneAtATime),
            Self::Bucket(_) => (settings.carrier_api_replicas, Rollout::Overlapping),
        }
    }

    /// The claim, if one is needed. Nobody owns it: photos are evidence, and outlive the Carriers that took them.
    pub(super) fn claim(&self, made: &Made, settings: &Args) -> Option<PersistentVolumeClaim> {
        if *self != Self::Volume {
            return None;
        }
        let metadata = ObjectMeta { name: Some(CLAIM.to_owned()), owner_references: None, ..made.metadata() };
        let size = [("storage".to_owned(), Quantity(settings.photos_size.clone()))];
        let spec = PersistentVolumeClaimSpec {
            access_modes: Some(vec!["ReadWriteOnce".into()]),
            resources: Some(VolumeResourceRequirements { requests: Some(size.into()), limits: None }),
            storage_class_name: settings.photos_storage_class.clone().filter(|class| !class.is_empty()),
            ..PersistentVolumeClaimSpec::default()
        };
        Some(PersistentVolumeClaim { metadata, spec: Some(spec), status: None })
    }
}
