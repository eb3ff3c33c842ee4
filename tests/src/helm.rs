//! The release under test, as its owner handles it.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::cluster::{KUBECONFIG, REQUIRED};
use crate::ledger::SYSTEM;

/// One helm, at work on the release `waybill`.
pub struct Helm {
    program: String,
}

impl Helm {
    /// The helm that this variable names; `None` after a printed line where it names none.
    pub fn find(name: &str) -> Option<Self> {
        match std::env::var(name) {
            Ok(program) => Some(Self { program }),
            Err(_) => {
                assert!(std::env::var(REQUIRED).is_err(), "{REQUIRED} is set, but {name} is not");
                eprintln!("SKIPPED {name}: set it to a helm, or run `make test`");
                None
            }
        }
    }

    pub fn run(&self, args: &[&str]) -> String {
        let kubeconfig = std::env::var(KUBECONFIG).expect("in_namespace found the cluster");
        let output = Command::new(&self.program)
            .args(args)
            .args(["--namespace", SYSTEM, "--kubeconfig", &kubeconfig])
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program));
        assert!(output.status.success(), "helm {args:?}: {}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).expect("helm writes text")
    }

    /// Changes one value and waits until everything runs with it.
    pub fn set(&self, value: &str) {
        self.run(&["upgrade", "waybill", &chart(), "--reuse-values", "--set", value, "--wait"]);
    }

    /// The values of the release, in a file: what it is put back with.
    pub fn values(&self) -> tempfile::TempPath {
        let values: Value =
            serde_json::from_str(&self.run(&["get", "values", "waybill", "--output", "json"])).expect("JSON");
        let file = tempfile::Builder::new().suffix(".json").tempfile().expect("a scratch file");
        serde_json::to_writer(file.as_file(), &values).expect("a scratch file takes it");
        file.into_temp_path()
    }
}

/// The chart of this checkout.
pub fn chart() -> String {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the checkout");
    root.join("charts/waybill").display().to_string()
}
