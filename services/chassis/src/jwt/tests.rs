//! RFC 8725, section by section: 3.1 and 3.2 `a_header_that_is_not_ours_is_refused`, `a_public_key_as_shared_secret_signs_nothing`;
//! 3.3 `no_mutated_token_is_accepted`; 3.4 and 3.5 the keys are ours, 256 bits of Ed25519; 3.6 no compression, no encryption: another
//! member of the header refuses the token; 3.7 UTF-8 by the type of the claims; 3.8 and 3.9 `a_token_for_somebody_else_is_refused`;
//! 3.10 a header names no key but one we were given; 3.11 and 3.12 `d79_of_four_audiences_none_is_accepted_for_another`.

use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use serde::Serialize;
use serde_json::{Value, json};

use super::*;

const NOW: u64 = 1_800_000_000;
const KIND: &str = "wb-test+jwt";

#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Pass {
    iss: String,
    aud: String,
    sub: String,
    nbf: u64,
    exp: u64,
    thing: String,
}

crate::registered_claims!(Pass);

/// Fixed for ever: agents in the field name their keys by it.
#[test]
fn a_key_goes_by_the_hash_of_its_bytes() {
    assert_eq!(key_id(&[0; 32]), "66687aadf862bd776c8fc18b8e9f8e20089714856ee233b3902a591d0d5f2925");
}

#[test]
fn a_good_token_is_accepted_with_all_its_claims() {
    let (verifier, _keys) = verifier();
    let claims = verifier.verify(&token(|_| {}), NOW).unwrap();
    assert_eq!((claims.sub.as_str(), claims.thing.as_str()), ("subject", "chair"));
}

#[test]
fn every_claim_is_required_and_typed() {
    let (verifier, _keys) = verifier();
    for claim in ["iss", "aud", "sub", "nbf", "exp", "thing"] {
        let missing = token(|claims| drop(claims.as_object_mut().unwrap().remove(claim)));
        assert_eq!(verifier.verify(&missing, NOW), Err(Refusal::Signature), "{claim} missing");
        let null = token(|claims| claims[claim] = Value::Null);
        assert_eq!(verifier.verify(&null, NOW), Err(Refusal::Signature), "{claim} null");
    }
    // The shape of a library's old hole: a time as text counted as absent.
    for (claim, value) in [("nbf", json!("1800009999")), ("exp", json!("9999999999")), ("exp", json!(1.8e9))] {
        assert_eq!(verifier.verify(&token(|claims| claims[claim] = value), NOW), Err(Refusal::Signature), "{claim}");
    }
    assert_eq!(verifier.verify(&token(|claims| claims["aud"] = json!(["here"])), NOW), Err(Refusal::Signature));
    assert_eq!(verifier.verify(&token(|claims| claims["extra"] = json!(1)), NOW), Err(Refusal::Signature));
}

#[test]
fn a_token_for_somebody_else_is_refused() {
    let (verifier, _keys) = verifier();
    let with = |claim: &'static str, value: &'static str| token(move |claims| claims[claim] = json!(value));
    assert_eq!(verifier.verify(&with("aud", "there"), NOW), Err(Refusal::Audience));
    assert_eq!(verifier.verify(&with("iss", "other-issuer"), NOW), Err(Refusal::Issuer));
    assert_eq!(verifier.verify(&with("sub", ""), NOW), Err(Refusal::Subject));
}

#[test]
fn a_token_counts_only_in_its_time() {
    let (verifier, _keys) = verifier();
    let good = token(|_| {});
    for (now, expected) in
        [(NOW - 6, Some(Refusal::Early)), (NOW - 5, None), (NOW + 125, None), (NOW + 126, Some(Refusal::Expired))]
    {
        assert_eq!(verifier.verify(&good, now).err(), expected, "{now}");
        // Remembered or not, time is asked.
        assert_eq!(verifier.verify(&good, now).err(), expected, "{now} again");
    }
    for (nbf, exp) in [(NOW, NOW + 3601), (NOW + 10, NOW), (0, u64::MAX)] {
        let odd = token(|claims| (claims["nbf"], claims["exp"]) = (json!(nbf), json!(exp)));
        assert_eq!(verifier.verify(&odd, NOW).unwrap_err(), Refusal::Life, "{nbf}..{exp}");
    }
}

#[test]
fn a_header_that_is_not_ours_is_refused() {
    let (verifier, _keys) = verifier();
    let ours = json!({ "alg": "EdDSA", "typ": KIND, "kid": "k1" });
    assert!(verifier.verify(&signed(&ours, &claims()), NOW).is_ok());
    for (member, value, refusal) in [
        ("alg", json!("none"), Refusal::Header),
        ("alg", json!("HS256"), Refusal::Header),
        ("alg", json!("eddsa"), Refusal::Header),
        ("typ", json!("JWT"), Refusal::Header),
        ("typ", Value::Null, Refusal::Header),
        ("kid", json!("k2"), Refusal::Key),
        ("kid", json!("../k1"), Refusal::Key),
        ("kid", Value::Null, Refusal::Header),
        ("jku", json!("https://evil.example/keys"), Refusal::Header),
        ("jwk", json!({ "kty": "OKP" }), Refusal::Header),
        ("x5u", json!("https://evil.example"), Refusal::Header),
        ("crit", json!(["b64"]), Refusal::Header),
        ("b64", json!(false), Refusal::Header),
        ("zip", json!("DEF"), Refusal::Header),
    ] {
        let mut header = ours.clone();
        header[member] = value;
        assert_eq!(verifier.verify(&signed(&header, &claims()), NOW), Err(refusal), "{header}");
    }
}

#[test]
fn a_public_key_as_shared_secret_signs_nothing() {
    let (verifier, _keys) = verifier();
    let header = jsonwebtoken::Header {
        typ: Some(KIND.into()),
        kid: Some("k1".into()),
        ..jsonwebtoken::Header::new(Algorithm::HS256)
    };
    let secret = jsonwebtoken::EncodingKey::from_secret(&public(1));
    let forged = jsonwebtoken::encode(&header, &claims(), &secret).unwrap();
    assert_eq!(verifier.verify(&forged, NOW), Err(Refusal::Header));
}

#[test]
fn a_withdrawn_key_takes_its_remembered_tokens_with_it() {
    let (verifier, keys) = verifier();
    let token = token(|_| {});
    assert!(verifier.verify(&token, NOW).is_ok());
    keys.send_replace(Arc::new(Keys::default().with("k2", "issuer", &public(2))));
    assert_eq!(verifier.verify(&token, NOW), Err(Refusal::Key));
    // The same id with another key is another key.
    keys.send_replace(Arc::new(Keys::default().with("k1", "issuer", &public(2))));
    assert_eq!(verifier.verify(&token, NOW), Err(Refusal::Signature));
    keys.send_replace(Arc::new(Keys::default().with("k1", "issuer", &public(1)).with("k2", "issuer", &public(2))));
    assert!(verifier.verify(&token, NOW).is_ok());
}

#[test]
fn no_mutated_token_is_accepted() {
    let (verifier, _keys) = verifier();
    let good = token(|_| {});
    let seed = rand::random();
    let mut rng = StdRng::seed_from_u64(seed);
    let alphabet = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_.=+/ ";
    let mut mutations = 0;
    while mutations < 10_000 {
        let mut bytes = good.clone().into_bytes();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len().max(1));
            if bytes.len() < 2 {
                break;
            }
            let letter = alphabet[rng.random_range(0..alphabet.len())];
            match rng.random_range(0..4) {
                0 => bytes[at] = letter,
                1 => bytes.insert(at, letter),
                2 => drop(bytes.remove(at)),
                _ => bytes.truncate(at.max(1)),
            }
        }
        let mutated = String::from_utf8(bytes).unwrap();
        if mutated != good {
            mutations += 1;
            assert!(verifier.verify(&mutated, NOW).is_err(), "seed {seed}: {mutated}");
        }
        // A control never seen before, and the one that is remembered.
        let control = token(|claims| claims["thing"] = json!(format!("chair {mutations}")));
        assert!(verifier.verify(&control, NOW).is_ok() && verifier.verify(&good, NOW).is_ok());
    }
}

/// Even with one key and one issuer for all of them, and whichever half of a token was taken from another.
#[test]
fn d79_of_four_audiences_none_is_accepted_for_another() {
    const POLICIES: [Policy; 4] = [
        Policy { audience: "link", kind: "wb-link+jwt", max_life: 120 },
        Policy { audience: "seller-api", kind: "wb-seller-api+jwt", max_life: 120 },
        Policy { audience: "carrier-api", kind: "wb-carrier-api+jwt", max_life: 120 },
        Policy { audience: "view", kind: "wb-view+jwt", max_life: 120 },
    ];
    for own in POLICIES {
        let (_feed, known) = watch::channel(Arc::new(Keys::default().with("k1", "issuer", &public(1))));
        let verifier = Verifier::<Pass>::new(own.clone(), known);
        for (kind, audience) in POLICIES.iter().flat_map(|by| POLICIES.iter().map(|of| (by.kind, of.audience))) {
            let mut claims = claims();
            claims["aud"] = json!(audience);
            let token = SigningKey::from_seed("k1", &[1; 32]).sign(kind, &claims).unwrap();
            let good = kind == own.kind && audience == own.audience;
            assert_eq!(verifier.verify(&token, NOW).is_ok(), good, "{kind} for {audience} at {}", own.audience);
        }
    }
}

#[test]
fn d12_a_token_comes_raw_or_as_bearer() {
    let with = |value: &str| HeaderMap::from_iter([(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap())]);
    for value in ["a.b.c", "Bearer a.b.c", "bearer  a.b.c "] {
        assert_eq!(bearer(&with(value)).unwrap(), "a.b.c", "{value}");
    }
    for missing in [HeaderMap::new(), with(""), with("Bearer ")] {
        assert_eq!(bearer(&missing).unwrap_err().kind(), MISSING);
    }
}

#[test]
fn d13_the_bearer_learns_no_more_than_expired_or_not() {
    for refusal in [Refusal::Key, Refusal::Signature, Refusal::Issuer, Refusal::Audience, Refusal::Early] {
        assert_eq!(
            (refusal.problem().kind(), refusal.problem().detail()),
            (INVALID, Refusal::Shape.problem().detail())
        );
    }
    assert_eq!(Refusal::Expired.problem().kind(), EXPIRED);
}

// === helpers ===

fn verifier() -> (Verifier<Pass>, watch::Sender<Arc<Keys>>) {
    let (keys, known) = watch::channel(Arc::new(Keys::default().with("k1", "issuer", &public(1))));
    (Verifier::new(Policy { audience: "here", kind: KIND, max_life: 3600 }, known), keys)
}

fn claims() -> Value {
    json!({ "iss": "issuer", "aud": "here", "sub": "subject", "nbf": NOW, "exp": NOW + 120, "thing": "chair" })
}

fn token(change: impl FnOnce(&mut Value)) -> String {
    let mut claims = claims();
    change(&mut claims);
    SigningKey::from_seed("k1", &[1; 32]).sign(KIND, &claims).unwrap()
}

fn pair(seed: u8) -> ed25519_dalek::SigningKey {
    ed25519_dalek::SigningKey::from_bytes(&[seed; 32])
}

fn public(seed: u8) -> [u8; 32] {
    pair(seed).verifying_key().to_bytes()
}

/// Any header and claims under a signature that fits them.
fn signed(header: &Value, claims: &Value) -> String {
    let message = format!("{}.{}", encode(header.to_string()), encode(claims.to_string()));
    let signature = ed25519_dalek::Signer::sign(&pair(1), message.as_bytes());
    format!("{message}.{}", encode(signature.to_bytes()))
}

fn encode(bytes: impl AsRef<[u8]>) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}
