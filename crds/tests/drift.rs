//! The committed YAML is what the types say.

use std::path::Path;

/// Set it to rewrite the committed files instead of comparing; `make crds` does.
const UPDATE: &str = "WAYBILL_UPDATE";

#[test]
fn the_committed_definitions_are_what_the_types_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("generated");
    for (file, yaml) in waybill_crds::manifests() {
        let path = folder.join(&file);
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &yaml).expect("the folder of the generated files is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(committed == yaml, "crds/generated/{file} is not what the types say: run `make crds` and commit it");
    }
}
