//! Settings: choices that would do harm and typos are refused; every setting is explained where it is read.

use serde_json::Value;

use crate::helm::{helms, read, yaml};

#[test]
fn a_typo_at_any_level_is_refused() {
    for helm in helms("chart values") {
        for flag in ["opertor.replicas=2", "operator.replica=2", "broker.expose.ingres.enabled=true", "ca.tll=1h"] {
            let refusal = helm.template(&["--set", flag]).err().unwrap_or_else(|| panic!("{flag} was taken"));
            assert!(refusal.contains("not allowed"), "{refusal}");
        }
        for flag in ["ca.ttl=soon", "operator.replicas=many", "broker.external.url=mq.example.com", "namespaces={Demo}"]
        {
            helm.template(&["--set", flag]).err().unwrap_or_else(|| panic!("{flag} was taken"));
        }
    }
}

#[test]
fn choices_that_would_do_harm_are_refused_with_a_way_out() {
    for helm in helms("chart choices") {
        for (namespace, flags, says) in [
            ("ws", &["--set", "clusterWide=true", "--set", "namespaces={a}"][..], "exclude each other"),
            ("default", &[][..], "--namespace waybill-system --create-namespace"),
            ("shop", &["--set", "namespaces={shop}"][..], "holds the CA's key"),
            ("ws", &["--set", "broker.expose.ingress.enabled=true"][..], "list the names in broker.externalNames"),
            (
                "ws",
                &["--set", "broker.external.url=mqtts://mq:8883", "--set", "broker.expose.type=NodePort"][..],
                "unset broker.expose.type",
            ),
            ("ws", &["--set", "board.oidc.issuer=https://id.example.com"][..], "set board.externalUrl"),
        ] {
            let refusal = helm.template_in(namespace, flags).err().unwrap_or_else(|| panic!("{flags:?} was taken"));
            assert!(refusal.contains(says), "{refusal}");
        }
    }
}

#[test]
fn every_setting_stands_in_values_yaml_and_is_described_in_the_schema() {
    let schema: Value = serde_json::from_str(&read("charts/waybill/values.schema.json")).expect("JSON");
    same_settings("", &yaml("charts/waybill/values.yaml"), &schema, &schema["definitions"]);
}

fn same_settings(path: &str, values: &Value, schema: &Value, definitions: &Value) {
    let resolved = match schema["$ref"].as_str() {
        Some(reference) => &definitions[reference.trim_start_matches("#/definitions/")],
        None => schema,
    };
    let Some(properties) = resolved["properties"].as_object() else { return };
    assert_eq!(resolved["additionalProperties"], false, "{path} takes unknown keys");
    for (name, property) in properties {
        let here = format!("{path}.{name}");
        // Helm's own; and what Kubernetes defines, of which values.yaml shows only what we set.
        if name == "global" || path.ends_with(".resources") || path.contains(".resources.") {
            continue;
        }
        let value = values.get(name).unwrap_or_else(|| panic!("{here} is not in values.yaml"));
        let described = property.get("description").is_some()
            || property["$ref"]
                .as_str()
                .is_some_and(|r| definitions[r.trim_start_matches("#/definitions/")].get("description").is_some());
        assert!(described, "{here} has no description");
        same_settings(&here, value, property, definitions);
    }
}
