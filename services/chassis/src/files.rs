//! Small files that someone else replaces: mounted Secrets and ConfigMaps, enrolled keys on a device.
//!
//! A kubelet replaces a mount by swapping one symlink, which inotify on the files never sees; so this polls what the
//! names resolve to (device, inode, time, size), which is a few `stat` calls a round and right for any writer. A
//! snapshot counts only when nothing moved while it was read.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

/// How often mounted files are looked at. A kubelet needs up to a minute to write them.
pub const POLL: Duration = Duration::from_secs(2);

/// Larger than any Secret or ConfigMap can be.
const MAX_FILE: u64 = 2 << 20;

/// How often one scan starts over because files moved under it.
const ATTEMPTS: usize = 10;

/// Why files could not be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to read file {path:?}")]
    Read {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("refused file {path:?} of {size} bytes")]
    TooLarge { path: PathBuf, size: u64 },
    #[error("failed to read folder {dir:?}: files kept moving")]
    Moving { dir: PathBuf },
    #[error("failed to read files: the reading task ended")]
    Ended,
}

/// The content of some named files at one moment; absent ones are absent.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Files {
    content: BTreeMap<&'static str, Vec<u8>>,
}

impl Files {
    /// The bytes of one file.
    pub fn get(&self, name: &str) -> Option<&[u8]> {
        self.content.get(name).map(Vec::as_slice)
    }

    /// A one-line text file such as a host name, trimmed.
    pub fn text(&self, name: &str) -> Option<&str> {
        self.get(name).and_then(|bytes| std::str::from_utf8(bytes).ok()).map(str::trim)
    }
}

// Content may be a key.
impl fmt::Debug for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.content.keys()).finish()
    }
}

impl FromIterator<(&'static str, Vec<u8>)> for Files {
    fn from_iter<I: IntoIterator<Item = (&'static str, Vec<u8>)>>(content: I) -> Self {
        Self { content: content.into_iter().collect() }
    }
}

#[derive(Debug, PartialEq, Eq, Clone, Copy)]
struct Stamp {
    device: u64,
    inode: u64,
    seconds: i64,
    nanos: i64,
    size: u64,
}

type Stamps = BTreeMap<&'static str, Stamp>;

/// Reads `names` in `dir` now and again whenever one changes, until `stop` or until nobody listens.
pub async fn watch(
    dir: impl Into<PathBuf>,
    names: &'static [&'static str],
    every: Duration,
    stop: CancellationToken,
) -> Result<watch::Receiver<Arc<Files>>, Error> {
    let dir = dir.into();
    let (mut seen, files) = blocking(dir.clone(), names, None).await?.ok_or(Error::Ended)?;
    let (sender, receiver) = watch::channel(Arc::new(files));
    tokio::spawn(async move {
        let mut quiet = true;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                () = sender.closed() => return,
                () = tokio::time::sleep(every) => {}
            }
            match blocking(dir.clone(), names, Some(seen.clone())).await {
                Ok(None) => quiet = true,
                Ok(Some((stamps, files))) => {
                    quiet = true;
                    seen = stamps;
                    sender.send_if_modified(|old| {
                        let new = **old != files;
                        if new {
                            *old = Arc::new(files);
                        }
                        new
                    });
                }
                // The last good content stays in force; said once, not every round.
                Err(error) if quiet => {
                    quiet = false;
                    tracing::warn!(error = %crate::telemetry::report(&error), "mounted files are unreadable");
                }
                Err(_) => {}
            }
        }
    });
    Ok(receiver)
}

async fn blocking(
    dir: PathBuf,
    names: &'static [&'static str],
    seen: Option<Stamps>,
) -> Result<Option<(Stamps, Files)>, Error> {
    let scan = tokio::task::spawn_blocking(move || scan(&dir, names, seen.as_ref()));
    scan.await.map_err(|_| Error::Ended)?
}

/// `None` when everything still carries the stamps of `seen`.
fn scan(dir: &Path, names: &[&'static str], seen: Option<&Stamps>) -> Result<Option<(Stamps, Files)>, Error> {
    for _ in 0..ATTEMPTS {
        let before = stamps(dir, names)?;
        if Some(&before) == seen {
            return Ok(None);
        }
        let mut content = BTreeMap::new();
        for (&name, stamp) in &before {
            let path = dir.join(name);
            if stamp.size > MAX_FILE {
                return Err(Error::TooLarge { path, size: stamp.size });
            }
            match fs::read(&path) {
                Ok(bytes) => content.insert(name, bytes),
                Err(source) if source.kind() == io::ErrorKind::NotFound => None,
                Err(source) => return Err(Error::Read { path, source }),
            };
        }
        if stamps(dir, names)? == before {
            return Ok(Some((before, Files { content })));
        }
    }
    Err(Error::Moving { dir: dir.to_owned() })
}

fn stamps(dir: &Path, names: &[&'static str]) -> Result<Stamps, Error> {
    let mut stamps = Stamps::new();
    for name in names {
        let path = dir.join(name);
        match fs::metadata(&path) {
            Ok(meta) => {
                let (device, inode, size) = (meta.dev(), meta.ino(), meta.len());
                stamps.insert(name, Stamp { device, inode, seconds: meta.mtime(), nanos: meta.mtime_nsec(), size });
            }
            Err(source) if source.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(stamps)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    const NAMES: &[&str] = &["a", "b"];
    const FAST: Duration = Duration::from_millis(5);

    /// Writes the layout a kubelet makes: `a` → `..data/a`, `..data` → a dated folder, swapped by rename.
    fn publish(dir: &Path, version: &str, files: &[(&str, &str)]) {
        let dated = dir.join(format!("..{version}"));
        fs::create_dir(&dated).unwrap();
        for (name, text) in files {
            fs::write(dated.join(name), text).unwrap();
            if fs::symlink_metadata(dir.join(name)).is_err() {
                symlink(format!("..data/{name}"), dir.join(name)).unwrap();
            }
        }
        symlink(format!("..{version}"), dir.join("..data_tmp")).unwrap();
        fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
    }

    async fn next(receiver: &mut watch::Receiver<Arc<Files>>) -> Arc<Files> {
        tokio::time::timeout(Duration::from_secs(10), receiver.changed()).await.unwrap().unwrap();
        receiver.borrow_and_update().clone()
    }

    #[tokio::test]
    async fn a_swapped_symlink_is_seen_as_one_change_of_all_files() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), "1", &[("a", "one"), ("b", "one")]);
        let mut files = watch(dir.path(), NAMES, FAST, CancellationToken::new()).await.unwrap();
        assert_eq!(files.borrow_and_update().text("a"), Some("one"));

        publish(dir.path(), "2", &[("a", "two"), ("b", "two")]);
        let seen = next(&mut files).await;
        assert_eq!((seen.text("a"), seen.text("b")), (Some("two"), Some("two")));
    }

    #[tokio::test]
    async fn a_missing_file_is_absent_until_it_appears() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), "1", &[("a", "one")]);
        let mut files = watch(dir.path(), NAMES, FAST, CancellationToken::new()).await.unwrap();
        assert_eq!(files.borrow_and_update().get("b"), None);
        publish(dir.path(), "2", &[("a", "one"), ("b", "here")]);
        assert_eq!(next(&mut files).await.text("b"), Some("here"));
    }

    #[tokio::test]
    async fn the_same_content_written_again_is_no_change() {
        let dir = tempfile::tempdir().unwrap();
        publish(dir.path(), "1", &[("a", "one")]);
        let mut files = watch(dir.path(), NAMES, FAST, CancellationToken::new()).await.unwrap();
        files.borrow_and_update();
        publish(dir.path(), "2", &[("a", "one")]);
        publish(dir.path(), "3", &[("a", "three")]);
        assert_eq!(next(&mut files).await.text("a"), Some("three"));
        assert!(!files.has_changed().unwrap());
    }

    #[test]
    fn content_never_shows_in_debug() {
        let files = Files::from_iter([("tls.key", b"secret".to_vec())]);
        assert_eq!(format!("{files:?}"), r#"{"tls.key"}"#);
    }
}
