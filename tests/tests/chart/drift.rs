//! What the chart repeats is compared with where it is decided: definitions, settings, phases, conditions, events.

use std::collections::BTreeSet;

use serde_json::Value;
use waybill_crds::Phase;
use waybill_crds::delivery::view::OPERATOR_CONDITIONS;

use crate::helm::{Rendered, helms, read};

#[test]
fn the_definitions_are_the_generated_ones_and_are_kept_at_uninstall() {
    for helm in helms("chart definitions") {
        let rendered = helm.template(&[]).expect("a rendering");
        for definition in rendered.kind("CustomResourceDefinition") {
            let plural = definition["spec"]["names"]["plural"].as_str().expect("a plural");
            let generated = crate::helm::yaml(&format!("crds/generated/{plural}.yaml"));
            assert_eq!(definition["spec"], generated["spec"], "{plural}: run `make crds`");
            assert_eq!(definition["metadata"]["annotations"]["helm.sh/resource-policy"], "keep");
        }
        assert_eq!(rendered.kind("CustomResourceDefinition").count(), 3);
        let let_go = helm.template(&["--set", "crds.keep=false"]).expect("a rendering");
        let annotated = |crd: &Value| crd["metadata"].get("annotations").is_some();
        assert!(!let_go.kind("CustomResourceDefinition").any(annotated));
        let without = helm.template(&["--set", "crds.enabled=false"]).expect("a rendering");
        assert_eq!(without.kind("CustomResourceDefinition").count(), 0);
    }
}

#[test]
fn the_chart_sets_the_settings_that_the_operator_reads() {
    let read: BTreeSet<String> =
        ["operator/src/args.rs", "services/chassis/src/telemetry.rs", "services/chassis/src/probes.rs"]
            .iter()
            .flat_map(|path| environment(&read(path)))
            .collect();
    for helm in helms("chart settings") {
        let ours = helm.template(&[]).expect("a rendering");
        let other = helm.template(&["--set", "broker.external.url=mqtts://mq:8883"]).expect("a rendering");
        let set: BTreeSet<String> = settings(&ours).into_iter().chain(settings(&other)).collect();
        assert_eq!(set, read);
    }
}

#[test]
fn policies_know_the_phases_conditions_and_endings_of_the_house() {
    for helm in helms("chart policies") {
        let rendered = helm.template(&[]).expect("a rendering");
        let delete = policy(&rendered, "delivery-delete");
        let free = Phase::ALL.into_iter().filter(|phase| phase.terminal() || *phase == Phase::Pending);
        assert_eq!(listed(&delete, "variables.phase in "), free.map(|phase| phase.to_string()).collect());
        let status = policy(&rendered, "delivery-status");
        let own = OPERATOR_CONDITIONS.iter().map(|type_| type_.as_str().to_owned()).collect();
        assert_eq!(listed(&status, "conditionsTouched.all(t, t in "), own);
        assert_eq!(listed(&status, "i < 240 || e.event in "), endings());
    }
}

/// The names after each `env = "` of a clap struct.
fn environment(source: &str) -> BTreeSet<String> {
    source.split("env = \"").skip(1).filter_map(|rest| rest.split_once('"')).map(|(name, _)| name.to_owned()).collect()
}

fn settings(rendered: &Rendered) -> Vec<String> {
    let operator = rendered.one("Deployment", "waybill-operator");
    let env = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("settings");
    env.iter().map(|entry| entry["name"].as_str().expect("a name").to_owned()).collect()
}

/// Every expression of a policy, in one text.
fn policy(rendered: &Rendered, name: &str) -> String {
    let policy = rendered.one("ValidatingAdmissionPolicy", &format!("{name}.waybill-system.waybill.dev"));
    let validations = policy["spec"]["validations"].as_array().expect("validations");
    validations.iter().filter_map(|validation| validation["expression"].as_str()).collect::<Vec<_>>().join("\n")
}

/// The texts of the list that follows `before`.
fn listed(expressions: &str, before: &str) -> BTreeSet<String> {
    let (_, rest) = expressions.split_once(before).unwrap_or_else(|| panic!("no {before:?} in {expressions}"));
    let (list, _) = rest.trim_start_matches('[').split_once(']').expect("a list ends");
    list.split(',').map(|word| word.trim().trim_matches(['\'', '"']).to_owned()).collect()
}

/// `Kind::is_ending` of the protocol, read as text: tests link no crate of the product but the types.
fn endings() -> BTreeSet<String> {
    let source = read("services/protocol/src/fact.rs");
    let (_, body) = source.split_once("fn is_ending").expect("the protocol says what an ending is");
    let (body, _) = body.split_once("\n    }\n").expect("a function ends");
    body.split("K::")
        .skip(1)
        .filter_map(|rest| rest.split(|c: char| !c.is_alphanumeric()).next())
        .map(str::to_owned)
        .collect()
}
