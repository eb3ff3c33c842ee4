//! The operator's process as a victim.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, Client, ResourceExt};
use serde_json::json;

use crate::ledger::SYSTEM;
use crate::{eventually, process};

const BACK: Duration = Duration::from_secs(60);
/// The kubelet restarts a container at once the first time, and makes it wait longer each time after.
const RESTARTED: Duration = Duration::from_secs(5);

/// The pid of the one operator, once it runs.
pub async fn pid() -> u32 {
    eventually("one operator runs", BACK, || async {
        let found = process::find(&["waybill", "operator"]);
        if let [pid] = found[..] { Ok(pid) } else { Err(format!("{found:?}")) }
    })
    .await
}

/// How it came back.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Back {
    /// In its container, under its old name: it still holds the Lease.
    Restarted,
    /// As another pod; its Lease was given back by hand.
    Replaced,
}

/// `kill -9`; returns once another process runs.
pub async fn crash(client: &Client, back: Back) -> Back {
    let dead = pid().await;
    process::kill(dead);
    if back == Back::Restarted && is_another(dead, RESTARTED).await {
        return Back::Restarted;
    }
    replace(client).await;
    assert!(is_another(dead, BACK).await, "no operator runs {BACK:?} after its pod was deleted");
    Back::Replaced
}

async fn is_another(dead: u32, deadline: Duration) -> bool {
    let looking = async {
        loop {
            if pid().await != dead {
                return;
            }
        }
    };
    tokio::time::timeout(deadline, looking).await.is_ok()
}

/// Removes its pod at once, which ends the kubelet's patience with it, and the Lease's holder, who is dead.
async fn replace(client: &Client) {
    let pods: Api<Pod> = Api::namespaced(client.clone(), SYSTEM);
    let operators = ListParams::default().labels("app.kubernetes.io/component=operator");
    for pod in pods.list(&operators).await.expect("the operator's pods") {
        // Gone meanwhile is as good.
        let _ = pods.delete(&pod.name_any(), &DeleteParams::default().grace_period(0)).await;
    }
    let leases: Api<Lease> = Api::namespaced(client.clone(), SYSTEM);
    let nobody = Patch::Merge(json!({"spec": {"holderIdentity": null}}));
    leases.patch("waybill-operator", &PatchParams::default(), &nobody).await.expect("the Lease is given back");
}
