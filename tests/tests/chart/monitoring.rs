//! Seen from outside: each part off by default; alerts and panels ask for metrics that exist.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::Value;

use crate::helm::{helms, read, root, yaml};

const KINDS: [&str; 3] = ["ServiceMonitor", "PodMonitor", "PrometheusRule"];

#[test]
fn each_part_is_off_by_default_and_comes_alone() {
    for helm in helms("chart monitoring") {
        let plain = helm.template(&[]).expect("a rendering");
        assert!(KINDS.iter().all(|kind| plain.kind(kind).next().is_none()));
        assert_eq!(plain.names("ConfigMap"), ["waybill-system/waybill-broker"]);
        let monitors = helm.template(&["--set", "monitoring.serviceMonitor.enabled=true"]).expect("a rendering");
        assert_eq!(KINDS.map(|kind| monitors.kind(kind).count()), [1, 1, 0]);
        let rules = helm.template(&["--set", "monitoring.prometheusRule.enabled=true"]).expect("a rendering");
        assert_eq!(KINDS.map(|kind| rules.kind(kind).count()), [0, 0, 1]);
        let board = helm.template(&["--set", "monitoring.dashboard.enabled=true"]).expect("a rendering");
        let json = board.one("ConfigMap", "waybill-dashboard")["data"]["waybill.json"].as_str().expect("a dashboard");
        let dashboard: Value = serde_json::from_str(json).expect("JSON after rendering too");
        assert!(dashboard["panels"].as_array().is_some_and(|panels| panels.len() > 20));
    }
}

#[test]
fn alerts_and_panels_name_metrics_that_the_programs_register() {
    let registered = registered();
    let texts =
        [read("charts/waybill/files/monitoring/rules.yaml"), read("charts/waybill/files/monitoring/dashboard.json")];
    let used: BTreeSet<String> = texts.iter().flat_map(|text| metrics(text)).collect();
    assert!(used.len() > 20, "{used:?}");
    let missing: Vec<_> = used.iter().filter(|name| !registered.contains(family(name))).collect();
    assert!(missing.is_empty(), "registered nowhere: {missing:?}");
}

#[test]
fn every_alert_says_what_it_means_and_how_bad_it_is() {
    for rule in yaml("charts/waybill/files/monitoring/rules.yaml").as_array().expect("a list") {
        assert!(matches!(rule["labels"]["severity"].as_str(), Some("critical" | "warning")), "{rule}");
        assert!(rule["annotations"]["summary"].is_string() && rule["annotations"]["description"].is_string(), "{rule}");
    }
}

/// Every word in `text` that is a metric of ours.
fn metrics(text: &str) -> Vec<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    words.filter(|word| word.starts_with("waybill_")).map(str::to_owned).collect()
}

/// The name a program registers it under: without the prefix and suffixes that are added.
fn family(name: &str) -> &str {
    let name = name.trim_start_matches("waybill_");
    let name = ["broker_", "link_", "seller_"].iter().find_map(|room| name.strip_prefix(room)).unwrap_or(name);
    ["_total", "_bucket"].iter().find_map(|suffix| name.strip_suffix(suffix)).unwrap_or(name)
}

/// Every text that a source file registers, or describes, as a metric.
fn registered() -> BTreeSet<String> {
    let mut names = BTreeSet::new();
    for room in ["operator/src", "services"] {
        collect(&root().join(room), &mut names);
    }
    names
}

fn collect(folder: &Path, names: &mut BTreeSet<String>) {
    for entry in std::fs::read_dir(folder).expect("a folder of the checkout") {
        let path = entry.expect("an entry").path();
        if path.is_dir() {
            collect(&path, names);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = std::fs::read_to_string(&path).expect("a source file");
            for call in ["register(", "encode_descriptor("] {
                let quoted = source.split(call).skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
                names.extend(
                    quoted
                        .filter_map(|rest| rest.split_once('"'))
                        .map(|(name, _)| name.trim_start_matches("waybill_").to_owned()),
                );
            }
        }
    }
}
