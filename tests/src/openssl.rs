//! What a stranger's tool says about our certificates.

use std::process::Command;

/// Runs it; what it wrote, or its complaint.
pub fn openssl(arguments: &[&str]) -> Result<String, String> {
    let output = Command::new("openssl").args(arguments).output().expect("openssl is installed");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(text) } else { Err(format!("openssl {arguments:?}: {text}{complaint}")) }
}

/// Does the first certificate of `chain` stand, by the rest of it, on one of `roots`, and only on those?
pub fn verify(chain: &str, roots: &str, purpose: &str) -> Result<String, String> {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = |name: &str, text: &str| {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("a plain path").to_owned()
    };
    let (chain, roots) = (file("chain.pem", chain), file("roots.pem", roots));
    let only = ["-no-CApath", "-no-CAstore", "-x509_strict", "-CAfile", &roots, "-untrusted", &chain];
    openssl(&[&["verify"], &only[..], &["-purpose", purpose, &chain]].concat())
}

/// The first certificate of `chain` in words.
pub fn text(chain: &str) -> String {
    let mut scratch = tempfile::NamedTempFile::new().expect("a scratch file");
    std::io::Write::write_all(&mut scratch, chain.as_bytes()).expect("written");
    let path = scratch.path().to_str().expect("a plain path");
    openssl(&["x509", "-in", path, "-noout", "-text", "-nameopt", "RFC2253"]).expect("a certificate")
}
