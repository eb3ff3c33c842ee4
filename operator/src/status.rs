//! Writing a status: server-side apply of our part of it, so that the other writers' parts stay theirs.

use kube::api::{Patch, PatchParams};
use kube::{Api, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::json;
use waybill_crds::{ConditionType, Reason};

use crate::context::{Context, FIELD_MANAGER};
use crate::report::Word;
use crate::workload::Progress;

/// Why a status could not be written.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to write the status of {kind} {name}")]
    Write {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
}

impl Error {
    /// The object changed under our hands, or is gone: whatever is true now is about to be seen.
    pub(crate) fn lost_race(&self) -> bool {
        let Self::Write { source, .. } = self;
        matches!(source, kube::Error::Api(status) if status.is_conflict() || status.is_not_found())
    }
}

/// Which object's status, by the uid too: an object made anew under the same name is another one.
pub(crate) struct Patched {
    kind: String,
    api_version: String,
    namespace: String,
    name: String,
    uid: Option<String>,
}

impl Patched {
    pub(crate) fn of<K: Resource<DynamicType = ()>>(object: &K) -> Self {
        Self {
            kind: K::kind(&()).into_owned(),
            api_version: K::api_version(&()).into_owned(),
            namespace: object.namespace().unwrap_or_default(),
            name: object.name_any(),
            uid: object.uid(),
        }
    }
}

/// Applies `status` as ours; what we applied before and do not repeat is removed. The answer is read as `K`.
pub(crate) async fn patch<K>(context: &Context, object: &Patched, status: &impl Serialize) -> Result<K, Error>
where
    K: Resource<DynamicType = (), Scope = k8s_openapi::NamespaceResourceScope>
        + DeserializeOwned
        + Clone
        + std::fmt::Debug,
{
    let Patched { kind, api_version, namespace, name, uid } = object;
    let body = json!({
        "apiVersion": api_version, "kind": kind, "metadata": { "name": name, "uid": uid }, "status": status,
    });
    let api: Api<K> = context.api(namespace);
    let params = PatchParams::apply(FIELD_MANAGER).force();
    api.patch_status(name, &params, &Patch::Apply(&body)).await.map_err(|source| Error::Write {
        kind: kind.clone(),
        name: name.clone(),
        source,
    })
}

/// How things will go on without anybody's help, after kstatus: `Reconciling` while the operator or a controller is at work,
/// `Stalled` when a person has to act, neither once Ready.
pub(crate) fn outlook(ready: &Word) -> Option<ConditionType> {
    let by_itself = matches!(
        ready.reason,
        Reason::Provisioning
            | Reason::WorkloadProgressing
            | Reason::AuthorityUnavailable
            | Reason::SellerNotReady
            | Reason::CarrierNotReady
            | Reason::AutoCreated
            | Reason::Renewing
    );
    match (ready.is_yes(), by_itself) {
        (true, _) => None,
        (false, true) => Some(ConditionType::Reconciling),
        (false, false) => Some(ConditionType::Stalled),
    }
}

/// How pods are doing, as a condition.
pub(crate) fn works(progress: Progress) -> Word {
    match progress {
        Progress::Available => Word::yes(Reason::WorkloadAvailable, "its pods are available"),
        Progress::Starting => Word::no(Reason::WorkloadProgressing, "its pods are being started"),
        Progress::Failing => Word::no(
            Reason::WorkloadUnavailable,
            "its pods do not become available: see `kubectl describe` of the Deployment and its pods",
        ),
    }
}
