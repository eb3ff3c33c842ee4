//! Promise 4: an order that is forgotten is gone from every live store, and its proof stays whole (D-61).
//!
//! The stores are read by the test itself: the order's Secret, the files of the agent's and the Carrier API's containers, the logs.

use std::path::{Path, PathBuf};
use std::process::Command;

use k8s_openapi::api::core::v1::{Pod, Secret, ServiceAccount};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::ResourceExt;
use kube::api::{ListParams, LogParams, Patch, PatchParams};
use serde_json::json;
use waybill_crds::{Carrier, Delivery};
use waybill_e2e::disk::files_of;
use waybill_e2e::objects::{self, PROVISIONED, apply, config, delivery, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace};

const MARKER: &[u8] = b"MARKER";

#[tokio::test(flavor = "multi_thread")]
async fn d_61_a_forgotten_order_is_gone_from_every_store_and_its_proof_stays() {
    in_namespace("erasure", &[], |namespace| async move {
        let here = namespace.name.as_str();
        objects::seller(&namespace, "shop", &["upc-1", "upc-2"]).await;
        // As `kubectl apply` leaves it: a copy of the whole Secret in an annotation.
        let copy = json!({"stringData": {"upc-1": objects::order("upc-1")}}).to_string();
        let copied = json!({"metadata": {"annotations": {"kubectl.kubernetes.io/last-applied-configuration": copy}}});
        namespace
            .api::<Secret>()
            .patch("orders-shop", &PatchParams::default(), &Patch::Merge(copied))
            .await
            .expect("copied");
        camera(&namespace).await;
        viewer(&namespace).await;
        let mut wanted = delivery("upc-1", "shop", "van");
        wanted["spec"]["proof"] = json!({"photo": true});
        apply::<Delivery>(&namespace, &wanted).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "upc-1", "Proven", "True", None).await;
        let photo = photo_hash(&namespace).await;
        eventually("the picture is archived", PROVISIONED, || async {
            let files = stores(&namespace, "carrier-api").await;
            let there = |part: &str| files.iter().any(|(name, _)| name.contains(part));
            if there(&photo) && there("/archive-lines/") {
                Ok(())
            } else {
                Err(format!("{:?}", files.iter().map(|(name, _)| name).collect::<Vec<_>>()))
            }
        })
        .await;

        let told = says(0, &["forget", "upc-1", "-n", here]);
        assert!(told.contains("the order, from Secret orders-shop") && told.contains("both signed it"), "{told}");
        assert!(!told.contains("LEFT") && !told.contains("UNSEEN"), "{told}");
        gone(&namespace, &photo).await;

        let folder = tempfile::tempdir().expect("a folder");
        let file = folder.path().join("proof.zip").display().to_string();
        let root = config(&namespace, "waybill-trust", "root-fingerprint").await;
        says(0, &["bundle", "upc-1", "--file", &file, "-n", here]);
        let proved = says(0, &["verify", &file, "--root", &root]);
        assert!(proved.contains("PROVED") && proved.contains("erased or withheld"), "{proved}");

        // It does not come back, neither beside its Delivery nor after it.
        again(&namespace, "upc-1-again").await;
        namespace.api::<Delivery>().delete("upc-1", &Default::default()).await.expect("deleted");
        namespace.api::<Delivery>().delete("upc-1-again", &Default::default()).await.expect("deleted");
        again(&namespace, "upc-1-once-more").await;
    })
    .await;
}

/// No store has a part of the order, and none the picture.
async fn gone(namespace: &Namespace, photo: &str) {
    let secret = namespace.api::<Secret>().get("orders-shop").await.expect("the other order stays");
    assert!(!secret.data.clone().unwrap_or_default().contains_key("upc-1"));
    assert!(!format!("{:?}", secret.metadata.annotations).contains("MARKER"), "nor in what kubectl copies");
    for component in ["transport", "carrier-api", "seller"] {
        for (name, bytes) in stores(namespace, component).await {
            // The Seller's other order is in its memory, never in a file.
            assert!(!bytes.windows(MARKER.len()).any(|window| window == MARKER), "{component}: {name}");
            assert!(!name.contains(photo), "{component}: {name}");
        }
    }
    for pod in namespace.api::<Pod>().list(&ListParams::default()).await.expect("pods") {
        let log = namespace.api::<Pod>().logs(&pod.name_any(), &LogParams::default()).await.expect("a log");
        assert!(!log.contains("MARKER"), "the log of {}", pod.name_any());
    }
}

/// The files of every pod of this component; there have to be some.
async fn stores(namespace: &Namespace, component: &str) -> Vec<(String, Vec<u8>)> {
    let labels = ListParams::default().labels(&format!("app.kubernetes.io/component={component}"));
    let pods = namespace.api::<Pod>().list(&labels).await.expect("pods");
    assert!(!pods.items.is_empty(), "no pods of {component}");
    let files: Vec<_> = pods.iter().flat_map(|pod| files_of(&pod.uid().expect("a uid"))).collect();
    assert!(!files.is_empty(), "no files of {component}");
    files
}

async fn again(namespace: &Namespace, name: &str) {
    let mut again = delivery("upc-1", "shop", "van");
    again["metadata"]["name"] = json!(name);
    apply::<Delivery>(namespace, &again).await.expect("a Delivery");
    let refused: Delivery = wait_condition(namespace, name, "Admitted", "False", Some("UpcForgotten")).await;
    let message = &objects::Conditions::condition(&refused, "Admitted").expect("the condition").message;
    assert!(message.contains("was forgotten"), "{message}");
}

async fn photo_hash(namespace: &Namespace) -> String {
    let delivery = namespace.api::<Delivery>().get("upc-1").await.expect("the Delivery");
    delivery.status.and_then(|status| status.proof?.photo_hash).expect("a picture")
}

/// Whom the plugin asks the Carrier API as; the chart makes one where it knows the namespace.
async fn viewer(namespace: &Namespace) {
    let name = "waybill-viewer";
    let role = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": name},
        "rules": [{"apiGroups": ["waybill.dev"], "resources": ["deliveries"], "verbs": ["get", "list"]}]});
    let account = json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}});
    let binding = json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace.name}]});
    apply::<ServiceAccount>(namespace, &account).await.expect("an account");
    apply::<Role>(namespace, &role).await.expect("a Role");
    apply::<RoleBinding>(namespace, &binding).await.expect("a RoleBinding");
}

async fn camera(namespace: &Namespace) {
    let carrier = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": "van"},
        "spec": {"kind": "truck", "camera": true, "transport": {"managed": {"pace": "0s"}}}});
    apply::<Carrier>(namespace, &carrier).await.expect("a Carrier");
}

/// What the plugin printed, if it ended with this code.
fn says(code: i32, words: &[&str]) -> String {
    let own = std::env::current_exe().expect("this program");
    let plugin: PathBuf = own.parent().and_then(Path::parent).expect("a folder of programs").join("kubectl-waybill");
    let kubeconfig = std::env::var("WAYBILL_KUBECONFIG").unwrap_or_default();
    let output = Command::new(plugin).args(words).env("KUBECONFIG", kubeconfig).output().expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (out, err) = (text(&output.stdout), text(&output.stderr));
    assert_eq!(output.status.code(), Some(code), "{words:?}\n{out}{err}");
    out + &err
}
