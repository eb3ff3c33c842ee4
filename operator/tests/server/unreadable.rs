//! An object that does not follow its kind's schema, as one stored under another version may not.

use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams, Patch, PatchParams, PostParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use waybill_crds::{Carrier, Delivery};
use waybill_e2e::eventually;

use crate::stage::{SOON, Stage, install_kinds, on_stage};

#[tokio::test(flavor = "multi_thread")]
async fn an_unreadable_object_carries_a_sign_and_stops_nobody() {
    on_stage("unreadable", &[], |stage| async move {
        let bad = store_what_the_schema_refuses(&stage).await;
        let operator = stage.operator();
        // Listed with it; and then, watched beside it.
        stage.ends("acme", "truck").await;
        touch(&stage, &bad).await;
        stage.external_carrier("van").await;
        stage.becomes::<Carrier>("van", "Ready", "True").await;
        stage.delivery("one", "acme", "truck").await;
        stage.becomes::<Delivery>("one", "Ready", "True").await;
        let note = sign(&stage, &bad).await;
        assert!(note.contains("balloon") && note.contains("truck"), "it says what is wrong: {note}");
        assert!(operator.metric("waybill_undecodable_objects_total", "Carrier").await >= 1.0);

        // Who names it is told where to look.
        stage.delivery("two", "acme", "bad").await;
        let told: Delivery = stage.says("two", "Ready", "CarrierNotReady").await;
        assert!(told.status.expect("a status").conditions.iter().any(|c| c.message.contains("its Events")));
        carriers(&stage).delete("bad", &DeleteParams::default()).await.expect("deleted");
        stage.gone::<Carrier>("bad").await;
        operator.stop().await;
    })
    .await;
}

// === helpers ===

fn carriers(stage: &Stage) -> Api<DynamicObject> {
    let kind = ApiResource::erase::<Carrier>(&());
    Api::namespaced_with(stage.namespace.client.clone(), &stage.namespace.name, &kind)
}

/// A Carrier of a kind that was never one: the schema lets it in for a moment. Other tests put the schema right at any time, so
/// both are tried until they meet.
async fn store_what_the_schema_refuses(stage: &Stage) -> DynamicObject {
    let kinds: Api<CustomResourceDefinition> = Api::all(stage.namespace.client.clone());
    let loose = loosened();
    let body = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": "bad"},
                      "spec": {"kind": "balloon"}});
    let body: DynamicObject = serde_json::from_value(body).expect("an object");
    let stored = eventually("it is stored", SOON, || async {
        let params = PatchParams::apply("waybill-test").force();
        kinds.patch("carriers.waybill.dev", &params, &Patch::Apply(&loose)).await.map_err(|why| why.to_string())?;
        carriers(stage).create(&PostParams::default(), &body).await.map_err(|why| why.to_string())
    })
    .await;
    install_kinds(&stage.namespace.client).await;
    stored
}

/// The Carrier's definition with one kind more.
fn loosened() -> Value {
    let kind =
        waybill_crds::all().into_iter().find(|kind| kind.spec.names.kind == "Carrier").expect("it is one of ours");
    let mut kind = serde_json::to_value(kind).expect("JSON");
    let path = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/kind/enum";
    kind.pointer_mut(path).and_then(Value::as_array_mut).expect("a closed list").push("balloon".into());
    kind
}

/// Something changes about it, so that the watch shows it too.
async fn touch(stage: &Stage, bad: &DynamicObject) {
    let label = json!({"metadata": {"labels": {"touched": "yes"}}});
    carriers(stage)
        .patch(&bad.name_any(), &PatchParams::default(), &Patch::Merge(label))
        .await
        .expect("ratcheting lets it");
}

/// The note of the one Event about it.
async fn sign(stage: &Stage, bad: &DynamicObject) -> String {
    let events = stage.namespace.api::<Event>();
    let notes = eventually("an Event about it", SOON, || async {
        let list = events.list(&ListParams::default()).await.map_err(|why| why.to_string())?;
        let about = list
            .into_iter()
            .filter(|event| event.regarding.as_ref().and_then(|r| r.uid.as_ref()) == bad.uid().as_ref());
        let notes: Vec<_> =
            about.filter(|event| event.reason.as_deref() == Some("Unreadable")).filter_map(|e| e.note).collect();
        if notes.is_empty() { Err("none yet".to_owned()) } else { Ok(notes) }
    })
    .await;
    assert_eq!(notes.len(), 1, "told once, although it was met twice: {notes:?}");
    notes.into_iter().next().expect("one")
}
