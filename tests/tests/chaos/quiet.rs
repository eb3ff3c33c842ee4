//! What cannot go on costs nothing while it waits, and what cannot be read is in nobody's way.

use std::time::Duration;

use futures::{StreamExt, TryStreamExt};
use kube::Api;
use kube::api::{ApiResource, DeleteParams, DynamicObject, ListParams};
use serde_json::json;
use waybill_crds::Delivery;
use waybill_e2e::objects::{self, Conditions, PROVISIONED, apply, delivery, wait_condition};
use waybill_e2e::operator::Back;
use waybill_e2e::{eventually, in_namespace, operator, quiet};

use crate::{OPERATOR, hand};

#[tokio::test(flavor = "multi_thread")]
async fn two_hundred_deliveries_that_cannot_go_on_are_not_written_again() {
    in_namespace("waiting", &[], |namespace| async move {
        let bodies = (0..200).map(|i| {
            let mut body = delivery(&format!("upc-{i}"), "nobody", "ghost");
            if i % 2 == 0 {
                body["spec"].as_object_mut().expect("a spec").remove("carrier");
            }
            body
        });
        let create = |body| {
            let namespace = namespace.clone();
            async move { apply::<Delivery>(&namespace, &body).await }
        };
        let created: Vec<_> =
            futures::stream::iter(bodies).map(create).buffer_unordered(16).try_collect().await.expect("Deliveries");
        assert_eq!(created.len(), 200);
        eventually("all are told why", PROVISIONED, || async {
            let all = namespace.api::<Delivery>().list(&ListParams::default()).await.map_err(|why| why.to_string())?;
            let told = all.iter().filter(|d| d.condition("Admitted").is_some_and(|c| c.status == "False")).count();
            if told == 200 { Ok(()) } else { Err(format!("{told} of 200")) }
        })
        .await;
        let late = quiet::settles(&namespace, Duration::from_secs(15), PROVISIONED).await;
        println!("200 waiting Deliveries: 15 s without a write; late writes before: {late:?}");
    })
    .await;
}

/// The schema takes more than any date parser: an offset of 99 hours is a date to it. A seller's account can write one.
#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_cannot_be_read_stops_nobody_and_can_be_deleted() {
    in_namespace("unreadable", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        apply::<Delivery>(&namespace, &delivery("bad", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "bad", "Ready", "True", None).await;
        let _alone = OPERATOR.lock().await;
        let process = operator::pid().await;
        let there = namespace.api::<Delivery>().get("bad").await.expect("it can still be read");
        let mut conditions = json!(there.status.expect("a status").conditions);
        let broken = json!({"type": "Proven", "status": "True", "reason": "Delivered", "message": "",
                            "lastTransitionTime": "2026-12-01T09:00:00+99:99"});
        conditions.as_array_mut().expect("a list").push(broken);
        hand::write(&namespace, "bad", json!({"conditions": conditions})).await;
        namespace.api::<Delivery>().get("bad").await.expect_err("this type cannot read it");
        apply::<Delivery>(&namespace, &delivery("good", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "good", "Ready", "True", None).await;
        assert_eq!(operator::pid().await, process, "the operator goes on");
        // In a watch it was one event among others; now it is in the list everything begins with.
        operator::crash(&namespace.client, Back::Restarted).await;
        apply::<Delivery>(&namespace, &delivery("later", "shop", "van")).await.expect("a Delivery");
        wait_condition::<Delivery>(&namespace, "later", "Ready", "True", None).await;
        let kind = ApiResource::erase::<Delivery>(&());
        let admin: Api<DynamicObject> = Api::namespaced_with(namespace.client.clone(), &namespace.name, &kind);
        admin.delete("bad", &DeleteParams::default()).await.expect("a user deletes it");
        eventually("it is gone", PROVISIONED, || async {
            match admin.get_opt("bad").await.map_err(|why| why.to_string())? {
                None => Ok(()),
                Some(_) => Err("still there".to_owned()),
            }
        })
        .await;
    })
    .await;
}
