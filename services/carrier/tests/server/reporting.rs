//! D-17, D-18, D-19, D-21: what carriers report is in the log, once, and stays there.

use std::sync::atomic::Ordering;
use std::time::Duration;

use futures::future::join_all;
use futures::{StreamExt, TryStreamExt};
use kube::api::WatchEvent;
use reqwest::Method;
use serde_json::{Value, json};
use waybill_protocol::fact::reason::{CancelReason, Cause, DeliveredTo, Happening, HoldReason, Incident};
use waybill_protocol::{Author, Fact, Hash, Phase, Reason, Stage};

use crate::client::{Answer, body};
use crate::room::{Parcel, Room, accepted, in_room, posted, released};

#[tokio::test]
async fn d17_a_whole_delivery_is_reported_and_the_log_says_so() {
    in_room("d17_a_whole_delivery_is_reported", async |room| {
        let parcel = room.delivered("UPC_1").await;
        let log = room.log(&parcel).await;
        assert!(log.entries().iter().all(|entry| entry.verdict().counts()));
        assert_eq!((log.phase(), log.entries().len()), (Phase::Delivered, 9));
        let status = room.object(&parcel).await.status.unwrap();
        assert_eq!(status.phase.to_string(), "Delivered", "the status follows from the log in the same write");
        assert_eq!(status.carrier_uid.as_deref(), Some(room.agent.keys.uid().as_str()));
    })
    .await;
}

#[tokio::test]
async fn d17_what_is_taken_says_where_it_stands_and_what_follows() {
    in_room("d17_what_is_taken_says_where", async |room| {
        let parcel = room.under_way("UPC_1").await;
        let events = room.agent_signs(&parcel, &[posted(Stage::Country)]).await;
        let answer = room.agent.report(&parcel, &events).await;
        let taken = json!([{"id": events[0].id().to_string(), "position": 4, "new": true, "counts": true}]);
        let body = json!({"accepted": taken, "phase": "InTransit", "stage": "Country", "attempt": 1});
        assert_eq!((answer.status, &answer.body), (201, &body));
    })
    .await;
}

#[tokio::test]
async fn d17_a_report_sent_again_is_answered_200_and_is_in_the_log_once() {
    in_room("d17_a_report_sent_again", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let first = room.agent_reports(&parcel, &[accepted()]).await;
        let version = room.object(&parcel).await.metadata.resource_version;
        for _ in 0..3 {
            let answer = room.agent.report(&parcel, &[first[0].clone(), first[0].clone()]).await;
            assert_eq!(answer.status, 200);
            let new: Vec<_> = answer.body["accepted"].as_array().unwrap().iter().map(|taken| &taken["new"]).collect();
            assert_eq!(new, [false, false]);
        }
        assert_eq!(room.object(&parcel).await.metadata.resource_version, version, "nothing was written");
        assert_eq!(room.log(&parcel).await.entries().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn d17_a_batch_is_one_write() {
    in_room("d17_a_batch_is_one_write", async |room| {
        let parcel = room.under_way("UPC_1").await;
        let version = room.object(&parcel).await.metadata.resource_version.unwrap();
        let mut writes = room.deliveries().watch(&Default::default(), &version).await.unwrap().boxed();
        let facts = [posted(Stage::Country), Fact::IncidentReported { incident: Incident::Delay, note: None }];
        room.agent_reports(&parcel, &facts).await;
        let seen = tokio::time::timeout(Duration::from_secs(30), writes.try_next()).await.unwrap().unwrap();
        let Some(WatchEvent::Modified(object)) = seen else { panic!("{seen:?}") };
        assert_eq!(object.status.unwrap().custody.len(), 6);
    })
    .await;
}

#[tokio::test]
async fn d18_a_body_without_events_is_refused_with_400() {
    in_room("d18_a_body_without_events", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let event = room.agent_signs(&parcel, &[accepted()]).await;
        let many = vec![event[0].clone(); 9];
        let mut bent = event[0].bytes().to_vec();
        bent.push(0);
        let bent = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bent);
        for sent in [
            json!({}),
            json!({"events": []}),
            json!([]),
            json!({"events": ["%"]}),
            json!({"events": ["AAAA"]}),
            json!({"event": bent}),
            body(&many),
        ] {
            let answer = room.agent.client.post("/api/shipment/UPC_1", Some(&room.agent.token(&parcel)), &sent).await;
            assert_eq!(answer.is(), (400, "malformed"), "{sent}");
        }
        let request = room.agent.client.request(Method::POST, "/api/shipment/UPC_1", Some(&room.agent.token(&parcel)));
        assert_eq!(Answer::of(request.body("no JSON")).await.is(), (400, "malformed"));
        let request = room.agent.client.request(Method::POST, "/api/shipment/UPC_1", Some(&room.agent.token(&parcel)));
        assert_eq!(Answer::of(request.body("x".repeat(70_000))).await.is(), (413, "too-large"));
        assert!(room.log(&parcel).await.entries().is_empty());
    })
    .await;
}

#[tokio::test]
async fn d19_the_token_comes_in_the_header_or_in_the_body() {
    in_room("d19_the_token_comes_in_the_header", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let events = room.agent_signs(&parcel, &[accepted()]).await;
        let token = room.agent.token(&parcel);
        let with = |token: &str| {
            let mut sent = body(&events);
            sent["token"] = json!(token);
            sent
        };
        assert_eq!(room.agent.client.post("/api/shipment/UPC_1", None, &with(&token)).await.status, 201);
        let raw = room.agent.client.request(Method::POST, "/api/shipment/UPC_1", None).header("authorization", &token);
        assert_eq!(Answer::of(raw.json(&body(&events))).await.status, 200);
        // The header is what counts where there is one.
        let answer = room.agent.client.post("/api/shipment/UPC_1", Some("junk"), &with(&token)).await;
        assert_eq!(answer.is(), (403, "token-invalid"));
        assert_eq!(
            room.agent.client.post("/api/shipment/UPC_1", None, &body(&events)).await.is(),
            (401, "token-missing")
        );
    })
    .await;
}

#[tokio::test]
async fn d21_a_restart_forgets_nothing() {
    in_room("d21_a_restart_forgets_nothing", async |mut room| {
        let parcel = room.under_way("UPC_1").await;
        room.seen(&parcel).await;
        let before = room.agent.get(&parcel, "log").await;
        room.restart().await;
        let after = room.agent.get(&parcel, "log").await;
        assert_eq!((after.status, &after.body), (200, &before.body));
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
    })
    .await;
}

#[tokio::test]
async fn a_gap_is_answered_409_with_the_event_to_go_on_from() {
    in_room("a_gap_is_answered_409", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let first = room.agent_signs(&parcel, &[accepted()]).await.remove(0);
        let second = room.forge(&parcel, (1, Some(first.id()), None), Fact::PickedUp);
        let expected = |answer: &Answer| answer.body["expected"].clone();
        let answer = room.agent.report(&parcel, std::slice::from_ref(&second)).await;
        assert_eq!((answer.is(), &answer.body["reason"]), ((409, "chain-gap"), &json!("Gap")));
        assert_eq!(expected(&answer), json!({"seq": 0, "previous": null}));

        assert_eq!(room.agent.report(&parcel, std::slice::from_ref(&first)).await.status, 201);
        // Another event with a number that is taken: an agent that lost its journal.
        let fork = room.forge(&parcel, (0, None, None), Fact::PickedUp);
        let answer = room.agent.report(&parcel, &[fork]).await;
        assert_eq!((answer.is(), &answer.body["reason"]), ((409, "chain-gap"), &json!("Fork")));
        assert_eq!(expected(&answer), json!({"seq": 1, "previous": first.id().to_string()}));
        // What it has seen is nowhere: it is not believed before that is in the log.
        let ahead = room.forge(&parcel, (1, Some(first.id()), Some(Hash::of(b"unknown"))), Fact::PickedUp);
        let answer = room.agent.report(&parcel, &[ahead]).await;
        assert_eq!((answer.is(), &answer.body["reason"]), ((409, "chain-gap"), &json!("UnknownSeen")));
        assert_eq!(room.log(&parcel).await.entries().len(), 1);
    })
    .await;
}

/// DESIGN 3: facts a device signed are always appended; the phase is what the state machine makes of them.
#[tokio::test]
async fn a_fact_told_too_late_is_kept_and_changes_nothing() {
    in_room("a_fact_told_too_late_is_kept", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let first = room.agent_reports(&parcel, &[accepted()]).await;
        room.seller_says(&parcel, Fact::Cancelled { reason: CancelReason::Other }).await;
        let delivered = Fact::Delivered { to: DeliveredTo::Recipient, note: None };
        let late = room.forge(&parcel, (1, Some(first[0].id()), None), delivered);
        let answer = room.agent.report(&parcel, std::slice::from_ref(&late)).await;
        let taken = &answer.body["accepted"][0];
        assert_eq!((answer.status, &taken["counts"], &answer.body["phase"]), (201, &json!(false), &json!("Cancelled")));
        assert!(taken["reason"].is_string(), "{taken}");
        let log = room.log(&parcel).await;
        assert_eq!((log.phase(), log.entries().len()), (Phase::Cancelled, 3));
        assert_eq!(log.expected(Author::Transport, room.agent.keys.uid()).0, 2, "its chain goes on");
    })
    .await;
}

/// A device that was offline while the job was given to another never had a word in the log before.
#[tokio::test]
async fn what_a_former_carrier_did_before_it_learned_of_the_other_is_kept() {
    in_room("what_a_former_carrier_did", async |room| {
        let parcel = room.parcel_of("UPC_1", "truck-8", &room.other).await;
        room.writes(&parcel, &room.other.keys.signer, accepted()).await;
        room.seller_says(&parcel, Fact::OnHold { reason: HoldReason::Weather, note: None }).await;
        room.seller_says(&parcel, Fact::CarrierAssigned { carrier: room.agent.keys.uid().clone() }).await;
        room.seen(&parcel).await;
        let late = room.agent_signs(&parcel, &[accepted()]).await;
        room.seller_says(&parcel, Fact::CarrierAssigned { carrier: room.other.keys.uid().clone() }).await;
        let answer = room.agent.report(&parcel, &late).await;
        assert_eq!((answer.status, &answer.body["accepted"][0]["new"]), (201, &json!(true)), "{answer:?}");
        let log = room.log(&parcel).await;
        assert_eq!((log.entries().len(), log.phase()), (5, Phase::Rescheduled));
        assert_eq!(log.state().assigned(), Some(room.other.keys.uid()), "the job is the other's all the same");
        assert_eq!(room.agent.upload(&parcel, "image/jpeg", Vec::new()).await.is(), (404, "delivery-unknown"));
    })
    .await;
}

#[tokio::test]
async fn what_no_state_lets_count_is_refused_with_422_and_nothing_is_written() {
    in_room("what_no_state_lets_count_is_refused", async |room| {
        let (parcel, elsewhere) = (room.parcel("UPC_1").await, room.parcel("UPC_2").await);
        let first = room.agent_signs(&parcel, &[accepted()]).await.remove(0);
        let not_its_word = room.forge(&parcel, (1, Some(first.id()), None), released(Stage::Country));
        let answer = room.agent.report(&parcel, &[first.clone(), not_its_word]).await;
        assert_eq!((answer.is(), &answer.body["reason"]), ((422, "event-refused"), &json!("NotByThisAuthor")));
        assert_eq!(answer.body["refused"]["index"], 1, "which of them: {:?}", answer.body);
        let foreign = room.forge(&elsewhere, (0, None, None), accepted());
        let answer = room.agent.report(&parcel, &[foreign]).await;
        assert_eq!((answer.is(), &answer.body["reason"]), ((422, "event-refused"), &json!("AnotherDelivery")));
        let mut bytes = first.bytes().to_vec();
        *bytes.last_mut().unwrap() ^= 1;
        let forged = waybill_protocol::SignedEvent::read(&bytes).unwrap();
        let answer = room.agent.report(&parcel, &[forged]).await;
        assert_eq!((answer.is(), &answer.body["reason"]), ((422, "event-refused"), &json!("BadSignature")));
        assert!(room.log(&parcel).await.entries().is_empty());
    })
    .await;
}

#[tokio::test]
async fn nobody_reports_for_another_or_learns_of_anothers_parcels() {
    in_room("nobody_reports_for_another", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let events = room.agent_signs(&parcel, &[accepted()]).await;
        // A carrier whose parcel it is not: as if there were none.
        let answer = room.other.report(&parcel, &events).await;
        assert_eq!(answer.is(), (404, "delivery-unknown"));
        assert_eq!(room.other.get(&parcel, "log").await.is(), (404, "delivery-unknown"));
        let nowhere = Parcel { upc: "UPC_1".into(), uid: "dddddddd-0000-4000-8000-000000000001".into() };
        assert_eq!(room.other.report(&nowhere, &events).await.is(), (404, "delivery-unknown"));
        // Another's event in its own post.
        let own = room.parcel_of("UPC_2", "truck-8", &room.other).await;
        assert_eq!(room.other.report(&own, &events).await.is(), (403, "foreign-event"));
        assert!(room.log(&parcel).await.entries().is_empty() && room.log(&own).await.entries().is_empty());
    })
    .await;
}

#[tokio::test]
async fn many_report_at_once_while_the_seller_writes_and_nothing_is_lost_or_doubled() {
    in_room("many_report_at_once", async |room| {
        let parcels = join_all((0..6).map(|at| {
            let room = &room;
            async move { room.under_way(&format!("UPC_{at}")).await }
        }))
        .await;
        let reports = parcels.iter().map(async |parcel| {
            let events = room.agent_signs(parcel, &[posted(Stage::Country)]).await;
            // The same report three times at once, into a log that others write too.
            let (one, two, three, _) = tokio::join!(
                room.agent.report(parcel, &events),
                room.agent.report(parcel, &events),
                room.agent.report(parcel, &events),
                room.seller_says(parcel, Fact::OnHold { reason: HoldReason::Weather, note: None }),
            );
            let mut statuses = [one.status, two.status, three.status];
            statuses.sort_unstable();
            assert_eq!(statuses, [200, 200, 201]);
            let log = room.log(parcel).await;
            assert_eq!(log.entries().len(), 6);
            assert!(log.entries().iter().all(|entry| entry.verdict().is_genuine()));
        });
        join_all(reports).await;
    })
    .await;
}

#[tokio::test]
async fn an_agent_finds_its_open_deliveries_and_their_logs() {
    in_room("an_agent_finds_its_open_deliveries", async |room| {
        let (parcel, done) = (room.under_way("UPC_1").await, room.delivered("UPC_2").await);
        let _others = room.parcel_of("UPC_3", "truck-8", &room.other).await;
        room.seen(&parcel).await;
        let list = async |room: &Room| {
            let answer = room.agent.client.get("/api/agent/deliveries", Some(&room.agent.own_token())).await;
            let mut list: Vec<Value> = answer.body["deliveries"].as_array().unwrap().clone();
            list.sort_by_key(|line| line["upc"].to_string());
            list
        };
        let open = list(&room).await;
        // The second one is delivered, but owes the photo its terms ask for.
        assert_eq!(open.iter().map(|line| &line["upc"]).collect::<Vec<_>>(), ["UPC_1", "UPC_2"]);
        let log = room.log(&parcel).await;
        let (seq, previous) = log.expected(Author::Transport, room.agent.keys.uid());
        let base = format!("wb/{}/{}/{}", room.seller.uid(), room.agent.keys.uid(), parcel.uid);
        let line = json!({
            "uid": parcel.uid, "upc": "UPC_1", "namespace": room.namespace.name, "sellerUid": room.seller.uid().as_str(),
            "phase": "PickedUp", "attempt": 1, "topics": {"down": format!("{base}/down"), "up": format!("{base}/up")},
            "location": "none", "expected": {"seq": seq, "previous": previous.map(|id| id.to_string())},
        });
        assert_eq!(open[0], line);
        // Page by page, each of them once.
        let page = async |query: &str| {
            let path = format!("/api/agent/deliveries?{query}");
            room.agent.client.get(&path, Some(&room.agent.own_token())).await
        };
        let first = page("limit=1").await;
        let next = first.body["next"].as_str().unwrap().to_owned();
        assert_eq!((first.body["deliveries"].as_array().unwrap().len(), &first.body["deliveries"][0]["uid"]), (1, &json!(next)));
        let second = page(&format!("limit=1&after={next}")).await;
        assert_eq!((second.body["deliveries"].as_array().unwrap().len(), &second.body["next"]), (1, &Value::Null));
        assert_ne!(second.body["deliveries"][0]["uid"], json!(next));
        assert_eq!(page("limit=none").await.is(), (400, "bad-request"));
        let again = room.agent.client.request(Method::GET, "/api/agent/deliveries", Some(&room.agent.own_token()));
        let tag = room.agent.client.get("/api/agent/deliveries", Some(&room.agent.own_token())).await.headers["etag"].clone();
        assert_eq!(Answer::of(again.header("if-none-match", tag)).await.status, 304);
        room.agent_reports(&done, &[crate::room::proof(Hash::of(b"a photo"))]).await;
        assert_eq!(list(&room).await.len(), 1, "proved: nothing is left to do");
        // A token of one delivery is none for the list, and the other way round.
        let answer = room.agent.client.get("/api/agent/deliveries", Some(&room.agent.token(&parcel))).await;
        assert_eq!(answer.is(), (403, "token-invalid"));

        let answer = room.agent.get(&parcel, "log").await;
        let encode = |bytes: &[u8]| base64::Engine::encode(&base64::engine::general_purpose::STANDARD, bytes);
        let custody: Vec<String> = log.entries().iter().map(|entry| encode(entry.bytes())).collect();
        assert_eq!(answer.body, json!({"custody": custody, "sellerStatement": encode(&room.seller.statement), "location": "none"}));
    })
    .await;
}

/// Whoever signs for nothing takes no places of others, and can still tell the end.
#[tokio::test]
async fn a_carrier_fills_no_log_with_what_changes_nothing_and_can_still_tell_an_end() {
    in_room("a_carrier_fills_no_log", async |room| {
        let parcel = room.under_way("UPC_1").await;
        let delay = || Fact::IncidentReported { incident: Incident::Delay, note: None };
        for _ in 0..4 {
            room.agent_reports(&parcel, &vec![delay(); 8]).await;
        }
        let one_more = room.agent_signs(&parcel, &[delay()]).await;
        let answer = room.agent.report(&parcel, &one_more).await;
        assert_eq!(answer.is(), (422, "too-many-events"));
        assert_eq!(answer.body["refused"]["id"], json!(one_more[0].id().to_string()));
        // Nor with what the state machine does not take.
        let (seq, prev) = room.log(&parcel).await.expected(Author::Transport, room.agent.keys.uid());
        let seen = room.log(&parcel).await.entries()[3].event().unwrap().id();
        let again = room.forge(&parcel, (seq, prev, Some(seen)), Fact::PickedUp);
        assert_eq!(room.agent.report(&parcel, &[again]).await.is(), (422, "too-many-events"));
        let entries = room.log(&parcel).await.entries().len();
        // What moves the delivery on, and its end, are taken.
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
        let reason = Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note: None };
        room.agent_reports(&parcel, &[Fact::AttemptFailed { reason }]).await;
        let log = room.log(&parcel).await;
        assert_eq!((log.phase(), log.entries().len()), (Phase::AttemptFailed, entries + 2));
        // To take it back and tell it again has an end too.
        let mut told = 0;
        loop {
            let last = room.log(&parcel).await.entries().last().unwrap().event().unwrap().id();
            let facts = [Fact::Corrected { event: last, note: None }, Fact::AttemptFailed { reason }];
            let events = room.agent_signs(&parcel, &facts).await;
            let answer = room.agent.report(&parcel, &events).await;
            if answer.status != 201 {
                assert_eq!(answer.is(), (422, "too-many-events"));
                break;
            }
            told += 1;
            assert!(told < 100, "it never ends");
        }
        room.seller_says(&parcel, Fact::Rescheduled { window: None }).await;
    })
    .await;
}

/// A place a write changes may be gone from a newer object, which the API server finds invalid and not a conflict.
#[tokio::test]
async fn a_write_found_invalid_is_decided_anew_once() {
    in_room("a_write_found_invalid", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let events = room.agent_signs(&parcel, &[accepted()]).await;
        room.home.refused.store(2, Ordering::Relaxed);
        assert_eq!(room.agent.report(&parcel, &events).await.is(), (500, "internal"), "twice is a mistake of ours");
        room.home.refused.store(1, Ordering::Relaxed);
        assert_eq!(room.agent.report(&parcel, &events).await.status, 201);
        assert_eq!(room.log(&parcel).await.entries().len(), 1);
    })
    .await;
}
