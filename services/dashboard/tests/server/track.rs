//! The recipient's pages, behind them a Carrier API and a Seller API that say what the tests want: which links there are, and who the courier is.
//! (What the real ones say is tested where they are.)

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::routing::{get, post};
use axum::{Json, Router};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use waybill_chassis::problem::{Kind, Problem};
use waybill_e2e::eventually;

use crate::room::{Room, SOON, Seen, in_room_with};

const PHOTO: &[u8] = b"a picture";

/// Both APIs.
#[derive(Clone, Default)]
pub(crate) struct Played {
    /// Grants that are good, and whom they are for.
    grants: Arc<Mutex<BTreeMap<String, &'static str>>>,
    phase: Arc<Mutex<&'static str>>,
    wrong: Arc<Mutex<u64>>,
    /// How long a view token lives, in seconds.
    life: Arc<Mutex<i64>>,
    /// Every request line and every Referer that came.
    heard: Arc<Mutex<Vec<String>>>,
}

impl Played {
    fn new(phase: &'static str) -> Self {
        let played = Self::default();
        *played.phase.lock().unwrap() = phase;
        *played.life.lock().unwrap() = 120;
        played.grants.lock().unwrap().extend([("d-1.viewer".into(), "viewer"), ("d-1.recipient".into(), "recipient")]);
        played
    }

    fn becomes(&self, phase: &'static str) {
        *self.phase.lock().unwrap() = phase;
    }

    fn revoke(&self, grant: &str) {
        self.grants.lock().unwrap().remove(grant);
    }

    fn router(&self) -> Router {
        Router::new()
            .route("/api/view-token", post(exchange))
            .route("/api/shipment/{upc}", get(shipment))
            .route("/api/shipment/{upc}/bundle", get(async || ([(header::CONTENT_TYPE, "application/zip")], "PK")))
            .route("/api/shipment/{upc}/photos/{hash}", get(async || ([(header::CONTENT_TYPE, "image/png")], PHOTO)))
            .route("/api/delivery/{upc}/position", get(position))
            .route("/api/delivery/{upc}/receipt-code", get(receipt_code))
            .route("/api/delivery/{upc}/courier-check", post(ask))
            .route("/api/delivery/{upc}/courier-check/{text}", get(look))
            .route("/api/delivery/{upc}/courier-check/answer", post(answer))
            .with_state(self.clone())
    }
}

async fn exchange(State(played): State<Played>, Json(shown): Json<Value>) -> (StatusCode, Json<Value>) {
    let grant = shown["grant"].as_str().unwrap_or_default();
    let Some(role) = played.grants.lock().unwrap().get(grant).copied() else {
        return (StatusCode::FORBIDDEN, Json(json!({"type": "https://waybill.dev/problems/grant-invalid"})));
    };
    let end = jiff::Timestamp::now().as_second() + *played.life.lock().unwrap();
    let expires = jiff::Timestamp::from_second(end).unwrap();
    let body = json!({"token": format!("token-of-{role}"), "expires": expires, "upc": "UPC_1", "seller": "acme", "role": role});
    (StatusCode::OK, Json(body))
}

fn bearer(headers: &HeaderMap) -> &str {
    headers[header::AUTHORIZATION].to_str().unwrap()
}

async fn shipment(State(played): State<Played>, headers: HeaderMap, Path(upc): Path<String>) -> Json<Value> {
    assert!(bearer(&headers).starts_with("Bearer token-of-"));
    let heard = format!("{upc} {:?}", headers.get(header::REFERER));
    played.heard.lock().unwrap().push(heard);
    let hash = hex::encode(Sha256::digest(PHOTO));
    let step = json!({"event": "PickedUp", "at": "2026-01-01T10:00:00Z", "author": "Transport", "verified": true, "counts": true});
    Json(json!({"upc": upc, "phase": *played.phase.lock().unwrap(), "attempt": 1, "since": "2026-01-01T10:00:00Z",
        "seller": "acme", "location": "coarse", "history": [step], "photos": [{"hash": hash, "url": "/"}],
        "window": {"from": "2026-01-01T12:00:00Z", "to": "2026-01-01T14:00:00Z"}}))
}

async fn position() -> Json<Value> {
    Json(json!({"upc": "UPC_1", "latitude": 52.525, "longitude": 13.405, "accuracyM": 1000,
                "at": "2026-01-01T11:00:00Z", "sharing": "coarse"}))
}

async fn receipt_code(headers: HeaderMap) -> (StatusCode, Json<Value>) {
    match bearer(&headers) {
        "Bearer token-of-recipient" => (StatusCode::OK, Json(json!({"code": "waybill-receipt:1:d-1:00"}))),
        _ => (StatusCode::FORBIDDEN, Json(json!({}))),
    }
}

fn challenge(left: u64) -> Value {
    json!({"text": "K7QF-2M9X", "expiresAt": "2026-01-01T10:02:00Z", "triesLeft": left, "device": "silent"})
}

async fn ask(State(played): State<Played>) -> Result<(StatusCode, Json<Value>), Problem> {
    let many = Kind { slug: "too-many-checks", title: "Too many checks", status: StatusCode::TOO_MANY_REQUESTS };
    if *played.wrong.lock().unwrap() >= 10 {
        return Err(Problem::new(many, "enough"));
    }
    Ok((StatusCode::CREATED, Json(challenge(3))))
}

async fn look(State(played): State<Played>) -> Json<Value> {
    Json(challenge(3 - (*played.wrong.lock().unwrap()).min(3)))
}

async fn answer(State(played): State<Played>, Json(given): Json<Value>) -> Json<Value> {
    assert_eq!(given["challenge"], "K7QF-2M9X");
    if given["digits"] == "123456" || given["signature"] == "c2lnbmVk" {
        return Json(json!({"courier": "yours", "triesLeft": 2}));
    }
    *played.wrong.lock().unwrap() += 1;
    Json(json!({"courier": "not yours", "triesLeft": 2}))
}

impl Room {
    async fn form(&self, path: &str, body: &str, cookie: &str) -> Seen {
        let form = self.http.post(format!("{}{path}", self.base)).header("sec-fetch-site", "same-origin");
        let form = form.header("content-type", "application/x-www-form-urlencoded").header("cookie", cookie);
        self.ask(form.body(body.to_owned())).await
    }

    async fn bring(&self, link: &str) -> Seen {
        let link = link.replace('#', "%23").replace(':', "%3A").replace('/', "%2F");
        self.form("/track/session", &format!("link={link}"), "").await
    }

    /// The cookie of somebody whose link is good.
    async fn visit(&self, grant: &str) -> String {
        let here = &self.namespace.name;
        let seen = self.bring(&format!("https://board.example/track#{here}.{grant}")).await;
        assert_eq!((seen.status, seen.header("location")), (303, "/track"), "{}", seen.text);
        let cookie = seen.header("set-cookie");
        for word in ["wb_track=", "HttpOnly", "Secure", "SameSite=Strict", "Path=/track"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        assert!(!cookie.contains(grant), "a cookie holds a random name and nothing else");
        cookie.split(';').next().unwrap().to_owned()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_shows_one_parcel_and_what_happens_next_and_is_kept_nowhere() {
    let played = Played::new("OutForDelivery");
    in_room_with("track-right", played.router(), async |room| {
        let cookie = room.visit("d-1.viewer").await;
        let page = room.get("/track", &cookie).await;
        assert_eq!((page.status, page.header("cache-control")), (200, "no-store"), "{}", page.text);
        assert_eq!(page.header("referrer-policy"), "no-referrer");
        for words in
            ["UPC_1", "Out for delivery", "on the way to your door", "52.5250, 13.4050, within 1000 m", "Picked up"]
        {
            assert!(page.text.contains(words), "{words}: {}", page.text);
        }
        for words in ["d-1.viewer", "token-of", "Show my code"] {
            assert!(!page.text.contains(words), "{words}");
        }
        // Of the picture nothing before it is proof; of the code nothing for a viewer.
        assert!(!page.text.contains("/track/photos/"));
        assert_eq!(room.get("/track/code", &cookie).await.status, 404);

        played.becomes("Delivered");
        let page = room.get("/track", &cookie).await;
        let hash = hex::encode(Sha256::digest(PHOTO));
        assert!(page.text.contains(&format!("/track/photos/{hash}")), "{}", page.text);
        let photo = room.get(&format!("/track/photos/{hash}"), &cookie).await;
        assert_eq!((photo.status, photo.header("content-type")), (200, "image/png"));
        assert_eq!(room.get(&format!("/track/photos/{}", "0".repeat(64)), &cookie).await.status, 404);
        let bundle = room.get("/track/bundle", &cookie).await;
        assert!(bundle.header("content-disposition").contains("UPC_1.waybill.zip"));
        assert!(played.heard.lock().unwrap().iter().all(|heard| heard.ends_with("None")), "no Referer goes anywhere");
        let left = room.form("/track/leave", "", &cookie).await;
        assert!(left.header("set-cookie").contains("Max-Age=0"));
        assert!(room.get("/track", &cookie).await.text.contains("paste all of it"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_link_that_ended_was_revoked_or_is_of_elsewhere_says_so_and_shows_nothing() {
    let played = Played::new("InTransit");
    in_room_with("track-wrong", played.router(), async |room| {
        let here = room.namespace.name.clone();
        let nobody = room.get("/track", "").await;
        assert!(nobody.status == 200 && nobody.text.contains("paste all of it"));
        for link in
            [format!("{here}.d-1.unknown"), "elsewhere.d-1.viewer".into(), format!("https://x/track#{here}.d-2.viewer")]
        {
            let seen = room.bring(&link).await;
            assert!(seen.text.contains("This link does not work") && seen.header("set-cookie").is_empty(), "{link}");
            assert!(!seen.text.contains("UPC_1"));
        }
        assert!(room.bring("not a link").await.text.contains("no link of ours"));
        assert!(room.get("/track", "wb_track=guess").await.text.contains("paste all of it"));
        let foreign = room.http.post(format!("{}/track/session", room.base)).header("sec-fetch-site", "cross-site");
        let foreign = foreign.header("content-type", "application/x-www-form-urlencoded").body("link=a.b");
        assert_eq!(room.ask(foreign).await.status, 403, "a form of another site");

        // Taken back while the page is open: it closes with the view token.
        *played.life.lock().unwrap() = 1;
        let cookie = room.visit("d-1.viewer").await;
        assert!(room.get("/track", &cookie).await.text.contains("UPC_1"));
        played.revoke("d-1.viewer");
        eventually("the page closes", SOON, || async {
            let page = room.get("/track", &cookie).await;
            let closed =
                page.text.contains("This link does not work") && page.header("set-cookie").contains("Max-Age=0");
            if closed { Ok(()) } else { Err(page.text) }
        })
        .await;
        assert!(!room.get("/track/door", &cookie).await.text.contains("UPC_1"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_courier_is_checked_at_the_door_without_any_script() {
    let played = Played::new("OutForDelivery");
    in_room_with("track-door", played.router(), async |room| {
        let cookie = room.visit("d-1.viewer").await;
        let begun = room.form("/track/door", "", &cookie).await;
        assert_eq!((begun.status, begun.header("location")), (303, "/track/door"));
        let page = room.get("/track/door", &cookie).await;
        assert!(page.text.contains("K7QF-2M9X") && page.text.contains("<svg role=\"img\""), "{}", page.text);
        assert!(page.header("permissions-policy").starts_with("camera=(self)"));
        assert!(room.get("/track", &cookie).await.header("permissions-policy").starts_with("camera=()"));
        let wrong = room.form("/track/door/answer", "digits=000000", &cookie).await;
        assert!(
            wrong.text.contains("This is not your courier") && wrong.text.contains("2 tries are left"),
            "{}",
            wrong.text
        );
        let right = room.form("/track/door/answer", "digits=123456", &cookie).await;
        assert!(right.text.contains("This is your courier for this parcel"), "{}", right.text);
        // It is used up; the next one is answered by a scanned code.
        let over = room.form("/track/door/answer", "digits=123456", &cookie).await;
        assert!(!over.text.contains("This is your courier"));
        room.form("/track/door", "", &cookie).await;
        let scanned = room.form("/track/door/answer", "code=c2lnbmVk", &cookie).await;
        assert!(scanned.text.contains("This is your courier for this parcel"));
        *played.wrong.lock().unwrap() = 10;
        let limited = room.form("/track/door", "", &cookie).await;
        assert!(limited.text.contains("too many checks"), "{}", limited.text);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_recipient_s_code_is_shown_to_the_recipient_alone() {
    let played = Played::new("InTransit");
    in_room_with("track-code", played.router(), async |room| {
        let cookie = room.visit("d-1.recipient").await;
        assert!(room.get("/track", &cookie).await.text.contains("Show my code"));
        let page = room.get("/track/code", &cookie).await;
        assert!(page.status == 200 && page.text.contains("<svg role=\"img\"") && page.text.contains("UPC_1"));
        assert!(!page.text.contains("waybill-receipt:"), "a picture, no text to copy");
        assert_eq!(page.header("cache-control"), "no-store");
    })
    .await;
}
