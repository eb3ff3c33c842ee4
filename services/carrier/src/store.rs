//! What is kept outside the cluster and can be erased: photos, and the hashes of grants. A folder by default, S3 by
//! configuration.
//!
//! Objects lie under the uid of their delivery, so that all of it goes at once. A write is whole or not there; a folder
//! is synced before a write is believed.

use std::error::Error as StdError;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures::stream::BoxStream;
use futures::{StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::local::LocalFileSystem;
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};

use crate::config::Bucket;

/// How long a bucket may not answer before that is said.
const PATIENCE: Duration = Duration::from_secs(10);

/// Why there is no store.
#[derive(Debug, thiserror::Error)]
pub enum OpenError {
    #[error("failed to read {0:?} as the place of photos: it must be file:///folder or s3://bucket/prefix")]
    Url(String),
    #[error("failed to use the folder of photos {dir:?}")]
    Folder {
        dir: PathBuf,
        #[source]
        source: object_store::Error,
    },
    #[error("failed to use the bucket of photos")]
    Bucket(#[source] object_store::Error),
}

/// Why something was not stored or read.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("the store is full")]
    Full(#[source] object_store::Error),
    #[error("failed to {verb} an object of the store")]
    Failed {
        verb: &'static str,
        #[source]
        source: object_store::Error,
    },
}

/// Cheap to clone.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    objects: Arc<dyn ObjectStore>,
}

impl Store {
    /// `file:///folder`, which must be there, or `s3://bucket/prefix` with the rest in `settings`.
    pub(crate) fn open(url: &str, settings: &Bucket) -> Result<Self, OpenError> {
        let unknown = || OpenError::Url(url.to_owned());
        match url.split_once("://").ok_or_else(unknown)? {
            ("file", dir) if dir.starts_with('/') => {
                let folder = LocalFileSystem::new_with_prefix(dir)
                    .map_err(|source| OpenError::Folder { dir: dir.into(), source })?;
                remove_staged(dir.as_ref());
                Ok(Self { objects: Arc::new(folder.with_fsync(true).with_automatic_cleanup(true)) })
            }
            ("s3", rest) => {
                let (bucket, prefix) = rest.split_once('/').unwrap_or((rest, ""));
                if bucket.is_empty() {
                    return Err(unknown());
                }
                Self::of_bucket(builder(settings).with_bucket_name(bucket), prefix)
            }
            _ => Err(unknown()),
        }
    }

    fn of_bucket(bucket: AmazonS3Builder, prefix: &str) -> Result<Self, OpenError> {
        // Whoever waits for the answer asks again by itself.
        let retry = RetryConfig { max_retries: 3, retry_timeout: PATIENCE, ..RetryConfig::default() };
        let bucket = bucket.with_retry(retry).build().map_err(OpenError::Bucket)?;
        Ok(Self { objects: Arc::new(PrefixStore::new(bucket, Path::from(prefix))) })
    }

    pub(crate) async fn put(&self, path: &Path, bytes: Vec<u8>) -> Result<(), Error> {
        let put = self.objects.put(path, PutPayload::from(bytes)).await;
        put.map(drop).map_err(|source| if is_full(&source) { Error::Full(source) } else { failed("write", source) })
    }

    /// `None` when there is none.
    pub(crate) async fn get(&self, path: &Path) -> Result<Option<Bytes>, Error> {
        let found = async { self.objects.get(path).await?.bytes().await }.await;
        absent_is_none(found, "read")
    }

    /// Its size and its bytes as they come, so that nothing large is held; `None` when there is none.
    pub(crate) async fn read(
        &self,
        path: &Path,
    ) -> Result<Option<(u64, BoxStream<'static, object_store::Result<Bytes>>)>, Error> {
        let found = absent_is_none(self.objects.get(path).await, "read")?;
        Ok(found.map(|found| (found.meta.size, found.into_stream())))
    }

    pub(crate) async fn has(&self, path: &Path) -> Result<bool, Error> {
        Ok(absent_is_none(self.objects.head(path).await, "find")?.is_some())
    }

    /// True if it was there.
    pub(crate) async fn delete(&self, path: &Path) -> Result<bool, Error> {
        if !self.has(path).await? {
            return Ok(false);
        }
        Ok(absent_is_none(self.objects.delete(path).await, "remove")?.is_some())
    }

    /// The names beneath a folder, in no order.
    pub(crate) async fn list(&self, folder: &Path) -> Result<Vec<Path>, Error> {
        let found = self.objects.list(Some(folder)).map_ok(|meta| meta.location).try_collect::<Vec<_>>().await;
        Ok(absent_is_none(found, "list")?.unwrap_or_default())
    }

    /// Removes everything beneath a folder; how many that were.
    pub(crate) async fn clear(&self, folder: &Path) -> Result<usize, Error> {
        let names = self.list(folder).await?;
        let count = names.len();
        let gone = futures::stream::iter(names).map(|name| async move { self.delete(&name).await });
        gone.buffer_unordered(4).try_for_each(|_| async { Ok(()) }).await?;
        Ok(count)
    }
}

/// A SHA-256 as it stands in a name: nothing else of what somebody asks for becomes part of a path.
pub(crate) fn is_hash(text: &str) -> bool {
    text.len() == 64 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

fn builder(settings: &Bucket) -> AmazonS3Builder {
    settings.settings().fold(AmazonS3Builder::new(), |builder, (name, value)| {
        // There are `AWS_…` variables for other programs.
        match name.to_ascii_lowercase().parse() {
            Ok(key) => builder.with_config(key, value),
            Err(_) => builder,
        }
    })
}

fn absent_is_none<T>(found: object_store::Result<T>, verb: &'static str) -> Result<Option<T>, Error> {
    match found {
        Ok(found) => Ok(Some(found)),
        Err(object_store::Error::NotFound { .. }) => Ok(None),
        Err(source) => Err(failed(verb, source)),
    }
}

fn failed(verb: &'static str, source: object_store::Error) -> Error {
    Error::Failed { verb, source }
}

/// Removes what a write left that did not end: beside its name, with a number after `#`. No list shows such a file, so
/// nothing else would ever remove it. What can't be removed is only room.
fn remove_staged(folder: &std::path::Path) {
    let Ok(entries) = std::fs::read_dir(folder) else { return };
    for entry in entries.flatten() {
        let (path, name) = (entry.path(), entry.file_name());
        // Links are not followed.
        match entry.file_type() {
            Ok(kind) if kind.is_dir() => remove_staged(&path),
            Ok(kind) if kind.is_file() && is_staged(&name.to_string_lossy()) => {
                if let Err(error) = std::fs::remove_file(&path) {
                    tracing::warn!(%error, "failed to remove what an unfinished write left");
                }
            }
            _ => {}
        }
    }
}

fn is_staged(name: &str) -> bool {
    let number = name.rsplit_once('#').map(|(_, number)| number);
    number.is_some_and(|number| !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit()))
}

/// A volume or a quota without room, however deep the word stands in the chain.
fn is_full(error: &(dyn StdError + 'static)) -> bool {
    let Some(io) = error.downcast_ref::<io::Error>() else { return error.source().is_some_and(is_full) };
    // An I/O error shows the source of what it wraps, and hides what it wraps.
    let wrapped = || io.get_ref().is_some_and(|inner| is_full(inner));
    matches!(io.kind(), io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded) || wrapped()
}

#[cfg(test)]
mod tests;
