//! The word of a person: by whom, for what, and that it moves nothing.

use serde_json::{Value, json};
use waybill_e2e::eventually;
use waybill_protocol::fact::reason::DeclaredFact;
use waybill_protocol::{Author, Fact, Phase, Stage};

use crate::client::Answer;
use crate::room::{Room, SOON, in_room, posted, released};
use crate::viewing::{bind, files, user};

const PATH: &str = "/api/shipment/UPC_1/declarations";

#[tokio::test]
async fn a_declaration_stands_in_the_log_in_its_persons_name_and_moves_nothing() {
    in_room("a_declaration_stands_in_the_log", async |mut room| {
        let parcel = room.under_way("UPC_1").await;
        room.seen(&parcel).await;
        let clerk = declarer(&room, "clerk").await;
        let wish = json!({"fact": "delivered", "note": "MARKER: seen in the hall, he says"});
        let declared = declare(&room, &clerk, &wish).await;
        assert_eq!(declared.status, 201, "{declared:?}");
        let by = format!("system:serviceaccount:{}:clerk", room.namespace.name);
        assert_eq!((&declared.body["fact"], &declared.body["by"]), (&json!("Delivered"), &json!(by)));
        let log = room.log(&parcel).await;
        let last = log.entries().last().unwrap();
        let event = last.event().unwrap().event();
        assert!(last.verdict().counts() && event.author == Author::Person);
        assert!(matches!(&event.fact, Fact::Declared { fact: DeclaredFact::Delivered, by: name, note: Some(_) } if name.as_str() == by));
        // It is a word, not an arrival: nothing opens, nothing closes.
        assert_eq!((log.phase(), log.stage()), (Phase::PickedUp, Some(Stage::Country)));
        let status = room.object(&parcel).await.status.unwrap();
        assert_eq!(status.phase.to_string(), "PickedUp");
        // The text is kept beside the cluster, and shown to those who may read declarations.
        let custody = serde_json::to_string(&status).unwrap();
        assert!(!custody.contains("MARKER"));
        let note = format!("/api/shipment/UPC_1/notes/{}", declared.body["note"].as_str().unwrap());
        assert_eq!(room.anybody.get(&note, Some(&clerk)).await.body["note"], wish["note"]);
        let reader = user(&room, "reader", true).await;
        assert_eq!(room.anybody.get(&note, Some(&reader)).await.is(), (403, "not-permitted"));
        // Again, from another replica or after a restart: the same one.
        room.restart().await;
        let again = declare(&room, &clerk, &wish).await;
        assert_eq!((again.status, &again.body["id"]), (200, &declared.body["id"]));
        assert_eq!(room.log(&parcel).await.entries().len(), log.entries().len());
        let other = declare(&room, &declarer(&room, "other").await, &wish).await;
        assert_eq!((other.status, other.body["new"].clone()), (201, json!(true)), "another person's word is another one");
        // The seller lets it count, and the carrier goes on as before meanwhile.
        let log = room.log(&parcel).await;
        let id = log.entries().iter().filter_map(|entry| entry.event()).find(|event| event.event().author == Author::Person);
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
        room.seller_says(&parcel, Fact::Countersigned { event: id.unwrap().id() }).await;
        assert_eq!(room.log(&parcel).await.phase(), Phase::Delivered);
        // With the delivery the note goes too.
        room.deliveries().delete("upc-1", &Default::default()).await.unwrap();
        let notes = room.dir.path().join("photos/notes");
        eventually("no note is kept of it", SOON, || async {
            let left = files(&notes).len();
            if left == 0 { Ok(()) } else { Err(format!("{left} notes")) }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn only_who_may_declares_and_only_what_the_seller_could_let_count() {
    in_room("only_who_may_declares", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let clerk = declarer(&room, "clerk").await;
        let delivered = json!({"fact": "Delivered"});
        assert_eq!(room.anybody.post(PATH, None, &delivered).await.is(), (401, "token-missing"));
        assert_eq!(declare(&room, "junk", &delivered).await.is(), (403, "token-invalid"));
        // To read is not to declare; neither is the right to write a status, and no agent's token is one.
        let reader = user(&room, "reader", true).await;
        assert_eq!(declare(&room, &reader, &delivered).await.is(), (403, "not-permitted"));
        let unknown = room.anybody.post("/api/shipment/UPC_9/declarations", Some(&reader), &delivered).await;
        assert_eq!(unknown.is(), (403, "not-permitted"), "who may not learns of none");
        assert_eq!(declare(&room, &room.agent.token(&parcel), &delivered).await.is(), (403, "token-invalid"));
        let unknown = room.anybody.post("/api/shipment/UPC_9/declarations", Some(&clerk), &delivered).await;
        assert_eq!(unknown.is(), (404, "delivery-unknown"));
        for bad in [json!({}), json!({"fact": 7}), json!({"fact": "Delivered", "by": "somebody else"}), json!([])] {
            assert_eq!(declare(&room, &clerk, &bad).await.is(), (400, "malformed"), "{bad}");
        }
        let large = json!({"fact": "Delivered", "note": "x".repeat(20 << 10)});
        assert_eq!(declare(&room, &clerk, &large).await.is(), (413, "too-large"));
        for never in [json!({"fact": "Released"}), json!({"fact": "Delivered", "note": "x".repeat(2049)})] {
            assert_eq!(declare(&room, &clerk, &never).await.is(), (422, "declaration-refused"), "{never}");
        }
        // Nobody holds the parcel yet.
        let early = declare(&room, &clerk, &delivered).await;
        assert_eq!(early.is(), (409, "declaration-out-of-place"));
        assert_eq!((&early.body["phase"], &early.body["reason"]), (&json!("Pending"), &json!("OutOfPlace")));
        room.agent_reports(&parcel, &[crate::room::accepted()]).await;
        room.seller_says(&parcel, Fact::HandedOver { terms: room.terms(&parcel) }).await;
        room.agent_reports(&parcel, &[Fact::PickedUp]).await;
        room.seller_says(&parcel, released(Stage::Country)).await;
        room.seen(&parcel).await;
        let found = declare(&room, &clerk, &json!({"fact": "Found"})).await;
        assert_eq!(found.is(), (409, "declaration-out-of-place"), "it is not lost");
        assert!(files(&room.dir.path().join("photos")).is_empty(), "nothing is kept of what was refused");
        // A log is not filled with words.
        for number in 0..32 {
            let wish = json!({"fact": "Incident", "note": format!("{number}")});
            assert_eq!(declare(&room, &clerk, &wish).await.status, 201);
        }
        assert_eq!(declare(&room, &clerk, &delivered).await.is(), (422, "too-many-events"));
        let persons = |author: &Author| *author == Author::Person;
        let log = room.log(&parcel).await;
        let events = log.entries().iter().filter_map(|entry| entry.event()).map(|event| event.event().author);
        assert_eq!(events.filter(persons).count(), 32);
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
    })
    .await;
}

async fn declare(room: &Room, token: &str, wish: &Value) -> Answer {
    room.anybody.post(PATH, Some(token), wish).await
}

/// Somebody with the right that the chart's ClusterRole gives.
async fn declarer(room: &Room, name: &str) -> String {
    let token = user(room, name, false).await;
    let rules = json!([{"apiGroups": [waybill_crds::GROUP], "resources": ["deliveries/declarations"],
                        "verbs": ["create", "get"]}]);
    bind(room, name, &rules).await;
    // No API serves the subresource; its right is known once a declaration nobody can make is refused for what it is.
    eventually("the right is known", SOON, || async {
        let answer = room.anybody.post("/api/shipment/UPC_404/declarations", Some(&token), &json!({})).await;
        if answer.is() == (404, "delivery-unknown") { Ok(()) } else { Err(format!("{answer:?}")) }
    })
    .await;
    token
}
