//! Chains of `watch` channels: files become material, material becomes configurations. What cannot be used is said
//! once and skipped: the last good value stays in force.

use std::error::Error as StdError;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::{Bundle, Error, FILES, Material};
use crate::files::{self, Files};
use crate::telemetry::report;

/// Loads the mounted leaf Secret in `dir` and follows it. Fails when the first load is unusable.
pub async fn watch_dir(
    dir: impl Into<PathBuf>,
    every: Duration,
    stop: CancellationToken,
) -> Result<watch::Receiver<Arc<Material>>, Error> {
    materials(files::watch(dir, FILES, every, stop).await.map_err(Error::Files)?)
}

/// Follows snapshots of [`FILES`], from wherever they come.
pub fn materials(files: watch::Receiver<Arc<Files>>) -> Result<watch::Receiver<Arc<Material>>, Error> {
    map("TLS material", files, |files| Material::from_files(files).map(Arc::new))
}

/// The leaf of one source with the roots of another.
pub fn with_bundle(
    mut material: watch::Receiver<Arc<Material>>,
    mut bundle: watch::Receiver<Arc<Bundle>>,
) -> watch::Receiver<Arc<Material>> {
    let combine = |material: &Material, bundle: &Bundle| Arc::new(material.with_bundle(bundle.clone()));
    let first = combine(&material.borrow_and_update(), &bundle.borrow_and_update());
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        loop {
            let alive = tokio::select! {
                changed = material.changed() => changed.is_ok(),
                changed = bundle.changed() => changed.is_ok(),
                () = sender.closed() => false,
            };
            if !alive {
                return;
            }
            let next = combine(&material.borrow_and_update(), &bundle.borrow_and_update());
            // A Secret brings roots of its own, which do not count here: only what is used makes anybody move.
            sender.send_if_modified(|current| {
                let new = !current.is_same(&next);
                *current = next;
                new
            });
        }
    });
    receiver
}

/// Client configurations that present the leaf, one for each new material.
pub fn client_configs(materials: watch::Receiver<Arc<Material>>) -> Result<watch::Receiver<Arc<ClientConfig>>, Error> {
    map("client configuration", materials, |material| material.client().map(Arc::new))
}

/// Maps every value of a channel; a failure after the first value keeps the last good one.
pub fn map<T, U, E>(
    what: &'static str,
    mut source: watch::Receiver<T>,
    convert: impl Fn(&T) -> Result<U, E> + Send + 'static,
) -> Result<watch::Receiver<U>, E>
where
    T: Send + Sync + 'static,
    U: Send + Sync + 'static,
    E: StdError + Send + 'static,
{
    let first = convert(&source.borrow_and_update())?;
    let (sender, receiver) = watch::channel(first);
    tokio::spawn(async move {
        loop {
            tokio::select! {
                changed = source.changed() => if changed.is_err() { return },
                () = sender.closed() => return,
            }
            let next = convert(&source.borrow_and_update());
            match next {
                Ok(next) => {
                    tracing::info!(what, "reloaded");
                    sender.send_replace(next);
                }
                Err(error) => tracing::warn!(what, error = %report(&error), "kept the last good value"),
            }
        }
    });
    Ok(receiver)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn certificate() -> (String, String) {
        let key = rcgen::KeyPair::generate().unwrap();
        let leaf = rcgen::CertificateParams::new(vec!["a".into()]).unwrap().self_signed(&key).unwrap();
        (leaf.pem(), key.serialize_pem())
    }

    #[tokio::test]
    async fn only_what_is_used_counts_as_a_change() {
        let ((leaf, key), (other, _)) = (certificate(), certificate());
        let material =
            |roots: &str| Arc::new(Material::from_pem(leaf.as_bytes(), key.as_bytes(), roots.as_bytes()).unwrap());
        let (secret, materials) = watch::channel(material(&leaf));
        let (published, bundles) = watch::channel(Arc::new(Bundle::from_pem(leaf.as_bytes()).unwrap()));
        let mut used = with_bundle(materials, bundles);
        used.borrow_and_update();
        // The Secret's own roots, which the published ones stand before; then those.
        secret.send_replace(material(&other));
        published.send_replace(Arc::new(Bundle::from_pem(other.as_bytes()).unwrap()));
        used.changed().await.unwrap();
        assert!(*used.borrow_and_update().bundle() == **published.borrow(), "the published one");
        secret.send_replace(material(&leaf));
        published.send_replace(Arc::new(Bundle::from_pem(other.as_bytes()).unwrap()));
        secret.send_replace(material(&other));
        drop((secret, published));
        // It ends when nobody can change anything any more, without having had anything to say.
        assert!(used.changed().await.is_err());
    }
}
