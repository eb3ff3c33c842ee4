//! The journal of one delivery: what the agent knows and has said, on its own disk before anything of it leaves.
//!
//! An append-only file of frames (length, CRC-32, a group of records), one group an `fsync`. A group is whole or it is
//! not there: what a crash tore off the end is cut away when the file is opened. Secrets leave by [`Journal::rewrite`]:
//! the file is written anew without them and takes the old one's place, whose bytes are overwritten.
//!
//! Trusted: the device's disk. A damaged file ends where the damage begins; what is missing is read from the log. That
//! something was cut stands in the file itself (an empty group) until it is rewritten: no restart forgets it.

mod record;

use std::collections::HashSet;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Seek as _, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use waybill_protocol::Uid;
use zeroize::Zeroizing;

pub use record::{HeldKey, Record};

/// First bytes of every journal: what it is, and its version.
const MAGIC: &[u8; 8] = b"waybill\x01";
/// A group is never larger: a photo is, by far, the largest thing in one.
const MAX_GROUP: usize = 8 << 20;
const SUFFIX: &str = "journal";
/// A journal that is about to take the place of another.
const NEXT: &str = "next";

/// Why a journal can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to {what} journal {path:?}")]
    Io {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("journal {path:?} is open already")]
    Busy { path: PathBuf },
    #[error("failed to read journal {path:?}: it is none, or of a later version")]
    Foreign { path: PathBuf },
    #[error("another agent works with folder {dir:?}")]
    InUse { dir: PathBuf },
    #[error("failed to write a group of {size} bytes, at most {MAX_GROUP} are kept")]
    TooLarge { size: usize },
}

/// The folder of all journals, locked while this value lives: two agents on one folder would sign two truths.
#[derive(Debug)]
pub struct Folder {
    dir: PathBuf,
    /// The journals that are open; no other process opens one, and no one twice.
    open: Arc<Mutex<HashSet<PathBuf>>>,
    _lock: File,
}

/// One delivery's file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
    /// Where the last whole group ends.
    end: u64,
    cut: bool,
    _claim: Claim,
}

/// The right to one journal, given back when it is dropped.
#[derive(Debug)]
struct Claim {
    path: PathBuf,
    open: Arc<Mutex<HashSet<PathBuf>>>,
}

impl Claim {
    fn new(path: &Path, open: &Arc<Mutex<HashSet<PathBuf>>>) -> Result<Self, Error> {
        let new = open.lock().unwrap_or_else(PoisonError::into_inner).insert(path.to_owned());
        let claim = || Self { path: path.to_owned(), open: Arc::clone(open) };
        new.then(claim).ok_or_else(|| Error::Busy { path: path.to_owned() })
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        self.open.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.path);
    }
}

impl Folder {
    /// Makes the folder if needed and takes it for this process alone. What a crash left half written is wiped.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(failed("make folder of", &dir))?;
        let path = dir.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed("open lock of", &path))?;
        match lock.try_lock() {
            Ok(()) => {
                wipe_orphans(&dir).map_err(failed("clean folder of", &dir))?;
                Ok(Self { dir, open: Arc::default(), _lock: lock })
            }
            Err(fs::TryLockError::WouldBlock) => Err(Error::InUse { dir }),
            Err(fs::TryLockError::Error(source)) => Err(Error::Io { what: "lock", path, source }),
        }
    }

    /// The deliveries that have a journal here.
    pub fn deliveries(&self) -> Result<Vec<Uid>, Error> {
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.dir).map_err(failed("list", &self.dir))? {
            let path = entry.map_err(failed("list", &self.dir))?.path();
            let stem = path.extension().filter(|end| *end == SUFFIX).and_then(|_| path.file_stem());
            found.extend(stem.and_then(|stem| stem.to_str()).and_then(|stem| Uid::new(stem).ok()));
        }
        Ok(found)
    }

    /// Whether this delivery has a journal.
    pub fn knows(&self, delivery: &Uid) -> bool {
        self.path(delivery).exists()
    }

    /// Opens or begins a delivery's journal; what stands in it, mended.
    pub fn journal(&self, delivery: &Uid) -> Result<(Journal, Vec<Record>), Error> {
        let path = self.path(delivery);
        let claim = Claim::new(&path, &self.open)?;
        Journal::open(path, claim)
    }

    fn path(&self, delivery: &Uid) -> PathBuf {
        // A uid holds letters, digits and hyphens: it is a file name and nothing more.
        self.dir.join(format!("{delivery}.{SUFFIX}"))
    }
}

impl Journal {
    fn open(path: PathBuf, claim: Claim) -> Result<(Self, Vec<Record>), Error> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(failed("open", &path))?;
        let mut content = Zeroizing::new(Vec::new());
        file.read_to_end(&mut content).map_err(failed("read", &path))?;
        let Read { records, good, mut cut } = read(&content).ok_or_else(|| Error::Foreign { path: path.clone() })?;
        let mut end = good as u64;
        let mut mended = || {
            file.seek(SeekFrom::Start(end))?;
            if good == 0 {
                file.write_all(MAGIC)?;
                end = MAGIC.len() as u64;
            } else if good < content.len() {
                tracing::warn!(lost = content.len() - good, "cut a torn end off a journal");
                // Over the torn end, then the rest away: at no moment does the file look whole without this word.
                let word = frame(&[]).map_err(io::Error::other)?;
                file.write_all(&word)?;
                (end, cut) = (end + word.len() as u64, true);
            }
            file.set_len(end)?;
            // What was read may be in this machine's memory only, from a life before this one.
            file.sync_all()?;
            sync_folder(&path)
        };
        mended().map_err(failed("mend", &path))?;
        Ok((Self { path, file, end, cut, _claim: claim }, records))
    }

    /// Whether something is missing that once stood here.
    pub fn is_cut(&self) -> bool {
        self.cut
    }

    /// Adds a group of records; they are on disk when this returns. If it fails, none of them is read back.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Error> {
        let frame = frame(records)?;
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        match written {
            Ok(()) => {
                self.end += frame.len() as u64;
                Ok(())
            }
            Err(error) => {
                let undone = self.file.set_len(self.end).and_then(|()| self.file.seek(SeekFrom::Start(self.end)));
                if let Err(error) = undone.and_then(|_| self.file.sync_all()) {
                    tracing::error!(%error, "failed to undo a failed write to a journal");
                }
                Err(failed("write", &self.path)(error))
            }
        }
    }

    /// Puts these records in the place of everything that stood here. What is not among them is gone from the disk as
    /// far as a program can bring that about.
    pub fn rewrite(&mut self, records: &[Record]) -> Result<(), Error> {
        let frame = frame(records)?;
        let next = self.path.with_extension(NEXT);
        let replaced = || {
            let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&next)?;
            file.write_all(MAGIC)?;
            file.write_all(&frame)?;
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            sync_folder(&self.path)?;
            Ok(file)
        };
        let file = match replaced() {
            Ok(file) => file,
            Err(error) => {
                if let Err(error) = wipe(&next) {
                    tracing::warn!(%error, "failed to wipe a journal that was not finished");
                }
                return Err(failed("rewrite", &self.path)(error));
            }
        };
        (self.end, self.cut) = ((MAGIC.len() + frame.len()) as u64, false);
        let mut old = std::mem::replace(&mut self.file, file);
        // The new file is in place: failing to wipe the old one must not undo that.
        if let Err(error) = overwrite(&mut old) {
            tracing::warn!(%error, "failed to overwrite an old journal");
        }
        Ok(())
    }

    /// How long ago it was written to; nothing if the disk can't say.
    pub fn age(&self) -> Duration {
        let modified = self.file.metadata().and_then(|metadata| metadata.modified()).ok();
        modified.and_then(|modified| modified.elapsed().ok()).unwrap_or_default()
    }

    /// Removes the file.
    pub fn remove(mut self) -> Result<(), Error> {
        let wiped = wipe(&self.path.with_extension(NEXT)).and_then(|()| overwrite(&mut self.file));
        let removed = wiped.and_then(|()| fs::remove_file(&self.path));
        removed.and_then(|()| sync_folder(&self.path)).map_err(failed("remove", &self.path))
    }
}

fn failed<'p>(what: &'static str, path: &'p Path) -> impl Fn(io::Error) -> Error + 'p {
    move |source| Error::Io { what, path: path.to_owned(), source }
}

fn overwrite(file: &mut File) -> io::Result<()> {
    let length = file.seek(SeekFrom::End(0))?;
    file.seek(SeekFrom::Start(0))?;
    io::copy(&mut io::repeat(0).take(length), file)?;
    file.sync_data()
}

/// Overwrites and removes a file, if it is there.
fn wipe(path: &Path) -> io::Result<()> {
    match OpenOptions::new().write(true).open(path) {
        Ok(mut file) => overwrite(&mut file).and_then(|()| fs::remove_file(path)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error),
    }
}

/// What was being written when a crash came: it may hold what its journal was to forget.
fn wipe_orphans(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|end| end == NEXT) {
            wipe(&path)?;
        }
    }
    Ok(())
}

/// A new or renamed file is there after a crash only when its folder says so.
fn sync_folder(path: &Path) -> io::Result<()> {
    path.parent().map_or(Ok(()), |folder| File::open(folder)?.sync_all())
}

fn frame(records: &[Record]) -> Result<Zeroizing<Vec<u8>>, Error> {
    let group = Zeroizing::new(minicbor::to_vec(records).expect("encoding into memory does not fail"));
    let length = u32::try_from(group.len()).ok().filter(|_| group.len() <= MAX_GROUP);
    let length = length.ok_or(Error::TooLarge { size: group.len() })?;
    let mut frame = Zeroizing::new(Vec::with_capacity(group.len() + 8));
    frame.extend_from_slice(&length.to_le_bytes());
    frame.extend_from_slice(&crc32fast::hash(&group).to_le_bytes());
    frame.extend_from_slice(&group);
    Ok(frame)
}

/// What stands in a file.
struct Read {
    records: Vec<Record>,
    /// Where the last whole group ends.
    good: usize,
    /// Whether it says of itself that something was cut off.
    cut: bool,
}

/// All whole groups; `None` for a file of another kind, or with a whole group that only a later version understands.
fn read(content: &[u8]) -> Option<Read> {
    if content.len() < MAGIC.len() {
        // Torn while it was begun.
        return MAGIC.starts_with(content).then(|| Read { records: Vec::new(), good: 0, cut: false });
    }
    let mut rest = content.strip_prefix(MAGIC)?;
    let (mut records, mut cut) = (Vec::new(), false);
    while let Some((group, after)) = group(rest) {
        let read: Vec<Record> = minicbor::decode(group).ok()?;
        cut |= read.is_empty();
        records.extend(read);
        rest = after;
    }
    Some(Read { records, good: content.len() - rest.len(), cut })
}

fn group(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    // Nothing is no group: a disk fills what was never written with zeros, and their sum is right.
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| (1..=MAX_GROUP).contains(length))?;
    let (group, rest) = rest.split_at_checked(length)?;
    (crc32fast::hash(group) == u32::from_le_bytes(*crc)).then_some((group, rest))
}

#[cfg(test)]
mod tests;
