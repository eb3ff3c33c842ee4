//! The board with an OpenID Connect issuer: its settings, its files, the way out to it; and none of it without one.

use serde_json::{Value, json};

use crate::helm::{Rendered, helms};

const ISSUER: [&str; 4] = [
    "--set",
    "board.externalUrl=https://board.example.com,board.oidc.issuer=https://id.example.com:8443/realms/shop",
    "--set",
    "board.oidc.clientId=waybill,board.oidc.groupsClaim=groups,board.oidc.groupsPrefix=oidc:",
];

#[test]
fn an_issuer_is_told_to_the_board_and_reached_by_it() {
    for helm in helms("chart issuer") {
        let rendered = helm.template(&ISSUER).expect("a rendering");
        for (name, value) in [
            ("ISSUER", "https://id.example.com:8443/realms/shop"),
            ("CLIENT_ID", "waybill"),
            ("SCOPES", "profile,email"),
            ("USERNAME_CLAIM", "sub"),
            ("USERNAME_PREFIX", ""),
            ("GROUPS_CLAIM", "groups"),
            ("GROUPS_PREFIX", "oidc:"),
        ] {
            assert_eq!(setting(&rendered, name), Some(json!(value)), "{name}");
        }
        assert_eq!(setting(&rendered, "CLIENT_SECRET_FILE"), None, "a client without a secret");
        assert_eq!(ports_to_anybody(&rendered), [8443]);
        let default = helm.template(&[&ISSUER[..], &["--set", "board.oidc.issuer=https://id.example.com"]].concat());
        assert_eq!(ports_to_anybody(&default.expect("a rendering")), [443]);
        let none = helm.template(&[]).expect("a rendering");
        assert_eq!(setting(&none, "ISSUER"), None);
        assert_eq!(ports_to_anybody(&none), [0; 0]);
        for wrong in ["board.oidc.issuer=http://id.example.com", "board.oidc.isuer=https://id.example.com"] {
            helm.template(&[&ISSUER[..], &["--set", wrong]].concat()).expect_err(wrong);
        }
    }
}

#[test]
fn a_clients_secret_and_an_issuers_roots_are_files_of_the_board() {
    for helm in helms("chart issuer files") {
        let files = ["--set", "board.oidc.clientSecretName=login,board.oidc.caConfigMap=roots"];
        let rendered = helm.template(&[&ISSUER[..], &files[..]].concat()).expect("a rendering");
        assert_eq!(setting(&rendered, "CLIENT_SECRET_FILE"), Some(json!("/etc/waybill/oidc/client-secret")));
        assert_eq!(setting(&rendered, "CA_FILE"), Some(json!("/etc/waybill/oidc/ca.crt")));
        let volumes = pod(&rendered)["volumes"].as_array().expect("volumes").clone();
        let sources =
            &volumes.iter().find(|volume| volume["name"] == "oidc").expect("its files")["projected"]["sources"];
        assert_eq!(
            (&sources[0]["secret"]["name"], &sources[1]["configMap"]["name"]),
            (&json!("login"), &json!("roots"))
        );
        assert!(!rendered.0.iter().any(|object| object["kind"] == "Secret"), "a secret is nobody's to render");
    }
}

fn pod(rendered: &Rendered) -> &Value {
    &rendered.one("Deployment", "waybill-board")["spec"]["template"]["spec"]
}

/// A setting of the board for its issuer.
fn setting(rendered: &Rendered, name: &str) -> Option<Value> {
    let env = pod(rendered)["containers"][0]["env"].as_array().expect("settings");
    env.iter().find(|entry| entry["name"] == format!("WAYBILL_OIDC_{name}")).map(|entry| entry["value"].clone())
}

/// Ports the board may reach wherever they are; the API server's and those of names are every cluster's.
fn ports_to_anybody(rendered: &Rendered) -> Vec<u64> {
    let egress = rendered.one("NetworkPolicy", "waybill-board")["spec"]["egress"].as_array().expect("ways out").clone();
    let anywhere = egress.iter().skip(2).filter(|way| way.get("to").is_none());
    anywhere
        .flat_map(|way| way["ports"].as_array().cloned().unwrap_or_default())
        .filter_map(|port| port["port"].as_u64())
        .collect()
}
