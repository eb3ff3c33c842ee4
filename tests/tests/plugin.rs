//! `kubectl waybill` as its users have it: a program beside kubectl, under a kubeconfig.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use k8s_openapi::api::core::v1::{Secret, ServiceAccount};
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

/// The same, with this on its standard input.
fn fed(code: i32, words: &[&str], input: &str) -> String {
    let kubeconfig = std::env::var("WAYBILL_KUBECONFIG").unwrap_or_default();
    let mut command = Command::new(plugin());
    command.args(words).env("KUBECONFIG", kubeconfig);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("it runs");
    // Who ends before it has read everything closes the pipe.
    let _ = child.stdin.take().expect("its input").write_all(input.as_bytes());
    let output = child.wait_with_output().expect("it ends");
    let text = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{text}");
    text
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
        assert!(
            String::from_utf8_lossy(&lost.stderr).contains("no ServiceAccount \"nobody-of-this-name\""),
            "{lost:?}"
        );
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
async fn an_order_and_its_delivery_are_made_without_an_address_on_the_command_line() {
    in_namespace("plugin-create", &[], |namespace| async move {
        let here = namespace.name.as_str();
        objects::seller(&namespace, "shop", &["upc-9"]).await;
        let create = |upc| ["create", upc, "--seller", "shop", "--order", "-", "-n", here];
        let made = fed(0, &create("UPC_1"), &objects::order("UPC_1"));
        assert!(made.contains("orders-shop") && made.contains("delivery upc-1 is created"), "{made}");
        let data = namespace.api::<Secret>().get("orders-shop").await.expect("the Secret").data.unwrap_or_default();
        let order: Value = serde_json::from_slice(&data["UPC_1"].0).expect("JSON");
        assert_eq!((order["city"].as_str(), order["salt"].as_str().map(str::len)), (Some("MARKER-city"), Some(32)));
        assert!(data.contains_key("upc-9"), "the others stay");
        let delivery = namespace.api::<Delivery>().get("upc-1").await.expect("the Delivery");
        assert_eq!((delivery.spec.upc.as_str(), delivery.spec.seller.as_str()), ("UPC_1", "shop"));
        let other = ["create", "UPC_1", "--seller", "shop", "--name", "b", "--order", "-", "-n", here];
        let twice = fed(1, &other, &objects::order("UPC_1"));
        assert!(twice.contains("has an order UPC_1 already"), "{twice}");
        let wrong = fed(1, &create("UPC_2"), r#"{"city": "MARKER-city"}"#);
        assert!(wrong.contains("country, province") && !wrong.contains("MARKER"), "{wrong}");
        let asked = fed(1, &["create", "UPC_2", "--seller", "shop", "-n", here], "");
        assert!(asked.contains("--order -"), "{asked}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_enrols_with_keys_that_stay_in_one_file_of_its_own() {
    use std::os::unix::fs::PermissionsExt as _;
    in_namespace("plugin-enroll", &[], |namespace| async move {
        let (here, folder) = (namespace.name.as_str(), tempfile::tempdir().expect("a folder"));
        let file = folder.path().join("van.agent.yaml");
        let path = file.display().to_string();
        let words = ["carrier", "enroll", "van", "--kind", "drone", "--camera", "--file", &path, "-n", here];
        let told = says(0, &words);
        assert!(told.contains("waybill transport --config") && told.contains("--unix-socket taps.sock"), "{told}");
        let mode = std::fs::metadata(&file).expect("the file").permissions().mode();
        assert_eq!(mode & 0o077, 0, "for nobody else to read");
        let agent: Value = serde_json::from_slice(&std::fs::read(&file).expect("the file")).expect("JSON");
        let carrier = namespace.api::<Carrier>().get("van").await.expect("the Carrier");
        assert_eq!(agent["uid"].as_str(), carrier.metadata.uid.as_deref());
        let root = config(&namespace, "waybill-trust", "root-fingerprint").await;
        assert_eq!(agent["rootFingerprint"], json!(root));
        assert_eq!(agent["taps"], "taps.sock", "an agent that plays is nothing for parcels");
        assert!(agent["keys"]["sealing"].as_str().is_some_and(|pem| pem.contains("PRIVATE KEY")));
        let applied = serde_json::to_string(&carrier).expect("JSON");
        assert!(!applied.contains("PRIVATE KEY"), "{applied}");
        assert_eq!(std::fs::read_dir(folder.path()).expect("a folder").count(), 1, "no key is left beside it");
        assert!(says(1, &words).contains("is there already"));
        let again = folder.path().join("again.yaml").display().to_string();
        says(
            0,
            &[
                "carrier",
                "enroll",
                "van-2",
                "--broker",
                "b.example.org:8883",
                "--simulated",
                "--file",
                &again,
                "-n",
                here,
            ],
        );
        let again = std::fs::read_to_string(&again).expect("the file");
        assert!(again.contains("b.example.org:8883") && !again.contains("taps"));
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_report_for_those_who_help_has_no_secret_in_it() {
    in_namespace("plugin-report", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        apply::<Delivery>(&namespace, &delivery("upc-1", "shop", "nobody")).await.expect("a Delivery");
        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("report.json").display().to_string();
        says(0, &["report", "--file", &file, "-n", &namespace.name]);
        let text = std::fs::read_to_string(&file).expect("the report");
        assert!(text.contains("upc-1") && text.contains("\"events\"") && !text.contains("MARKER"), "{text}");
    })
    .await;
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
