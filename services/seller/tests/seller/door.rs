//! At the recipient's door: where the parcel is, and whether this is the courier. The agent is real, the page is played.

use kube::ResourceExt;
use serde_json::{Value, json};
use waybill_chassis::jwt::{SigningKey, fresh_id, key_id};
use waybill_protocol::{Challenge, ReceiptText, Stage, receipt_hash};

use crate::agent::{Agent, Manners};
use crate::stage::{Running, SOON, Stage as Scene, on_stage};
use crate::thread::now;

#[tokio::test(flavor = "multi_thread")]
async fn the_last_position_is_shown_as_exactly_as_the_delivery_allows() {
    at_the_door("door-position", |desk| async move {
        desk.refuses("position", None, (401, "token-missing")).await;
        desk.refuses("position", Some(&desk.seller_token()), (403, "token-invalid")).await;
        let foreign = desk.view("UPC_2");
        desk.refuses("position", Some(&foreign), (403, "token-invalid")).await;
        let token = desk.view("UPC_1");
        desk.refuses("position", Some(&token), (403, "position-not-shared")).await;
        desk.stage.change(&desk.name, json!({"share": {"location": "coarse"}})).await;
        // What comes before the seller knows that it is shared is not kept.
        desk.hears_of_sharing(&token).await;
        desk.agent.is_at(1, 525_212_345, 134_056_789);
        let coarse = desk.shows(&token, |body| body["sharing"] == "coarse").await;
        assert_eq!((&coarse["latitude"], &coarse["longitude"]), (&json!(52.525), &json!(13.405)));
        assert_eq!(coarse["accuracyM"], 1000);
        desk.stage.change(&desk.name, json!({"share": {"location": "exact"}})).await;
        desk.agent.is_at(3, 525_200_001, 134_000_001);
        desk.agent.is_at(2, 1, 1);
        let exact = desk.shows(&token, |body| body["latitude"] == 52.520_000_1).await;
        assert_eq!((&exact["sharing"], &exact["accuracyM"]), (&json!("exact"), &json!(7)));
        desk
    })
    .await;
}

/// Whoever shows it at the door has the parcel: nobody but the recipient reads it.
#[tokio::test(flavor = "multi_thread")]
async fn the_recipients_code_is_for_the_recipient_alone() {
    at_the_door("door-receipt", |desk| async move {
        let (code, recipient) = ("receipt-code", Some("recipient"));
        desk.refuses(code, None, (401, "token-missing")).await;
        desk.refuses(code, Some(&desk.seller_token()), (403, "token-invalid")).await;
        for role in [None, Some("viewer"), Some("Recipient")] {
            desk.refuses(code, Some(&desk.view_as("UPC_1", role)), (403, "recipient-only")).await;
        }
        desk.refuses(code, Some(&desk.view_as("UPC_2", recipient)), (403, "token-invalid")).await;
        let (status, body) = desk.get_of("UPC_2", code, Some(&desk.view_as("UPC_2", recipient))).await;
        assert_eq!((status, &body["type"]), (404, &json!("https://waybill.dev/problems/delivery-unknown")), "{body}");

        let (status, body) = desk.get(code, Some(&desk.view_as("UPC_1", recipient))).await;
        assert_eq!(status, 200, "{body}");
        let shown: ReceiptText = body["code"].as_str().unwrap().parse().unwrap();
        assert_eq!(shown.delivery.as_str(), desk.uid);
        let promised = desk.stage.log(&desk.name).await.state().terms().and_then(|terms| terms.receipt);
        assert_eq!(promised, Some(receipt_hash(&shown.delivery, &shown.code)), "it is the one the log will know");
        desk
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_courier_is_known_by_digits_or_by_a_code_and_nobody_else_is() {
    at_the_door("door-courier", |desk| async move {
        let token = desk.view("UPC_1");
        let (asked, text) = desk.asks(&token).await;
        let wrong = json!({"challenge": text, "digits": "000000"});
        let right = desk.agent.digits(asked).await.to_string();
        if right != "000000" {
            let said = desk.answers(&token, &wrong).await;
            assert_eq!(said, (200, json!({"courier": "not yours", "triesLeft": 2})));
        }
        let said = desk.answers(&token, &json!({"challenge": text, "digits": right})).await.1;
        assert_eq!(said["courier"], "yours");
        // Used once.
        assert_eq!(desk.answers(&token, &json!({"challenge": text, "digits": right})).await.0, 404);

        let (asked, text) = desk.asks(&token).await;
        use base64::Engine;
        let code = base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(desk.agent.code(asked).await);
        let said = desk.answers(&token, &json!({"challenge": text, "signature": code})).await.1;
        assert_eq!(said["courier"], "yours");

        let (_, text) = desk.asks(&token).await;
        let old = json!({"challenge": text, "signature": code});
        assert_eq!(desk.answers(&token, &old).await.1["courier"], "not yours", "a code is for one challenge");
        for left in [1, 0] {
            assert_eq!(desk.answers(&token, &old).await.1["triesLeft"], left);
        }
        assert_eq!(desk.answers(&token, &old).await.0, 404, "its tries are over");
        desk
    })
    .await;
}

/// An agent that is online hears the challenge and signs it; that alone says nothing about who stands at the door.
#[tokio::test(flavor = "multi_thread")]
async fn the_courier_s_own_device_hears_the_challenge_and_answers_it_by_itself() {
    at_the_door("door-online", |desk| async move {
        let token = desk.view("UPC_1");
        let (_, text) = desk.asks(&token).await;
        waybill_e2e::eventually("the device has answered", SOON, || async {
            let (status, body) = desk.get(&format!("courier-check/{text}"), Some(&token)).await;
            if status == 200 && body["device"] == "answered" { Ok(()) } else { Err(format!("{status} {body}")) }
        })
        .await;
        desk
    })
    .await;
}

/// Only one replica has the session with the carrier; the others pass on what only that one knows.
#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_lease_asks_the_one_that_has_it() {
    at_the_door("door-replica", |mut desk| async move {
        let standby = desk.stage.replica("seller-1");
        standby.ready().await;
        desk.address = standby.api;
        desk.stage.change(&desk.name, json!({"share": {"location": "exact"}})).await;
        let token = desk.view("UPC_1");
        desk.agent.is_at(1, 10_000_000, 20_000_000);
        desk.agent.is_at(2, 10_000_000, 20_000_000);
        let resends = async {
            for number in 3.. {
                desk.agent.is_at(number, 10_000_000, 20_000_000);
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
            }
        };
        // Said again as an agent does: before the share was known here, a position was not kept.
        tokio::select! {
            shown = desk.shows(&token, |body| body["latitude"] == 1.0) => assert_eq!(shown["longitude"], 2.0),
            () = resends => {}
        }
        let (asked, text) = desk.asks(&token).await;
        let digits = desk.agent.digits(asked).await.to_string();
        let said = desk.answers(&token, &json!({"challenge": text, "digits": digits})).await;
        assert_eq!(said.1["courier"], "yours");
        let gone = desk.answers(&token, &json!({"challenge": text, "digits": digits})).await;
        assert_eq!((gone.0, &gone.1["error"]), (404, &gone.1["detail"]), "refusals come back as they are");
        standby.stop().await;
        desk
    })
    .await;
}

// === helpers ===

struct Desk {
    stage: Scene,
    name: String,
    uid: String,
    client: reqwest::Client,
    address: std::net::SocketAddr,
    agent: Agent,
    seller: Running,
}

/// With UPC_1 at the door, in the hands of a courier.
async fn at_the_door<Fut: Future<Output = Desk>>(test: &str, story: impl FnOnce(Desk) -> Fut) {
    on_stage(test, |stage| async move {
        let truck = stage.carrier("truck", false).await;
        let name = stage.delivery("UPC_1", "truck", json!({})).await;
        let seller = stage.start("seller-0");
        let agent = stage.agent(&truck, &name, Manners { halts_at: Some(Stage::Door), ..Manners::default() }).await;
        waybill_e2e::eventually("it is at the door", SOON, || async {
            let told = agent.was_told();
            if told.contains(&Stage::Door) { Ok(()) } else { Err(format!("{told:?}")) }
        })
        .await;
        seller.ready().await;
        let uid = stage.get(&name).await.uid().unwrap();
        let root = reqwest::Certificate::from_pem(stage.ca.pem().as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([root]).build().unwrap();
        let address = seller.api;
        let desk = story(Desk { stage, name, uid, client, address, agent, seller }).await;
        desk.seller.stop().await;
    })
    .await;
}

impl Desk {
    /// As the Carrier API makes it.
    fn view(&self, upc: &str) -> String {
        self.view_as(upc, None)
    }

    /// Of a grant that was made for somebody.
    fn view_as(&self, upc: &str, role: Option<&str>) -> String {
        let viewer = &self.stage.viewer;
        let statement = viewer.signer.statement();
        let key = SigningKey::from_seed(key_id(statement.ed25519.as_bytes()), &viewer.seed);
        let now = now().as_secs();
        let mut claims = json!({"iss": statement.uid.as_str(), "aud": "view", "sub": self.uid, "upc": upc,
                                "iat": now, "nbf": now, "exp": now + 120, "jti": fresh_id()});
        if let Some(role) = role {
            claims["role"] = json!(role);
        }
        key.sign("wb-view+jwt", &claims).unwrap()
    }

    fn seller_token(&self) -> String {
        let seller = &self.stage.seller;
        let tokens = waybill_seller::token::Tokens::new(seller.signer.statement(), &seller.seed);
        tokens.seller_api(&self.uid, "UPC_1", Stage::Door, now())
    }

    async fn get(&self, what: &str, token: Option<&str>) -> (u16, Value) {
        self.get_of("UPC_1", what, token).await
    }

    async fn get_of(&self, upc: &str, what: &str, token: Option<&str>) -> (u16, Value) {
        let request = self.client.get(format!("https://{}/api/delivery/{upc}/{what}", self.address));
        read(token.into_iter().fold(request, |request, token| request.bearer_auth(token))).await
    }

    async fn asks(&self, token: &str) -> (Challenge, String) {
        let request = self.client.post(format!("https://{}/api/delivery/UPC_1/courier-check", self.address));
        let (status, body) = read(request.bearer_auth(token)).await;
        assert_eq!((status, &body["triesLeft"], &body["device"]), (201, &json!(3), &json!("silent")), "{body}");
        let text = body["text"].as_str().unwrap().to_owned();
        (Challenge::parse(&text).unwrap(), text)
    }

    async fn answers(&self, token: &str, answer: &Value) -> (u16, Value) {
        let request = self.client.post(format!("https://{}/api/delivery/UPC_1/courier-check/answer", self.address));
        read(request.bearer_auth(token).body(answer.to_string())).await
    }

    async fn shows(&self, token: &str, so: impl Fn(&Value) -> bool) -> Value {
        waybill_e2e::eventually("the position is shown", SOON, || async {
            let (status, body) = self.get("position", Some(token)).await;
            if status == 200 && so(&body) { Ok(body) } else { Err(format!("{status} {body}")) }
        })
        .await
    }

    async fn hears_of_sharing(&self, token: &str) {
        waybill_e2e::eventually("the seller knows that positions are shared", SOON, || async {
            let (status, body) = self.get("position", Some(token)).await;
            if status == 404 { Ok(()) } else { Err(format!("{status} {body}")) }
        })
        .await;
    }

    async fn refuses(&self, what: &str, token: Option<&str>, (status, slug): (u16, &str)) {
        let (got, body) = self.get(what, token).await;
        assert_eq!(got, status, "{body}");
        assert_eq!(body["type"], format!("https://waybill.dev/problems/{slug}"), "{body}");
    }
}

async fn read(request: reqwest::RequestBuilder) -> (u16, Value) {
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), serde_json::from_str(&answer.text().await.unwrap()).unwrap())
}
