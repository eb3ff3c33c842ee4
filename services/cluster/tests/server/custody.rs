//! Appending to the log: what is written with it, who wins a race, and what the server's rules refuse.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::api::{DeleteParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_cluster::custody::{self, AppendError};
use waybill_crds::condition::{ConditionType, is_true};
use waybill_crds::{Delivery, Phase, Stage};
use waybill_protocol::Log;

use crate::room::{Room, WHO, in_room};

#[tokio::test]
async fn a_whole_delivery_is_appended_with_all_that_follows_from_its_log() {
    in_room("custody-whole", |room| async move {
        let mut delivery = room.delivery("one").await;
        let mut phases = Vec::new();
        for facts in room.plain() {
            let log = room.read(&delivery);
            let events = room.sign(&log, &facts);
            delivery = custody::append(&room.api, &delivery, &log, &events, WHO).await.unwrap();
            let status = delivery.status.clone().unwrap();
            phases.push((status.phase, status.stage));
            assert_eq!((status.attempt, status.carrier_uid.as_deref()), (1, Some(room.carrier.signer.uid().as_str())));
        }
        use Phase as P;
        let expected = [
            (P::Accepted, Stage::None),
            (P::PickedUp, Stage::Country),
            (P::InTransit, Stage::Country),
            (P::InTransit, Stage::PostalCode),
            (P::InTransit, Stage::PostalCode),
            (P::OutForDelivery, Stage::Door),
            (P::Delivered, Stage::None),
        ];
        assert_eq!(phases, expected);
        let log = room.read(&room.api.get("one").await.unwrap());
        assert_eq!((log.phase(), log.entries().len()), (waybill_protocol::Phase::Delivered, 9));
        assert!(log.entries().iter().all(|entry| entry.verdict().counts()));
        let status = delivery.status.unwrap();
        assert!(status.finished_at.is_some());
        for type_ in [ConditionType::Accepted, ConditionType::PickedUp, ConditionType::Delivered, ConditionType::Proven]
        {
            assert!(is_true(&status.conditions, type_), "{type_:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn of_two_who_append_at_once_one_wins_and_nothing_is_there_twice() {
    in_room("custody-race", |room| async move {
        let delivery = room.delivery("one").await;
        let log = room.read(&delivery);
        let events = room.sign(&log, &room.plain()[0]);
        let one = custody::append(&room.api, &delivery, &log, &events, WHO);
        let other = custody::append(&room.api, &delivery, &log, &events, WHO);
        let (one, other) = tokio::join!(one, other);
        let lost = if one.is_ok() { other } else { one };
        assert!(matches!(lost, Err(AppendError::Conflict)), "{lost:?}");
        assert_eq!(room.read(&room.api.get("one").await.unwrap()).entries().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn what_breaks_the_rules_is_refused_and_written_not_even_in_part() {
    in_room("custody-refused", |room| async move {
        let delivery = room.delivery("one").await;
        let log = room.read(&delivery);
        let plain: Vec<_> = room.plain().concat();
        let events = room.sign(&log, &plain);
        let written = custody::append(&room.api, &delivery, &log, &events[..8], WHO).await.unwrap();
        assert_eq!(written.phase(), Phase::OutForDelivery);
        let log = room.read(&written);
        // A writer that misread the log would take phase and attempt back.
        let misread = Log::new(log.subject().clone(), &room.trust);
        let refused = custody::append(&room.api, &written, &misread, &[], WHO).await;
        assert!(matches!(refused, Err(AppendError::Refused(_))), "{refused:?}");
        let many = custody::append(&room.api, &written, &log, &events, WHO).await;
        assert!(matches!(many, Err(AppendError::TooMany { count: 9 })), "{many:?}");
        assert_eq!(room.api.get("one").await.unwrap().resource_version(), written.resource_version());
    })
    .await;
}

#[tokio::test]
async fn who_may_not_write_and_what_is_gone_are_told_apart() {
    in_room("custody-forbidden", |room| async move {
        let delivery = room.delivery("one").await;
        let log = room.read(&delivery);
        let events = room.sign(&log, &room.plain()[0]);
        let stranger = room.namespace.cluster.as_account(&room.namespace.name, "stranger");
        let stranger: Api<Delivery> = Api::namespaced(stranger, &room.namespace.name);
        let forbidden = custody::append(&stranger, &delivery, &log, &events, "stranger").await;
        assert!(matches!(forbidden, Err(AppendError::Forbidden(_))), "{forbidden:?}");
        room.namespace.api::<Delivery>().delete("one", &DeleteParams::default()).await.unwrap();
        let gone = custody::append(&room.api, &delivery, &log, &events, WHO).await;
        assert!(matches!(gone, Err(AppendError::Gone)), "{gone:?}");
    })
    .await;
}

#[tokio::test]
async fn what_the_operator_writes_meanwhile_is_a_conflict_and_stays() {
    in_room("custody-beside", |room| async move {
        let stale = room.delivery("one").await;
        let operators = operators_part(&room).await;
        let log = room.read(&stale);
        let events = room.sign(&log, &room.plain()[0]);
        let conflict = custody::append(&room.api, &stale, &log, &events, WHO).await;
        assert!(matches!(conflict, Err(AppendError::Conflict)), "{conflict:?}");
        let fresh = room.api.get("one").await.unwrap();
        let status = custody::append(&room.api, &fresh, &log, &events, WHO).await.unwrap().status.unwrap();
        assert_eq!((status.conditions.len(), status.conditions.contains(&operators)), (5, true));
    })
    .await;
}

// === helpers ===

/// A condition as the operator applies it.
async fn operators_part(room: &Room) -> Condition {
    let status = json!({
        "apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": "one"},
        "status": {"conditions": [{"type": "Ready", "status": "True", "reason": "Provisioned", "message": "both ends",
                                   "lastTransitionTime": "2026-11-21T12:00:00Z", "observedGeneration": 1}]},
    });
    let params = PatchParams::apply("waybill-operator").force();
    let applied = room.namespace.api::<Delivery>().patch_status("one", &params, &Patch::Apply(status)).await.unwrap();
    applied.status.unwrap().conditions[0].clone()
}
