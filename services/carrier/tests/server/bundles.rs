//! The proof as a file: by view token and by Kubernetes token, of what is in the cluster and of what is archived.

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::ServiceAccount;
use kube::api::{Patch, PatchParams, PostParams};
use reqwest::Method;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use waybill_crds::Seller;
use waybill_e2e::eventually;
use waybill_proof::check;
use waybill_proof::report::{Answer as Verdict, Report};
use waybill_protocol::fact::reason::Guarantee;
use waybill_protocol::{Fact, Hash};

use crate::client::Answer;
use crate::photos::jpeg;
use crate::room::{Parcel, Room, SOON, in_room, proof};
use crate::viewing::{bind, user, view_token};

#[tokio::test]
async fn d20_a_kubernetes_token_opens_what_its_bearer_may_get_and_nothing_else() {
    in_room("d20_a_kubernetes_token_opens", async |room| {
        let (parcel, hash) = with_photo(&room, "UPC_1").await;
        let (stranger, reader) = (user(&room, "stranger", false).await, user(&room, "reader", true).await);
        let paths = ["", &format!("/photos/{hash}"), "/bundle"].map(|rest| format!("/api/shipment/UPC_1{rest}"));
        for path in &paths {
            assert_eq!(room.anybody.get(path, Some(&reader)).await.status, 200, "{path}");
            assert_eq!(room.anybody.get(path, Some(&stranger)).await.is(), (403, "not-permitted"), "{path}");
            assert_eq!(room.anybody.get(path, Some("junk")).await.is(), (403, "token-invalid"), "{path}");
            assert_eq!(room.anybody.get(path, None).await.is(), (401, "token-missing"), "{path}");
        }
        let path = format!("{}?uid={}", paths[1], parcel.uid);
        assert_eq!(room.anybody.get(&path, Some(&reader)).await.bytes, jpeg(None, 1));
        let other = format!("{}?uid=another", paths[1]);
        assert_eq!(room.anybody.get(&other, Some(&reader)).await.is(), (404, "delivery-unknown"));
        // Who may read nothing learns nothing about which there are.
        assert_eq!(room.anybody.get("/api/shipment/UPC_404", Some(&reader)).await.is(), (404, "delivery-unknown"));
        assert_eq!(room.anybody.get("/api/shipment/UPC_404", Some(&stranger)).await.is(), (403, "not-permitted"));
    })
    .await;
}

#[tokio::test]
async fn a_token_made_for_this_api_alone_is_taken_and_one_for_another_is_not() {
    in_room("a_token_made_for_this_api", async |room| {
        room.under_way("UPC_1").await;
        user(&room, "reader", true).await;
        for (audience, expected) in [("waybill-carrier-api", 200), ("somewhere-else", 403)] {
            let token = token_for(&room, "reader", audience).await;
            let answer = room.anybody.get("/api/shipment/UPC_1", Some(&token)).await;
            assert_eq!(answer.status, expected, "{audience}: {answer:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_bundle_comes_with_its_picture_and_verifies_against_the_root() {
    in_room("a_bundle_comes_with_its_picture", async |room| {
        let (parcel, _) = with_photo(&room, "UPC_1").await;
        let reader = user(&room, "reader", true).await;
        let granted = room.anybody.post("/api/shipment/UPC_1/grants", Some(&reader), &json!({})).await;
        let token = view_token(&room, &json!({"grant": granted.body["grant"]})).await;
        let path = "/api/shipment/UPC_1/bundle";
        let answer = room.anybody.get(path, Some(&token)).await;
        assert_eq!((answer.status, &answer.headers["content-type"]), (200, &"application/zip".parse().unwrap()));
        assert_eq!(answer.headers["content-disposition"], "attachment; filename=\"UPC_1.waybill.zip\"");
        let report = proved(&room, &answer.bytes);
        assert_eq!((report.phase, report.upc.as_deref()), (Some("Delivered"), Some("UPC_1")));
        assert_eq!(report.events, room.log(&parcel).await.entries().len());
        assert!(holds(&answer.bytes, &jpeg(None, 1)), "the picture is in it");
        let tag = answer.headers["etag"].clone();
        let again = room.anybody.request(Method::GET, path, Some(&token)).header("if-none-match", tag);
        assert_eq!(Answer::of(again).await.status, 304);
        room.parcel("UPC_2").await;
        let early = room.anybody.get("/api/shipment/UPC_2/bundle", Some(&reader)).await;
        assert_eq!(early.is(), (404, "nothing-posted"));
    })
    .await;
}

#[tokio::test]
async fn what_is_over_is_archived_and_outlives_its_delivery() {
    in_room("what_is_over_is_archived", async |mut room| {
        let (parcel, _) = with_photo(&room, "UPC_1").await;
        let under_way = room.under_way("UPC_2").await;
        let reader = user(&room, "reader", true).await;
        let lister = lister(&room).await;
        let line = archived(&room, &lister, &parcel).await;
        assert_eq!(json!([line["upc"], line["name"], line["phase"]]), json!(["UPC_1", "upc-1", "Delivered"]), "{line}");
        assert_eq!(room.anybody.get("/api/archive", Some(&reader)).await.is(), (403, "not-permitted"));
        assert!(room.object(&parcel).await.status.unwrap().archived.is_none(), "nothing waits for it: no write");

        room.deliveries().delete("upc-1", &Default::default()).await.unwrap();
        room.restart().await;
        let by_upc = eventually("the archived one is found by its UPC", SOON, || async {
            let answer = room.anybody.get("/api/shipment/UPC_1/bundle", Some(&reader)).await;
            let archived = hex::encode(Sha256::digest(&answer.bytes)) == line["sha256"].as_str().unwrap_or_default();
            if archived { Ok(answer) } else { Err(format!("{answer:?}")) }
        })
        .await;
        assert_eq!(proved(&room, &by_upc.bytes).phase, Some("Delivered"));
        assert!(holds(&by_upc.bytes, &jpeg(None, 1)), "with its picture");
        let path = format!("/api/archive/{}/bundle", parcel.uid);
        assert_eq!(room.anybody.get(&path, Some(&reader)).await.bytes, by_upc.bytes);
        let stranger = user(&room, "stranger", false).await;
        assert_eq!(room.anybody.get(&path, Some(&stranger)).await.is(), (403, "not-permitted"));
        let running = format!("/api/archive/{}/bundle", under_way.uid);
        assert_eq!(room.anybody.get(&running, Some(&reader)).await.is(), (404, "bundle-unknown"));
        assert_eq!(room.anybody.get("/api/archive/..%2Fx/bundle", Some(&reader)).await.is(), (404, "bundle-unknown"));
    })
    .await;
}

#[tokio::test]
async fn a_delivery_that_is_to_go_by_itself_says_how_much_of_it_is_archived() {
    in_room("a_delivery_that_is_to_go_by_itself", async |room| {
        let parcel = room.delivered("UPC_1").await;
        let ttl = json!({"spec": {"ttlAfterFinished": "1h"}});
        room.deliveries().patch("upc-1", &PatchParams::default(), &Patch::Merge(ttl)).await.unwrap();
        attach(&room, &parcel).await;
        let entries = i32::try_from(room.log(&parcel).await.entries().len()).unwrap();
        eventually("its condition", SOON, || async {
            let status = room.object(&parcel).await.status.unwrap();
            let said = status.conditions.iter().any(|one| one.type_ == "Archived" && one.status == "True");
            if said && status.archived == Some(entries) { Ok(()) } else { Err(format!("{:?}", status.archived)) }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_forgotten_order_takes_the_picture_out_of_the_archive_and_leaves_the_proof() {
    in_room("a_forgotten_order_takes_the_picture", async |room| {
        let (parcel, hash) = with_photo(&room, "UPC_1").await;
        let lister = lister(&room).await;
        archived(&room, &lister, &parcel).await;
        room.seller_says(&parcel, Fact::Forgotten { guarantee: Guarantee::Full }).await;
        let path = format!("/api/archive/{}/bundle", parcel.uid);
        let without = eventually("it is archived anew", SOON, || async {
            let answer = room.anybody.get(&path, Some(&lister)).await;
            let there = answer.status == 200 && !holds(&answer.bytes, &jpeg(None, 1));
            if there { Ok(answer) } else { Err(format!("{}", answer.status)) }
        })
        .await;
        let report = proved(&room, &without.bytes);
        assert_eq!(report.events, room.log(&parcel).await.entries().len(), "Forgotten stands in it");
        let photo = format!("/api/shipment/UPC_1/photos/{hash}");
        eventually("the picture is gone from the store too", SOON, || async {
            let answer = room.anybody.get(&photo, Some(&lister)).await;
            if answer.is() == (404, "photo-unknown") { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_seller_that_keeps_pictures_of_forgotten_orders_keeps_them_until_their_time_is_over() {
    in_room("a_seller_that_keeps_pictures", async |mut room| {
        let retention = |spec: Value| json!({"spec": {"retention": spec}});
        let sellers = room.namespace.api::<Seller>();
        let keep = Patch::Merge(retention(json!({"onForget": {"photos": "keep"}})));
        sellers.patch("acme", &PatchParams::default(), &keep).await.unwrap();
        let (parcel, hash) = with_photo(&room, "UPC_1").await;
        let lister = lister(&room).await;
        room.seller_says(&parcel, Fact::Forgotten { guarantee: Guarantee::Full }).await;
        let entries = room.log(&parcel).await.entries().len();
        let path = format!("/api/archive/{}/bundle", parcel.uid);
        let bundle = async |room: &Room| {
            let answer = room.anybody.get(&path, Some(&lister)).await;
            let events = check(&answer.bytes, None).events;
            if events == entries { Ok(answer.bytes) } else { Err(format!("{} {events}", answer.status)) }
        };
        let bytes = eventually("it is archived with all it says", SOON, || bundle(&room)).await;
        assert!(holds(&bytes, &jpeg(None, 1)), "kept as evidence");
        let photo = format!("/api/shipment/UPC_1/photos/{hash}");
        assert_eq!(room.anybody.get(&photo, Some(&lister)).await.status, 200);

        let short = Patch::Merge(retention(json!({"photos": "1s"})));
        sellers.patch("acme", &PatchParams::default(), &short).await.unwrap();
        room.restart().await;
        eventually("its time is over", SOON, || async {
            let bytes = bundle(&room).await?;
            let gone = room.anybody.get(&photo, Some(&lister)).await.is() == (404, "photo-unknown");
            if gone && !holds(&bytes, &jpeg(None, 1)) {
                Ok(proved(&room, &bytes))
            } else {
                Err(String::from("the picture is there"))
            }
        })
        .await;
    })
    .await;
}

/// A parcel delivered, with a picture that the log names.
async fn with_photo(room: &Room, upc: &str) -> (Parcel, String) {
    let parcel = room.delivered(upc).await;
    let hash = attach(room, &parcel).await;
    (parcel, hash)
}

async fn attach(room: &Room, parcel: &Parcel) -> String {
    let picture = jpeg(None, 1);
    assert_eq!(room.agent.upload(parcel, "image/jpeg", picture.clone()).await.status, 201);
    let hash = Hash::of(&picture);
    room.agent_reports(parcel, &[proof(hash)]).await;
    room.seen(parcel).await;
    hash.to_string()
}

async fn lister(room: &Room) -> String {
    let rules = json!([{"apiGroups": [waybill_crds::GROUP], "resources": ["deliveries"], "verbs": ["get", "list"]}]);
    let token = user(room, "lister", false).await;
    bind(room, "lister", &rules).await;
    token
}

/// The line of the archive about a parcel, once it is there.
async fn archived(room: &Room, lister: &str, parcel: &Parcel) -> Value {
    eventually("it is archived", SOON, || async {
        let answer = room.anybody.get("/api/archive?limit=100", Some(lister)).await;
        let lines = answer.body["bundles"].as_array().cloned().unwrap_or_default();
        lines.into_iter().find(|line| line["uid"] == json!(parcel.uid)).ok_or(format!("{answer:?}"))
    })
    .await
}

async fn token_for(room: &Room, account: &str, audience: &str) -> String {
    let spec = TokenRequestSpec { audiences: vec![audience.to_owned()], ..TokenRequestSpec::default() };
    let request = TokenRequest { spec, ..TokenRequest::default() };
    let accounts = room.namespace.api::<ServiceAccount>();
    let made = accounts.create_token_request(account, &PostParams::default(), &request).await.unwrap();
    made.status.unwrap().token
}

fn proved(room: &Room, bundle: &[u8]) -> Report {
    let report = check(bundle, Some(room.trust.cas()[0].kid()));
    assert_eq!(report.answer, Verdict::Proved, "{:#?}", report.lines);
    report
}

/// Stored, never compressed: a file of the bundle is a part of its bytes.
fn holds(bundle: &[u8], file: &[u8]) -> bool {
    bundle.windows(file.len()).any(|window| window == file)
}
