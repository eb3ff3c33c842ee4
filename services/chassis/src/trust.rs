//! What a process trusts right now: the bundle of roots and the list of revocations, kept current from published files,
//! whichever way they arrive (a mounted folder, an object watched through an API).
//!
//! Trust: who may write those files decides who is believed; the files themselves are public. A damaged or missing part
//! leaves the last good one in force.

use std::sync::Arc;

use tokio::sync::watch;

use crate::files::Files;
use crate::probes::Gate;
use crate::revocation::{self, Feed, Revocations};
use crate::telemetry::report;
use crate::tls::{Bundle, Material, with_bundle};

/// Names of the published files.
pub const FILES: &[&str] = &["ca.crt", "revoked.json"];

/// The two things that are trusted, each following its source.
#[derive(Debug, Clone)]
pub struct Trust {
    /// The roots peers are checked against.
    pub bundle: watch::Receiver<Arc<Bundle>>,
    /// Who is refused all the same.
    pub revocations: Revocations,
}

impl Trust {
    /// Follows `files`, starting from the roots that came with the leaf. `gate` opens with the first list of
    /// revocations.
    pub fn follow(leaf: &Material, mut files: watch::Receiver<Arc<Files>>, gate: Gate) -> Self {
        let (roots, bundle) = watch::channel(Arc::new(leaf.bundle().clone()));
        let (feed, revocations) = revocation::channel();
        gate.close("no list of revocations yet");
        tokio::spawn(async move {
            loop {
                let published = files.borrow_and_update().clone();
                take_bundle(&published, &roots);
                take_revocations(&published, &feed, &gate);
                if files.changed().await.is_err() {
                    return;
                }
            }
        });
        Self { bundle, revocations }
    }

    /// The leaf of `material` with the roots of this trust.
    pub fn apply(&self, material: watch::Receiver<Arc<Material>>) -> watch::Receiver<Arc<Material>> {
        with_bundle(material, self.bundle.clone())
    }
}

fn take_bundle(published: &Files, roots: &watch::Sender<Arc<Bundle>>) {
    let Some(pem) = published.get("ca.crt") else { return };
    match Bundle::from_pem(pem) {
        Ok(bundle) => {
            roots.send_if_modified(|current| {
                let new = **current != bundle;
                if new {
                    tracing::info!(roots = bundle.len(), "trust bundle in force");
                    *current = Arc::new(bundle);
                }
                new
            });
        }
        Err(error) => tracing::warn!(error = %report(&error), "kept the last good trust bundle"),
    }
}

fn take_revocations(published: &Files, feed: &Feed, gate: &Gate) {
    let Some(json) = published.get("revoked.json") else { return };
    match feed.offer_json(json) {
        Ok(_) => gate.open(),
        Err(error) => tracing::warn!(error = %report(&error), "kept the last good list of revocations"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::probes::Probes;
    use std::time::Duration;

    const REVOKED: &[u8] = br#"{"number":1,"entries":[{"serial":"0a","uid":"u1"}]}"#;

    fn root() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        (rcgen::CertificateParams::default().self_signed(&key).unwrap().pem(), key.serialize_pem())
    }

    fn files(pem: &str, revoked: &[u8]) -> Arc<Files> {
        Arc::new([("ca.crt", pem.as_bytes().to_vec()), ("revoked.json", revoked.to_vec())].into_iter().collect())
    }

    async fn until(mut done: impl FnMut() -> bool) {
        let wait = async {
            while !done() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap();
    }

    #[tokio::test]
    async fn what_is_published_comes_into_force_and_damage_does_not() {
        let ((old, key), (new, _)) = (root(), root());
        let leaf = Material::from_pem(old.as_bytes(), key.as_bytes(), old.as_bytes()).unwrap();
        let (publish, source) = watch::channel(Arc::new(Files::default()));
        let probes = Probes::new(&["trust"]);
        let mut trust = Trust::follow(&leaf, source, probes.gate("trust"));
        assert!(!probes.ready());

        publish.send_replace(files(&format!("{old}{new}"), REVOKED));
        until(|| probes.ready() && trust.bundle.borrow().len() == 2).await;
        assert!(trust.revocations.current().unwrap().names("u1"));
        trust.bundle.borrow_and_update();

        publish.send_replace(files("junk", b"junk"));
        publish.send_replace(files(&new, br#"{"number":2,"entries":[]}"#));
        until(|| trust.bundle.borrow().len() == 1).await;
        until(|| trust.revocations.current().unwrap().number() == 2).await;
    }
}
