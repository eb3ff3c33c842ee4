//! The certificate authority as its owner handles it: asks for another one, waits, lets time pass.

use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use kube::{Api, Client};
use serde_json::{Value, json};

use crate::eventually;
use crate::ledger::SYSTEM;

pub const PARTICIPANTS: &str = "waybill-ca";
/// Of the one client of the broker's third listener.
pub const ADMIN: &str = "waybill-broker-admin-ca";
/// Beyond the overlap asked for: rounds of the operator, and a busy machine.
const ROTATED: Duration = Duration::from_secs(120);

fn secrets(client: &Client) -> Api<Secret> {
    Api::namespaced(client.clone(), SYSTEM)
}

/// Who issues, who is next, who was: `state.json` of the authority's Secret.
pub async fn state(client: &Client, secret: &str) -> kube::Result<Value> {
    let data = secrets(client).get(secret).await?.data.expect("data");
    Ok(serde_json::from_slice(&data["state.json"].0).expect("JSON"))
}

/// Any value of the annotation that it did not have asks for a rotation.
pub async fn ask(client: &Client, secret: &str) {
    let value = format!("{:08x}", rand::random::<u32>());
    let asked = Patch::Merge(json!({"metadata": {"annotations": {"waybill.dev/rotate": value}}}));
    secrets(client).patch(secret, &PatchParams::default(), &asked).await.expect("a user asks");
}

/// Waits until another than `old` issues; answers with who.
pub async fn replaced(client: &Client, old: &str) -> String {
    eventually("another authority issues", ROTATED, || async {
        let state = state(client, PARTICIPANTS).await.map_err(|why| why.to_string())?;
        let active = state["active"]["id"].as_str().expect("an id");
        if active == old { Err(state.to_string()) } else { Ok(active.to_owned()) }
    })
    .await
}

/// When the leafs of those who were have long ended.
const LONG_AGO: &str = "2026-01-01T00:00:00Z";

/// Ninety days pass, which is as long as a leaf can live: all authorities that were leave.
pub async fn retire(client: &Client) {
    eventually("those who were have left", ROTATED, || async {
        let secret = secrets(client).get(PARTICIPANTS).await.map_err(|why| why.to_string())?;
        let mut state: Value = serde_json::from_slice(&secret.data.expect("data")["state.json"].0).expect("JSON");
        let previous = state["previous"].as_array_mut().expect("a list");
        if previous.is_empty() {
            return Ok(());
        }
        // Told once, it is left alone: the operator writes the same Secret.
        let young: Vec<_> = previous.iter_mut().filter(|authority| authority["lastLeaf"] != LONG_AGO).collect();
        if !young.is_empty() {
            young.into_iter().for_each(|authority| authority["lastLeaf"] = json!(LONG_AGO));
            let version = secret.metadata.resource_version;
            let data = json!({"state.json": state.to_string()});
            let aged = Patch::Merge(json!({"metadata": {"resourceVersion": version}, "stringData": data}));
            secrets(client).patch(PARTICIPANTS, &PatchParams::default(), &aged).await.map_err(|why| why.to_string())?;
        }
        Err(state.to_string())
    })
    .await;
}
