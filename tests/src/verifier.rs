//! The stranger's verifier (`tests/verifier`), written from `docs/proof-format.md` alone.

use std::path::{Path, PathBuf};
use std::process::Command;

use waybill_crds::Delivery;

/// Set by `make test`: a Python with cbor2 and cryptography.
const PYTHON: &str = "WAYBILL_PYTHON";

/// Does every entry of this Delivery's log count, by these authorities, and is its status what the log makes of it? What the
/// verifier wrote, an entry a line, or its complaint.
pub fn verify(delivery: &Delivery, authorities_pem: &str) -> Result<String, String> {
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = |name: &str, text: &str| -> PathBuf {
        let path = scratch.path().join(name);
        std::fs::write(&path, text).expect("written");
        path
    };
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the checkout");
    let output = Command::new(std::env::var(PYTHON).unwrap_or_else(|_| "python3".into()))
        .arg("-B")
        .arg(root.join("tests/verifier/verify.py"))
        .arg("--document")
        .arg(root.join("docs/proof-format.md"))
        .arg("--delivery")
        .arg(file("delivery.json", &serde_json::to_string(delivery).expect("plain data")))
        .arg("--authorities")
        .arg(file("authorities.pem", authorities_pem))
        .output()
        .expect("the verifier runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let complaint = String::from_utf8_lossy(&output.stderr);
    if output.status.success() { Ok(said) } else { Err(format!("{said}{complaint}")) }
}
