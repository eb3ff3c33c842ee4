//! The test vectors of `docs/proof-format.md`: made here, committed under `vectors/`, and given to a verifier in another language that
//! was written from the document alone.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;
#[path = "kit/play.rs"]
mod play;
#[path = "vectors/refused.rs"]
mod refused;
#[path = "vectors/scenes.rs"]
mod scenes;

use std::{
    collections::BTreeSet,
    env, fs,
    io::Write,
    path::{Path, PathBuf},
    process::Command,
};

use kit::{COMMIT_KEY, LABEL_KEY, ORDER_SALT, attempt_secret, order, uid, world};
use scenes::Scene;
use serde_json::{Value, json};
use waybill_protocol::{
    AgreementSecret, AttemptSecret, Bytes, Frame, Hash, Invalid, LabelCode, LabelSecret, Log, Order, Outgoing,
    Recipient, Refusal, SaltKey, Stage, Verdict, commitment, hello_nonce, receipt_code, receipt_hash,
    seller_to_carrier, sign_courier_check,
};

const UPDATE: &str = "WAYBILL_UPDATE=1 cargo test -p waybill-protocol --test vectors";

#[test]
fn the_committed_vectors_are_what_this_crate_makes() {
    for (file, made) in [("logs.json", logs(scenes::all())), ("derived.json", derived()), ("messages.json", messages())]
    {
        let path = folder().join(file);
        if env::var_os("WAYBILL_UPDATE").is_some() {
            fs::write(&path, serde_json::to_string_pretty(&made).unwrap() + "\n").unwrap();
        }
        let committed: Value = serde_json::from_slice(&fs::read(&path).unwrap_or_default()).unwrap_or_default();
        assert!(committed == made, "{file} has drifted: {UPDATE}");
    }
}

#[test]
fn every_reason_there_is_is_shown_by_a_vector() {
    let made = logs(scenes::all());
    let logs = made["logs"].as_array().unwrap();
    let shown: BTreeSet<&str> =
        logs.iter().flat_map(|log| log["verdicts"].as_array().unwrap()).filter_map(Value::as_str).collect();
    for code in Refusal::CODES {
        // Where the parcel is away, `Cancelled` has another row; so this reason is never the last one.
        assert!(*code == "Away" || shown.contains(format!("refused {code}").as_str()), "refused {code}");
    }
    for code in Invalid::CODES {
        assert!(shown.contains(format!("invalid {code}").as_str()), "invalid {code}");
    }
    for scene in refused::all() {
        let (_, expected) = scene.name.split_once(": ").unwrap();
        let log = logs.iter().find(|log| log["name"] == scene.name.as_str()).unwrap();
        let last = log["verdicts"].as_array().unwrap().last().unwrap();
        assert_eq!(last, expected, "{}", scene.name);
    }
}

#[test]
fn a_verifier_written_from_the_document_agrees_on_the_vectors() {
    verify_in_python(&folder());
}

#[test]
fn it_agrees_on_a_hundred_logs_nobody_has_looked_at() {
    let scratch = env::temp_dir().join(format!("waybill-vectors-{}", std::process::id()));
    fs::create_dir_all(&scratch).unwrap();
    let random: Vec<Scene> = (0..100).map(|seed| scenes::random(seed, 40)).collect();
    fs::write(scratch.join("logs.json"), logs(random).to_string()).unwrap();
    verify_in_python(&scratch);
    fs::remove_dir_all(&scratch).unwrap();
}

// === the files ===

fn logs(scenes: Vec<Scene>) -> Value {
    let ca = world();
    let mut entries = Vec::new();
    let logs: Vec<Value> = scenes.into_iter().map(|scene| log(scene, &mut entries)).collect();
    json!({
        "cas": ca.trust().cas().iter().map(|key| json!({ "kid": key.kid().to_string(), "public_key": hex::encode(ca.ca_point()) })).collect::<Vec<_>>(),
        "entries": entries,
        "logs": logs,
    })
}

/// A log with its entries as places in a list that all logs share.
fn log(scene: Scene, shared: &mut Vec<String>) -> Value {
    let mut log = Log::new(scene.subject.clone(), &world().trust());
    let mut entries = Vec::new();
    let mut after = Vec::new();
    for bytes in &scene.entries {
        log.push(bytes);
        let text = hex::encode(bytes);
        let place = shared.iter().position(|known| *known == text).unwrap_or_else(|| {
            shared.push(text);
            shared.len() - 1
        });
        entries.push(place);
        after.push(format!("{} {} {}", log.phase(), log.stage().map_or("None", Stage::as_str), log.state().attempt()));
    }
    let verdicts: Vec<String> = log.entries().iter().map(|entry| verdict(entry.verdict())).collect();
    json!({
        "name": scene.name,
        "delivery": scene.subject.delivery.as_str(),
        "namespace": scene.subject.namespace.as_str(),
        "seller": scene.subject.seller.as_str(),
        "entries": entries,
        "verdicts": verdicts,
        "after_each": after,
    })
}

fn verdict(verdict: &Verdict) -> String {
    match verdict {
        Verdict::Counts(effect) if effect.late => "counts late".to_owned(),
        Verdict::Counts(_) => "counts".to_owned(),
        Verdict::Refused(refusal) => format!("refused {}", refusal.code()),
        Verdict::Invalid(invalid) => format!("invalid {}", invalid.code()),
    }
}

fn derived() -> Value {
    let delivery = uid("dddddddd-0000-4000-8000-000000000001");
    let orders = [order(), Order { client_name: "Ωμέγα 🚚".into(), ..Order::default() }];
    let parts: Vec<Value> = orders
        .iter()
        .flat_map(|order| Stage::ALL.map(|stage| (order, stage)))
        .map(|(order, stage)| {
            let salts = [SaltKey::Order(ORDER_SALT), SaltKey::Seller(&COMMIT_KEY)].map(|key| key.salt(&delivery, order, stage));
            let part = order.part(stage);
            json!({
                "order": {
                    "country": order.country, "province": order.province, "city": order.city, "postal_code": order.postal_code,
                    "client_name": order.client_name, "door_number": order.door_number, "phone_number": order.phone_number,
                },
                "stage": stage.as_str(),
                "part": hex::encode(part.encode()),
                "salt_of_order": salts[0].to_string(),
                "salt_of_seller": salts[1].to_string(),
                "commitment_with_salt_of_order": commitment(&delivery, &part, &salts[0]).to_string(),
            })
        })
        .collect();
    let label = LabelSecret::new(&LABEL_KEY, &delivery);
    let code = receipt_code(&LABEL_KEY, &delivery);
    let (seller, agent) = (AgreementSecret::from_bytes([1; 32]), AgreementSecret::from_bytes([2; 32]));
    let secret = AttemptSecret::of_seller(&seller, &agent.public(), &delivery, 1);
    let carrier = world().carrier;
    json!({
        "delivery": delivery.as_str(),
        "order_salt": hex::encode(ORDER_SALT),
        "commit_key": hex::encode(COMMIT_KEY),
        "label_key": hex::encode(LABEL_KEY),
        "parts": parts,
        "hello_nonce_of_attempt_2": hello_nonce(&COMMIT_KEY, &delivery, 2).to_string(),
        "label_code": LabelCode { delivery: delivery.clone(), secret: label }.to_string(),
        "scan_mac_of_attempt_2": label.scan_mac(&delivery, 2).to_string(),
        "receipt_code": code.to_string(),
        "receipt_hash": receipt_hash(&delivery, &code).to_string(),
        "attempt_secret": {
            "seller_secret_key": hex::encode([1; 32]),
            "attempt_secret_key": hex::encode([2; 32]),
            "attempt": 1,
            "challenge": hex::encode(b"K7QF"),
            "digits": secret.digits(b"K7QF").as_str(),
        },
        "courier_check": {
            "carrier_public_key": hex::encode(carrier.key().as_bytes()),
            "attempt": 1,
            "challenge": hex::encode(b"K7QF"),
            "signed": hex::encode(sign_courier_check(&carrier.signer, &delivery, 1, b"K7QF")),
        },
    })
}

fn messages() -> Value {
    let world = world();
    let conversation = world.conversation();
    let stage = Stage::PostalCode;
    let salt = SaltKey::Order(ORDER_SALT).salt(&conversation.delivery, &order(), stage);
    let part = Bytes(order().part(stage).encode());
    let token = seller_to_carrier::Token::new("header.claims.signature").unwrap();
    let body = seller_to_carrier::Message::Part { part, salt, token };
    let events = vec![Bytes(world.plain(6).entries()[5].bytes().to_vec())];
    let message = Outgoing { attempt: 1, about: Hash::of(b"an event"), events, body: body.clone() };
    let to = Recipient::Attempt(attempt_secret(1).public());
    let frame = conversation.seal(&message, &world.seller.signer, to, &mut scenes::Counting(1)).unwrap();
    assert!(Frame::read(&frame).is_ok());
    json!([{
        "name": "a part of the address, down",
        "direction": 0,
        "delivery": conversation.delivery.as_str(),
        "sender": conversation.seller.as_str(),
        "receiver": conversation.carrier.as_str(),
        "sender_public_key": hex::encode(world.seller.key().as_bytes()),
        "receiver_secret_key": hex::encode(attempt_secret(1).to_bytes()),
        "attempt": 1,
        "about": message.about.to_string(),
        "events": message.events.iter().map(|event| hex::encode(&event.0)).collect::<Vec<_>>(),
        "body": hex::encode(minicbor::to_vec(&body).unwrap()),
        "frame": hex::encode(frame),
    }])
}

// === the other language ===

fn verify_in_python(vectors: &Path) {
    let Some(python) = python() else {
        let loud = "\n*** NOT RUN: the verifier in Python needs python3 with cbor2 and cryptography \
                    (Debian: python3-cbor2 python3-cryptography; or set WAYBILL_PYTHON) ***\n";
        // Straight to the terminal: a passing test's `eprintln!` would not be seen.
        std::io::stderr().write_all(loud.as_bytes()).unwrap();
        assert!(env::var_os("WAYBILL_REQUIRE_PYTHON").is_none(), "{loud}");
        return;
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let output = Command::new(python)
        .arg("-B")
        .arg(root.join("tests/verifier/verify.py"))
        .arg("--document")
        .arg(root.join("docs/proof-format.md"))
        .arg("--vectors")
        .arg(vectors)
        .output()
        .unwrap();
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "the verifier disagrees:\n{out}\n{err}");
    assert!(out.contains("all agree"), "{out}");
}

fn python() -> Option<PathBuf> {
    let named = env::var_os("WAYBILL_PYTHON").map(PathBuf::from);
    let known = ["python3", "/usr/bin/python3"].map(PathBuf::from);
    named.into_iter().chain(known).find(|python| {
        let probe = Command::new(python).args(["-c", "import cbor2, cryptography"]).output();
        probe.is_ok_and(|output| output.status.success())
    })
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("vectors")
}
