//! Who comes in by an issuer, and who does not.

use axum::Router;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, Header, get_current_timestamp};
use k8s_openapi::api::rbac::v1::RoleBinding;
use serde_json::{Value, json};
use waybill_e2e::{eventually, objects};

use crate::issuer::{Asked, Issuer, Pair, SECRET};
use crate::room::{Room, SOON, Seen, in_room_of};

const CALLBACK: &str = "/login/oidc/callback";

/// A room whose board knows this issuer.
async fn with_issuer<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Room, Issuer) -> Fut,
    Fut: Future<Output = ()>,
{
    let issuer = Issuer::new();
    let routes: Router = issuer.routes();
    let words = |server: &str, dir: &std::path::Path| {
        let secret = dir.join("client-secret");
        std::fs::write(&secret, format!("{SECRET}\n")).unwrap();
        let settings = [
            ("--external-url", "https://board.example/".to_owned()),
            ("--oidc-issuer", issuer.named(server)),
            ("--oidc-client-id", "board".into()),
            ("--oidc-client-secret-file", secret.display().to_string()),
            ("--oidc-ca-file", dir.join("ca.crt").display().to_string()),
            ("--oidc-username-prefix", "-".into()),
            ("--oidc-groups-claim", "groups".into()),
            ("--oidc-groups-prefix", "oidc:".into()),
        ];
        settings.into_iter().flat_map(|(name, value)| [name.to_owned(), value]).collect()
    };
    let told = issuer.clone();
    in_room_of(test, (routes, &words), |room| story(room, told)).await;
}

/// Somebody at the issuer: the browser's cookie, and what the board asked there.
async fn sent(room: &Room) -> (String, Asked) {
    let out = room.get("/login/oidc", "").await;
    assert_eq!(out.status, 303, "{}", out.text);
    let cookie = out.header("set-cookie");
    for word in ["__Host-wb_login=", "Path=/;", "Max-Age=600", "HttpOnly", "Secure", "SameSite=Lax"] {
        assert!(cookie.contains(word), "{cookie}");
    }
    (cookie.split(';').next().unwrap().to_owned(), Asked::of(out.header("location")))
}

/// The way back.
async fn back(room: &Room, cookie: &str, words: &[(&str, &str)]) -> Seen {
    let url = reqwest::Url::parse_with_params(&format!("{}{CALLBACK}", room.base), words).unwrap();
    room.ask(room.http.get(url).header("cookie", cookie).header("sec-fetch-site", "cross-site")).await
}

/// The cookie of the session that was given.
fn session(seen: &Seen) -> Option<&str> {
    let given = seen.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
    given.filter_map(|cookie| cookie.split(';').next()).find(|cookie| cookie.starts_with("wb_board="))
}

/// Logs somebody in of whom the issuer says this.
async fn login(room: &Room, issuer: &Issuer, change: impl FnOnce(&mut Value)) -> Seen {
    let (cookie, asked) = sent(room).await;
    let mut claims = issuer.claims(&asked, "ann");
    change(&mut claims);
    let code = issuer.code(&asked, issuer.key().sign(&claims));
    back(room, &cookie, &[("code", &code), ("state", asked.get("state")), ("iss", issuer.name())]).await
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuers_person_sees_what_the_cluster_lets_their_groups_see() {
    with_issuer("board-oidc", async |room, issuer| {
        let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "couriers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "waybill-viewer"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "oidc:couriers"}]});
        objects::apply::<RoleBinding>(&room.namespace, &binding).await.unwrap();
        room.delivery("upc-1").await;
        let page = room.get("/login", "").await.text;
        let host = issuer.name().trim_start_matches("https://").trim_end_matches("/issuer");
        assert!(page.contains("https://board.example/login/oidc") && page.contains(&format!("Log in with {host}")), "{page}");

        let (_, asked) = sent(&room).await;
        for (name, value) in [("response_type", "code"), ("scope", "openid profile email"), ("code_challenge_method", "S256"),
            ("redirect_uri", "https://board.example/login/oidc/callback"), ("tenant", "1")] {
            assert_eq!(asked.get(name), value, "{name}");
        }
        let entered = login(&room, &issuer, |_| {}).await;
        // Not a redirect: the browser would still count it as the other site's, and keep the session's cookie to itself.
        assert_eq!((entered.status, entered.header("cache-control")), (200, "no-store"));
        assert!(entered.text.contains(r#"<meta http-equiv="refresh" content="0; url=/">"#), "{}", entered.text);
        let given = entered.headers.get_all("set-cookie").iter().filter_map(|value| value.to_str().ok());
        assert!(given.filter(|one| one.starts_with("wb_board=")).all(|one| one.contains("SameSite=Strict")));
        let cookie = session(&entered).unwrap();
        eventually("the row is there", SOON, || async {
            let page = room.get("/", cookie).await.text;
            if page.contains("upc-1") && page.contains("ann") { Ok(()) } else { Err(page) }
        })
        .await;
        assert_eq!(room.get(&format!("/d/{}/upc-1", room.namespace.name), cookie).await.status, 200);

        // Of other groups, and of a name that only looks like one the cluster knows.
        let account = format!("system:serviceaccount:{}:waybill-viewer", room.namespace.name);
        let other = login(&room, &issuer, |claims| claims["groups"] = json!(["cooks", "system:masters"])).await;
        let page = room.get("/", session(&other).unwrap()).await.text;
        assert!(page.contains("There is nothing here that you may see") && !page.contains("upc-1"), "{page}");
        let feigned = login(&room, &issuer, |claims| claims["sub"] = json!(account)).await;
        assert_eq!((feigned.status, session(&feigned)), (403, None));

        let left = room.ask(room.http.post(format!("{}/logout", room.base)).header("cookie", cookie)).await;
        assert_eq!((left.status, room.get("/", cookie).await.status), (303, 303), "the session is over");
    })
    .await;
}

/// What is changed of the claims, or the token that is made of them.
type Lie<'l> = &'l dyn Fn(&mut Value) -> Option<String>;

#[tokio::test(flavor = "multi_thread")]
async fn a_token_that_lies_logs_nobody_in() {
    with_issuer("board-oidc-lies", async |room, issuer| {
        let foreign = Pair::new("k1");
        let lies: [(&str, Lie<'_>); 8] = [
            ("nonce", &|claims| {
                claims["nonce"] = json!("another");
                None
            }),
            ("no nonce", &|claims| {
                claims.as_object_mut().unwrap().remove("nonce");
                None
            }),
            ("audience", &|claims| {
                claims["aud"] = json!("somebody");
                None
            }),
            ("issuer", &|claims| {
                claims["iss"] = json!("https://evil.example");
                None
            }),
            ("expired", &|claims| {
                claims["exp"] = json!(get_current_timestamp() - 3600);
                None
            }),
            ("foreign key", &|claims| Some(foreign.sign(claims))),
            ("none", &|claims| Some(format!("{}.{}.", part(&json!({"alg": "none", "kid": "k1"})), part(claims)))),
            ("shared secret", &|claims| {
                let header = Header { kid: Some("k1".into()), ..Header::default() };
                Some(jsonwebtoken::encode(&header, claims, &EncodingKey::from_secret(SECRET.as_bytes())).unwrap())
            }),
        ];
        for (lie, told) in lies {
            let (cookie, asked) = sent(&room).await;
            let mut claims = issuer.claims(&asked, "ann");
            let token = told(&mut claims).unwrap_or_else(|| issuer.key().sign(&claims));
            let code = issuer.code(&asked, token);
            let words = [("code", code.as_str()), ("state", asked.get("state")), ("iss", issuer.name())];
            let seen = back(&room, &cookie, &words).await;
            assert_eq!((seen.status, session(&seen)), (403, None), "{lie}: {}", seen.text);
            assert!(seen.text.contains("cannot be believed"), "{lie}: {}", seen.text);
        }
        assert!(session(&login(&room, &issuer, |_| {}).await).is_some(), "and the truth does");
    })
    .await;
}

fn part(value: &Value) -> String {
    URL_SAFE_NO_PAD.encode(value.to_string())
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_counts_once_in_the_browser_that_was_sent_out() {
    with_issuer("board-oidc-answers", async |room, issuer| {
        let (cookie, asked) = sent(&room).await;
        let (stranger, other) = sent(&room).await;
        let code = issuer.code(&asked, issuer.key().sign(&issuer.claims(&asked, "ann")));
        let state = asked.get("state");
        let good = [("code", code.as_str()), ("state", state), ("iss", issuer.name())];
        for (lie, cookie, words) in [
            ("no cookie", "", &good[..]),
            ("another browser", stranger.as_str(), &good[..]),
            ("no state", cookie.as_str(), &good[..1]),
            ("another's state", cookie.as_str(), &[good[0], ("state", other.get("state")), good[2]][..]),
        ] {
            let seen = back(&room, cookie, words).await;
            assert_eq!((seen.status, session(&seen)), (400, None), "{lie}");
            assert!(seen.text.contains("log in again"), "{lie}: {}", seen.text);
        }
        // None of them took anything away.
        assert!(session(&back(&room, &cookie, &good).await).is_some());
        let again = back(&room, &cookie, &good).await;
        assert_eq!((again.status, session(&again)), (400, None), "a second time");

        // The code of one login in another: whoever stole it has no verifier for it.
        let (_, victim) = sent(&room).await;
        let stolen = issuer.code(&victim, issuer.key().sign(&issuer.claims(&victim, "ann")));
        let (cookie, asked) = sent(&room).await;
        let seen = back(&room, &cookie, &[("code", &stolen), ("state", asked.get("state")), good[2]]).await;
        assert_eq!((seen.status, session(&seen)), (403, None));
        assert!(!seen.text.contains("words"), "what the issuer writes is not ours to show");

        for (lie, words, status) in [
            ("another issuer answers", [("code", "x"), ("iss", "https://evil.example")], 403),
            ("refused there", [("error", "access_denied"), ("iss", issuer.name())], 403),
        ] {
            let (cookie, asked) = sent(&room).await;
            let words = [&[("state", asked.get("state"))], &words[..]].concat();
            let seen = back(&room, &cookie, &words).await;
            assert_eq!((seen.status, session(&seen)), (status, None), "{lie}");
        }
        let (cookie, asked) = sent(&room).await;
        let unnamed = back(&room, &cookie, &[("code", "x"), ("state", asked.get("state"))]).await;
        assert_eq!((unnamed.status, session(&unnamed)), (403, None), "one that names itself did not");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_key_of_the_issuer_counts_from_its_rotation_on_and_the_old_one_no_more() {
    with_issuer("board-oidc-keys", async |room, issuer| {
        assert!(session(&login(&room, &issuer, |_| {}).await).is_some());
        let old = issuer.key();
        issuer.rotate(Pair::new("k2"));
        eventually("the new key counts", SOON, || async {
            let seen = login(&room, &issuer, |_| {}).await;
            session(&seen).map(drop).ok_or(seen.text.clone())
        })
        .await;
        let (cookie, asked) = sent(&room).await;
        let code = issuer.code(&asked, old.sign(&issuer.claims(&asked, "ann")));
        let seen =
            back(&room, &cookie, &[("code", &code), ("state", asked.get("state")), ("iss", issuer.name())]).await;
        assert_eq!((seen.status, session(&seen)), (403, None));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_an_issuer_there_is_no_way_to_one() {
    in_room_of("board-no-oidc", (Router::new(), &|_, _| Vec::new()), async |room| {
        for path in ["/login/oidc", CALLBACK] {
            assert_eq!(room.get(path, "").await.status, 404, "{path}");
        }
        assert!(!room.get("/login", "").await.text.contains("Log in with"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_issuer_that_is_away_is_named_so_and_keeps_nobody_else_out() {
    let away = |_: &str, _: &std::path::Path| {
        let words = "--external-url=https://board.example --oidc-issuer=https://127.0.0.1:1 --oidc-client-id=board";
        words.split(' ').map(str::to_owned).collect()
    };
    in_room_of("board-oidc-away", (Router::new(), &away), async |room| {
        for _ in 0..2 {
            let seen = room.get("/login/oidc", "").await;
            assert_eq!((seen.status, session(&seen)), (503, None));
            assert!(seen.text.contains("The login service does not answer"), "{}", seen.text);
        }
        let cookie = room.login("waybill-viewer").await;
        assert_eq!(room.get("/", &cookie).await.status, 200);
    })
    .await;
}
