//! Tokens of a good issuer and of others.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{EncodingKey, encode};
use serde_json::json;

use super::*;

const WANTED: Wanted<'_> = Wanted { issuer: "https://id.example", client: "board", nonce: "n-1" };

/// A key of P-256, signing and published.
fn pair(kid: &str) -> (EncodingKey, Jwk) {
    let key = rcgen::KeyPair::generate().unwrap();
    let signing = EncodingKey::from_ec_der(&key.serialize_der());
    let mut public = Jwk::from_encoding_key(&signing, Algorithm::ES256).unwrap();
    public.common.key_id = Some(kid.into());
    (signing, public)
}

fn claims() -> Value {
    let now = get_current_timestamp();
    json!({"iss": WANTED.issuer, "aud": WANTED.client, "sub": "7", "nonce": WANTED.nonce, "iat": now, "exp": now + 300})
}

fn header(kid: &str) -> Header {
    Header { kid: Some(kid.into()), ..Header::new(Algorithm::ES256) }
}

/// Any header and claims; the signature is somebody's.
fn unsigned(header: &Value, claims: &Value) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.", part(header), part(claims))
}

#[test]
fn a_good_token_is_good_and_no_claim_of_it_can_be_another() {
    let (signing, public) = pair("k1");
    let keys = [public];
    let checked = |change: &dyn Fn(&mut Value)| {
        let mut claims = claims();
        change(&mut claims);
        check(&encode(&header("k1"), &claims, &signing).unwrap(), &keys, &WANTED).map(drop)
    };
    let with = |name: &'static str, value: Value| checked(&move |claims| claims[name] = value.clone());
    let without = |name: &'static str| checked(&move |claims| drop(claims.as_object_mut().unwrap().remove(name)));
    let now = get_current_timestamp();
    assert_eq!(checked(&|_| {}), Ok(()));
    assert_eq!(with("aud", json!(["board"])), Ok(()));
    assert_eq!(with("azp", json!("board")), Ok(()));
    assert_eq!(with("exp", json!(now - LEEWAY / 2)), Ok(()), "clocks differ a little");
    for (name, value, refusal) in [
        ("iss", json!("https://id.example/"), Refusal::Issuer),
        ("iss", json!([WANTED.issuer]), Refusal::Issuer),
        ("aud", json!("other"), Refusal::Audience),
        ("aud", json!([]), Refusal::Audience),
        ("aud", json!(["board", "other"]), Refusal::Audience),
        ("azp", json!("other"), Refusal::Audience),
        ("azp", json!(["board"]), Refusal::Audience),
        ("sub", json!(""), Refusal::Subject),
        ("nonce", json!("n-2"), Refusal::Nonce),
        ("nonce", json!(["n-1"]), Refusal::Nonce),
        ("exp", json!(now - 2 * LEEWAY), Refusal::Expired),
        ("nbf", json!(now + 4 * LEEWAY), Refusal::Early),
        ("iat", json!(now + 4 * LEEWAY), Refusal::Early),
        ("iat", json!("now"), Refusal::Early),
    ] {
        assert_eq!(with(name, value.clone()), Err(refusal), "{name}: {value}");
    }
    for (name, refusal) in [
        ("iss", Refusal::Issuer),
        ("aud", Refusal::Audience),
        ("sub", Refusal::Subject),
        ("nonce", Refusal::Nonce),
        ("exp", Refusal::Expired),
        ("iat", Refusal::Early),
    ] {
        assert_eq!(without(name), Err(refusal), "no {name}");
    }
    let shared = |claims: &mut Value| {
        claims["aud"] = json!(["board", "other"]);
        claims["azp"] = json!("board");
    };
    assert_eq!(checked(&shared), Ok(()), "made for us, and for another to read");
}

#[test]
fn a_key_counts_if_the_issuer_publishes_it_for_signatures_of_this_kind() {
    let ((signing, public), (foreign, other)) = (pair("k1"), pair("k2"));
    let signed = |kid: Option<&str>, by: &EncodingKey| {
        let header = Header { kid: kid.map(str::to_owned), ..Header::new(Algorithm::ES256) };
        encode(&header, &claims(), by).unwrap()
    };
    let checked = |token: &str, keys: &[Jwk]| check(token, keys, &WANTED).map(drop);
    let good = signed(Some("k1"), &signing);
    let both = [other.clone(), public.clone()];
    assert_eq!(checked(&good, &both), Ok(()));
    assert_eq!(checked(&good, &[]), Err(Refusal::Key));
    assert_eq!(checked(&signed(Some("k1"), &foreign), &both), Err(Refusal::Signature), "another's signature");
    assert_eq!(checked(&signed(Some("k3"), &signing), &both), Err(Refusal::Key));
    assert_eq!(checked(&signed(None, &signing), std::slice::from_ref(&public)), Ok(()), "the only one");
    assert_eq!(checked(&signed(None, &signing), &both), Err(Refusal::Key), "one of two");
    let changed = |change: &dyn Fn(&mut Jwk)| {
        let mut key = public.clone();
        change(&mut key);
        checked(&good, &[key])
    };
    assert_eq!(changed(&|key| key.common.public_key_use = Some(PublicKeyUse::Encryption)), Err(Refusal::Key));
    assert_eq!(changed(&|key| key.common.key_operations = Some(vec![KeyOperations::Encrypt])), Err(Refusal::Key));
    assert_eq!(changed(&|key| key.common.key_algorithm = Some(KeyAlgorithm::ES384)), Err(Refusal::Key));
    let curved = changed(&|key| {
        if let AlgorithmParameters::EllipticCurve(ec) = &mut key.algorithm {
            ec.curve = EllipticCurve::P384;
        }
    });
    assert_eq!(curved, Err(Refusal::Key));
}

#[test]
fn neither_none_nor_a_shared_secret_signs_anything() {
    let (signing, public) = pair("k1");
    let keys = [public.clone()];
    for alg in ["none", "None", "NONE", ""] {
        let token = unsigned(&json!({"alg": alg, "typ": "JWT", "kid": "k1"}), &claims());
        assert_eq!(check(&token, &keys, &WANTED), Err(Refusal::Header), "{alg}");
    }
    // What everybody can read of the public key, taken for a secret.
    let known = serde_json::to_vec(&public).unwrap();
    let header_hs = Header { kid: Some("k1".into()), ..Header::new(Algorithm::HS256) };
    let token = encode(&header_hs, &claims(), &EncodingKey::from_secret(&known)).unwrap();
    assert_eq!(check(&token, &keys, &WANTED), Err(Refusal::Algorithm));
    // Nor do words that make another thing of a token.
    for (name, value) in [("typ", json!("at+jwt")), ("typ", json!("logout+jwt")), ("crit", json!(["b64"]))] {
        let mut with = serde_json::to_value(header("k1")).unwrap();
        with[name] = value;
        let with: Header = serde_json::from_value(with).unwrap();
        let token = encode(&with, &claims(), &signing).unwrap();
        assert_eq!(check(&token, &keys, &WANTED), Err(Refusal::Header), "{name}");
    }
    // A key in the token's own header is nobody's.
    let (foreign, mine) = pair("k1");
    let with = Header { jwk: Some(mine), ..header("k1") };
    assert_eq!(check(&encode(&with, &claims(), &foreign).unwrap(), &keys, &WANTED), Err(Refusal::Signature));
    assert_eq!(check("a.b", &keys, &WANTED), Err(Refusal::Header));
    assert_eq!(check(&"x".repeat(MAX_TOKEN + 1), &keys, &WANTED), Err(Refusal::Header));
}
