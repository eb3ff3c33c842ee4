//! The real `openssl` as a judge.

use std::process::Command;

/// Runs `openssl <line>` with these files in its folder; gives success and everything it said.
pub(crate) fn openssl(files: &[(&str, &str)], line: &str) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a scratch folder");
    for (name, text) in files {
        std::fs::write(folder.path().join(name), text).expect("a scratch file");
    }
    let output =
        Command::new("openssl").args(line.split_whitespace()).current_dir(&folder).output().expect("openssl runs");
    (output.status.success(), String::from_utf8_lossy(&[output.stdout, output.stderr].concat()).into_owned())
}

/// Verifies the first certificate of `chain` with the rest of it as help.
#[track_caller]
pub(crate) fn verifies(chain: &str, bundle: &str, options: &str) {
    let line = format!("verify -CAfile bundle.pem -untrusted chain.pem {options} chain.pem");
    let (ok, said) = openssl(&[("chain.pem", chain), ("bundle.pem", bundle)], &line);
    assert!(ok, "{line}\n{said}");
}

#[track_caller]
pub(crate) fn does_not_verify(chain: &str, bundle: &str, options: &str) {
    let line = format!("verify -CAfile bundle.pem -untrusted chain.pem {options} chain.pem");
    let (ok, said) = openssl(&[("chain.pem", chain), ("bundle.pem", bundle)], &line);
    assert!(!ok, "{line}\n{said}");
}
