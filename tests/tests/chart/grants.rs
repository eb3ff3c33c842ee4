//! Rights: what the operator may do and where, and nothing by wildcard (DESIGN.md 7).

use serde_json::{Value, json};

use crate::helm::{Rendered, helms};

const SOMEWHERE: [&str; 2] = ["--set", "namespaces={shop,depot}"];
const EVERYWHERE: [&str; 2] = ["--set", "clusterWide=true"];

#[test]
fn nothing_is_granted_by_wildcard_and_escalation_to_nobody() {
    for helm in helms("chart rights") {
        for flags in [&[][..], &SOMEWHERE, &EVERYWHERE] {
            let rendered = helm.template(flags).expect("a rendering");
            for rule in rules(&rendered, "Role").chain(rules(&rendered, "ClusterRole")) {
                for list in ["apiGroups", "resources", "verbs"] {
                    let entries = rule[list].as_array().unwrap_or_else(|| panic!("{list} in {rule}"));
                    assert!(entries.iter().all(|entry| !entry.as_str().expect("text").contains('*')), "{rule}");
                }
                for verb in ["escalate", "impersonate", "deletecollection"] {
                    assert!(!rule["verbs"].as_array().expect("verbs").contains(&json!(verb)), "{rule}");
                }
                if rule["verbs"].as_array().expect("verbs").contains(&json!("bind")) {
                    assert_eq!(flags, EVERYWHERE, "with namespaces listed the chart binds, not the operator: {rule}");
                    assert_eq!(rule["resources"], json!(["clusterroles"]));
                    assert_eq!(rule["resourceNames"], json!(["system:auth-delegator"]), "this one role and no other");
                }
            }
        }
    }
}

#[test]
fn the_operator_has_a_role_in_each_namespace_listed_and_nothing_elsewhere() {
    for helm in helms("chart namespaces") {
        let (unsaid, listed) =
            (helm.template(&[]).expect("a rendering"), helm.template(&SOMEWHERE).expect("a rendering"));
        assert_eq!(operator_roles(&unsaid), ["default/waybill-operator", "waybill-system/waybill-operator"]);
        let three = ["depot/waybill-operator", "shop/waybill-operator", "waybill-system/waybill-operator"];
        assert_eq!(operator_roles(&listed), three);
        let declare = listed.one("ClusterRole", "waybill-declare.waybill-system")["rules"][0].clone();
        let namespaces: Vec<_> = rules(&listed, "ClusterRole").filter(|rule| **rule != declare).collect();
        let only = json!({"apiGroups": [""], "resources": ["namespaces"], "resourceNames": ["shop", "depot"],
                          "verbs": ["list", "watch"]});
        assert_eq!(namespaces, [&only]);
        assert_eq!(setting(&listed, "WAYBILL_WATCH_NAMESPACES"), "shop,depot");
    }
}

/// Who may declare what no device reported is for each namespace to say.
#[test]
fn the_right_to_declare_is_there_and_bound_to_nobody() {
    for helm in helms("chart declare") {
        for flags in [SOMEWHERE, EVERYWHERE] {
            let rendered = helm.template(&flags).expect("a rendering");
            let role = rendered.one("ClusterRole", "waybill-declare.waybill-system");
            let right = json!({"apiGroups": ["waybill.dev"], "resources": ["deliveries/declarations"],
                               "verbs": ["create", "get"]});
            assert_eq!(role["rules"], json!([right]));
            assert!(role.get("aggregationRule").is_none());
            let mut bindings = rendered.kind("ClusterRoleBinding").chain(rendered.kind("RoleBinding"));
            assert!(bindings.all(|binding| binding["roleRef"]["name"] != role["metadata"]["name"]));
        }
    }
}

#[test]
fn cluster_wide_is_the_same_rights_everywhere() {
    for helm in helms("chart cluster-wide") {
        let (some, all) =
            (helm.template(&SOMEWHERE).expect("a rendering"), helm.template(&EVERYWHERE).expect("a rendering"));
        assert_eq!(operator_roles(&all), ["waybill-system/waybill-operator"]);
        for (name, role) in
            [("waybill-operator", "participants"), ("waybill-board", "board"), ("waybill-viewer", "view")]
        {
            let is_it =
                |role: &&Value| role["metadata"]["namespace"] == "shop" && role["metadata"]["name"] == json!(name);
            let there = some.kind("Role").find(is_it).expect("its Role");
            let everywhere = all.one("ClusterRole", &format!("waybill-{role}.waybill-system"));
            assert_eq!(everywhere["rules"], there["rules"], "{name}");
        }
        assert_eq!(setting(&all, "WAYBILL_WATCH_NAMESPACES"), "");
    }
}

#[test]
fn the_board_and_each_namespaces_carrier_api_may_have_tokens_reviewed_and_nobody_else() {
    for helm in helms("chart reviews") {
        let reviewers = |rendered: &Rendered| -> Vec<Value> {
            let bindings = rendered.kind("ClusterRoleBinding");
            let reviews = bindings.filter(|binding| binding["roleRef"]["name"] == "system:auth-delegator");
            reviews.flat_map(|binding| binding["subjects"].as_array().cloned().unwrap_or_default()).collect()
        };
        let listed = reviewers(&helm.template(&SOMEWHERE).expect("a rendering"));
        let account =
            |name: &str, namespace: &str| json!({"kind": "ServiceAccount", "name": name, "namespace": namespace});
        let board = account("waybill-board", "waybill-system");
        let carrier_api = |namespace| account("waybill-carrier-api", namespace);
        assert_eq!(listed, [board.clone(), carrier_api("shop"), carrier_api("depot")]);
        let everywhere = reviewers(&helm.template(&EVERYWHERE).expect("a rendering"));
        assert_eq!(everywhere, [board], "there the operator binds each Carrier API as it comes");
        let none = helm.template(&[&SOMEWHERE[..], &["--set", "board.enabled=false"]].concat()).expect("a rendering");
        assert!(none.0.iter().all(|object| !object.to_string().contains("waybill-board")), "without a board");
        assert_eq!(reviewers(&none), [carrier_api("shop"), carrier_api("depot")]);
    }
}

#[test]
fn policies_apply_where_the_release_works() {
    for helm in helms("chart policies") {
        let (some, all) =
            (helm.template(&SOMEWHERE).expect("a rendering"), helm.template(&EVERYWHERE).expect("a rendering"));
        let kind = "ValidatingAdmissionPolicyBinding";
        assert_eq!(all.kind(kind).count(), 3);
        assert!(all.kind(kind).all(|binding| binding["spec"].get("matchResources").is_none()));
        for binding in some.kind(kind) {
            let selector = &binding["spec"]["matchResources"]["namespaceSelector"]["matchExpressions"][0];
            assert_eq!(selector["values"], json!(["shop", "depot"]));
            assert_eq!(binding["spec"]["validationActions"], json!(["Deny"]));
        }
        assert!(some.kind("ValidatingAdmissionPolicy").all(|policy| policy["spec"]["failurePolicy"] == "Fail"));
    }
}

#[test]
fn another_broker_leaves_nothing_of_ours() {
    for helm in helms("chart other broker") {
        let rendered =
            helm.template(&["--set", "broker.external.url=mqtts://mq.example.com:8883"]).expect("a rendering");
        let ours: Vec<_> = rendered
            .0
            .iter()
            .filter(|object| object["metadata"]["name"].as_str().unwrap_or("").contains("broker"))
            .collect();
        assert!(ours.is_empty(), "{ours:?}");
        assert_eq!(setting(&rendered, "WAYBILL_BROKER_URL"), "mqtts://mq.example.com:8883");
    }
}

fn operator_roles(rendered: &Rendered) -> Vec<String> {
    rendered.names("Role").into_iter().filter(|name| name.ends_with("/waybill-operator")).collect()
}

fn rules<'a>(rendered: &'a Rendered, kind: &'a str) -> impl Iterator<Item = &'a Value> {
    rendered.kind(kind).flat_map(|role| role["rules"].as_array().into_iter().flatten())
}

fn setting(rendered: &Rendered, name: &str) -> String {
    let operator = rendered.one("Deployment", "waybill-operator");
    let env = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("settings");
    let found = env.iter().find(|entry| entry["name"] == name).unwrap_or_else(|| panic!("no {name}"));
    found["value"].as_str().expect("text").to_owned()
}
