//! What tokens say here, and whose signatures on them count (RFC 8725 is `waybill_chassis::jwt`'s).
//!
//! Two audiences, never mixed: an agent's token opens its own deliveries, a view token one delivery to look at. An agent's
//! keys are those of its Carrier's key statement, under the hash of the key itself, for that Carrier's uid and no other.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use tokio::sync::watch;
use waybill_chassis::jwt::{Keys, Policy, key_id};
use waybill_cluster::objects::Changes;
use waybill_cluster::participants::{Participant, Participants};
use waybill_crds::Carrier;
use waybill_protocol::Trust;

use crate::grants::Audience;

/// The longest life of a token, in seconds.
pub(crate) const LIFE: u64 = 120;

/// Of agents, for this API.
pub(crate) const AGENT: Policy = Policy { audience: "carrier-api", kind: "wb-carrier-api+jwt", max_life: LIFE };
/// Of viewers, for this API, the board and the seller's positions.
pub(crate) const VIEW: Policy = Policy { audience: "view", kind: "wb-view+jwt", max_life: LIFE };

/// The claims of both kinds: of one delivery (`sub` its uid, with its `upc`), or of an agent alone (`sub` its own uid).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Pass {
    pub(crate) iss: String,
    pub(crate) aud: String,
    pub(crate) sub: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) upc: Option<String>,
    /// Of view tokens alone: whom the grant was for, where that is not any viewer.
    #[serde(default, skip_serializing_if = "Audience::is_viewer")]
    pub(crate) role: Audience,
    pub(crate) iat: u64,
    pub(crate) nbf: u64,
    pub(crate) exp: u64,
    pub(crate) jti: String,
}

waybill_chassis::registered_claims!(Pass);

/// The keys of every agent of the namespace, kept current until nobody listens.
pub(crate) fn agent_keys(carriers: Participants<Carrier>, trust: watch::Receiver<Trust>) -> watch::Receiver<Arc<Keys>> {
    let (sender, receiver) = watch::channel(Arc::new(Keys::default()));
    tokio::spawn(async move {
        let mut changes = carriers.changes();
        let mut book = Book { carriers, trust, known: BTreeMap::new() };
        loop {
            let changed = tokio::select! {
                () = sender.closed() => return,
                changed = book.trust.changed() => if changed.is_ok() { book.all() } else { return },
                uid = changes.next() => book.some(uid, &mut changes),
            };
            if changed {
                sender.send_replace(Arc::new(book.keys()));
            }
        }
    });
    receiver
}

/// Whose key is which.
struct Book {
    carriers: Participants<Carrier>,
    trust: watch::Receiver<Trust>,
    known: BTreeMap<String, [u8; 32]>,
}

impl Book {
    /// Looks at those that changed, all that wait at once. True if a key did.
    fn some(&mut self, first: String, changes: &mut Changes) -> bool {
        let waiting: Vec<String> = std::iter::once(first).chain(std::iter::from_fn(|| changes.try_next())).collect();
        let trust = self.trust.borrow().clone();
        self.look_at(waiting, &trust)
    }

    fn all(&mut self) -> bool {
        let trust = self.trust.borrow_and_update().clone();
        let there = self.carriers.all().into_iter().filter_map(|carrier| carrier.metadata.uid.clone());
        let uids: Vec<String> = self.known.keys().cloned().chain(there).collect();
        self.look_at(uids, &trust)
    }

    /// Every one of them, whatever the first ones say.
    fn look_at(&mut self, uids: Vec<String>, trust: &Trust) -> bool {
        let changed = uids.into_iter().filter(|uid| self.look(uid.clone(), trust));
        changed.count() > 0
    }

    fn look(&mut self, uid: String, trust: &Trust) -> bool {
        let carrier = self.carriers.object_of(&uid);
        match carrier.and_then(|carrier| stated_key(&carrier, &uid, trust)) {
            Some(key) => self.known.insert(uid, key) != Some(key),
            None => self.known.remove(&uid).is_some(),
        }
    }

    fn keys(&self) -> Keys {
        let add = |keys: Keys, (uid, key): (&String, &[u8; 32])| keys.with(key_id(key), uid, key);
        self.known.iter().fold(Keys::default(), add)
    }
}

/// The key the CA states for this Carrier. The statement's dates are looked at on every request.
fn stated_key(carrier: &Carrier, uid: &str, trust: &Trust) -> Option<[u8; 32]> {
    let statement = crate::statement::stated(carrier.key_statement()?, trust)?;
    let its_own = statement.uid.as_str() == uid && statement.role == Carrier::ROLE;
    its_own.then(|| *statement.ed25519.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn d79_the_two_audiences_have_nothing_in_common() {
        assert_ne!(AGENT.audience, VIEW.audience);
        assert_ne!(AGENT.kind, VIEW.kind);
    }

    /// The hole of another library: a time that is no number counted as absent.
    #[test]
    fn d75_claims_are_typed_and_closed() {
        let good = serde_json::json!({"iss": "a", "aud": "b", "sub": "c", "iat": 1, "nbf": 1, "exp": 2, "jti": "d"});
        assert!(serde_json::from_value::<Pass>(good.clone()).is_ok());
        for (claim, value) in [
            ("nbf", serde_json::json!("1")),
            ("upc", serde_json::json!(["x"])),
            ("role", "admin".into()),
            ("admin", true.into()),
        ] {
            let mut bad = good.clone();
            bad[claim] = value;
            assert!(serde_json::from_value::<Pass>(bad).is_err(), "{claim}");
        }
    }
}
