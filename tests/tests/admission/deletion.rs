//! Deleting a Delivery: not while its parcel is under way, and never in the way of a namespace or an owner that goes (DESIGN.md 3).

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Namespace as KubeNamespace};
use kube::api::{DeleteParams, Patch};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;
use waybill_crds::Delivery;
use waybill_e2e::{eventually, in_namespace};

use crate::cast::{Cast, create, forbidden, log};

const PATIENCE: Duration = Duration::from_secs(90);

#[tokio::test(flavor = "multi_thread")]
async fn a_running_delivery_is_deleted_only_once_it_is_annotated_as_abandoned() {
    in_namespace("running-delete", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.running_delivery("upc-1").await;
        for client in [&cast.user, &cast.admin, &cast.operator] {
            let outcome = cast.as_seen_by::<Delivery>(client).delete("upc-1", &DeleteParams::default()).await;
            forbidden(outcome.map(|_| ()), "Delivery upc-1 is OutForDelivery: its parcel is under way");
        }
        let all = cast.as_seen_by::<Delivery>(&cast.admin);
        let outcome = all.delete_collection(&DeleteParams::default(), &Default::default()).await;
        forbidden(outcome.map(|_| ()), "kubectl annotate delivery upc-1");
        let api = cast.as_seen_by::<Delivery>(&cast.user);
        let abandon = Patch::Merge(json!({"metadata": {"annotations": {"waybill.dev/abandon": "fell into the sea"}}}));
        api.patch("upc-1", &Default::default(), &abandon).await.expect("a user gives the record up");
        api.delete("upc-1", &DeleteParams::default()).await.expect("an abandoned Delivery goes");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn deliveries_that_wait_or_are_finished_are_deleted_freely() {
    in_namespace("free-delete", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        let api = cast.as_seen_by::<Delivery>(&cast.user);
        cast.delivery("fresh").await;
        api.delete("fresh", &DeleteParams::default()).await.expect("nothing happened to it yet");
        cast.delivery("cancelled").await;
        let cancelled = json!({"phase": "Cancelled"});
        cast.write_status::<Delivery>(&cast.operator, "cancelled", cancelled)
            .await
            .expect("before anything was signed");
        api.delete("cancelled", &DeleteParams::default()).await.expect("it is finished");
        for phase in ["Delivered", "Lost", "Returned"] {
            let name = phase.to_lowercase();
            cast.running_delivery(&name).await;
            let status = json!({"phase": phase, "custody": log(&["Accepted", "HandedOver", "ReturnReceived"])});
            cast.write_status::<Delivery>(&cast.seller, &name, status).await.expect("the seller ends it");
            api.delete(&name, &DeleteParams::default()).await.expect("it is finished");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_running_deliveries_goes_away() {
    in_namespace("namespace-goes", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        cast.running_delivery("upc-1").await;
        let namespaces: Api<KubeNamespace> = Api::all(namespace.client.clone());
        namespaces.delete(&namespace.name, &DeleteParams::default()).await.expect("a namespace to delete");
        eventually("the namespace is gone", PATIENCE, || async {
            match namespaces.get_opt(&namespace.name).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_garbage_collector_takes_a_running_delivery_with_its_owner() {
    in_namespace("owner-goes", &[], |namespace| async move {
        let cast = Cast::assemble(&namespace).await;
        let owners = namespace.api::<ConfigMap>();
        create(&owners, json!({"metadata": {"name": "order"}})).await;
        let owner = owners.get("order").await.expect("the owner");
        cast.running_delivery("upc-1").await;
        let api = cast.as_seen_by::<Delivery>(&cast.user);
        let mut reference = serde_json::to_value(owner.owner_ref(&()).expect("a stored object")).expect("plain data");
        reference["blockOwnerDeletion"] = json!(true);
        let owned = Patch::Merge(json!({"metadata": {"ownerReferences": [reference]}}));
        api.patch("upc-1", &Default::default(), &owned).await.expect("a Delivery may have an owner");
        owners.delete(&owner.name_any(), &DeleteParams::foreground()).await.expect("the owner goes");
        eventually("owner and Delivery are gone", PATIENCE, || async {
            match (owners.get_opt("order").await, api.get_opt("upc-1").await) {
                (Ok(None), Ok(None)) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    })
    .await;
}
