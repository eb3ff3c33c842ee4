//! The condition `NotificationsDelivered` of the Seller, and a Kubernetes Event for what was given up. Hosts are named, never people.

use k8s_openapi::api::core::v1::ObjectReference;
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, MicroTime};
use k8s_openapi::jiff::Timestamp;
use kube::api::{ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Api, Client, Resource, ResourceExt};
use serde_json::json;
use waybill_crds::condition::{self, Status, Wanted};
use waybill_crds::{ConditionType, NOTIFY_FIELD_MANAGER, Reason, Seller};

const TYPE: ConditionType = ConditionType::NotificationsDelivered;

/// What is wrong with one receiver, in words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Complaint {
    pub(super) reason: Reason,
    pub(super) text: String,
}

/// What the Seller should say; none where there is nobody to tell.
fn wanted(seller: &Seller, complaints: &[Complaint]) -> Option<Wanted> {
    seller.spec.notify.as_ref()?;
    // The gravest first: what only a person can mend.
    let gravest =
        [Reason::NotifyHostForbidden, Reason::NotifySecretMissing, Reason::NotifyGivenUp, Reason::NotifyFailing];
    let reason = gravest.into_iter().find(|reason| complaints.iter().any(|one| one.reason == *reason));
    let (status, message) = match reason {
        Some(_) => {
            let texts: Vec<&str> = complaints.iter().map(|one| one.text.as_str()).collect();
            (Status::False, texts.join("; "))
        }
        None => (Status::True, "everybody who is to be told is told".to_owned()),
    };
    let observed_generation = seller.metadata.generation;
    Some(Wanted { type_: TYPE, status, reason: reason.unwrap_or(Reason::Notified), message, observed_generation })
}

/// The conditions to apply: the one, or none at all where it has to go. Nothing where the Seller says it already.
pub(super) fn change(seller: &Seller, complaints: &[Complaint], now: Timestamp) -> Option<Vec<Condition>> {
    let mut conditions = seller.status.clone().unwrap_or_default().conditions;
    let there = condition::find(&conditions, TYPE).is_some();
    match wanted(seller, complaints) {
        None => there.then(Vec::new),
        Some(wanted) => condition::set(&mut conditions, wanted, now)
            .then(|| condition::find(&conditions, TYPE).cloned().into_iter().collect()),
    }
}

pub(super) async fn apply(api: &Api<Seller>, name: &str, conditions: &[Condition]) -> kube::Result<()> {
    let patch = json!({
        "apiVersion": format!("{}/{}", waybill_crds::GROUP, waybill_crds::VERSION), "kind": "Seller",
        "metadata": {"name": name}, "status": {"conditions": conditions},
    });
    let params = PatchParams::apply(NOTIFY_FIELD_MANAGER).force();
    api.patch_status(name, &params, &Patch::Apply(patch)).await.map(drop)
}

/// Tells of what was given up: once for each, under a name that follows from it.
pub(super) async fn event(client: &Client, seller: &Seller, id: &str, note: String) -> kube::Result<()> {
    let namespace = seller.namespace().unwrap_or_default();
    let about = ObjectReference { namespace: Some(namespace.clone()), ..seller.object_ref(&()) };
    let event = Event {
        metadata: ObjectMeta {
            name: Some(format!("{}.notice-{id}", seller.name_any())),
            namespace: Some(namespace.clone()),
            ..ObjectMeta::default()
        },
        action: Some("Notify".into()),
        event_time: Some(MicroTime(Timestamp::now())),
        note: Some(note),
        reason: Some(Reason::NotifyGivenUp.as_str().to_owned()),
        regarding: Some(about),
        reporting_controller: Some("waybill.dev/seller".into()),
        reporting_instance: Some(seller.name_any()),
        type_: Some("Warning".into()),
        ..Event::default()
    };
    match Api::<Event>::namespaced(client.clone(), &namespace).create(&PostParams::default(), &event).await {
        Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(()),
        other => other.map(drop),
    }
}

#[cfg(test)]
mod tests {
    use waybill_crds::seller::Notify;
    use waybill_crds::{SellerSpec, SellerStatus};

    use super::*;

    #[test]
    fn a_seller_that_tells_nobody_says_nothing_and_one_that_stopped_takes_it_back() {
        let mut seller = Seller::new("acme", SellerSpec::default());
        assert_eq!(change(&seller, &[], Timestamp::UNIX_EPOCH), None);
        seller.spec.notify = Some(Notify::default());
        let said = change(&seller, &[], Timestamp::UNIX_EPOCH).unwrap();
        assert_eq!((said[0].status.as_str(), said[0].reason.as_str()), ("True", "Notified"));
        seller.status = Some(SellerStatus { conditions: said, ..SellerStatus::default() });
        assert_eq!(change(&seller, &[], Timestamp::now()), None, "nothing is written while nothing changes");
        seller.spec.notify = None;
        assert_eq!(change(&seller, &[], Timestamp::now()), Some(Vec::new()));
    }

    #[test]
    fn the_gravest_complaint_gives_the_reason_and_all_are_told() {
        let mut seller = Seller::new("acme", SellerSpec::default());
        seller.spec.notify = Some(Notify::default());
        let complaint = |reason, text: &str| Complaint { reason, text: text.into() };
        let complaints =
            [complaint(Reason::NotifyFailing, "a fails"), complaint(Reason::NotifySecretMissing, "b has no key")];
        let said = change(&seller, &complaints, Timestamp::now()).unwrap();
        assert_eq!(
            (said[0].reason.as_str(), said[0].message.as_str()),
            ("NotifySecretMissing", "a fails; b has no key")
        );
    }
}
