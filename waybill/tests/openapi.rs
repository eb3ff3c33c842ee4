//! The committed descriptions of the APIs are what the routes say.

use std::path::Path;

/// Set it to rewrite the committed files instead of comparing; `make openapi` does.
const UPDATE: &str = "WAYBILL_UPDATE";

#[test]
fn the_committed_descriptions_are_what_the_routes_say() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/openapi");
    let all = [
        ("board", waybill_dashboard::description()),
        ("carrier", waybill_carrier::description()),
        ("seller", waybill_seller::description()),
    ];
    for (name, said) in all {
        let path = folder.join(format!("{name}.json"));
        if std::env::var_os(UPDATE).is_some() {
            std::fs::write(&path, &said).expect("the folder of the descriptions is writable");
        }
        let committed = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(
            committed == said,
            "docs/openapi/{name}.json is not what the routes say: run `make openapi` and commit it"
        );
    }
}
