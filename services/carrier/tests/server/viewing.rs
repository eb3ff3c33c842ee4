//! D-20, D-22, D-24, D-78: who may look, and what there is to see.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role as RbacRole, RoleBinding};
use kube::Api;
use kube::api::PostParams;
use reqwest::Method;
use serde_json::{Value, json};
use waybill_crds::Delivery;
use waybill_e2e::{eventually, objects};
use waybill_protocol::fact::reason::DeclaredFact;
use waybill_protocol::{Fact, Hash, PersonName, Role, Stage};

use crate::client::Answer;
use crate::room::{Room, SOON, in_room, posted};
use crate::stage::create;

#[tokio::test]
async fn d22_anybody_may_ask_whether_somebody_is_here() {
    in_room("d22_anybody_may_ask", async |room| {
        let answer = room.anybody.get("/", None).await;
        assert_eq!((answer.status, answer.body), (200, json!({"carrier": "connected"})));
    })
    .await;
}

#[tokio::test]
async fn d20_d78_a_grant_by_a_reader_opens_one_delivery_until_it_is_revoked() {
    in_room("d20_d78_a_grant_by_a_reader", async |mut room| {
        let (parcel, _second) = (room.under_way("UPC_1").await, room.parcel("UPC_2").await);
        let reader = user(&room, "reader", true).await;
        let granted = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({"ttl": "1h"})).await;
        assert_eq!(granted.status, 201, "{granted:?}");
        let grant = json!({"grant": granted.body["grant"]});
        room.restart().await;

        let token = view_token(&room, &grant).await;
        let answer = room.anybody.get("/api/shipment/UPC_1", Some(&token)).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let history: Vec<_> = answer.body["history"].as_array().unwrap().iter().map(|step| &step["event"]).collect();
        assert_eq!(history, ["Accepted", "HandedOver", "PickedUp", "Released"]);
        let now = json!([answer.body["upc"], answer.body["phase"], answer.body["stage"], answer.body["attempt"]]);
        assert_eq!(now, json!(["UPC_1", "PickedUp", "Country", 1]));
        assert!(answer.body["history"].as_array().unwrap().iter().all(|step| step["verified"] == json!(true)));
        let picked_up = &answer.body["history"][2];
        assert_eq!(answer.body["since"], picked_up["at"]);
        // A carrier's report is there for the next look.
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
        assert_eq!(room.anybody.get("/api/shipment/UPC_1", Some(&token)).await.body["phase"], "InTransit");
        // For one delivery, and for looking only.
        assert_eq!(room.anybody.get("/api/shipment/UPC_2", Some(&token)).await.is(), (403, "token-invalid"));
        let path = format!("/api/agent/deliveries/{}/log", parcel.uid);
        assert_eq!(room.agent.client.get(&path, Some(&token)).await.is(), (403, "token-invalid"));
        let answer = room.anybody.get("/api/shipment/UPC_1", Some(&room.agent.token(&parcel))).await;
        assert_eq!(answer.is(), (403, "token-invalid"));

        let ids = room.anybody.get("/api/shipment/UPC_1/grants", Some(&reader)).await.body;
        assert_eq!(
            ids,
            json!({"grants": [{"id": granted.body["id"], "role": "viewer", "expires": granted.body["expires"]}], "next": null})
        );
        let path = format!("/api/shipment/UPC_1/grants/{}", granted.body["id"].as_str().unwrap());
        assert_eq!(Answer::of(room.anybody.request(Method::DELETE, &path, Some(&reader))).await.status, 204);
        assert_eq!(
            Answer::of(room.anybody.request(Method::DELETE, &path, Some(&reader))).await.is(),
            (404, "grant-unknown")
        );
        assert_eq!(room.anybody.post("/api/view-token", None, &grant).await.is(), (403, "grant-invalid"));
    })
    .await;
}

#[tokio::test]
async fn d20_who_has_no_token_or_a_bad_one_sees_nothing() {
    in_room("d20_who_has_no_token", async |room| {
        let parcel = room.parcel("UPC_1").await;
        assert_eq!(room.anybody.get("/api/shipment/UPC_1", None).await.is(), (401, "token-missing"));
        assert_eq!(room.anybody.get("/api/shipment/UPC_1", Some("a.b.c")).await.is(), (403, "token-invalid"));
        let reader = user(&room, "reader", true).await;
        let granted = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({})).await;
        let token = view_token(&room, &json!({"grant": granted.body["grant"]})).await;
        assert_eq!(room.anybody.get("/api/shipment/UPC_1", Some(&token)).await.is(), (404, "nothing-posted"));
        room.deliveries().delete("upc-1", &Default::default()).await.unwrap();
        eventually("it is gone for viewers too", SOON, || async {
            let answer = room.anybody.get("/api/shipment/UPC_1", Some(&token)).await;
            if answer.is() == (404, "delivery-unknown") { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        // The grant is forgotten with it.
        let folder = room.dir.path().join("photos/grants").join(&parcel.uid);
        eventually("nothing is kept of it", SOON, || async {
            let left = std::fs::read_dir(&folder).map(Iterator::count).unwrap_or(0);
            if left == 0 { Ok(()) } else { Err(format!("{left} grants")) }
        })
        .await;
    })
    .await;
}

/// What the recipient's page needs of it: the Seller shows the recipient's code to this role alone.
#[tokio::test]
async fn a_grant_for_the_recipient_says_so_in_its_tokens_and_no_other_does() {
    in_room("a_grant_for_the_recipient", async |room| {
        room.parcel("UPC_1").await;
        let reader = user(&room, "reader", true).await;
        let path = "/api/shipment/UPC_1/grants";
        for (wish, role) in [(json!({}), None), (json!({"role": "recipient"}), Some("recipient"))] {
            let granted = room.anybody.post(path, Some(&reader), &wish).await;
            assert_eq!(granted.body["role"], role.unwrap_or("viewer"), "{granted:?}");
            let shown = json!({"grant": granted.body["grant"]});
            let answer = room.anybody.post("/api/view-token", None, &shown).await.body;
            assert_eq!((&answer["seller"], &answer["role"]), (&json!("acme"), &granted.body["role"]));
            let claims = answer["token"].as_str().unwrap().split('.').nth(1).unwrap().to_owned();
            let claims = base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, claims).unwrap();
            assert_eq!(serde_json::from_slice::<Value>(&claims).unwrap()["role"].as_str(), role);
        }
        let answer = room.anybody.post(path, Some(&reader), &json!({"role": "admin"})).await;
        assert_eq!(answer.is(), (400, "malformed"));
    })
    .await;
}

/// Who is handed such a token can do nothing with it at the API server.
#[tokio::test]
async fn a_kubernetes_token_that_is_good_here_alone_is_taken() {
    in_room("a_kubernetes_token_that_is_good_here_alone", async |room| {
        room.parcel("UPC_1").await;
        let _whole = user(&room, "reader", true).await;
        for (audience, expected) in [("waybill-carrier-api", (201, "")), ("somebody-else", (403, "token-invalid"))] {
            let spec = TokenRequestSpec { audiences: vec![audience.into()], ..TokenRequestSpec::default() };
            let request = TokenRequest { spec, ..TokenRequest::default() };
            let accounts = room.namespace.api::<ServiceAccount>();
            let made = accounts.create_token_request("reader", &PostParams::default(), &request).await.unwrap();
            let token = made.status.unwrap().token;
            let answer = room.anybody.post("/api/shipment/UPC_1/grants", Some(&token), &json!({})).await;
            assert_eq!(answer.is(), expected, "{audience}");
        }
    })
    .await;
}

#[tokio::test]
async fn d78_a_grant_takes_the_right_to_read_the_delivery() {
    in_room("d78_a_grant_takes_the_right", async |room| {
        room.parcel("UPC_1").await;
        let (stranger, reader) = (user(&room, "stranger", false).await, user(&room, "reader", true).await);
        let grant = async |token: Option<&str>, upc: &str| {
            room.anybody.post(&format!("/api/shipment/{upc}/grants"), token, &json!({})).await
        };
        assert_eq!(grant(None, "UPC_1").await.is(), (401, "token-missing"));
        assert_eq!(grant(Some("junk"), "UPC_1").await.is(), (403, "token-invalid"));
        // Who may not read learns nothing about which deliveries there are.
        assert_eq!(grant(Some(&stranger), "UPC_1").await.is(), (403, "not-permitted"));
        assert_eq!(grant(Some(&stranger), "UPC_404").await.is(), (403, "not-permitted"));
        assert_eq!(grant(Some(&reader), "UPC_404").await.is(), (404, "delivery-unknown"));
        for wish in [json!({"ttl": "9999h"}), json!({"ttl": "0s"}), json!({"ttl": 5}), json!({"who": "me"})] {
            let answer = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &wish).await;
            assert_eq!(answer.is(), (400, "malformed"), "{wish}");
        }
        // Nobody makes us hold much before it is known who it is.
        let large = json!({"grant": "x".repeat(3 << 10), "request": ""});
        for path in ["/api/view-token", "/identity"] {
            assert_eq!(room.anybody.post(path, None, &large).await.is(), (413, "too-large"), "{path}");
        }
        let path = "/api/shipment/UPC_1/grants";
        assert_eq!(room.anybody.post(path, None, &large).await.is(), (401, "token-missing"));
        assert_eq!(room.anybody.post(path, Some(&reader), &large).await.is(), (413, "too-large"));
        for no_grant in [json!({"grant": ""}), json!({"grant": "a.b"}), json!({"grant": "../../etc.AAAA"})] {
            assert_eq!(room.anybody.post("/api/view-token", None, &no_grant).await.is(), (403, "grant-invalid"));
        }
        // What is kept names nobody and gives no grant away.
        let granted = grant(Some(&reader), "UPC_1").await.body["grant"].as_str().unwrap().to_owned();
        let secret = granted.split('.').nth(1).unwrap().to_owned();
        for file in files(&room.dir.path().join("photos")) {
            let text = format!("{} {}", file.display(), std::fs::read_to_string(&file).unwrap());
            assert!(!text.contains("reader") && !text.contains(&secret), "{text}");
        }
    })
    .await;
}

#[tokio::test]
async fn d78_a_grant_for_a_finished_delivery_is_listed_and_revoked_when_its_upc_is_used_again() {
    in_room("d78_a_grant_for_a_finished_delivery", async |room| {
        let first = room.delivered("UPC_1").await;
        let reader = user(&room, "reader", true).await;
        let path = "/api/shipment/UPC_1/grants";
        let granted = room.anybody.post(path, Some(&reader), &json!({})).await.body;
        assert!(granted["grant"].as_str().unwrap().starts_with(&first.uid));
        let mut again = objects::delivery("upc-1-again", "acme", "truck-7");
        again["spec"]["upc"] = json!("UPC_1");
        let again = eventually("a Delivery", SOON, || objects::apply::<Delivery>(&room.namespace, &again)).await;
        let uid = again.metadata.uid.unwrap();
        eventually("new grants are for it", SOON, || async {
            let answer = room.anybody.post(path, Some(&reader), &json!({})).await;
            let its = answer.body["grant"].as_str().is_some_and(|grant| grant.starts_with(&uid));
            if its { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        let listed = room.anybody.get(path, Some(&reader)).await.body;
        let mut ids = listed["grants"].as_array().unwrap().iter().map(|grant| &grant["id"]);
        assert!(ids.any(|id| *id == granted["id"]), "{listed}");
        let one = format!("{path}/{}", granted["id"].as_str().unwrap());
        assert_eq!(Answer::of(room.anybody.request(Method::DELETE, &one, Some(&reader))).await.status, 204);
        let shown = room.anybody.post("/api/view-token", None, &json!({"grant": granted["grant"]})).await;
        assert_eq!(shown.is(), (403, "grant-invalid"));
    })
    .await;
}

/// D-24: the original showed the buyer's phone to every token. A person's name stands in the log, and stays there.
#[tokio::test]
async fn d24_a_viewer_sees_that_a_person_declared_something_and_not_who() {
    in_room("d24_a_viewer_sees_that_a_person", async |room| {
        let parcel = room.under_way("UPC_1").await;
        let person =
            room.ca.somebody(Role::CarrierApi, &room.namespace.name, "api", "a91a91a9-0000-4000-8000-000000000001");
        let by = PersonName::new("MARKER-jane@shop").unwrap();
        let declared = Fact::Declared { fact: DeclaredFact::Incident, by, note: Some(Hash::of(b"MARKER-note")) };
        room.writes(&parcel, &person.signer, declared).await;
        let reader = user(&room, "reader", true).await;
        let granted = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({})).await;
        let token = view_token(&room, &json!({"grant": granted.body["grant"]})).await;
        let seen = eventually("the declaration is seen", SOON, || async {
            let answer = room.anybody.get("/api/shipment/UPC_1", Some(&token)).await;
            let last = answer.body["history"].as_array().and_then(|history| history.last().cloned());
            let there = last.is_some_and(|step| step["event"] == "Declared" && step["author"] == "Person");
            if there { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
        .await;
        assert!(!String::from_utf8(seen.bytes).unwrap().contains("MARKER"), "{}", seen.body);
        let members: Vec<_> = seen.body["history"][0].as_object().unwrap().keys().collect();
        assert_eq!(members, ["at", "author", "counts", "event", "verified"], "and nothing of what was said");
    })
    .await;
}

#[tokio::test]
async fn d79_view_tokens_verify_with_the_published_keys() {
    in_room("d79_view_tokens_verify", async |room| {
        room.parcel("UPC_1").await;
        let reader = user(&room, "reader", true).await;
        let granted = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({})).await;
        let token = view_token(&room, &json!({"grant": granted.body["grant"]})).await;
        let answer = room.anybody.get("/.well-known/jwks.json", None).await;
        assert_eq!(answer.headers["cache-control"], "public, max-age=60");
        let decode =
            |text: &str| base64::Engine::decode(&base64::engine::general_purpose::URL_SAFE_NO_PAD, text).unwrap();
        let [head, claims, signature]: [&str; 3] = token.split('.').collect::<Vec<_>>().try_into().unwrap();
        let kid = serde_json::from_slice::<Value>(&decode(head)).unwrap()["kid"].clone();
        let keys = answer.body["keys"].as_array().unwrap();
        let key = keys.iter().find(|key| key["kid"] == kid).expect("its key is published");
        let public = decode(key["x"].as_str().unwrap()).try_into().unwrap();
        let public = ed25519_dalek::VerifyingKey::from_bytes(&public).unwrap();
        let signature = ed25519_dalek::Signature::from_slice(&decode(signature)).unwrap();
        public.verify_strict(format!("{head}.{claims}").as_bytes(), &signature).unwrap();
        let claims: Value = serde_json::from_slice(&decode(claims)).unwrap();
        assert_eq!(
            (&claims["iss"], &claims["aud"], &claims["upc"]),
            (&json!("the-carrier-api"), &json!("view"), &json!("UPC_1"))
        );
        assert_eq!(claims["exp"].as_u64().unwrap() - claims["nbf"].as_u64().unwrap(), 120);
    })
    .await;
}

#[tokio::test]
async fn d78_a_delivery_has_so_many_grants_and_no_more() {
    in_room("d78_a_delivery_has_so_many_grants", async |room| {
        room.parcel("UPC_1").await;
        let reader = user(&room, "reader", true).await;
        let grant = async || room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({})).await;
        let first = grant().await.body["id"].as_str().unwrap().to_owned();
        for _ in 1..32 {
            assert_eq!(grant().await.status, 201);
        }
        assert_eq!(grant().await.is(), (422, "too-many-grants"));
        let path = format!("/api/shipment/UPC_1/grants/{first}");
        assert_eq!(Answer::of(room.anybody.request(Method::DELETE, &path, Some(&reader))).await.status, 204);
        assert_eq!(grant().await.status, 201, "one that was taken back makes room");
    })
    .await;
}

/// A seller whose answer was lost asks again, at whichever replica, and has handed out one link.
#[tokio::test]
async fn a_grant_asked_for_twice_under_one_key_is_one_grant() {
    in_room("a_grant_asked_for_twice", async |mut room| {
        room.parcel("UPC_1").await;
        let (reader, other) = (user(&room, "reader", true).await, user(&room, "other", true).await);
        let ask = async |room: &Room, token: &str, key: &str, wish: Value| {
            let request = room.anybody.request(Method::POST, "/api/shipment/UPC_1/grants", Some(token));
            Answer::of(request.header("idempotency-key", key).json(&wish)).await
        };
        let wish = || json!({"ttl": "1h", "role": "recipient"});
        let first = ask(&room, &reader, "k-1", wish()).await;
        assert_eq!(first.status, 201, "{first:?}");
        room.restart().await;
        assert_eq!(ask(&room, &reader, "\"k-1\"", wish()).await.body, first.body, "after a restart too");
        assert_eq!(
            ask(&room, &reader, "k-1", json!({"ttl": "2h", "role": "recipient"})).await.is(),
            (422, "idempotency-key-reused")
        );
        assert_eq!(ask(&room, &reader, "k 1", wish()).await.is(), (400, "idempotency-key-invalid"));
        for (token, key) in [(&other, "k-1"), (&reader, "k-2")] {
            let another = ask(&room, token, key, wish()).await;
            assert!(another.status == 201 && another.body["id"] != first.body["id"], "{another:?}");
        }
        let path = format!("/api/shipment/UPC_1/grants/{}", first.body["id"].as_str().unwrap());
        assert_eq!(Answer::of(room.anybody.request(Method::DELETE, &path, Some(&reader))).await.status, 204);
        assert_eq!(ask(&room, &reader, "k-1", wish()).await.is(), (409, "grant-revoked"), "no key brings it back");
        let grant = json!({"grant": first.body["grant"]});
        assert_eq!(room.anybody.post("/api/view-token", None, &grant).await.is(), (403, "grant-invalid"));
        let page = room.anybody.get("/api/shipment/UPC_1/grants?limit=1", Some(&reader)).await.body;
        let path = format!("/api/shipment/UPC_1/grants?after={}", page["next"].as_str().unwrap());
        let next = room.anybody.get(&path, Some(&reader)).await.body;
        assert_eq!((next["grants"].as_array().unwrap().len(), &next["next"]), (1, &Value::Null));
        assert_ne!(next["grants"][0], page["grants"][0]);
    })
    .await;
}

#[tokio::test]
async fn what_did_not_change_is_not_told_again() {
    in_room("what_did_not_change", async |room| {
        let parcel = room.under_way("UPC_1").await;
        room.seen(&parcel).await;
        let reader = user(&room, "reader", true).await;
        let granted = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({})).await;
        let token = view_token(&room, &json!({"grant": granted.body["grant"]})).await;
        let path = "/api/shipment/UPC_1";
        let ask = async |tag: &str| {
            Answer::of(room.anybody.request(Method::GET, path, Some(&token)).header("if-none-match", tag)).await
        };
        let tag = room.anybody.get(path, Some(&token)).await.headers["etag"].to_str().unwrap().to_owned();
        for same in [tag.clone(), format!("W/{tag}"), format!("\"x\", {tag}"), "*".into()] {
            let answer = ask(&same).await;
            assert_eq!((answer.status, answer.bytes.len()), (304, 0), "{same}");
            assert_eq!(answer.headers["cache-control"], "private, no-cache");
        }
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
        let news = ask(&tag).await;
        assert_eq!((news.status, &news.body["phase"]), (200, &json!("InTransit")));
    })
    .await;
}

/// What a board shows: a line a delivery, to who may list them all.
#[tokio::test]
async fn who_may_list_the_deliveries_sees_a_line_of_each() {
    in_room("who_may_list_the_deliveries", async |room| {
        let (first, second) = (room.under_way("UPC_1").await, room.parcel("UPC_2").await);
        room.seen(&first).await;
        let reader = user(&room, "reader", true).await;
        assert_eq!(
            room.anybody.get("/api/shipment", Some(&reader)).await.is(),
            (403, "not-permitted"),
            "get is not list"
        );
        assert_eq!(room.anybody.get("/api/shipment", None).await.is(), (401, "token-missing"));
        let board = user(&room, "board", false).await;
        bind(
            &room,
            "board",
            &json!([{"apiGroups": [waybill_crds::GROUP], "resources": ["deliveries"], "verbs": ["list"]}]),
        )
        .await;
        let listed = eventually("the right is known", SOON, || async {
            let answer = room.anybody.get("/api/shipment", Some(&board)).await;
            if answer.status == 200 { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
        .await;
        let lines = listed.body["shipments"].as_array().unwrap().clone();
        let picked_up = room.log(&first).await.entries()[2].event().unwrap().event().at;
        let expected = json!({"name": "upc-1", "uid": first.uid, "upc": "UPC_1", "seller": "acme", "carrier": "truck-7",
            "phase": "PickedUp", "stage": "Country", "attempt": 1, "photos": 0,
            "since": jiff::Timestamp::from_millisecond(i64::try_from(picked_up.0).unwrap()).unwrap().to_string()});
        assert_eq!(lines[0], expected);
        let pending = json!([lines[1]["uid"], lines[1]["phase"], lines[1]["attempt"]]);
        assert_eq!((lines.len(), pending), (2, json!([second.uid, "Pending", 0])));
        assert_eq!(listed.body["next"], Value::Null);
        let page = room.anybody.get("/api/shipment?limit=1", Some(&board)).await.body;
        assert_eq!((page["shipments"].as_array().unwrap().len(), &page["next"]), (1, &json!("upc-1")));
        let rest = room.anybody.get("/api/shipment?after=upc-1", Some(&board)).await.body;
        assert_eq!((&rest["shipments"][0]["upc"], &rest["next"]), (&json!("UPC_2"), &Value::Null));
        let tag = listed.headers["etag"].clone();
        let again = room.anybody.request(Method::GET, "/api/shipment", Some(&board)).header("if-none-match", tag);
        assert_eq!(Answer::of(again).await.status, 304);
        assert_eq!(room.anybody.get("/api/shipment?page=2", Some(&board)).await.status, 400);
    })
    .await;
}

// === helpers ===

/// A token of a user of the cluster, who may read this namespace's Deliveries or not.
pub(crate) async fn user(room: &Room, name: &str, may_read: bool) -> String {
    let namespace = &room.namespace;
    create::<ServiceAccount>(namespace, json!({"metadata": {"name": name}})).await;
    if may_read {
        bind(room, name, &json!([{"apiGroups": [waybill_crds::GROUP], "resources": ["deliveries"], "verbs": ["get"]}]))
            .await;
        let own: Api<Delivery> = Api::namespaced(namespace.cluster.as_account(&namespace.name, name), &namespace.name);
        eventually("the right is known", SOON, || own.get_opt("upc-1")).await;
    }
    let request = TokenRequest { spec: TokenRequestSpec::default(), ..TokenRequest::default() };
    let accounts = namespace.api::<ServiceAccount>();
    let made = accounts.create_token_request(name, &PostParams::default(), &request).await.unwrap();
    made.status.unwrap().token
}

/// Gives an account these rights.
pub(crate) async fn bind(room: &Room, name: &str, rules: &Value) {
    let namespace = &room.namespace;
    create::<RbacRole>(namespace, json!({"metadata": {"name": name}, "rules": rules})).await;
    let binding = json!({"metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}]});
    create::<RoleBinding>(namespace, binding).await;
}

pub(crate) async fn view_token(room: &Room, grant: &Value) -> String {
    let answer = room.anybody.post("/api/view-token", None, grant).await;
    assert_eq!(answer.status, 200, "{answer:?}");
    answer.body["token"].as_str().unwrap().to_owned()
}

/// All files beneath a folder; none where there is no folder.
pub(crate) fn files(folder: &std::path::Path) -> Vec<std::path::PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let entries = entries.map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}
