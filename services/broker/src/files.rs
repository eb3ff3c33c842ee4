//! The broker's files, in memory: all of one moment, or all of the next.
//!
//! A generation is a folder of its own; `current` points at the one in use and is replaced by one rename, as a mounted
//! Secret is. So certificate and key, bundle and revocation list always fit each other for whoever opens them, and a
//! process killed half-way leaves what was there. Nothing is synced: the folder is memory, and gone with the pod.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, symlink};
use std::path::{Path, PathBuf};

use crate::held::FileSet;

const CURRENT: &str = "current";
const GENERATION: &str = "generation-";

/// What could not be done with which file.
#[derive(Debug, thiserror::Error)]
#[error("failed to {action} {path}")]
pub struct Error {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: io::Error,
}

/// Names of files that are new or have another content.
pub(crate) type Changed = BTreeSet<&'static str>;

/// The folder the broker reads from.
#[derive(Debug)]
pub(crate) struct Folder {
    path: PathBuf,
    generation: u64,
    written: Option<FileSet>,
}

impl Folder {
    /// Opens the folder, leaving what an earlier run wrote in use.
    pub(crate) fn open(path: &Path) -> Result<Self, Error> {
        let mut generation = 0;
        for name in names(path)? {
            let number = name.strip_prefix(GENERATION).and_then(|number| number.parse().ok());
            generation = generation.max(number.unwrap_or_default());
        }
        Ok(Self { path: path.to_owned(), generation, written: None })
    }

    /// A file in use, or `None` where there is none.
    pub(crate) fn read(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.path.join(CURRENT).join(name)).ok()
    }

    /// True once this run has put files in use.
    pub(crate) fn in_use(&self) -> bool {
        self.written.is_some()
    }

    /// Puts `files` in use, and says which of them are not what they were; `None` when all are.
    pub(crate) fn put(&mut self, files: FileSet) -> Result<Option<Changed>, Error> {
        if self.written.as_ref() == Some(&files) {
            return Ok(None);
        }
        let changed = files.iter().filter(|(name, bytes)| self.read(name).as_ref() != Some(*bytes));
        let changed = changed.map(|(name, _)| *name).collect();
        let number = self.generation + 1;
        let name = format!("{GENERATION}{number}");
        let folder = self.path.join(&name);
        let _ = fs::remove_dir_all(&folder); // of a run that ended half-way
        attempt("create", &folder, DirBuilder::new().mode(0o700).create(&folder))?;
        for (name, bytes) in &files {
            write(&folder.join(name), bytes)?;
        }
        self.point(CURRENT, &name)?;
        for name in files.keys() {
            if fs::read_link(self.path.join(name)).is_err() {
                self.point(name, &format!("{CURRENT}/{name}"))?;
            }
        }
        self.generation = number;
        self.written = Some(files);
        self.sweep()?;
        Ok(Some(changed))
    }

    /// Makes `name` a link to `target`, replacing what was there in one step.
    fn point(&self, name: &str, target: &str) -> Result<(), Error> {
        let (link, fresh) = (self.path.join(name), self.path.join(format!(".{name}.new")));
        let _ = fs::remove_file(&fresh); // of a run that ended half-way
        attempt("create", &fresh, symlink(target, &fresh))?;
        attempt("replace", &link, fs::rename(&fresh, &link))
    }

    /// Removes all generations but this one and the one before, which the broker may be reading this moment.
    fn sweep(&self) -> Result<(), Error> {
        let keep = [self.generation, self.generation - 1].map(|number| format!("{GENERATION}{number}"));
        for name in names(&self.path)? {
            if name.starts_with(GENERATION) && !keep.contains(&name) {
                let path = self.path.join(name);
                attempt("remove", &path, fs::remove_dir_all(&path))?;
            }
        }
        Ok(())
    }
}

fn names(path: &Path) -> Result<Vec<String>, Error> {
    let entries = attempt("read", path, fs::read_dir(path))?;
    Ok(entries.flatten().filter_map(|entry| entry.file_name().into_string().ok()).collect())
}

fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    // One of them is a private key; the broker runs as the same user.
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
    attempt("write", path, file.and_then(|mut file| file.write_all(bytes)))
}

fn attempt<T>(action: &'static str, path: &Path, result: io::Result<T>) -> Result<T, Error> {
    result.map_err(|source| Error { action, path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    fn set(crl: &str) -> FileSet {
        FileSet::from([("crl.pem", crl.into()), ("server.key", b"key".to_vec())])
    }

    #[test]
    fn files_change_all_at_once_and_old_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        for number in 1..=5 {
            let changed = folder.put(set(&number.to_string())).unwrap().unwrap();
            assert_eq!(changed.contains("server.key"), number == 1, "{changed:?}");
            assert_eq!(fs::read_to_string(dir.path().join("crl.pem")).unwrap(), number.to_string());
        }
        assert_eq!(folder.put(set("5")).unwrap(), None, "nothing new");
        let mode = fs::metadata(dir.path().join("server.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let generations = names(dir.path()).unwrap().into_iter().filter(|name| name.starts_with(GENERATION)).count();
        assert_eq!(generations, 2);
    }

    #[test]
    fn a_later_run_finds_the_files_and_goes_on_from_there() {
        let dir = tempfile::tempdir().unwrap();
        Folder::open(dir.path()).unwrap().put(set("1")).unwrap();
        // What a run killed half-way leaves.
        fs::create_dir(dir.path().join("generation-2")).unwrap();
        fs::write(dir.path().join("generation-2/crl.pem"), "half").unwrap();
        symlink("nowhere", dir.path().join(".current.new")).unwrap();
        let mut folder = Folder::open(dir.path()).unwrap();
        assert_eq!(folder.read("crl.pem"), Some(b"1".to_vec()));
        assert_eq!(folder.put(set("2")).unwrap(), Some(BTreeSet::from(["crl.pem"])));
        assert_eq!(folder.read("crl.pem"), Some(b"2".to_vec()));
    }
}
