//! DESIGN 7: an agent whose certificate ended asks with its own key, and gets what the operator has signed.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use waybill_chassis::tls::Material;
use waybill_crds::Carrier;
use waybill_e2e::eventually;
use waybill_protocol::fact::reason::Incident;
use waybill_protocol::{Fact, Phase, RenewalRequest, Stage, UnixMillis};

use crate::client::Answer;
use crate::domain::{Ca, Somebody};
use crate::room::{Room, SOON, accepted, at, in_room, posted};
use crate::stage::{files, publish_with, restate};

async fn ask(room: &Room, who: &Somebody, at: UnixMillis) -> Answer {
    let request = STANDARD.encode(RenewalRequest::sign(&who.signer, at));
    room.anybody.post("/identity", None, &json!({"request": request})).await
}

#[tokio::test]
async fn an_agent_without_a_certificate_gets_what_was_signed_for_it() {
    in_room("an_agent_without_a_certificate", async |room| {
        room.parcel("UPC_1").await;
        let certificate = json!({"serial": "0a0b", "notBefore": "2026-01-01T00:00:00Z", "notAfter": "2027-01-01T00:00:00Z",
            "renewAt": "2026-06-01T00:00:00Z", "issuer": "a".repeat(64), "pem": "the chain"});
        let status = json!({"status": {"certificate": certificate}});
        let carriers = room.namespace.api::<Carrier>();
        carriers.patch_status("truck-7", &PatchParams::default(), &Patch::Merge(status)).await.unwrap();
        eventually("the certificate is served", SOON, || async {
            let answer = ask(&room, &room.agent.keys, at()).await;
            let expected = json!({
                "certificate": "the chain", "statement": STANDARD.encode(&room.agent.keys.statement),
                "sellerStatements": [STANDARD.encode(&room.seller.statement)],
                "bundle": room.ca.pem().trim(),
                "published": [{"name": "revoked.json", "content": r#"{"entries":[],"number":1}"#, "signature": "c2lnbmVk"}],
            });
            let same = answer.status == 200 && answer.body == expected;
            if same { Ok(()) } else { Err(format!("{:?}", answer.body)) }
        })
        .await;
        // Who works for nobody learns of no seller.
        assert_eq!(ask(&room, &room.other.keys, at()).await.body["sellerStatements"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_request_that_is_not_a_carriers_own_is_refused() {
    in_room("a_request_that_is_not_a_carriers_own", async |room| {
        let refused = async |request: Vec<u8>| {
            room.anybody.post("/identity", None, &json!({"request": STANDARD.encode(request)})).await
        };
        // A seller, another namespace, a stranger with a key of its own.
        assert_eq!(ask(&room, &room.seller, at()).await.is(), (403, "renewal-refused"));
        let role = waybill_protocol::Role::Carrier;
        let uid = room.agent.keys.uid().as_str();
        let elsewhere = room.ca.somebody(role, "elsewhere", "truck-7", uid);
        assert_eq!(ask(&room, &elsewhere, at()).await.is(), (403, "renewal-refused"));
        let other_key = room.ca.somebody(role, &room.namespace.name, "truck-7", uid);
        assert_eq!(ask(&room, &other_key, at()).await.is(), (403, "renewal-refused"));
        let mut bent = RenewalRequest::sign(&room.agent.keys.signer, at());
        *bent.last_mut().unwrap() ^= 1;
        assert_eq!(refused(bent).await.is(), (403, "renewal-refused"));
        assert_eq!(refused(b"junk".to_vec()).await.is(), (400, "malformed"));
        // An old one, replayed, or a clock that is wrong: the answer's Date mends it.
        let long_ago = UnixMillis(at().0 - 3_600_000);
        assert_eq!(ask(&room, &room.agent.keys, long_ago).await.is(), (403, "clock-skew"));
        room.revoke(&room.agent.keys).await;
        eventually("a revoked one is refused", SOON, || async {
            let answer: Value = ask(&room, &room.agent.keys, at()).await.body;
            let refused = answer["type"].as_str().is_some_and(|kind| kind.ends_with("renewal-refused"));
            if refused { Ok(()) } else { Err(answer.to_string()) }
        })
        .await;
    })
    .await;
}

/// An authority leaves the bundle after its last leaf. What it vouched for in logs stays readable, after a restart too, and
/// nothing new is believed on its word.
#[tokio::test]
async fn a_log_of_a_former_authority_is_read_and_a_fresh_statement_of_it_refused() {
    in_room("a_log_of_a_former_authority", async |mut room| {
        let (parcel, second) = (room.under_way("UPC_1").await, room.parcel("UPC_2").await);
        room.seen(&parcel).await;
        let stale = room.agent_signs(&second, &[accepted()]).await;
        let (old, next) = (std::mem::replace(&mut room.ca, Ca::new()), room.agent.keys.clone());
        room.agent.keys = room.ca.restates(&next);
        restate::<Carrier>(&room.namespace, "truck-7", &room.agent.keys).await;
        publish_with(&room.namespace, (&room.ca, &old.pem()), 2, &[]).await;
        files(room.dir.path(), &room.ca, &room.namespace.name);
        room.restart().await;
        room.trust = room.ca.trust().with_former(old.trust().cas());
        let log = room.agent.get(&parcel, "log").await;
        assert_eq!((log.status, log.body["custody"].as_array().unwrap().len()), (200, 4), "{log:?}");
        room.agent_reports(&parcel, &[posted(Stage::Country)]).await;
        assert_eq!(room.log(&parcel).await.phase(), Phase::InTransit);
        // A first event that the authority of before vouches for, signed while it counted or not.
        let answer = room.agent.report(&second, &stale).await;
        assert_eq!(answer.is(), (422, "event-refused"));
        assert_eq!(answer.body["reason"], "Statement");
        room.agent_reports(&second, &[accepted()]).await;
        // Nor does its leaf open anything.
        let leaf = old.leaf(room.agent.keys.uid().as_str(), rcgen::ExtendedKeyUsagePurpose::ClientAuth);
        let material =
            Material::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes(), room.ca.pem().as_bytes()).unwrap();
        let http = reqwest::Client::builder().tls_backend_preconfigured(material.client().unwrap()).no_proxy();
        let http = http.resolve("localhost", room.api.address).build().unwrap();
        let asked = http.get(format!("https://localhost:{}/", room.api.address.port())).send().await;
        assert!(asked.is_err(), "{asked:?}");
        // And without its certificate nothing of the log would count: what follows it follows nothing.
        let delay = Fact::IncidentReported { incident: Incident::Delay, note: None };
        let next = room.agent_signs(&parcel, &[delay]).await;
        publish_with(&room.namespace, (&room.ca, ""), 3, &[]).await;
        room.restart().await;
        let answer = room.agent.report(&parcel, &next).await;
        assert_eq!((answer.is(), &answer.body["expected"]["seq"]), ((409, "chain-gap"), &json!(0)));
        publish_with(&room.namespace, (&room.ca, &old.pem()), 4, &[]).await;
        eventually("it counts again", SOON, || async {
            let answer = room.agent.report(&parcel, &next).await;
            if answer.status == 201 { Ok(()) } else { Err(format!("{answer:?}")) }
        })
        .await;
    })
    .await;
}
