//! `kubectl waybill` as its users have it: a program beside kubectl, under a kubeconfig.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use k8s_openapi::api::core::v1::ServiceAccount;
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery, Phase};
use waybill_e2e::objects::{self, PROVISIONED, apply, config, delivery};
use waybill_e2e::{Namespace, eventually, in_namespace};

/// Beside the folder of this test's own program.
fn plugin() -> PathBuf {
    let own = std::env::current_exe().expect("this program");
    let built = own.parent().and_then(Path::parent).expect("a folder of programs").join("kubectl-waybill");
    assert!(built.exists(), "{built:?}: cargo build --bin kubectl-waybill");
    built
}

fn run(words: &[&str]) -> Output {
    let kubeconfig = std::env::var("WAYBILL_KUBECONFIG").unwrap_or_default();
    Command::new(plugin()).args(words).env("KUBECONFIG", kubeconfig).output().expect("it runs")
}

/// What it printed, if it ended with this code.
fn says(code: i32, words: &[&str]) -> String {
    let output = run(words);
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}{err}");
    out + &err
}

async fn delivered(namespace: &Namespace) {
    objects::seller(namespace, "shop", &["upc-1"]).await;
    let carrier = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": "van"},
                         "spec": {"kind": "truck", "transport": {"managed": {"pace": "0s"}}}});
    apply::<Carrier>(namespace, &carrier).await.expect("a Carrier");
    apply::<Delivery>(namespace, &delivery("upc-1", "shop", "van")).await.expect("a Delivery");
    eventually("it is delivered", PROVISIONED, || async {
        let delivery = namespace.api::<Delivery>().get("upc-1").await.map_err(|why| why.to_string())?;
        if delivery.phase() == Phase::Delivered { Ok(()) } else { Err(delivery.phase().to_string()) }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_is_followed_read_bundled_and_proved_far_from_the_cluster() {
    in_namespace("plugin", &[], |namespace| async move {
        delivered(&namespace).await;
        let (here, folder) = (namespace.name.as_str(), tempfile::tempdir().expect("a folder"));
        let row = says(0, &["track", "-n", here]);
        assert!(row.contains("[=====]") && row.contains("Delivered") && row.contains("van"), "{row}");
        let followed = says(0, &["track", "upc-1", "-w", "-n", here]);
        assert!(followed.contains("Delivered"), "what is over is shown once: {followed}");
        let object: Value =
            serde_json::from_str(&says(0, &["track", "upc-1", "-o", "json", "-n", here])).expect("JSON");
        assert_eq!(object["spec"]["upc"], "upc-1");

        let timeline = says(0, &["timeline", "upc-1", "-n", here]);
        assert!(timeline.contains("The carrier picked the parcel up") && !timeline.contains("NO:"), "{timeline}");

        let file = folder.path().join("proof.zip").display().to_string();
        let root = config(&namespace, "waybill-trust", "root-fingerprint").await;
        let made = says(0, &["bundle", "upc-1", "--file", &file, "-n", here]);
        assert!(made.contains(&root), "{made}");
        let proved = says(0, &["verify", &file, "--root", &root]);
        assert!(proved.contains("PROVED"), "{proved}");
        says(3, &["verify", &file]);
        says(1, &["verify", &file, "--root", &"ab".repeat(32)]);
        let mut bytes = std::fs::read(&file).expect("the bundle");
        let at = bytes.len() / 2;
        bytes[at] ^= 1;
        std::fs::write(&file, bytes).expect("written");
        assert!(says(1, &["verify", &file, "--root", &root]).contains("BROKEN"));

        let epcis: Value = serde_json::from_str(&says(0, &["epcis", "upc-1", "-n", here])).expect("JSON");
        assert_eq!(epcis["type"], "EPCISDocument");
        let sheet = says(0, &["label", "upc-1", "-n", here]);
        assert!(sheet.contains("<svg") && sheet.contains("upc-1") && !sheet.contains("waybill:1:"), "{sheet}");
        let certs = says(0, &["certs", "-n", here]);
        assert!(certs.contains("Seller") && certs.contains("van") && certs.contains("in force"), "{certs}");
        assert!(says(0, &["doctor", "-n", here]).contains("nothing is wrong"));
    })
    .await;
}

/// A kubeconfig with a client certificate has no token to show: one is asked for in the name of an account of the namespace.
#[tokio::test(flavor = "multi_thread")]
async fn a_tracking_link_is_made_listed_and_taken_back_through_the_cluster_alone() {
    in_namespace("plugin-token", &[], |namespace| async move {
        let here = namespace.name.as_str();
        delivered(&namespace).await;
        viewer(&namespace, "clerk").await;
        let words = |rest: &[&str]| -> Vec<String> {
            let all = [&["token"], rest, &["-n", here, "--account", "clerk"]].concat();
            all.into_iter().map(str::to_owned).collect()
        };
        let says = |code: i32, rest: &[&str]| {
            let words = words(rest);
            says(code, &words.iter().map(String::as_str).collect::<Vec<_>>())
        };
        let link = eventually("a link is made", PROVISIONED, || async {
            let words = words(&["issue", "upc-1", "--recipient", "--ttl", "1h", "--board", "https://board.example"]);
            let output = run(&words.iter().map(String::as_str).collect::<Vec<_>>());
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            if output.status.success() { Ok(text) } else { Err(String::from_utf8_lossy(&output.stderr).into_owned()) }
        })
        .await;
        assert!(link.starts_with(&format!("https://board.example/track#{here}.")), "{link}");
        let listed = says(0, &["list", "upc-1"]);
        assert!(listed.contains("recipient"), "{listed}");
        let all: Value = serde_json::from_str(&says(0, &["list", "upc-1", "-o", "json"])).expect("JSON");
        let id = all[0]["id"].as_str().expect("an id");
        assert!(!link.contains(id), "a list opens nothing");
        assert!(says(0, &["revoke", "upc-1", &id[..12]]).contains("taken back"));
        assert!(says(0, &["list", "upc-1"]).contains("no links"));
        assert!(says(1, &["revoke", "upc-1", "ffff"]).contains("kubectl waybill token list"));
        let lost = run(&["token", "list", "upc-1", "-n", here, "--account", "nobody-of-this-name"]);
        assert!(String::from_utf8_lossy(&lost.stderr).contains("serviceaccounts/token"), "{lost:?}");
    })
    .await;
}

/// An account that may read Deliveries.
async fn viewer(namespace: &Namespace, name: &str) {
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name}, "rules": [
        {"apiGroups": ["waybill.dev"], "resources": ["deliveries"], "verbs": ["get", "list"]}]});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}]});
    apply::<ServiceAccount>(namespace, &account).await.expect("an account");
    apply::<Role>(namespace, &role).await.expect("a Role");
    apply::<RoleBinding>(namespace, &binding).await.expect("a RoleBinding");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_said_with_the_next_step() {
    in_namespace("plugin-wrong", &[], |namespace| async move {
        let here = namespace.name.as_str();
        assert!(says(0, &["track", "-n", here]).contains("no Deliveries"));
        let unknown = says(1, &["track", "upc-9", "-n", here]);
        assert!(unknown.contains("upc-9") && unknown.contains("kubectl waybill track"), "{unknown}");
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "nobody")).await.expect("a Delivery");
        let doctor = eventually("the doctor finds it", PROVISIONED, || async {
            let output = run(&["doctor", "-n", here]);
            let text = String::from_utf8_lossy(&output.stdout).into_owned();
            let found = output.status.code() == Some(1) && text.contains("CarrierMissing");
            if found { Ok(text) } else { Err(text) }
        })
        .await;
        assert!(doctor.contains("kubectl describe delivery upc-1"), "{doctor}");
        let cancelled = says(0, &["cancel", "upc-1", "--reason", "duplicate", "-n", here]);
        assert!(cancelled.contains("called off"), "{cancelled}");
        let delivery = namespace.api::<Delivery>().get("upc-1").await.expect("the Delivery");
        assert_eq!(serde_json::to_value(delivery.spec.cancelled).expect("JSON"), json!({"reason": "duplicate"}));
        says(2, &["cancel", "upc-1", "--reason", "whim", "-n", here]);
    })
    .await;
}

#[test]
fn help_completion_and_wrong_usage_need_no_cluster() {
    for shell in ["bash", "zsh", "fish"] {
        assert!(says(0, &["completion", shell]).contains("kubectl-waybill"), "{shell}");
    }
    assert!(says(0, &["--help"]).contains("Exit codes"));
    says(2, &["track", "--no-such-flag"]);
    assert!(says(1, &["verify", "/no/such/file"]).contains("failed to read"));
    let lost = Command::new(plugin()).args(["track", "--kubeconfig", "/no/such/file"]).output().expect("it runs");
    assert!(String::from_utf8_lossy(&lost.stderr).contains("make -s kubeconfig"));
}
