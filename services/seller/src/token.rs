//! The Seller's tokens: to read one part of one order (its own Seller API, or its order system), and beside a part on its way
//! to the carrier. One delivery and one part each, two minutes long, made anew for every use (D-76, D-77, D-79).

use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use waybill_chassis::jwt::{self, Policy, SigningKey, Verifier};
use waybill_protocol::{KeyStatement, Stage, UnixMillis};

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
