//! What pages say, and what they say to browsers about themselves.

use serde_json::json;
use waybill_e2e::eventually;

use crate::room::{Room, SOON, in_room};

async fn page_with(room: &Room, path: &str, cookie: &str, text: &str) -> String {
    eventually(text, SOON, || async {
        let page = room.get(path, cookie).await;
        if page.text.contains(text) { Ok(page.text) } else { Err(page.text) }
    })
    .await
}

#[tokio::test(flavor = "multi_thread")]
async fn every_answer_lets_nothing_in_but_our_own() {
    in_room("board-headers", async |room| {
        let cookie = room.login("waybill-viewer").await;
        for path in ["/", "/login", "/nowhere", "/d/x/y"] {
            let page = room.get(path, &cookie).await;
            let policy = page.header("content-security-policy");
            assert!(policy.starts_with("default-src 'none'; script-src 'self';"), "{path}: {policy}");
            assert!(!policy.contains("unsafe"), "{policy}");
            assert_eq!(page.header("referrer-policy"), "no-referrer", "{path}");
            assert!(page.text.starts_with("<!doctype html>"), "{path} is a page: {}", page.text);
        }
        let missing = room.get("/nowhere", &cookie).await;
        assert_eq!(missing.status, 404);
        let page = room.get("/", &cookie).await;
        let again = room.http.get(format!("{}/", room.base)).header("cookie", &cookie);
        let again = room.ask(again.header("if-none-match", page.header("etag"))).await;
        assert_eq!((again.status, again.text.len()), (304, 0));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn rows_lie_on_their_lanes_and_come_by_filter_and_page() {
    in_room("board-lanes", async |room| {
        for upc in ["upc-1", "upc-2", "upc-3"] {
            room.delivery(upc).await;
        }
        let stalled = json!([{"type": "Stalled", "status": "True", "reason": "NoProgress", "message": "nothing moves",
                              "lastTransitionTime": "2026-11-01T00:00:00Z"}]);
        room.status("upc-2", json!({"conditions": stalled})).await;
        let cookie = room.login("waybill-viewer").await;
        let page = page_with(&room, "/?lane=attention", &cookie, "nothing moves").await;
        assert!(page.contains(">upc-2</a>") && !page.contains(">upc-1</a>"), "{page}");
        let page = page_with(&room, "/?lane=moving&q=UPC-3", &cookie, ">upc-3</a>").await;
        assert!(!page.contains(">upc-1</a>"), "{page}");
        assert!(page_with(&room, "/?q=nowhere", &cookie, "Nothing matches").await.contains("Show all of them"));
        assert!(page_with(&room, "/?phase=Lost", &cookie, "Nothing matches").await.contains("Nothing matches"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_timeline_shows_what_does_not_verify_and_why() {
    in_room("board-timeline", async |room| {
        room.delivery("upc-1").await;
        let uid = "aaaaaaaa-0000-4000-8000-000000000001";
        let topic = |end: &str| format!("wb/{uid}/{uid}/{uid}/{end}");
        room.status("upc-1", json!({"topics": {"down": topic("down"), "up": topic("up")}})).await;
        let entry = json!({"author": "Seller", "seq": 0, "event": "HandedOver", "at": "2026-11-01T00:00:00.000000Z",
                           "signed": "anVuaw==", "id": "a".repeat(64)});
        room.status("upc-1", json!({"phase": "Accepted", "custody": [entry]})).await;
        let cookie = room.login("waybill-viewer").await;
        let place = format!("/d/{}/upc-1", room.namespace.name);
        let page = page_with(&room, &place, &cookie, "Not verified").await;
        assert!(page.contains("This entry cannot be read") && page.contains("1 of them not verified"), "{page}");
        assert!(page.contains("role=\"img\" aria-label=\"QR code: upc-1\""), "{page}");
    })
    .await;
}
