use std::collections::BTreeSet;

use serde_json::json;

use super::*;

/// Calls `look` with the path and value of every schema below `schema`.
fn walk(path: &str, schema: &Value, look: &mut impl FnMut(&str, &Value)) {
    look(path, schema);
    for (name, property) in schema["properties"].as_object().into_iter().flatten() {
        walk(&format!("{path}.{name}"), property, look);
    }
    if !schema["items"].is_null() {
        walk(&format!("{path}[]"), &schema["items"], look);
    }
}

fn every_schema(mut look: impl FnMut(&str, &Value)) {
    for crd in all() {
        let version = serde_json::to_value(&crd.spec.versions[0]).unwrap();
        walk(&crd.spec.names.kind, &version["schema"]["openAPIV3Schema"], &mut look);
    }
}

#[test]
fn every_string_list_and_number_is_bounded() {
    every_schema(|path, schema| match schema["type"].as_str() {
        Some("string") => {
            let bounded = schema["maxLength"].is_u64() || schema["enum"].is_array() || schema["format"] == "date-time";
            assert!(bounded, "{path}: a string without bound");
        }
        Some("array") => assert!(schema["maxItems"].is_number(), "{path}: a list without bound"),
        Some("integer") => {
            assert!(["int32", "int64"].contains(&schema["format"].as_str().unwrap()), "{path}: an unknown format");
            assert!(schema["minimum"].is_number(), "{path}: a number without lower bound");
        }
        Some("object" | "boolean") => {}
        other => panic!("{path}: unexpected type {other:?}"),
    });
}

#[test]
fn every_field_a_user_can_see_is_explained() {
    every_schema(|path, schema| {
        let described = schema["description"].as_str().is_some_and(|text| text.ends_with('.'));
        assert!(described || path.ends_with("[]") || path.ends_with(".conditions[].status"), "{path}: no description");
        assert!(!schema["description"].as_str().unwrap_or_default().contains('\n'), "{path}: a line break");
    });
}

#[test]
fn nothing_is_nullable_and_nothing_unknown_is_kept() {
    every_schema(|path, schema| {
        assert!(schema["nullable"].is_null(), "{path}");
        assert!(schema["x-kubernetes-preserve-unknown-fields"].is_null(), "{path}");
        assert!(schema["additionalProperties"].is_null(), "{path}");
    });
}

#[test]
fn every_rule_says_in_words_what_it_wants() {
    every_schema(|path, schema| {
        for rule in schema["x-kubernetes-validations"].as_array().into_iter().flatten() {
            let message = rule["message"].as_str().or(rule["messageExpression"].as_str()).unwrap_or_default();
            assert!(message.contains(' '), "{path}: {rule}");
        }
    });
}

#[test]
fn conditions_merge_by_type_and_custody_is_replaced_as_a_whole() {
    let mut found = BTreeSet::new();
    every_schema(|path, schema| {
        if path.ends_with(".conditions") {
            assert_eq!(schema["x-kubernetes-list-map-keys"], json!(["type"]), "{path}");
            found.insert(path.to_owned());
        }
        if path == "Delivery.status.custody" {
            assert_eq!(schema["x-kubernetes-list-type"], "atomic");
            found.insert(path.to_owned());
        }
    });
    assert_eq!(found.len(), 4, "{found:?}");
}

#[test]
fn the_names_are_what_documentation_and_charts_say() {
    let names: Vec<_> = all()
        .into_iter()
        .map(|crd| {
            assert_eq!(crd.spec.group, crate::GROUP);
            assert_eq!(crd.spec.versions[0].name, crate::VERSION);
            assert_eq!(crd.spec.names.categories, Some(vec!["waybill".to_owned()]));
            (crd.spec.names.kind, crd.spec.names.short_names.unwrap_or_default().join(","))
        })
        .collect();
    let expected = [("Delivery", "dlv"), ("Seller", "slr"), ("Carrier", "crr")];
    assert_eq!(names, expected.map(|(kind, short)| (kind.to_owned(), short.to_owned())));
}

#[test]
fn the_printed_definitions_read_back_as_themselves() {
    for ((_, yaml), crd) in manifests().into_iter().zip(all()) {
        let read: CustomResourceDefinition = serde_saphyr::from_str(&yaml).unwrap();
        assert_eq!(read, crd);
    }
}
