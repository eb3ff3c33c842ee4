//! View tokens: made for those who show a grant, checked when they look. The key is the Carrier API's own, followed as it
//! lies in its Secret.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::jwt::{Keys, Refusal, Verifier, fresh_id};
use zeroize::Zeroizing;

use crate::grants::Audience;
use crate::http::{KeySet, PublicKey};
use crate::ring::Ring;
use crate::service::now;
use crate::tokens::{LIFE, Pass, VIEW};

/// The file with the raw seed.
pub(crate) const SEED: &str = "ed25519.seed";

/// Why there are no view tokens.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read the Carrier API's key: no 32 bytes in {SEED}")]
    Seed,
}

/// Signs and checks.
#[derive(Debug)]
pub(crate) struct Views {
    ring: Arc<Mutex<Ring>>,
    verifier: Verifier<Pass>,
}

/// A fresh token and when it ends.
pub(crate) struct Fresh {
    pub(crate) token: String,
    pub(crate) expires: u64,
}

impl Views {
    /// Follows the key in `files` as the identity `issuer`.
    pub(crate) fn follow(issuer: &str, files: watch::Receiver<Arc<Files>>) -> Result<Self, Error> {
        let first = seed(&files.borrow()).ok_or(Error::Seed)?;
        let ring = Ring::new(issuer, &first, now());
        let (sender, keys) = watch::channel(Arc::new(ring.keys()));
        let ring = Arc::new(Mutex::new(ring));
        tokio::spawn(turn(Arc::clone(&ring), files, sender));
        Ok(Self { ring, verifier: Verifier::new(VIEW, keys) })
    }

    /// A token for one delivery.
    pub(crate) fn issue(
        &self,
        (delivery, upc): (&str, &str),
        role: Audience,
    ) -> Result<Fresh, impl std::error::Error + 'static + use<>> {
        let (ring, now) = (lock(&self.ring), now());
        let expires = now + LIFE;
        let pass = Pass {
            iss: ring.issuer().to_owned(),
            aud: VIEW.audience.to_owned(),
            sub: delivery.to_owned(),
            upc: Some(upc.to_owned()),
            role,
            iat: now,
            nbf: now,
            exp: expires,
            jti: fresh_id(),
        };
        ring.signer(now).sign(VIEW.kind, &pass).map(|token| Fresh { token, expires })
    }

    /// The claims of a token that is good now.
    pub(crate) fn check(&self, token: &str) -> Result<Arc<Pass>, Refusal> {
        self.verifier.verify(token, now())
    }

    /// The public keys as a JWK set (RFC 7517, RFC 8037).
    pub(crate) fn jwks(&self) -> KeySet {
        let ring = lock(&self.ring);
        let key = |(kid, public): (&str, &[u8; 32])| PublicKey {
            kty: "OKP",
            crv: "Ed25519",
            alg: "EdDSA",
            usage: "sig",
            kid: kid.to_owned(),
            x: URL_SAFE_NO_PAD.encode(public),
        };
        KeySet { keys: ring.public().map(key).collect() }
    }
}

/// Nothing that can panic runs under this lock.
fn lock(ring: &Mutex<Ring>) -> MutexGuard<'_, Ring> {
    ring.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Keeps the ring turning until nobody verifies any more.
async fn turn(ring: Arc<Mutex<Ring>>, mut files: watch::Receiver<Arc<Files>>, keys: watch::Sender<Arc<Keys>>) {
    loop {
        let until_prune = lock(&ring).next_prune().map(|at| Duration::from_secs(at.saturating_sub(now())));
        tokio::select! {
            () = keys.closed() => return,
            changed = files.changed() => if changed.is_err() { return },
            () = tokio::time::sleep(until_prune.unwrap_or(Duration::MAX)) => {}
        }
        let seed = seed(&files.borrow_and_update());
        let mut ring = lock(&ring);
        let taken = seed.is_some_and(|seed| ring.take(&seed, now()));
        if ring.prune(now()) || taken {
            tracing::info!(keys = ring.public().count(), "keys of view tokens changed");
            keys.send_replace(Arc::new(ring.keys()));
        }
    }
}

pub(crate) fn seed(files: &Files) -> Option<Zeroizing<[u8; 32]>> {
    files.get(SEED)?.try_into().ok().map(Zeroizing::new)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn files(seed: u8) -> Arc<Files> {
        Arc::new(Files::from_iter([(SEED, vec![seed; 32])]))
    }

    #[tokio::test]
    async fn d79_a_new_key_is_published_beside_the_old_one_and_both_count() {
        let (publish, source) = watch::channel(files(1));
        let views = Views::follow("api", source).unwrap();
        let before = views.issue(("d-1", "UPC_1"), Audience::Viewer).unwrap_or_else(|error| panic!("{error}")).token;
        assert_eq!(views.jwks().keys.len(), 1);
        publish.send_replace(files(2));
        let both = async {
            while views.jwks().keys.len() < 2 {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), both).await.unwrap();
        let pass = views.check(&before).unwrap();
        assert_eq!((pass.sub.as_str(), pass.upc.as_deref()), ("d-1", Some("UPC_1")));
        let after = views.issue(("d-1", "UPC_1"), Audience::Viewer).unwrap_or_else(|error| panic!("{error}")).token;
        assert!(views.check(&after).is_ok());
    }

    #[tokio::test]
    async fn without_a_key_there_are_no_tokens() {
        let (_publish, source) = watch::channel(Arc::new(Files::default()));
        assert!(matches!(Views::follow("api", source), Err(Error::Seed)));
    }
}
