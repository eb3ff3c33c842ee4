//! The baseline: how many status patches of an equal Delivery the API server takes, policies included.

use std::time::Instant;

use anyhow::Result;
use futures::{StreamExt, TryStreamExt, stream};
use kube::Api;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use waybill_crds::Delivery;

use crate::cluster::{CLIENTS, Setting};
use crate::deliveries;

const OBJECTS: usize = 500;
const PATCHES: usize = 4_000;

/// Server-side applied status patches a second, as the operator's account, nobody else at work.
pub(crate) async fn patches_per_second(setting: &Setting) -> Result<f64> {
    println!("raw baseline: {PATCHES} status patches, {CLIENTS} at a time …");
    let api: Api<Delivery> = Api::namespaced(setting.client.clone(), &setting.unserved);
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    stream::iter(0..OBJECTS)
        .map(|i| {
            let api = api.clone();
            async move {
                let delivery = deliveries::object(&format!("raw-{i}"), "raw")?;
                api.create(&PostParams::default(), &delivery).await.map_err(anyhow::Error::from)
            }
        })
        .buffer_unordered(CLIENTS)
        .try_collect::<Vec<_>>()
        .await?;
    let operator = Api::namespaced(setting.as_account("waybill-system:waybill-operator")?, &setting.unserved);
    let start = Instant::now();
    patch(&operator).await?;
    let rate = PATCHES as f64 / start.elapsed().as_secs_f64();
    api.delete_collection(&DeleteParams::default(), &ListParams::default()).await?;
    Ok(rate)
}

async fn patch(operator: &Api<Delivery>) -> Result<()> {
    stream::iter(0..PATCHES)
        .map(|i| {
            let operator = operator.clone();
            async move {
                let params = PatchParams::apply("waybill-operator").force();
                operator.patch_status(&format!("raw-{}", i % OBJECTS), &params, &Patch::Apply(status(i))).await
            }
        })
        .buffer_unordered(CLIENTS)
        .try_for_each(|_| async { Ok(()) })
        .await?;
    Ok(())
}

/// What the operator writes for an admitted Delivery, made different in each patch.
fn status(i: usize) -> Value {
    let condition = |kind: &str, reason: &str| {
        json!({"type": kind, "status": "True", "reason": reason, "message": format!("patch {i}"),
               "observedGeneration": 1, "lastTransitionTime": "2026-01-01T00:00:00Z"})
    };
    let topic = "wb/00000000-0000-4000-8000-000000000000/00000000-0000-4000-8000-000000000001/00000000-0000-4000-8000-000000000002";
    json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Delivery", "status": {
        "observedGeneration": 1,
        "topics": {"down": format!("{topic}/down"), "up": format!("{topic}/up")},
        "conditions": [condition("Admitted", "Admitted"), condition("Ready", "Provisioned")]}})
}
