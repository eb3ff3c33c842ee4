//! Tokens: those this agent makes for the Carrier API, and those a seller puts beside each part of the address.
//!
//! A token is made for one delivery, lives two minutes and is used again for one, so that it never ends on its way.

use serde::{Deserialize, Serialize};
use std::sync::Arc;
use tokio::sync::watch;
use waybill_chassis::jwt::{Keys, Policy, SigningKey, Verifier, fresh_id, key_id};
use waybill_protocol::{KeyStatement, Stage, Uid, UnixMillis, Upc};

/// Seconds from `nbf` to `exp`.
const LIFE: u64 = 120;
/// Seconds for which a token is used again.
const FRESH: u64 = 60;
const API_KIND: &str = "wb-carrier-api+jwt";
const LINK_KIND: &str = "wb-link+jwt";

/// Makes an agent's tokens for the Carrier API.
#[derive(Debug, Clone)]
pub struct ApiTokens {
    key: SigningKey,
    issuer: String,
}

/// A token and when it was made.
#[derive(Debug, Clone)]
pub struct ApiToken {
    text: String,
    made: u64,
}

#[derive(Serialize)]
struct ApiClaims<'a> {
    iss: &'a str,
    aud: &'static str,
    sub: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    upc: Option<&'a str>,
    nbf: u64,
    iat: u64,
    exp: u64,
    jti: String,
}

impl ApiTokens {
    /// `seed`: the raw bytes of the Ed25519 key the statement names.
    pub fn new(statement: &KeyStatement, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_seed(key_id(statement.ed25519.as_bytes()), seed);
        Self { key, issuer: statement.uid.as_str().to_owned() }
    }

    /// For one delivery, or, without a UPC, for the list of all.
    pub fn make(&self, subject: &str, upc: Option<&str>, now: UnixMillis) -> ApiToken {
        let now = now.as_secs();
        let claims = ApiClaims {
            iss: &self.issuer,
            aud: "carrier-api",
            sub: subject,
            upc,
            nbf: now,
            iat: now,
            exp: now + LIFE,
            jti: fresh_id(),
        };
        let text = self.key.sign(API_KIND, &claims).expect("an Ed25519 key signs claims of texts and numbers");
        ApiToken { text, made: now }
    }

    /// The agent's uid: the subject of its own list.
    pub fn issuer(&self) -> &str {
        &self.issuer
    }
}

impl ApiToken {
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether it is young enough to be sent, by a clock that may have been put right since.
    pub fn is_fresh(&self, now: UnixMillis) -> bool {
        (self.made..=self.made + FRESH).contains(&now.as_secs())
    }
}

/// What a seller's token beside a part must say.
#[derive(Debug, Clone, Copy)]
pub struct LinkTokens<'a> {
    pub seller: &'a KeyStatement,
    pub delivery: &'a Uid,
    pub upc: Option<&'a Upc>,
}

#[derive(Deserialize)]
struct LinkClaims {
    iss: String,
    aud: String,
    sub: String,
    upc: String,
    stage: String,
    nbf: u64,
    exp: u64,
}

waybill_chassis::registered_claims!(LinkClaims);

impl LinkTokens<'_> {
    /// Whether this is the seller's token for this part of this delivery, now.
    pub fn check(&self, token: &str, stage: Stage, now: UnixMillis) -> bool {
        let key = self.seller.ed25519.as_bytes();
        let keys = Keys::default().with(key_id(key), self.seller.uid.as_str(), key);
        let (_feed, keys) = watch::channel(Arc::new(keys));
        let policy = Policy { audience: "link", kind: LINK_KIND, max_life: LIFE };
        let Ok(claims) = Verifier::<LinkClaims>::new(policy, keys).verify(token, now.as_secs()) else { return false };
        claims.sub == self.delivery.as_str()
            && claims.stage == stage.as_str()
            && self.upc.is_none_or(|upc| claims.upc == upc.as_str())
    }
}

#[cfg(test)]
mod tests {
    use waybill_protocol::{AgreementSecret, Custody, Ed25519Key, Hash, Name, Role, version};

    use super::*;

    const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);

    fn statement(role: Role, seed: &[u8; 32]) -> KeyStatement {
        KeyStatement {
            version: version::CURRENT,
            uid: Uid::new("u-1").unwrap(),
            namespace: Name::new("shop").unwrap(),
            name: Name::new("somebody").unwrap(),
            role,
            custody: Custody::Managed,
            ed25519: Ed25519Key::from(ed25519_dalek::SigningKey::from_bytes(seed).verifying_key()),
            x25519: Some(AgreementSecret::from_bytes([8; 32]).public()),
            tls_spki_sha256: Hash::NONE,
            epoch: 1,
            not_before: UnixMillis(0),
            not_after: UnixMillis(u64::MAX),
        }
    }

    fn later(seconds: u64) -> UnixMillis {
        UnixMillis::from_secs(NOW.as_secs() + seconds)
    }

    /// The original's carrier had one token, made at its start: idle for two minutes, it could report nothing any more.
    #[test]
    fn d77_a_token_is_made_anew_long_before_it_ends() {
        let tokens = ApiTokens::new(&statement(Role::Carrier, &[7; 32]), &[7; 32]);
        let token = tokens.make("d-1", Some("UPC_1"), NOW);
        assert!(token.is_fresh(NOW) && token.is_fresh(later(FRESH)));
        assert!(!token.is_fresh(later(FRESH + 1)), "with a minute left for its way");
        assert!(!token.is_fresh(UnixMillis::from_secs(NOW.as_secs() - 1)), "nor when the clock was put back");
        assert_eq!((LIFE, LIFE - FRESH), (120, 60));
    }

    #[test]
    fn d75_d76_d79_a_link_token_is_for_one_part_of_one_delivery_in_its_time() {
        let (seed, seller) = ([9; 32], statement(Role::Seller, &[9; 32]));
        let key = SigningKey::from_seed(key_id(seller.ed25519.as_bytes()), &seed);
        let good = serde_json::json!({"iss": "u-1", "aud": "link", "sub": "d-1", "upc": "UPC_1", "stage": "Door",
            "nbf": NOW.as_secs(), "iat": NOW.as_secs(), "exp": NOW.as_secs() + 120, "jti": "j"});
        let (delivery, upc) = (Uid::new("d-1").unwrap(), Upc::new("UPC_1").unwrap());
        let check = |kind: &str, claims: &serde_json::Value, now| {
            let expected = LinkTokens { seller: &seller, delivery: &delivery, upc: Some(&upc) };
            expected.check(&key.sign(kind, claims).unwrap(), Stage::Door, now)
        };
        assert!(check(LINK_KIND, &good, NOW) && check(LINK_KIND, &good, later(120)));
        assert!(!check(LINK_KIND, &good, later(126)));
        for kind in ["wb-seller-api+jwt", "wb-carrier-api+jwt", "wb-view+jwt", "JWT"] {
            assert!(!check(kind, &good, NOW), "{kind}");
        }
        for (claim, value) in [
            ("aud", "seller-api".into()),
            ("sub", "d-2".into()),
            ("upc", "UPC_2".into()),
            ("stage", "Country".into()),
            ("iss", "u-2".into()),
            ("nbf", NOW.as_secs().to_string().into()),
            ("exp", (NOW.as_secs() + 121).into()),
        ] {
            let mut bad = good.clone();
            bad[claim] = value;
            assert!(!check(LINK_KIND, &bad, NOW), "{claim}");
        }
        let another =
            SigningKey::from_seed(key_id(seller.ed25519.as_bytes()), &[1; 32]).sign(LINK_KIND, &good).unwrap();
        assert!(!LinkTokens { seller: &seller, delivery: &delivery, upc: None }.check(&another, Stage::Door, NOW));
    }
}
