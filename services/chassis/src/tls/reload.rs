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
            sender.send_replace(next);
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
