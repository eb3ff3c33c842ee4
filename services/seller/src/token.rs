//! The Seller's tokens: to read one part of one order (its own Seller API, or its order system), and beside a part on its way
//! to the carrier. One delivery and one part each, two minutes long, made anew for every use (D-76, D-77, D-79).

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::jwt::{self, Policy, SigningKey, Verifier};
use waybill_cluster::trust::carrier_api_statement;
use waybill_protocol::{KeyStatement, Role, Stage, Trust, UnixMillis};

use crate::clock::now as wall;
use crate::keys::Keys;

/// Seconds from `nbf` to `exp`.
pub const LIFE: u64 = 120;
/// What the Seller API accepts.
pub const SELLER_API: Policy = Policy { audience: "seller-api", kind: "wb-seller-api+jwt", max_life: LIFE };
const LINK: Policy = Policy { audience: "link", kind: "wb-link+jwt", max_life: LIFE };

/// The claims of both kinds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Pass {
    /// Uid of the Seller.
    pub iss: String,
    pub aud: String,
    /// Uid of the Delivery.
    pub sub: String,
    pub upc: String,
    /// The one part it is for.
    pub stage: String,
    pub nbf: u64,
    pub iat: u64,
    pub exp: u64,
    pub jti: String,
}

waybill_chassis::registered_claims!(Pass);

/// What the Carrier API lets somebody see, for whom it signs: one delivery.
pub(crate) const VIEW: Policy = Policy { audience: "view", kind: "wb-view+jwt", max_life: LIFE };
/// How long the Carrier API may sign with a key after its statement names another one: it shows the new one first.
const FORMER_COUNTS: Duration = Duration::from_secs(300);
/// Between looks at whether a statement is still valid.
const LOOK: Duration = Duration::from_secs(30);

/// The claims of a view token.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ViewPass {
    /// Uid of the Carrier API.
    pub iss: String,
    pub aud: String,
    /// Uid of the Delivery.
    pub sub: String,
    pub upc: String,
    /// Whom the grant behind it was made for, where that is not any viewer: `recipient`.
    #[serde(default)]
    pub role: Option<String>,
    pub nbf: u64,
    pub iat: u64,
    pub exp: u64,
    pub jti: String,
}

waybill_chassis::registered_claims!(ViewPass);

/// Makes them.
#[derive(Clone)]
pub struct Tokens {
    key: SigningKey,
    issuer: String,
}

impl fmt::Debug for Tokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tokens").field("issuer", &self.issuer).finish_non_exhaustive()
    }
}

impl Tokens {
    /// `seed`: the raw bytes of the Ed25519 key the statement names.
    pub fn new(statement: &KeyStatement, seed: &[u8; 32]) -> Self {
        let key = SigningKey::from_seed(jwt::key_id(statement.ed25519.as_bytes()), seed);
        Self { key, issuer: statement.uid.to_string() }
    }

    /// To read one part of an order.
    pub fn seller_api(&self, delivery: &str, upc: &str, stage: Stage, now: UnixMillis) -> String {
        self.make(&SELLER_API, (delivery, upc, stage), now)
    }

    /// Beside a part, for the carrier's agent.
    pub fn link(&self, delivery: &str, upc: &str, stage: Stage, now: UnixMillis) -> String {
        self.make(&LINK, (delivery, upc, stage), now)
    }

    fn make(&self, policy: &Policy, (delivery, upc, stage): (&str, &str, Stage), now: UnixMillis) -> String {
        let now = now.as_secs();
        let claims = Pass {
            iss: self.issuer.clone(),
            aud: policy.audience.to_owned(),
            sub: delivery.to_owned(),
            upc: upc.to_owned(),
            stage: stage.to_string(),
            nbf: now,
            iat: now,
            exp: now + policy.max_life,
            jti: jwt::fresh_id(),
        };
        self.key.sign(policy.kind, &claims).expect("an Ed25519 key signs claims of texts and numbers")
    }
}

/// Checks tokens for the Seller API by the Seller's own key.
pub(crate) fn verifier(mut keys: watch::Receiver<Option<Arc<Keys>>>) -> Verifier<Pass> {
    let (sender, receiver) = watch::channel(Arc::new(jwt::Keys::default()));
    tokio::spawn(async move {
        loop {
            if let Some(keys) = keys.borrow_and_update().clone() {
                let stated = keys.signer.statement();
                let public = stated.ed25519.as_bytes();
                sender.send_replace(Arc::new(jwt::Keys::default().with(
                    jwt::key_id(public),
                    stated.uid.as_str(),
                    public,
                )));
            }
            tokio::select! {
                () = sender.closed() => return,
                changed = keys.changed() => if changed.is_err() { return },
            }
        }
    });
    Verifier::new(SELLER_API, receiver)
}

/// Checks view tokens by the key that the namespace's Carrier API is stated to have, by the authorities of `trust`.
pub(crate) fn viewers(
    namespace: String,
    mut published: watch::Receiver<Arc<Files>>,
    mut trust: watch::Receiver<Trust>,
) -> Verifier<ViewPass> {
    let (sender, receiver) = watch::channel(Arc::new(jwt::Keys::default()));
    tokio::spawn(async move {
        let (mut current, mut former) = (None, None);
        loop {
            let stated = stated(&namespace, &published.borrow_and_update(), &trust.borrow_and_update());
            let next = stated.map(|statement| (statement.uid.to_string(), *statement.ed25519.as_bytes()));
            let over = former.take_if(|(_, since): &mut (Key, Instant)| since.elapsed() >= FORMER_COUNTS).is_some();
            if next != current || over {
                former = current.take().filter(|_| next.is_some()).map(|key| (key, Instant::now())).or(former);
                current = next;
                // A former key counts within one identity: what was revoked overlaps with nothing.
                let issuer = current.as_ref().map(|(issuer, _): &Key| issuer.clone());
                let same = former.iter().map(|(key, _)| key).filter(|(uid, _)| Some(uid) == issuer.as_ref());
                let all = current.iter().chain(same);
                let keys =
                    all.fold(jwt::Keys::default(), |keys, (issuer, key)| keys.with(jwt::key_id(key), issuer, key));
                sender.send_replace(Arc::new(keys));
            }
            let alive = tokio::select! {
                () = sender.closed() => false,
                changed = published.changed() => changed.is_ok(),
                changed = trust.changed() => changed.is_ok(),
                () = tokio::time::sleep(LOOK) => true,
            };
            if !alive {
                return;
            }
        }
    });
    Verifier::new(VIEW, receiver)
}

/// Issuer and key.
type Key = (String, [u8; 32]);

/// What the authorities say of the namespace's Carrier API now.
fn stated(namespace: &str, published: &Files, trust: &Trust) -> Option<KeyStatement> {
    let statement = trust.statement(&carrier_api_statement(published)?).ok()?;
    let its_own = statement.role == Role::CarrierApi && statement.namespace.as_str() == namespace;
    let now = wall();
    (its_own && (statement.not_before..statement.not_after).contains(&now)).then_some(statement)
}

#[cfg(test)]
mod tests {
    use waybill_protocol::{AgreementSecret, Custody, Ed25519Key, Hash, Name, Role, Uid, version};

    use super::*;

    const NOW: u64 = 1_800_000_000;

    fn tokens() -> (Tokens, watch::Receiver<Arc<jwt::Keys>>) {
        let seed = [7; 32];
        let ed25519 = Ed25519Key::from(ed25519_dalek::SigningKey::from_bytes(&seed).verifying_key());
        let statement = KeyStatement {
            version: version::CURRENT,
            uid: Uid::new("s-1").unwrap(),
            namespace: Name::new("shop").unwrap(),
            name: Name::new("acme").unwrap(),
            role: Role::Seller,
            custody: Custody::Managed,
            ed25519,
            x25519: Some(AgreementSecret::from_bytes([8; 32]).public()),
            tls_spki_sha256: Hash::NONE,
            epoch: 1,
            not_before: UnixMillis(0),
            not_after: UnixMillis(u64::MAX),
        };
        let keys = jwt::Keys::default().with(jwt::key_id(ed25519.as_bytes()), "s-1", ed25519.as_bytes());
        (Tokens::new(&statement, &seed), watch::channel(Arc::new(keys)).1)
    }

    #[test]
    fn d75_d79_a_token_lives_two_minutes_for_one_part_and_one_audience() {
        let (tokens, keys) = tokens();
        let now = UnixMillis::from_secs(NOW);
        let (part, link) =
            (tokens.seller_api("d-1", "UPC_1", Stage::Door, now), tokens.link("d-1", "UPC_1", Stage::Door, now));
        let verifier = |policy: &Policy| Verifier::<Pass>::new(policy.clone(), keys.clone());
        let pass = verifier(&SELLER_API).verify(&part, NOW).unwrap();
        let said = (pass.iss.as_str(), pass.sub.as_str(), pass.upc.as_str(), pass.stage.as_str());
        assert_eq!(said, ("s-1", "d-1", "UPC_1", Stage::Door.as_str()));
        assert_eq!((pass.exp - pass.nbf, pass.iat), (120, NOW));
        assert!(verifier(&SELLER_API).verify(&link, NOW).is_err() && verifier(&LINK).verify(&part, NOW).is_err());
        assert!(verifier(&LINK).verify(&link, NOW).is_ok());
        assert!(verifier(&SELLER_API).verify(&part, NOW + 126).is_err(), "the next one is made then (D-77)");
        assert_ne!(part, tokens.seller_api("d-1", "UPC_1", Stage::Door, now), "none is another's twin");
    }
}
