//! A Delivery's status: each writer its own word, nobody else any (DESIGN.md 5).

use serde_json::{Value, json};
use waybill_crds::{Delivery, Phase};
use waybill_e2e::in_namespace;

use crate::cast::{Cast, entry, forbidden, log, refused};

const TOPICS: &str = "wb/00000000-0000-0000-0000-000000000000/00000000-0000-0000-0000-000000000000/\
                      00000000-0000-0000-0000-000000000000";
const UID: &str = "00000000-0000-0000-0000-000000000000";

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_writes_topics_conditions_and_the_first_phase() {
    in_namespace("operator-writes", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        let first = json!({"observedGeneration": 1,
            "topics": {"down": format!("{TOPICS}/down"), "up": format!("{TOPICS}/up")}});
        let written =
            cast.write_status::<Delivery>(&cast.operator, "upc-1", first).await.expect("the operator's own part");
        assert_eq!(written.phase(), Phase::Pending);
        let said =
            cast.say::<Delivery>(&cast.operator, "test", "upc-1", &["Admitted", "Ready", "Reconciling", "Stalled"]);
        said.await.expect("the operator's conditions");
        let cancelled = json!({"phase": "Cancelled", "finishedAt": "2026-12-01T09:30:00Z"});
        cast.write_status::<Delivery>(&cast.operator, "upc-1", cancelled).await.expect("nothing was signed yet");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_seller_and_the_carrier_api_each_append_what_their_authors_signed() {
    in_namespace("services-write", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        let mut custody = vec![entry("Transport", 0, "Accepted"), entry("Seller", 0, "HandedOver")];
        let accepted = json!({"phase": "Accepted", "carrierUid": UID, "attempt": 1, "custody": custody});
        cast.write_status::<Delivery>(&cast.seller, "upc-1", accepted)
            .await
            .expect("the seller appends both ends' words");
        custody.extend([entry("Transport", 1, "Posted"), entry("Person", 0, "Declared")]);
        let posted = json!({ "custody": custody });
        cast.write_status::<Delivery>(&cast.carrier_api, "upc-1", posted)
            .await
            .expect("the Carrier API appends its authors'");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nobody_else_writes_a_deliverys_status_cluster_administrators_included() {
    in_namespace("by-hand", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        let by_hand = |who| format!("the status of a Delivery is written by its services, not by {who}");
        let stranger = namespace.cluster.as_user("root", &["system:masters"]);
        let elsewhere = "system:serviceaccount:elsewhere:waybill-carrier-api";
        for (client, who) in [
            (&cast.user, "dora"),
            (&cast.admin, "root"),
            (&stranger, "root"),
            (&namespace.cluster.as_user(elsewhere, &["system:masters"]), elsewhere),
        ] {
            for status in
                [json!({"phase": "Cancelled"}), json!({"custody": log(&["Accepted"])}), json!({"stage": "Door"})]
            {
                forbidden(cast.write_status::<Delivery>(client, "upc-1", status).await, &by_hand(who));
            }
        }
        let another = format!("system:serviceaccount:{}:wb-seller-truck", namespace.name);
        let outcome = cast.write_status::<Delivery>(&cast.other_seller, "upc-1", json!({"phase": "Cancelled"})).await;
        forbidden(outcome, &by_hand(&another));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_operator_never_says_what_happened_to_the_parcel() {
    in_namespace("operator-keeps-out", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        cast.running_delivery("upc-2").await;
        cast.delivery("upc-3").await;
        let accepted = json!({"phase": "Accepted", "custody": log(&["Accepted"])});
        cast.write_status::<Delivery>(&cast.seller, "upc-3", accepted).await.expect("the seller's first event");
        let derived = "the operator never writes stage, attempt, carrierUid or proof";
        let phase = "the operator sets phase and finishedAt only while the custody log is empty";
        for (name, status, message) in [
            ("upc-1", json!({"custody": log(&["Accepted"])}), "the operator never writes the custody log"),
            ("upc-2", json!({"custody": log(&["Accepted", "HandedOver", "Lost"])}), "never writes the custody log"),
            ("upc-1", json!({"stage": "Door"}), derived),
            ("upc-1", json!({"attempt": 1}), derived),
            ("upc-1", json!({"carrierUid": UID}), derived),
            ("upc-1", json!({"proof": {"scanned": true}}), derived),
            ("upc-2", json!({"phase": "ReturnToSender"}), phase),
            ("upc-3", json!({"phase": "Cancelled"}), phase),
            ("upc-2", json!({"finishedAt": "2026-12-01T09:30:00Z"}), phase),
        ] {
            forbidden(cast.write_status::<Delivery>(&cast.operator, name, status).await, message);
        }
        let said = cast.say::<Delivery>(&cast.operator, "test", "upc-1", &["Delivered"]).await;
        forbidden(said, "the operator writes the conditions Admitted, Ready, Reconciling and Stalled, not Delivered");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_services_leave_the_operators_part_alone() {
    in_namespace("services-keep-out", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        cast.say::<Delivery>(&cast.operator, "test-operator", "upc-1", &["Ready"])
            .await
            .expect("the operator's condition");
        let topics = json!({"down": format!("{TOPICS}/down"), "up": format!("{TOPICS}/up")});
        for (client, manager) in [(&cast.seller, "test-seller"), (&cast.carrier_api, "test-carrier-api")] {
            for (status, message) in [
                (json!({ "topics": topics }), "topics and observedGeneration are the operator's to write"),
                (json!({"observedGeneration": 7}), "topics and observedGeneration are the operator's to write"),
                (json!({"conditions": []}), "are the operator's conditions"),
            ] {
                forbidden(cast.write_status::<Delivery>(client, "upc-1", status).await, message);
            }
            for operators in ["Admitted", "Reconciling"] {
                let said = cast.say::<Delivery>(client, manager, "upc-1", &["Proven", operators]).await;
                forbidden(said, operators);
            }
            cast.say::<Delivery>(client, manager, "upc-1", &["Proven"]).await.expect("a condition of the services");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn no_service_appends_events_of_authors_it_does_not_speak_for() {
    in_namespace("authors", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        let by = |author| json!({"custody": [entry(author, 0, "Delivered")]});
        let carrier_api = cast.write_status::<Delivery>(&cast.carrier_api, "upc-1", by("Seller")).await;
        forbidden(carrier_api, "the Carrier API appends events of the transport and of persons only");
        let seller = cast.write_status::<Delivery>(&cast.seller, "upc-1", by("Person")).await;
        forbidden(seller, "the seller's service appends events of the seller and of the transport only");
    })
    .await;
}

/// A compromised Carrier API could otherwise end a delivery by a word beside its log, for good.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_log_says_changes_only_together_with_appended_events() {
    in_namespace("beside-the-log", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.running_delivery("upc-1").await;
        let beside = "they change only together with appended events";
        for client in [&cast.seller, &cast.carrier_api] {
            for status in [
                json!({"phase": "Delivered", "finishedAt": "2026-12-01T09:30:00Z"}),
                json!({"finishedAt": "2026-12-01T09:30:00Z"}),
                json!({"stage": "Door"}),
                json!({"attempt": 1}),
                json!({"carrierUid": UID}),
                json!({"proof": {"scanned": true}}),
            ] {
                forbidden(cast.write_status::<Delivery>(client, "upc-1", status).await, beside);
            }
        }
        let with = |event: &str, mut status: Value| {
            let mut custody = log(&["Accepted", "HandedOver"]);
            custody.as_array_mut().expect("a list").push(entry("Transport", 2, event));
            status["custody"] = custody;
            status
        };
        for (status, message) in [
            (with("Posted", json!({"attempt": 1})), "attempt grows by one with each Accepted that is appended"),
            (with("Accepted", json!({"attempt": 1_000})), "attempt grows by one with each Accepted that is appended"),
            (with("Posted", json!({ "carrierUid": UID })), "carrierUid changes only with an appended event"),
            (
                with("Delivered", json!({"phase": "Delivered", "finishedAt": "2020-01-01T00:00:00Z"})),
                "nothing is finished before it was created",
            ),
        ] {
            forbidden(cast.write_status::<Delivery>(&cast.carrier_api, "upc-1", status).await, message);
        }
        let honest = with("Accepted", json!({"attempt": 1, "carrierUid": UID, "stage": "None"}));
        cast.write_status::<Delivery>(&cast.carrier_api, "upc-1", honest).await.expect("with its event");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_archived_is_the_carrier_apis_to_say() {
    in_namespace("archived", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.running_delivery("upc-1").await;
        for client in [&cast.seller, &cast.operator] {
            let outcome = cast.write_status::<Delivery>(client, "upc-1", json!({"archived": 2})).await;
            forbidden(outcome, "what is archived is the Carrier API's to say");
        }
        let said = cast.write_status::<Delivery>(&cast.carrier_api, "upc-1", json!({"archived": 2})).await;
        assert_eq!(said.expect("its own word").status.expect("a status").archived, Some(2));
    })
    .await;
}

/// Asked of the schema first, hence 422: it holds for every writer alike.
#[tokio::test(flavor = "multi_thread")]
async fn nine_events_in_one_patch_are_refused_and_eight_are_not() {
    in_namespace("nine-events", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        let nine = cast.write_status::<Delivery>(&cast.seller, "upc-1", json!({"custody": log(&["Scanned"; 9])})).await;
        refused(nine, 422, "custody grows by at most 8 events a write");
        let eight = json!({"custody": log(&["Scanned"; 8])});
        cast.write_status::<Delivery>(&cast.seller, "upc-1", eight).await.expect("eight events");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_sixteen_entries_are_kept_for_endings() {
    in_namespace("endings", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.delivery("upc-1").await;
        let mut custody: Vec<Value> = Vec::new();
        while custody.len() < 240 {
            custody.extend((0..8).map(|i| entry("Transport", custody.len() + i, "Scanned")).collect::<Vec<_>>());
            let status = json!({ "custody": custody });
            cast.write_status::<Delivery>(&cast.seller, "upc-1", status).await.expect("room for ordinary events");
        }
        for event in ["Scanned", "Released", "Rescheduled"] {
            let more: Vec<_> = custody.iter().cloned().chain([entry("Transport", 240, event)]).collect();
            let outcome = cast.write_status::<Delivery>(&cast.carrier_api, "upc-1", json!({ "custody": more })).await;
            forbidden(outcome, "the last 16 of the log's 256 entries are kept for events that end a delivery");
        }
        custody.extend([entry("Seller", 240, "ReturnRequested"), entry("Transport", 241, "GivenBack")]);
        let ended = json!({ "custody": custody });
        cast.write_status::<Delivery>(&cast.seller, "upc-1", ended).await.expect("room for the ending");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn users_still_write_what_they_want_in_the_spec() {
    in_namespace("spec-is-free", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.running_delivery("upc-1").await;
        let api = cast.as_seen_by::<Delivery>(&cast.user);
        let patch = kube::api::Patch::Merge(json!({"spec": {"cancelled": {"reason": "other"}}}));
        let written = api.patch("upc-1", &Default::default(), &patch).await.expect("a user asks for cancellation");
        assert_eq!(written.phase(), Phase::OutForDelivery);
    })
    .await;
}
