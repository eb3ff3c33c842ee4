//! Rendering the chart with the helms at hand.

use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;
use waybill_e2e::cluster::REQUIRED;

/// Set by `make test`: one program for each major version that users have.
const PROGRAMS: [&str; 2] = ["WAYBILL_HELM3", "WAYBILL_HELM4"];

/// One helm.
pub(crate) struct Helm {
    program: String,
}

/// Everything a rendering makes.
#[derive(Debug)]
pub(crate) struct Rendered(pub(crate) Vec<Value>);

/// Every helm at hand; says so loudly where one is missing.
pub(crate) fn helms(test: &str) -> Vec<Helm> {
    let found = |name: &&str| match std::env::var(name) {
        Ok(program) => Some(Helm { program }),
        Err(_) => {
            assert!(std::env::var(REQUIRED).is_err(), "{REQUIRED} is set, but {name} is not");
            eprintln!("SKIPPED {test} with {name}: set it to a helm, or run `make test`");
            None
        }
    };
    PROGRAMS.iter().filter_map(found).collect()
}

/// The checkout.
pub(crate) fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ is in the checkout").to_owned()
}

/// A file of the checkout.
pub(crate) fn read(path: &str) -> String {
    std::fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// A YAML file of the checkout.
pub(crate) fn yaml(path: &str) -> Value {
    serde_saphyr::from_str(&read(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

impl Helm {
    /// Renders into `waybill-system`; what helm says where it refuses.
    pub(crate) fn template(&self, flags: &[&str]) -> Result<Rendered, String> {
        self.template_in("waybill-system", flags)
    }

    pub(crate) fn template_in(&self, namespace: &str, flags: &[&str]) -> Result<Rendered, String> {
        let output = Command::new(&self.program)
            .args(["template", "waybill"])
            .arg(root().join("charts/waybill"))
            .args(["--namespace", namespace])
            .args(flags)
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", self.program));
        if !output.status.success() {
            return Err(String::from_utf8_lossy(&output.stderr).into_owned());
        }
        let text = String::from_utf8(output.stdout).expect("YAML is text");
        let documents: Vec<Value> = serde_saphyr::from_multiple(&text).expect("helm renders YAML");
        Ok(Rendered(documents.into_iter().filter(|document| !document.is_null()).collect()))
    }
}

impl Rendered {
    /// Objects of a kind.
    pub(crate) fn kind<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = &'a Value> {
        self.0.iter().filter(move |object| object["kind"] == kind)
    }

    /// `namespace/name` of each object of a kind, sorted.
    pub(crate) fn names(&self, kind: &str) -> Vec<String> {
        let name = |object: &Value| {
            let metadata = &object["metadata"];
            [metadata["namespace"].as_str(), metadata["name"].as_str()]
                .into_iter()
                .flatten()
                .collect::<Vec<_>>()
                .join("/")
        };
        let mut names: Vec<_> = self.kind(kind).map(name).collect();
        names.sort();
        names
    }

    /// The one object of this kind and name.
    pub(crate) fn one<'a>(&'a self, kind: &'a str, name: &str) -> &'a Value {
        self.kind(kind).find(|object| object["metadata"]["name"] == name).unwrap_or_else(|| panic!("no {kind} {name}"))
    }
}
