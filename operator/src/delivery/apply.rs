//! What is done about a Delivery besides its status: making whom it names, calling it off before anybody signed, and letting it go
//! when its time is over.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::api::{DeleteParams, ObjectMeta, Patch, PatchParams, PostParams, Preconditions};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use waybill_cluster::custody;
use waybill_crds::{Carrier, CarrierSpec, Delivery, DeliveryView, Phase, Reason, Seller, SellerSpec, label};
use waybill_protocol::Uid;

use super::Deliveries;
use super::decide::{Act, Decision, assigned};
use crate::context::FIELD_MANAGER;
use crate::events::{Severity, Telling};

/// What was done, and why it failed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to create {kind} {name}")]
    Create {
        kind: String,
        name: String,
        #[source]
        source: kube::Error,
    },
    #[error("failed to cancel it")]
    Cancel(#[source] kube::Error),
    #[error("failed to read its log before it goes")]
    Read(#[source] kube::Error),
    #[error("failed to delete it after its time")]
    Expire(#[source] kube::Error),
    #[error("failed to record that its order is forgotten")]
    Forget(#[source] kube::Error),
}

impl Error {
    pub(crate) fn lost_race(&self) -> bool {
        match self {
            Self::Cancel(kube::Error::Api(status)) | Self::Expire(kube::Error::Api(status)) => {
                status.is_conflict() || status.is_not_found()
            }
            _ => false,
        }
    }
}

pub(super) struct Applied {
    /// False where there is no status to write any more, or where the next look will write it.
    pub still_there: bool,
}

pub(super) async fn apply(
    deliveries: &Deliveries,
    delivery: &DeliveryView,
    decision: &Decision,
    now: Timestamp,
) -> Result<Applied, Error> {
    if delivery.spec.forgotten == Some(true) {
        let (client, namespace) = (&deliveries.context.client, delivery.namespace().unwrap_or_default());
        deliveries.forgotten.add(client, &namespace, &delivery.spec.upc).await.map_err(Error::Forget)?;
    }
    match decision.act {
        Act::Nothing => {}
        Act::CreateSeller => {
            let seller = Seller::new(&delivery.spec.seller, SellerSpec::default());
            create(deliveries, delivery, seller).await?;
        }
        Act::CreateCarrier => {
            let name = delivery.spec.carrier.as_deref().unwrap_or_default();
            create(deliveries, delivery, Carrier::new(name, default_carrier())).await?;
        }
        Act::Cancel => {
            cancel(deliveries, delivery, now).await?;
            return Ok(Applied { still_there: false });
        }
        Act::Expire => {
            let still_there = !expire(deliveries, delivery, now).await?;
            return Ok(Applied { still_there });
        }
    }
    Ok(Applied { still_there: true })
}

/// A truck whose agent runs in a pod: what is needed to see a first Delivery happen.
fn default_carrier() -> CarrierSpec {
    CarrierSpec {
        kind: waybill_crds::CarrierKind::Truck,
        camera: false,
        certificate: waybill_crds::CertificateSpec::default(),
        transport: None,
        suspended: false,
        revoked: false,
    }
}

/// By creation, never by apply: what somebody else made under this name meanwhile is theirs.
async fn create<K>(deliveries: &Deliveries, delivery: &DeliveryView, mut object: K) -> Result<(), Error>
where
    K: crate::apply::Owned,
{
    let (kind, name) = (K::kind(&()).into_owned(), object.name_any());
    let labels = [(label::AUTO_CREATED, "true"), (label::NAME, label::APP_NAME)];
    *object.meta_mut() = ObjectMeta {
        name: Some(name.clone()),
        namespace: delivery.namespace(),
        labels: Some(labels.map(|(key, value)| (key.to_owned(), value.to_owned())).into()),
        ..ObjectMeta::default()
    };
    let api: Api<K> = deliveries.context.api(&delivery.namespace().unwrap_or_default());
    let params = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
    match api.create(&params, &object).await {
        Ok(_) => {
            let note =
                format!("created {kind} {name:?}: this namespace lets Deliveries bring whom they name into being");
            tell(deliveries, delivery, (Severity::Normal, Reason::AutoCreated), note, Timestamp::now());
            Ok(())
        }
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        Err(source) => Err(Error::Create { kind, name, source }),
    }
}

/// A patch that holds only for the very state that was judged: had anybody signed anything meanwhile, it fails.
async fn cancel(deliveries: &Deliveries, delivery: &DeliveryView, now: Timestamp) -> Result<(), Error> {
    let patch = json!({
        "metadata": { "uid": delivery.uid(), "resourceVersion": delivery.resource_version() },
        "status": { "phase": Phase::Cancelled, "finishedAt": Time(now) },
    });
    let api: Api<DeliveryView> = deliveries.context.api(&delivery.namespace().unwrap_or_default());
    let params = PatchParams { field_manager: Some(FIELD_MANAGER.into()), ..PatchParams::default() };
    let patched =
        api.patch_status(&delivery.name_any(), &params, &Patch::Merge(&patch)).await.map_err(Error::Cancel)?;
    deliveries.written.record(&patched);
    Ok(())
}

/// The one place where the operator deletes a Delivery: false where it stays. Whoever holds the Carrier API's account can write an end
/// into its status; what counts is the end in its log.
async fn expire(deliveries: &Deliveries, delivery: &DeliveryView, now: Timestamp) -> Result<bool, Error> {
    let Some(over) = is_over(deliveries, delivery).await? else { return Ok(false) };
    if !over {
        let note = "kept: its status says that it is over, and its log does not".to_owned();
        tell(deliveries, delivery, (Severity::Warning, Reason::InvalidEvent), note, now);
        return Ok(false);
    }
    let judged = Preconditions { uid: delivery.uid(), resource_version: delivery.resource_version() };
    let api: Api<DeliveryView> = deliveries.context.api(&delivery.namespace().unwrap_or_default());
    match api.delete(&delivery.name_any(), &DeleteParams::background().preconditions(judged)).await {
        Ok(_) => {
            let note =
                format!("removed: it finished longer ago than spec.ttlAfterFinished (phase {})", delivery.phase());
            tell(deliveries, delivery, (Severity::Normal, Reason::Expired), note, now);
            Ok(true)
        }
        Err(kube::Error::Api(status)) if status.is_not_found() => Ok(true),
        Err(source) => Err(Error::Expire(source)),
    }
}

/// By the log of this very version; without one, by the operator's own word. `None`: it can't be said now, and another look comes.
async fn is_over(deliveries: &Deliveries, delivery: &DeliveryView) -> Result<Option<bool>, Error> {
    if delivery.status.as_ref().is_none_or(|status| status.custody.is_empty()) {
        return Ok(Some(true));
    }
    let api: Api<Delivery> = deliveries.context.api(&delivery.namespace().unwrap_or_default());
    let whole = api.get_opt(&delivery.name_any()).await.map_err(Error::Read)?;
    // A newer one comes with the watch.
    let Some(whole) = whole.filter(|whole| whole.resource_version() == delivery.resource_version()) else {
        return Ok(None);
    };
    let seller = assigned(delivery).and_then(|(seller, _)| Uid::new(seller).ok());
    let (Some(trust), Some(seller)) = (deliveries.context.identity.judges(), seller) else { return Ok(None) };
    Ok(Some(custody::read(&whole, &seller, &trust).is_ok_and(|log| log.phase().is_terminal())))
}

fn tell(
    deliveries: &Deliveries,
    delivery: &DeliveryView,
    (severity, reason): (Severity, Reason),
    note: String,
    at: Timestamp,
) {
    deliveries.context.events.tell(Telling {
        about: delivery.object_ref(&()),
        severity,
        reason: reason.as_str().to_owned(),
        note,
        at,
    });
}
