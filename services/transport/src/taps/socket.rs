//! The socket: never there for others, not even for the moment between making it and closing it to them.

use std::fs;
use std::io;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use tokio::net::UnixListener;

/// Why nobody can tap.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to open the taps' socket {path:?}")]
    Bind {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("refused to put the taps' socket in the place of {path:?}, which is none")]
    Occupied { path: PathBuf },
    #[error("failed to serve the taps' socket")]
    Serve(#[source] io::Error),
}

/// In a folder only this user can enter, and then to its place: over the one an earlier life left.
pub(super) fn bind(path: &Path) -> Result<UnixListener, Error> {
    use std::os::unix::fs::FileTypeExt as _;
    let failed = |source| Error::Bind { path: path.to_owned(), source };
    if fs::symlink_metadata(path).is_ok_and(|there| !there.file_type().is_socket()) {
        return Err(Error::Occupied { path: path.to_owned() });
    }
    let folder = path.with_file_name(format!(".taps-{:08x}", rand::random::<u32>()));
    fs::DirBuilder::new().mode(0o700).create(&folder).map_err(failed)?;
    let made = || {
        let inside = folder.join("s");
        let listener = UnixListener::bind(&inside)?;
        fs::set_permissions(&inside, fs::Permissions::from_mode(0o600))?;
        fs::rename(&inside, path)?;
        Ok(listener)
    };
    let made = made().map_err(failed);
    let _ = fs::remove_dir_all(&folder);
    made
}
