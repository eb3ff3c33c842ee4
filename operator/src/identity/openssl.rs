//! The real `openssl` as a second opinion on what we make. Tests only.

use std::path::Path;
use std::process::Command;

/// Files and commands in one scratch folder.
pub(crate) struct OpenSsl(tempfile::TempDir);

impl OpenSsl {
    pub(crate) fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    pub(crate) fn put(&self, name: &str, text: impl AsRef<[u8]>) -> &Self {
        std::fs::write(self.path().join(name), text).unwrap();
        self
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    /// Runs `openssl <line>` and gives success and everything it said.
    pub(crate) fn run(&self, line: &str) -> (bool, String) {
        let output = Command::new("openssl").args(line.split_whitespace()).current_dir(self.path()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    pub(crate) fn succeeds(&self, line: &str) -> String {
        let (ok, said) = self.run(line);
        assert!(ok, "openssl {line}\n{said}");
        said
    }

    #[track_caller]
    pub(crate) fn fails(&self, line: &str, saying: &str) {
        let (ok, said) = self.run(line);
        assert!(!ok && said.contains(saying), "openssl {line}\n{said}");
    }
}
