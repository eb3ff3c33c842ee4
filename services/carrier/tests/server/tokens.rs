//! D-74 to D-79: what a token opens, asked through the routes. The library's own checks are tested where they are.

use reqwest::Method;
use serde_json::{Value, json};
use waybill_e2e::eventually;

use crate::client::{Answer, body};
use crate::domain::Somebody;
use crate::room::{SOON, accepted, in_room, now};

#[tokio::test]
async fn d76_d79_a_token_opens_one_delivery_for_one_carrier_at_one_api() {
    in_room("d76_d79_a_token_opens_one_delivery", async |room| {
        let (parcel, second) = (room.parcel("UPC_1").await, room.parcel("UPC_2").await);
        let good = room.agent.claims(&parcel);
        let with = |claim: &str, value: Value| {
            let mut claims = good.clone();
            claims[claim] = value;
            claims
        };
        let path = format!("/api/agent/deliveries/{}/log", parcel.uid);
        let ask = async |token: String| room.agent.client.get(&path, Some(&token)).await;
        assert_eq!(ask(room.agent.sign(&good)).await.status, 200, "the control");
        for (claim, value) in [
            ("sub", json!(second.uid)),
            ("sub", json!("")),
            ("upc", json!("UPC_2")),
            ("upc", Value::Null),
            ("aud", json!("view")),
            ("aud", json!(["carrier-api"])),
            ("aud", json!("seller-api")),
            ("iss", json!(room.other.keys.uid().as_str())),
            ("nbf", json!(now() + 60)),
            ("nbf", json!(now().to_string())),
            ("exp", json!(now() + 600)),
            ("jti", json!(7)),
            ("admin", json!(true)),
        ] {
            let answer = ask(room.agent.sign(&with(claim, value.clone()))).await;
            assert_eq!(answer.is(), (403, "token-invalid"), "{claim}: {value}");
            assert_eq!(
                answer.body["detail"], "the token is not valid for this request",
                "no word on which part is wrong"
            );
        }
        let mut old = good.clone();
        for (claim, value) in [("iat", now() - 300), ("nbf", now() - 300), ("exp", now() - 200)] {
            old[claim] = json!(value);
        }
        assert_eq!(ask(room.agent.sign(&old)).await.is(), (403, "token-expired"));
    })
    .await;
}

#[tokio::test]
async fn d79_key_kind_and_certificate_have_to_be_the_carriers_own() {
    in_room("d79_key_kind_and_certificate", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let path = format!("/api/agent/deliveries/{}/log", parcel.uid);
        let claims = room.agent.claims(&parcel);
        let sign = |who: &Somebody, kind: &str| who.token_key().sign(kind, &claims).unwrap();
        for (what, token) in [
            ("another carrier's key", sign(&room.other.keys, "wb-carrier-api+jwt")),
            ("the seller's key", sign(&room.seller, "wb-carrier-api+jwt")),
            ("a token of the link", sign(&room.agent.keys, "wb-link+jwt")),
            ("a token of no kind", sign(&room.agent.keys, "JWT")),
            ("no token", "a.b.c".to_owned()),
        ] {
            let answer = room.agent.client.get(&path, Some(&token)).await;
            assert_eq!(answer.is(), (403, "token-invalid"), "{what}");
        }
        // A stolen token without its certificate, and beside another one.
        let stolen = room.agent.token(&parcel);
        assert_eq!(room.anybody.get(&path, Some(&stolen)).await.is(), (401, "certificate-required"));
        assert_eq!(room.other.client.get(&path, Some(&stolen)).await.is(), (403, "token-invalid"));
        assert_eq!(room.agent.client.get(&path, None).await.is(), (401, "token-missing"));
        let put =
            room.anybody.request(Method::PUT, &format!("/api/agent/deliveries/{}/photos", parcel.uid), Some(&stolen));
        assert_eq!(Answer::of(put.body("x")).await.is(), (401, "certificate-required"));
    })
    .await;
}

/// D-75: a few hundred mutated tokens through the route; tens of thousands through the verifier itself.
#[tokio::test]
async fn d75_no_mutated_token_opens_anything() {
    in_room("d75_no_mutated_token", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let path = format!("/api/agent/deliveries/{}/log", parcel.uid);
        let good = room.agent.token(&parcel);
        for at in (0..good.len()).step_by(2) {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let mutated = String::from_utf8(bytes).unwrap();
            let answer = room.agent.client.get(&path, Some(&mutated)).await;
            assert_eq!(answer.is(), (403, "token-invalid"), "byte {at} of {good}");
        }
        assert_eq!(room.agent.client.get(&path, Some(&good)).await.status, 200);
    })
    .await;
}

/// DESIGN 1.6: who is revoked is cut off on a live connection, within seconds.
#[tokio::test]
async fn a_revoked_carrier_is_refused_on_its_next_request() {
    in_room("a_revoked_carrier_is_refused", async |room| {
        let parcel = room.parcel("UPC_1").await;
        let events = room.agent_signs(&parcel, &[accepted()]).await;
        room.revoke(&room.agent.keys).await;
        eventually("it is refused", SOON, || async {
            let answer = room.agent.get(&parcel, "log").await;
            if answer.is() == (403, "certificate-revoked") { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
        let token = room.agent.token(&parcel);
        let answer = room.agent.client.post("/api/shipment/UPC_1", Some(&token), &body(&events)).await;
        assert_eq!(answer.is(), (403, "certificate-revoked"));
        assert!(room.log(&parcel).await.entries().is_empty());
        assert_eq!(room.other.client.get("/api/agent/deliveries", Some(&room.other.own_token())).await.status, 200);
    })
    .await;
}
