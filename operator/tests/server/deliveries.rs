//! What a Delivery is told, when, and at what cost in writes.

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::json;
use waybill_crds::{Carrier, Delivery, DeliveryView, Phase, Seller};
use waybill_e2e::eventually;

use crate::stage::{SOON, Stage, Writes, on_stage};

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_whose_ends_are_ready_costs_one_write_and_looking_again_costs_none() {
    on_stage("one-write", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        let writes = Writes::follow(&stage).await;
        let names: Vec<_> = (0..30).map(|n| format!("d-{n}")).collect();
        for name in &names {
            stage.delivery(name, "acme", "truck").await;
        }
        for name in &names {
            let delivery: Delivery = stage.becomes(name, "Ready", "True").await;
            assert_eq!(topics_of(&delivery).len(), 2, "{name} has its topics");
        }
        operator.settled(60.0).await;
        for name in &names {
            assert_eq!(writes.of(name), 2, "{name}: the user's own write and one more");
        }
        operator.stop().await;

        // A new leader looks at everything and finds nothing to say.
        let before = versions(&stage).await;
        let operator = stage.operator();
        operator.settled(30.0).await;
        assert_eq!(versions(&stage).await, before);
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn each_refusal_names_its_reason_and_ends_with_its_cause() {
    on_stage("refusals", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.delivery("no-seller", "nobody", "truck").await;
        stage.delivery("no-carrier", "acme", "nobody").await;
        let photo = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": "photo"},
                           "spec": {"upc": "photo", "seller": "acme", "carrier": "truck", "proof": {"photo": true}}});
        stage.apply::<Delivery>(&photo).await;
        let open = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": "open"},
                          "spec": {"upc": "open", "seller": "acme"}});
        stage.apply::<Delivery>(&open).await;
        for (name, reason) in [
            ("no-seller", "SellerMissing"),
            ("no-carrier", "CarrierMissing"),
            ("photo", "CameraRequired"),
            ("open", "CarrierUnassigned"),
        ] {
            let refused: Delivery = stage.says(name, "Admitted", reason).await;
            let status = refused.status.expect("a status");
            assert!(status.conditions.iter().any(|c| c.type_ == "Stalled" && c.status == "True"), "{name}");
            assert!(status.topics.is_none(), "{name}");
            assert_eq!(status.observed_generation, refused.metadata.generation);
        }

        // Each cause ends, and with it the refusal.
        stage.seller("nobody").await;
        stage.external_carrier("nobody").await;
        patch::<Carrier>(&stage, "truck", json!({"spec": {"camera": true}})).await;
        patch::<Delivery>(&stage, "open", json!({"spec": {"carrier": "truck"}})).await;
        for name in ["no-seller", "no-carrier", "photo", "open"] {
            stage.becomes::<Delivery>(name, "Ready", "True").await;
        }
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn suspended_and_revoked_ends_take_on_nothing_new() {
    on_stage("suspended", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.delivery("one", "acme", "truck").await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        patch::<Seller>(&stage, "acme", json!({"spec": {"suspended": true}})).await;
        stage.says::<Delivery>("one", "Ready", "SellerSuspended").await;
        patch::<Seller>(&stage, "acme", json!({"spec": {"suspended": false}})).await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        patch::<Carrier>(&stage, "truck", json!({"spec": {"suspended": true}})).await;
        stage.says::<Delivery>("one", "Ready", "CarrierSuspended").await;
        patch::<Carrier>(&stage, "truck", json!({"spec": {"revoked": true}})).await;
        stage.says::<Delivery>("one", "Ready", "CarrierRevoked").await;
        stage.says::<Carrier>("truck", "Ready", "Revoked").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_deliveries_with_one_upc_the_younger_waits_until_the_older_is_gone() {
    on_stage("duplicate", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.apply::<Delivery>(&twin("older")).await;
        stage.becomes::<Delivery>("older", "Ready", "True").await;
        stage.apply::<Delivery>(&twin("younger")).await;
        let refused: Delivery = stage.says("younger", "Admitted", "DuplicateUpc").await;
        let message = &refused.status.expect("a status").conditions[0].message;
        assert!(message.contains("older"), "it says which one: {message}");
        stage.deliveries().delete("older", &DeleteParams::default()).await.expect("deleted");
        stage.becomes::<Delivery>("younger", "Ready", "True").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn once_admitted_a_delivery_keeps_its_upc_even_against_an_older_one() {
    on_stage("admitted-first", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        operator.stop().await;
        let older: Delivery = stage.apply(&twin("older")).await;
        // Creation times are in whole seconds; within one the uid decides, which is no order of birth.
        let born = older.creation_timestamp().expect("a time").0;
        eventually("the next second", SOON, || async {
            if jiff::Timestamp::now().as_second() > born.as_second() { Ok(()) } else { Err("not yet") }
        })
        .await;
        stage.apply::<Delivery>(&twin("younger")).await;
        // As an operator left it that had not seen the other yet.
        let admitted = json!({"type": "Admitted", "status": "True", "reason": "Admitted", "message": "",
                              "lastTransitionTime": "2026-11-21T12:00:00Z"});
        stage.say::<Delivery>("younger", "waybill-operator", admitted).await;
        let operator = stage.operator();
        stage.becomes::<Delivery>("younger", "Ready", "True").await;
        let refused: Delivery = stage.says("older", "Admitted", "DuplicateUpc").await;
        assert!(refused.status.expect("a status").conditions[0].message.contains("younger"));
        stage.deliveries().delete("younger", &DeleteParams::default()).await.expect("deleted");
        stage.becomes::<Delivery>("older", "Ready", "True").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn of_many_with_one_upc_made_at_once_one_is_admitted_and_stays_the_one() {
    on_stage("same-second", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        let writes = Writes::follow(&stage).await;
        let names: Vec<_> = (0..12).map(|n| format!("d-{n}")).collect();
        let bodies: Vec<_> = names.iter().map(|name| twin(name)).collect();
        futures::future::join_all(bodies.iter().map(|body| stage.apply::<Delivery>(body))).await;
        let judged = eventually("each is judged", SOON, || async {
            let list = stage.deliveries().list(&ListParams::default()).await.map_err(|why| why.to_string())?;
            let admitted =
                |d: &Delivery| d.status.iter().flat_map(|s| &s.conditions).find(|c| c.type_ == "Admitted").cloned();
            let judged: Vec<_> = list.iter().filter_map(|d| Some((d.name_any(), admitted(d)?.status))).collect();
            if judged.len() == names.len() { Ok(judged) } else { Err(format!("{} judged", judged.len())) }
        })
        .await;
        operator.settled(24.0).await;
        let admitted: Vec<_> = judged.iter().filter(|(_, status)| status == "True").collect();
        assert_eq!(admitted.len(), 1, "{judged:?}");
        let (chosen, _) = admitted[0];
        assert_eq!(writes.of(chosen), 2, "the user's own write and one judgement that stands");
        for name in names.iter().filter(|name| *name != chosen) {
            assert!(!writes.ever_admitted(name), "{name} was let in and put out again");
        }
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn orders_that_cannot_be_read_are_their_sellers_news_and_hold_no_delivery_up() {
    on_stage("orders", &[], |stage| async move {
        // Said before the operator is there, so that the Seller is never Ready.
        stage.seller("acme").await;
        let missing = json!({"type": "OrdersAvailable", "status": "False", "reason": "OrdersMissing",
                             "message": "Secret orders-acme", "lastTransitionTime": "2026-11-21T12:00:00Z"});
        stage.say::<Seller>("acme", "wb-seller", missing).await;
        stage.external_carrier("truck").await;
        stage.delivery("early", "acme", "truck").await;
        let operator = stage.operator();
        stage.says::<Seller>("acme", "Ready", "OrdersMissing").await;
        // Woken by its Seller's pods, not by its Ready.
        stage.becomes::<Delivery>("early", "Ready", "True").await;
        stage.delivery("late", "acme", "truck").await;
        stage.becomes::<Delivery>("late", "Ready", "True").await;
        stage.says::<Seller>("acme", "Ready", "OrdersMissing").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_file_is_enough_where_the_namespace_says_so_and_nothing_of_it_stays() {
    on_stage("auto-create", &[("waybill.dev/auto-create", "enabled")], |stage| async move {
        let operator = stage.operator();
        stage.seller("mine").await;
        stage.delivery("one", "acme", "truck").await;
        stage.delivery("two", "acme", "truck").await;
        stage.delivery("three", "mine", "truck").await;
        for name in ["one", "two", "three"] {
            stage.becomes::<Delivery>(name, "Ready", "True").await;
        }
        let made: Seller = stage.becomes("acme", "Ready", "True").await;
        assert_eq!(made.labels().get("waybill.dev/auto-created").map(String::as_str), Some("true"));

        let delete =
            async |name: &str| stage.deliveries().delete(name, &DeleteParams::default()).await.expect("deleted");
        delete("one").await;
        delete("three").await;
        stage.gone::<Delivery>("three").await;
        stage.becomes::<Delivery>("two", "Ready", "True").await;
        assert!(stage.namespace.api::<Seller>().get_opt("acme").await.expect("asked").is_some(), "still needed");
        delete("two").await;
        stage.gone::<Seller>("acme").await;
        stage.gone::<Carrier>("truck").await;
        assert!(stage.namespace.api::<Seller>().get_opt("mine").await.expect("asked").is_some(), "a user's own stays");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_label_on_the_namespace_wakes_those_that_wait() {
    on_stage("labelled-later", &[], |stage| async move {
        let operator = stage.operator();
        stage.delivery("one", "acme", "truck").await;
        stage.says::<Delivery>("one", "Admitted", "SellerMissing").await;
        let namespaces: Api<KubeNamespace> = Api::all(stage.namespace.client.clone());
        let label = json!({"metadata": {"labels": {"waybill.dev/auto-create": "enabled"}}});
        let name = &stage.namespace.name;
        namespaces.patch(name, &PatchParams::default(), &Patch::Merge(label)).await.expect("labelled");
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn called_off_before_anybody_signed_it_ends_cancelled_and_goes_when_its_time_is_over() {
    on_stage("cancelled", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.delivery("one", "acme", "truck").await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        let spec = json!({"spec": {"cancelled": {"reason": "outOfStock"}, "ttlAfterFinished": "1h"}});
        patch::<Delivery>(&stage, "one", spec).await;
        let cancelled: Delivery = stage.says("one", "Ready", "Cancelled").await;
        assert_eq!(cancelled.phase(), Phase::Cancelled);
        assert!(cancelled.status.expect("a status").finished_at.is_some());
        patch::<Delivery>(&stage, "one", json!({"spec": {"ttlAfterFinished": "0s"}})).await;
        stage.gone::<Delivery>("one").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_services_wrote_is_never_touched() {
    on_stage("custody", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.delivery("one", "acme", "truck").await;
        let ready: Delivery = stage.becomes("one", "Ready", "True").await;
        let carrier = stage.namespace.api::<Carrier>().get("truck").await.expect("there").uid().expect("a uid");
        assert!(ready.status.is_some_and(|status| status.custody.is_empty()), "the operator signs nothing");
        let patched = accept(&stage, "one", &carrier).await;

        // The operator has something to say about it, twice; calling off is no longer its business.
        patch::<Delivery>(&stage, "one", json!({"spec": {"cancelled": {"reason": "fraud"}}})).await;
        patch::<Carrier>(&stage, "truck", json!({"spec": {"revoked": true}})).await;
        let told: Delivery = stage.says("one", "Ready", "CarrierRevoked").await;
        let (before, after) = (patched.status.expect("a status"), told.status.expect("a status"));
        assert_eq!((after.phase, &after.custody), (Phase::Accepted, &before.custody));
        assert_eq!((after.carrier_uid, after.topics), (before.carrier_uid, before.topics));
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_made_anew_under_the_same_name_does_not_inherit_the_job() {
    on_stage("replaced", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.delivery("one", "acme", "truck").await;
        let ready: Delivery = stage.becomes("one", "Ready", "True").await;
        let carriers = stage.namespace.api::<Carrier>();
        let uid = carriers.get("truck").await.expect("there").uid().expect("a uid");
        accept(&stage, "one", &uid).await;
        carriers.delete("truck", &DeleteParams::default()).await.expect("deleted");
        stage.gone::<Carrier>("truck").await;
        stage.says::<Delivery>("one", "Ready", "CarrierMissing").await;
        stage.external_carrier("truck").await;
        let replaced: Delivery = stage.says("one", "Ready", "CarrierReplaced").await;
        let topics = |delivery: &Delivery| delivery.status.as_ref().and_then(|status| status.topics.clone());
        assert_eq!(topics(&replaced), topics(&ready), "its topics are still the former one's");
        operator.stop().await;
    })
    .await;
}

/// `WAYBILL_STALL_AFTER`, as a user sees it.
#[tokio::test(flavor = "multi_thread")]
async fn a_parcel_that_stands_still_is_shown_as_stalled_with_an_event_until_it_moves() {
    on_stage("stalled", &[], |stage| async move {
        let operator = stage.set(&["--stall-after", "1s"]);
        stage.ends("acme", "truck").await;
        let carrier: Carrier = stage.becomes("truck", "Ready", "True").await;
        stage.delivery("one", "acme", "truck").await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        let waiting: Delivery = stage.namespace.api().get("one").await.expect("the Delivery");
        assert!(waiting.status.is_some_and(|status| status.conditions.iter().all(|c| c.type_ != "Stalled")));
        let accepted = accept(&stage, "one", &carrier.uid().expect("a uid")).await;
        let stalled: Delivery = stage.says("one", "Stalled", "Stalled").await;
        let conditions = stalled.status.expect("a status").conditions;
        let said = conditions.iter().find(|c| c.type_ == "Stalled").expect("just seen");
        assert!(said.status == "True" && said.message.contains("ask its carrier"), "{}", said.message);
        assert!(
            conditions.iter().any(|c| c.type_ == "Ready" && c.status == "True"),
            "its ends are as good as they were"
        );
        let events = stage.namespace.api::<k8s_openapi::api::events::v1::Event>();
        eventually("an Event says so", SOON, || async {
            let list = events.list(&ListParams::default()).await.map_err(|why| why.to_string())?;
            let told = list.into_iter().find(|event| event.reason.as_deref() == Some("Stalled"));
            let told = told.ok_or_else(|| "none yet".to_owned())?;
            let about = (told.regarding.and_then(|about| about.name), told.type_);
            if about == (Some("one".into()), Some("Warning".into())) { Ok(()) } else { Err(format!("{about:?}")) }
        })
        .await;
        // It moves, by the clock of a device that is ahead: nothing happened later than now, so it goes on moving.
        let mut custody = accepted.status.expect("a status").custody;
        let mut next = custody[0].clone();
        next.at = MicroTime(jiff::Timestamp::now() + jiff::SignedDuration::from_hours(1));
        (next.event, next.id) = ("HandedOver".into(), "cd".repeat(32));
        custody.push(next);
        let params = PatchParams { field_manager: Some("services".into()), ..PatchParams::default() };
        let said = json!({"status": {"custody": custody}});
        stage.deliveries().patch_status("one", &params, &Patch::Merge(said)).await.expect("written");
        eventually("it stands still no more", SOON, || async {
            let found: Delivery = stage.namespace.api().get("one").await.map_err(|why| why.to_string())?;
            let stalled = found.status.is_some_and(|status| status.conditions.iter().any(|c| c.type_ == "Stalled"));
            if stalled { Err("still stalled".to_owned()) } else { Ok(()) }
        })
        .await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_paused_delivery_is_left_alone_until_it_is_not() {
    on_stage("paused", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        let mut body = waybill_e2e::objects::delivery("one", "acme", "truck");
        body["metadata"]["annotations"] = json!({"waybill.dev/paused": "true"});
        stage.apply::<Delivery>(&body).await;
        stage.says::<Delivery>("one", "Admitted", "Paused").await;
        patch::<Delivery>(&stage, "one", json!({"metadata": {"annotations": {"waybill.dev/paused": null}}})).await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn refusals_are_events_with_the_next_step_and_plain_successes_are_none() {
    on_stage("events", &[], |stage| async move {
        let operator = stage.operator();
        stage.ends("acme", "truck").await;
        stage.delivery("plain", "acme", "truck").await;
        stage.delivery("stray", "nobody", "truck").await;
        stage.becomes::<Delivery>("plain", "Ready", "True").await;
        let events = stage.namespace.api::<k8s_openapi::api::events::v1::Event>();
        let told = eventually("an Event about the stray one", SOON, || async {
            let list = events.list(&ListParams::default()).await.map_err(|why| why.to_string())?;
            let about: Vec<_> = list
                .into_iter()
                .filter_map(|event| Some((event.regarding?.name?, event.reason?, event.note?)))
                .filter(|(name, ..)| name == "stray" || name == "plain")
                .collect();
            if about.is_empty() { Err("none yet".to_owned()) } else { Ok(about) }
        })
        .await;
        assert_eq!(told.len(), 1, "{told:?}");
        let (name, reason, note) = &told[0];
        assert_eq!((name.as_str(), reason.as_str()), ("stray", "SellerMissing"));
        assert!(note.contains("create it"), "the next step: {note}");
        operator.stop().await;
    })
    .await;
}

// === helpers ===

/// Each of these is the same parcel.
fn twin(name: &str) -> serde_json::Value {
    json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "metadata": {"name": name},
           "spec": {"upc": "same", "seller": "acme", "carrier": "truck"}})
}

/// As the services write it; the API server cannot check the signature.
async fn accept(stage: &Stage, name: &str, carrier: &str) -> Delivery {
    let event = json!({"author": "Transport", "seq": 0, "event": "Accepted", "at": "2026-11-21T12:00:00.000000Z",
                       "signed": "AAAA", "id": "ab".repeat(32)});
    let said = json!({"status": {"phase": "Accepted", "carrierUid": carrier, "custody": [event]}});
    let params = PatchParams { field_manager: Some("services".into()), ..PatchParams::default() };
    stage.deliveries().patch_status(name, &params, &Patch::Merge(said)).await.expect("written")
}

async fn patch<K>(stage: &Stage, name: &str, body: serde_json::Value)
where
    K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    stage.namespace.api::<K>().patch(name, &PatchParams::default(), &Patch::Merge(body)).await.expect("patched");
}

fn topics_of(delivery: &Delivery) -> Vec<String> {
    let topics = delivery.status.as_ref().and_then(|status| status.topics.clone());
    topics.map(|topics| vec![topics.down, topics.up]).unwrap_or_default()
}

async fn versions(stage: &Stage) -> Vec<(String, Option<String>)> {
    let api: Api<DeliveryView> = stage.namespace.api();
    let list = api.list(&ListParams::default()).await.expect("a list");
    list.into_iter().map(|delivery| (delivery.name_any(), delivery.resource_version())).collect()
}
