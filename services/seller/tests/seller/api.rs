//! The Seller API over its own TLS (D-08 to D-14, D-82).

use kube::ResourceExt;
use serde_json::{Value, json};
use waybill_protocol::Stage;
use waybill_seller::token::Tokens;

use crate::agent::{Agent, Manners};
use crate::stage::{Running, SOON, Stage as Scene, on_stage};
use crate::thread::now;

const ROUTES: [(&str, Stage); 4] = [
    ("country_destination", Stage::Country),
    ("postal_code_destination", Stage::PostalCode),
    ("postalcode_destination", Stage::PostalCode),
    ("door_destination", Stage::Door),
];

/// D-08 to D-11, D-82: all three routes, both spellings, raw and Bearer.
#[tokio::test(flavor = "multi_thread")]
async fn d82_each_route_gives_its_part_and_nothing_else() {
    at_the_door("api-parts", |desk| async move {
        let fields: [&[&str]; 4] = [
            &["UPC_ID", "city", "country", "province", "time"],
            &["UPC_ID", "postal_code", "time"],
            &["UPC_ID", "postal_code", "time"],
            &["UPC_ID", "client_name", "door_number", "phone_number", "time"],
        ];
        for ((route, stage), fields) in ROUTES.into_iter().zip(fields) {
            for prefix in ["", "Bearer "] {
                let token = format!("{prefix}{}", desk.token("UPC_1", stage));
                let (status, body) = desk.get("UPC_1", route, Some(&token)).await;
                assert_eq!(status, 200, "{body}");
                let mut named: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
                named.sort_unstable();
                assert_eq!(named, fields);
                assert_eq!(body["UPC_ID"], "UPC_1");
                let time: k8s_openapi::jiff::Timestamp = body["time"].as_str().unwrap().parse().unwrap();
                assert!(body["time"].as_str().unwrap().ends_with('Z') && time.as_second() > 1_600_000_000);
            }
        }
        desk
    })
    .await;
}

/// D-13, D-82: 401 without a token, 403 with a bad one, 404 for an unknown order, always with `error`.
#[tokio::test(flavor = "multi_thread")]
async fn d82_no_token_a_bad_one_and_an_unknown_order_are_told_apart() {
    at_the_door("api-errors", |desk| async move {
        for (route, stage) in ROUTES {
            desk.refuses("UPC_1", route, None, (401, "token-missing")).await;
            desk.refuses("UPC_1", route, Some("junk"), (403, "token-invalid")).await;
            let token = desk.token("UPC_9", stage);
            desk.refuses("UPC_9", route, Some(&token), (404, "order-unknown")).await;
            // D-76: a token for one order opens no other, and one for a part no other part.
            let foreign = desk.token("UPC_2", stage);
            desk.refuses("UPC_1", route, Some(&foreign), (403, "token-invalid")).await;
        }
        let country = desk.token("UPC_1", Stage::Country);
        desk.refuses("UPC_1", "door_destination", Some(&country), (403, "token-invalid")).await;
        desk.refuses("UPC_1", "everything", Some(&country), (404, "not-found")).await;
        let link = desk.tokens().link(&desk.uid, "UPC_1", Stage::Country, now());
        desk.refuses("UPC_1", "country_destination", Some(&link), (403, "token-invalid")).await;
        let old = waybill_protocol::UnixMillis(now().0 - 600_000);
        let expired = desk.tokens().seller_api(&desk.uid, "UPC_1", Stage::Country, old);
        desk.refuses("UPC_1", "country_destination", Some(&expired), (403, "token-expired")).await;
        desk
    })
    .await;
}

/// D-14, D-42: what is not open answers 403 and says what opens it.
#[tokio::test(flavor = "multi_thread")]
async fn a_part_that_is_not_open_says_which_is_and_what_opens_it() {
    let halts = Manners { halts_at: Some(Stage::PostalCode), ..Manners::default() };
    at(halts, "api-closed", |desk| async move {
        let token = desk.token("UPC_1", Stage::Door);
        let body = desk.refuses("UPC_1", "door_destination", Some(&token), (403, "part-not-open")).await;
        assert_eq!((body["open"].as_str(), body["part"].as_str()), (Some("PostalCode"), Some("Door")));
        assert!(body["error"].as_str().unwrap().contains("has posted the PostalCode part"), "{body}");
        // Of an order whose delivery has not begun, nothing is open.
        let other = desk.stage.delivery("UPC_2", "truck", json!({})).await;
        let uid = desk.stage.get(&other).await.uid().unwrap();
        let token = desk.tokens().seller_api(&uid, "UPC_2", Stage::Country, now());
        let known = waybill_e2e::eventually("the new Delivery is known", SOON, || async {
            let (status, body) = desk.get("UPC_2", "country_destination", Some(&token)).await;
            if status == 403 { Ok(body) } else { Err(format!("{status} {body}")) }
        });
        assert_eq!(known.await["open"], "None");
        desk
    })
    .await;
}

// === helpers ===

struct Desk {
    stage: Scene,
    uid: String,
    client: reqwest::Client,
    seller: Running,
    _agent: Agent,
}

/// With UPC_1 at the door.
async fn at_the_door<Fut: Future<Output = Desk>>(test: &str, story: impl FnOnce(Desk) -> Fut) {
    at(Manners { halts_at: Some(Stage::Door), ..Manners::default() }, test, story).await;
}

async fn at<Fut: Future<Output = Desk>>(manners: Manners, test: &str, story: impl FnOnce(Desk) -> Fut) {
    on_stage(test, |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let stop = manners.halts_at.unwrap();
        let agent = stage.agent(&truck, &name, manners).await;
        waybill_e2e::eventually("the part was told", SOON, || async {
            let told = agent.was_told();
            if told.contains(&stop) { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
        seller.ready().await;
        let uid = stage.get(&name).await.uid().unwrap();
        let root = reqwest::Certificate::from_pem(stage.ca.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
        let desk = story(Desk { stage, uid, client, seller, _agent: agent }).await;
        desk.seller.stop().await;
    })
    .await;
}

impl Desk {
    fn tokens(&self) -> Tokens {
        Tokens::new(self.stage.seller.signer.statement(), &self.stage.seller.seed)
    }

    fn token(&self, upc: &str, stage: Stage) -> String {
        self.tokens().seller_api(&self.uid, upc, stage, now())
    }

    async fn get(&self, upc: &str, route: &str, token: Option<&str>) -> (u16, Value) {
        let mut request = self.client.get(format!("https://{}/api/order/{upc}/{route}", self.stage.api));
        if let Some(token) = token {
            request = request.header("authorization", token);
        }
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
    }

    async fn refuses(&self, upc: &str, route: &str, token: Option<&str>, (status, slug): (u16, &str)) -> Value {
        let (got, body) = self.get(upc, route, token).await;
        assert_eq!(got, status, "{route} {body}");
        assert_eq!(body["type"], format!("https://waybill.dev/problems/{slug}"), "{body}");
        assert_eq!(body["error"], body["detail"]);
        assert!(!body.to_string().contains("MARKER"), "{body}");
        body
    }
}
