//! The journal of one delivery: what the agent knows and has said, on its own disk before anything of it leaves.
//!
//! An append-only file of frames (length, CRC-32, a group of records), one group an `fsync`. A group is whole or it is
//! not there: what a crash tore off the end is cut away when the file is opened. Secrets leave by [`Journal::rewrite`]:
//! the file is written anew without them and takes the old one's place, whose bytes are overwritten.
//!
//! Trusted: the device's disk. A damaged file ends where the damage begins; what is missing is read from the log.

mod record;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use waybill_protocol::Uid;
use zeroize::Zeroizing;

pub use record::{HeldKey, Record};

/// First bytes of every journal: what it is, and its version.
const MAGIC: &[u8; 8] = b"waybill\x01";
/// A group is never larger: a photo is, by far, the largest thing in one.
const MAX_GROUP: usize = 8 << 20;
const SUFFIX: &str = "journal";

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
    _lock: File,
}

/// One delivery's file.
#[derive(Debug)]
pub struct Journal {
    path: PathBuf,
    file: File,
}

impl Folder {
    /// Makes the folder if needed and takes it for this process alone.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, Error> {
        let dir = dir.into();
        fs::create_dir_all(&dir).map_err(failed("make folder of", &dir))?;
        let path = dir.join("lock");
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&path);
        let lock = lock.map_err(failed("open lock of", &path))?;
        match lock.try_lock() {
            Ok(()) => Ok(Self { dir, _lock: lock }),
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
        Journal::open(self.path(delivery))
    }

    fn path(&self, delivery: &Uid) -> PathBuf {
        // A uid holds letters, digits and hyphens: it is a file name and nothing more.
        self.dir.join(format!("{delivery}.{SUFFIX}"))
    }
}

impl Journal {
    fn open(path: PathBuf) -> Result<(Self, Vec<Record>), Error> {
        let file = OpenOptions::new().create(true).truncate(false).read(true).write(true).open(&path);
        let mut file = file.map_err(failed("open", &path))?;
        let mut content = Zeroizing::new(Vec::new());
        file.read_to_end(&mut content).map_err(failed("read", &path))?;
        let (records, good) = read(&content).ok_or_else(|| Error::Foreign { path: path.clone() })?;
        let mut mended = || {
            if good == 0 {
                file.set_len(0)?;
                file.seek(SeekFrom::Start(0))?;
                file.write_all(MAGIC)?;
                file.sync_all()?;
                return sync_folder(&path);
            }
            if good < content.len() {
                tracing::warn!(lost = content.len() - good, "cut a torn end off a journal");
                file.set_len(good as u64)?;
                file.sync_all()?;
            }
            file.seek(SeekFrom::End(0)).map(drop)
        };
        mended().map_err(failed("mend", &path))?;
        Ok((Self { path, file }, records))
    }

    /// Adds a group of records; they are on disk when this returns.
    pub fn append(&mut self, records: &[Record]) -> Result<(), Error> {
        let frame = frame(records)?;
        let written = self.file.write_all(&frame).and_then(|()| self.file.sync_data());
        written.map_err(failed("write", &self.path))
    }

    /// Puts these records in the place of everything that stood here. What is not among them is gone from the disk as
    /// far as a program can bring that about.
    pub fn rewrite(&mut self, records: &[Record]) -> Result<(), Error> {
        let frame = frame(records)?;
        let next = self.path.with_extension("next");
        let replaced = || {
            let mut file = OpenOptions::new().create(true).truncate(true).read(true).write(true).open(&next)?;
            file.write_all(MAGIC)?;
            file.write_all(&frame)?;
            file.sync_all()?;
            fs::rename(&next, &self.path)?;
            sync_folder(&self.path)?;
            Ok(file)
        };
        let file = replaced().map_err(failed("rewrite", &self.path))?;
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
        let removed = overwrite(&mut self.file).and_then(|()| fs::remove_file(&self.path));
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

/// All whole groups, and where the last one ends; `None` for a file of another kind.
fn read(content: &[u8]) -> Option<(Vec<Record>, usize)> {
    if content.len() < MAGIC.len() {
        // Torn while it was begun.
        return MAGIC.starts_with(content).then(|| (Vec::new(), 0));
    }
    let mut rest = content.strip_prefix(MAGIC)?;
    let mut records = Vec::new();
    while let Some((group, after)) = group(rest) {
        let Ok(read) = minicbor::decode::<Vec<Record>>(group) else { break };
        records.extend(read);
        rest = after;
    }
    Some((records, content.len() - rest.len()))
}

fn group(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk::<4>()?;
    let (crc, rest) = rest.split_first_chunk::<4>()?;
    let length = usize::try_from(u32::from_le_bytes(*length)).ok().filter(|length| *length <= MAX_GROUP)?;
    let (group, rest) = rest.split_at_checked(length)?;
    (crc32fast::hash(group) == u32::from_le_bytes(*crc)).then_some((group, rest))
}

#[cfg(test)]
mod tests;
