//! Who comes in, and what they may see.

use crate::room::{SOON, in_room};
use waybill_e2e::eventually;

#[tokio::test(flavor = "multi_thread")]
async fn a_kubernetes_token_buys_one_code_and_a_code_one_session() {
    in_room("board-login", async |room| {
        room.delivery("upc-1").await;
        let token = room.token("waybill-viewer", Some("waybill-board")).await;
        let code = room.code(&token).await.unwrap();
        let entered = room.enter(&code).await;
        let cookie = entered.header("set-cookie");
        for word in ["HttpOnly", "Secure", "SameSite=Strict", "Path=/"] {
            assert!(cookie.contains(word), "{cookie}");
        }
        let again = room.enter(&code).await;
        assert!(again.text.contains("used or too old") && again.header("set-cookie").is_empty());

        let cookie = cookie.split(';').next().unwrap();
        eventually("the row is there", SOON, || async {
            let page = room.get("/", cookie).await;
            if page.text.contains("upc-1") { Ok(()) } else { Err(page.text) }
        })
        .await;
        let left = room.ask(room.http.post(format!("{}/logout", room.base)).header("cookie", cookie)).await;
        assert_eq!((left.status, left.header("location")), (303, "/login"));
        let out = room.get("/", cookie).await;
        assert_eq!(
            (out.status, out.header("location")),
            (303, "/login"),
            "the session is over, whoever kept the cookie"
        );
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_token_for_somebody_else_is_worth_nothing() {
    in_room("board-tokens", async |room| {
        let other = room.token("waybill-viewer", Some("waybill-carrier-api")).await;
        assert_eq!(room.code(&other).await, None, "made for another audience");
        assert_eq!(room.code("junk").await, None);
        assert!(room.code(&room.token("waybill-viewer", None).await).await.is_some(), "the API server's own");
        assert!(room.enter("junk").await.header("set-cookie").is_empty());
    })
    .await;
}

/// Whoever could have somebody log in as another would see what they then do there.
#[tokio::test(flavor = "multi_thread")]
async fn a_form_of_another_site_logs_nobody_in_or_out() {
    in_room("board-forms", async |room| {
        let code = room.code(&room.token("waybill-viewer", Some("waybill-board")).await).await.unwrap();
        for from in ["cross-site", "same-site"] {
            let form = room.http.post(format!("{}/login", room.base)).header("sec-fetch-site", from);
            let form = form.header("content-type", "application/x-www-form-urlencoded").body(format!("code={code}"));
            let seen = room.ask(form).await;
            assert_eq!((seen.status, seen.header("set-cookie")), (403, ""), "{from}");
        }
        let entered = room.enter(&code).await;
        assert_eq!(entered.status, 303, "the code is as good as before");
        let cookie = entered.header("set-cookie").split(';').next().unwrap();
        let leave = room.http.post(format!("{}/logout", room.base)).header("sec-fetch-site", "cross-site");
        assert_eq!(room.ask(leave.header("cookie", cookie)).await.status, 403);
        assert_eq!(room.get("/", cookie).await.status, 200, "still there");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_may_nothing_sees_no_row_and_which_right_is_missing() {
    in_room("board-blind", async |room| {
        room.delivery("upc-1").await;
        let (seeing, blind) = (room.login("waybill-viewer").await, room.login("default").await);
        eventually("the row is there", SOON, || async {
            let page = room.get("/", &seeing).await;
            if page.text.contains("upc-1") { Ok(()) } else { Err(page.text) }
        })
        .await;
        let page = room.get("/", &blind).await;
        assert_eq!(page.status, 200);
        assert!(!page.text.contains("upc-1") && page.text.contains("list deliveries.waybill.dev"), "{}", page.text);
        let place = format!("/d/{}/upc-1", room.namespace.name);
        assert_eq!(room.get(&place, &seeing).await.status, 200);
        for path in [place.clone(), format!("{place}/bundle"), format!("{place}/photos/{}", "a".repeat(64))] {
            assert_eq!(room.get(&path, &blind).await.status, 404, "{path}");
        }
        for path in ["/".to_owned(), "/events".into(), place] {
            let nobody = room.get(&path, "wb_board=guess").await;
            assert_eq!((nobody.status, nobody.header("location")), (303, "/login"), "{path}");
        }
        let program = room.http.get(format!("{}/events", room.base)).send().await.unwrap();
        assert_eq!(program.status(), 401);
    })
    .await;
}
