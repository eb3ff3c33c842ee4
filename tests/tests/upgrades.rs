//! Install, upgrade, rollback and uninstall, with both helms, under objects that must survive all of it (issue: the chart).
//!
//! It takes the release under test away and puts it back, so nothing else may run beside it: cargo runs test programs one
//! after the other.

use std::time::Duration;

use k8s_openapi::api::admissionregistration::v1::ValidatingAdmissionPolicy;
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Secret;
use kube::api::ListParams;
use kube::{Api, Client, ResourceExt};
use waybill_crds::{Delivery, Seller};
use waybill_e2e::helm::{Helm, chart};
use waybill_e2e::objects::{apply, delivery, managed_carrier, seller, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace};

const HOME: &str = "waybill-system";
const PATIENCE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_release_is_upgraded_rolled_back_removed_and_put_back_and_nobody_loses_an_identity() {
    in_namespace("upgrades", &[], |namespace| async move {
        for program in ["WAYBILL_HELM3", "WAYBILL_HELM4"] {
            let Some(helm) = Helm::find(program) else { continue };
            let values = helm.values();
            provision(&namespace).await;
            let before = Identities::read(&namespace).await;
            upgrade_and_roll_back(&helm, &namespace.client).await;
            remove(&helm, &namespace).await;
            helm.run(&[
                "upgrade",
                "--install",
                "waybill",
                &chart(),
                "--values",
                &values.display().to_string(),
                "--wait",
            ]);
            wait_condition::<Seller>(&namespace, "shop", "Ready", "True", None).await;
            wait_condition::<Delivery>(&namespace, "upc-1", "Ready", "True", None).await;
            assert_eq!(
                Identities::read(&namespace).await,
                before,
                "{program}: the same authority, the same certificates"
            );
        }
    })
    .await;
}

async fn provision(namespace: &Namespace) {
    seller(namespace, "shop", &["upc-1"]).await;
    managed_carrier(namespace, "truck").await;
    apply::<Delivery>(namespace, &delivery("upc-1", "shop", "truck")).await.expect("a Delivery");
    wait_condition::<Delivery>(namespace, "upc-1", "Ready", "True", None).await;
}

async fn upgrade_and_roll_back(helm: &Helm, client: &Client) {
    let level = log_level(client).await;
    helm.run(&["upgrade", "waybill", &chart(), "--reuse-values", "--set", "log.level=debug", "--wait"]);
    assert_eq!(log_level(client).await, "debug");
    helm.run(&["rollback", "waybill", "--wait"]);
    assert_eq!(log_level(client).await, level);
}

async fn remove(helm: &Helm, namespace: &Namespace) {
    helm.run(&["uninstall", "waybill", "--wait"]);
    let left = namespace.api::<Delivery>().get("upc-1").await.expect("definitions are kept, and Deliveries with them");
    assert!(left.metadata.deletion_timestamp.is_none());
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(namespace.client.clone());
    eventually("the policies are gone", PATIENCE, || async {
        let list = policies.list(&ListParams::default()).await.map_err(|error| error.to_string())?;
        let left: Vec<_> = list.iter().map(ResourceExt::name_any).filter(|n| n.contains(HOME)).collect();
        if left.is_empty() { Ok(()) } else { Err(format!("{left:?}")) }
    })
    .await;
}

async fn log_level(client: &Client) -> String {
    let api: Api<Deployment> = Api::namespaced(client.clone(), HOME);
    let operator = serde_json::to_value(api.get("waybill-operator").await.expect("the operator")).expect("plain data");
    let env = operator["spec"]["template"]["spec"]["containers"][0]["env"].as_array().expect("settings").clone();
    let level = env.iter().find(|entry| entry["name"] == "WAYBILL_LOG").expect("a level");
    level["value"].as_str().expect("text").to_owned()
}

/// Who everybody is: the authority, and the certificate of one participant.
#[derive(Debug, PartialEq)]
struct Identities {
    authority: Option<String>,
    serial: Option<String>,
}

impl Identities {
    async fn read(namespace: &Namespace) -> Self {
        let secrets: Api<Secret> = Api::namespaced(namespace.client.clone(), HOME);
        let authority = secrets.get_metadata("waybill-ca").await.expect("the authority stays").uid();
        let seller = namespace.api::<Seller>().get("shop").await.expect("the Seller stays");
        Self { authority, serial: seller.status.and_then(|status| status.certificate).map(|now| now.serial) }
    }
}
