//! Rules of the Carrier.

use serde_json::{Value, json};
use waybill_crds::Carrier;

use crate::room::{Room, carrier, in_room, refused};

const CSR: &str = "-----BEGIN CERTIFICATE REQUEST-----\nMIHs\n-----END CERTIFICATE REQUEST-----\n";

fn external() -> Value {
    let key = format!("{}=", "A".repeat(43));
    json!({"csr": CSR, "keys": {"ed25519": key, "x25519": key, "proof": format!("{}==", "A".repeat(86))}})
}

/// An external transport with one member changed, or taken out.
fn external_but(path: &str, value: Option<Value>) -> Value {
    let mut changed = external();
    let (parent, field) = path.rsplit_once('/').unwrap();
    let parent = changed.pointer_mut(parent).and_then(Value::as_object_mut).unwrap();
    match value {
        Some(value) => parent.insert(field.to_owned(), value),
        None => parent.remove(field),
    };
    transport(json!({"external": changed}))
}

fn transport(body: Value) -> Value {
    json!({"kind": "truck", "transport": body})
}

async fn refuses(room: &Room, cases: &[(Value, &str)]) {
    for (spec, text) in cases {
        refused(room.try_create::<Carrier>(&carrier("truck-7", spec.clone())).await, text);
    }
}

#[tokio::test]
async fn a_carrier_is_managed_or_external_never_both() {
    in_room("a_carrier_is_managed_or_external_never_both", async |room| {
        for spec in [
            json!({"kind": "person"}),
            transport(json!({"managed": {}})),
            transport(json!({"managed": {"pace": "0s"}})),
            transport(json!({"external": external()})),
        ] {
            room.try_create::<Carrier>(&carrier("truck-7", spec)).await.unwrap();
        }
        let one = "transport needs exactly one of managed and external";
        refuses(
            &room,
            &[
                (transport(json!({})), one),
                (transport(json!({"managed": {}, "external": external()})), one),
                (json!({"kind": "ship"}), r#"supported values: "truck", "drone", "person""#),
                (json!({}), "spec.kind: Required value"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_external_carrier_brings_request_keys_and_proof() {
    in_room("an_external_carrier_brings_request_keys_and_proof", async |room| {
        let leaked = format!("{CSR}-----BEGIN PRIVATE KEY-----\nMIHs\n-----END PRIVATE KEY-----\n");
        refuses(
            &room,
            &[
                (external_but("/csr", None), "csr: Required value"),
                (external_but("/csr", Some(json!("MIHs"))), "csr must be one PEM block CERTIFICATE REQUEST"),
                (external_but("/csr", Some(json!(leaked))), "csr holds a private key"),
                (external_but("/csr", Some(json!("x".repeat(8193)))), "Too long"),
                (external_but("/keys", None), "keys: Required value"),
                (external_but("/keys/ed25519", None), "keys.ed25519: Required value"),
                (external_but("/keys/x25519", Some(json!("short"))), "keys.x25519"),
                (external_but("/keys/proof", Some(json!("*".repeat(88)))), "keys.proof"),
                (external_but("/keys/proof", None), "keys.proof: Required value"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn a_script_says_how_attempts_end() {
    in_room("a_script_says_how_attempts_end", async |room| {
        let script = |steps: Value| transport(json!({"managed": {"script": steps}}));
        let absent = json!({"outcome": "attemptFailed", "reason": {"cause": "recipient", "what": "recipientAbsent"}});
        let spec = script(json!([absent, {"outcome": "refused"}, {"outcome": "delivered"}]));
        room.try_create::<Carrier>(&carrier("truck-7", spec)).await.unwrap();
        let many: Vec<_> = (0..17).map(|_| json!({"outcome": "delivered"})).collect();
        refuses(
            &room,
            &[
                (script(json!([{"outcome": "eaten"}])), "supported values"),
                (script(json!([{"outcome": "lost", "reason": {"cause": "recipient"}}])), "reason.what: Required value"),
                (
                    script(json!([{"outcome": "delivered", "reason": {"cause": "nature", "what": "outOfTime"}}])),
                    "a delivered parcel needs no reason",
                ),
                (script(json!(many)), "must have at most 16 items"),
                (transport(json!({"managed": {"pace": "25h"}})), "pace must be at most 24h"),
            ],
        )
        .await;
    })
    .await;
}

#[tokio::test]
async fn an_external_carrier_never_becomes_managed() {
    in_room("an_external_carrier_never_becomes_managed", async |room| {
        room.create::<Carrier>(&carrier("far", transport(json!({"external": external()})))).await;
        let managed = json!({"spec": {"transport": {"external": null, "managed": {}}}});
        refused(room.merge::<Carrier>("far", &managed).await, "an external Carrier can't become managed");
        let dropped = json!({"spec": {"transport": null}});
        refused(room.merge::<Carrier>("far", &dropped).await, "an external Carrier can't become managed");

        room.create::<Carrier>(&carrier("near", transport(json!({"managed": {}})))).await;
        let leaving = json!({"spec": {"transport": {"managed": null, "external": external()}}});
        room.merge::<Carrier>("near", &leaving).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_revoked_carrier_stays_revoked() {
    in_room("a_revoked_carrier_stays_revoked", async |room| {
        room.create::<Carrier>(&carrier("truck-7", json!({"kind": "truck"}))).await;
        room.merge::<Carrier>("truck-7", &json!({"spec": {"revoked": true}})).await.unwrap();
        room.merge::<Carrier>("truck-7", &json!({"spec": {"suspended": true}})).await.unwrap();
        for change in [json!(false), json!(null)] {
            let change = json!({"spec": {"revoked": change}});
            refused(room.merge::<Carrier>("truck-7", &change).await, "a revoked Carrier stays revoked");
        }
    })
    .await;
}

#[tokio::test]
async fn a_carriers_name_is_as_bounded_as_a_sellers() {
    in_room("a_carriers_name_is_as_bounded_as_a_sellers", async |room| {
        for name in ["truck.7", &"t".repeat(41)] {
            let answer = room.try_create::<Carrier>(&carrier(name, json!({"kind": "truck"}))).await;
            refused(answer, "the name of a Carrier has at most 40");
        }
    })
    .await;
}
