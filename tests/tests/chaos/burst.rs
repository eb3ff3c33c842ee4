//! A burst of work as users give it: participants, Deliveries of every fate, second thoughts.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use tokio::sync::watch;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::objects::{self, apply, delivery, wait_condition};
use waybill_e2e::{Namespace, eventually};

/// Carriers that stay; one more is revoked, one deleted, one never let in.
const CARRIERS: usize = 9;
/// How many steps [`Burst::run`] takes.
pub(crate) const STEPS: usize = 69;

/// Tells a burst when to go on: the step it may take next.
pub(crate) type Pace = watch::Receiver<usize>;

/// The burst in one namespace.
pub(crate) struct Burst {
    namespace: Namespace,
    pace: Pace,
    step: usize,
}

impl Burst {
    pub(crate) fn new(namespace: &Namespace, pace: Pace) -> Self {
        Self { namespace: namespace.clone(), pace, step: 0 }
    }

    /// Everything, in an order whose end doesn't depend on who is how fast.
    pub(crate) async fn run(mut self) {
        self.participants().await;
        for i in 0..12 {
            self.delivery(&format!("early-{i}"), i).await;
        }
        self.refused().await;
        // What was ready keeps its topics: so that all runs agree, it is ready before somebody thinks again.
        for i in [0, 2, CARRIERS, CARRIERS + 1] {
            wait_condition::<Delivery>(&self.namespace, &format!("early-{i}"), "Ready", "True", None).await;
        }
        self.second_thoughts().await;
        for i in 0..28 {
            self.delivery(&format!("late-{i}"), i).await;
        }
        for i in [3, 13, 23] {
            self.delete_delivery(&format!("late-{i}")).await;
        }
        assert_eq!(self.step, STEPS, "the pace is set for another number of steps");
    }

    async fn participants(&mut self) {
        for name in ["shop-0", "shop-1"] {
            self.turn().await;
            objects::seller(&self.namespace, name, &["early-0", "late-1"]).await;
        }
        self.turn().await;
        objects::managed_carrier(&self.namespace, "van").await;
        for i in 0..CARRIERS + 2 {
            self.turn().await;
            let body = Keys::fresh().carrier(&self.namespace.name, &carrier(i));
            apply::<Carrier>(&self.namespace, &body).await.expect("a Carrier");
        }
        self.turn().await;
        // The proof names another Carrier.
        let mut stranger = Keys::fresh().carrier(&self.namespace.name, "somebody-else");
        stranger["metadata"]["name"] = json!("stranger");
        apply::<Carrier>(&self.namespace, &stranger).await.expect("a Carrier");
    }

    /// Each for a reason of its own.
    async fn refused(&mut self) {
        let first: Delivery = self.namespace.api().get("early-0").await.expect("it was created");
        let at = first.metadata.creation_timestamp.expect("a time").0;
        // The older one wins, to the second; within one second it is chance.
        eventually("the next second", Duration::from_secs(5), || async {
            if jiff::Timestamp::now().as_second() > at.as_second() + 1 { Ok(()) } else { Err("not yet") }
        })
        .await;
        let mut again = delivery("early-0", "shop-0", "carrier-0");
        again["metadata"]["name"] = json!("again");
        let mut waiting = delivery("unassigned", "shop-0", "x");
        waiting["spec"].as_object_mut().expect("a spec").remove("carrier");
        let nowhere = delivery("no-carrier", "shop-0", "ghost");
        for body in [again, waiting, nowhere, delivery("no-seller", "ghost", "carrier-0")] {
            self.create(&body).await;
        }
    }

    async fn second_thoughts(&mut self) {
        self.change::<Carrier>(&carrier(CARRIERS), json!({"revoked": true})).await;
        self.turn().await;
        let gone = carrier(CARRIERS + 1);
        self.namespace.api::<Carrier>().delete(&gone, &DeleteParams::default()).await.expect("a user deletes");
        self.change::<Seller>("shop-1", json!({"certificate": {"ttl": "96h"}})).await;
        self.change::<Delivery>("early-0", json!({"cancelled": {"reason": "other"}})).await;
        self.delete_delivery("early-4").await;
        self.change::<Delivery>("unassigned", json!({"carrier": "carrier-1"})).await;
        self.change::<Carrier>("carrier-2", json!({"suspended": true})).await;
    }

    async fn delivery(&mut self, upc: &str, i: usize) {
        let to = if i == 8 { "van".to_owned() } else { carrier(i % (CARRIERS + 3)) };
        self.create(&delivery(upc, &format!("shop-{}", i % 2), &to)).await;
    }

    async fn create(&mut self, body: &Value) {
        self.turn().await;
        apply::<Delivery>(&self.namespace, body).await.expect("a Delivery");
    }

    async fn delete_delivery(&mut self, name: &str) {
        self.turn().await;
        self.namespace.api::<Delivery>().delete(name, &DeleteParams::default()).await.expect("a user deletes");
    }

    async fn change<K>(&mut self, name: &str, spec: Value)
    where
        K: kube::Resource<Scope = k8s_openapi::NamespaceResourceScope, DynamicType = ()>
            + Clone
            + serde::de::DeserializeOwned
            + std::fmt::Debug,
    {
        self.turn().await;
        let patch = Patch::Merge(json!({"spec": spec}));
        self.namespace.api::<K>().patch(name, &PatchParams::default(), &patch).await.expect("a user changes it");
    }

    /// Waits until it is this step's turn.
    async fn turn(&mut self) {
        let step = self.step;
        self.pace.wait_for(|may| *may > step).await.expect("whoever sets the pace lives as long");
        self.step += 1;
    }
}

fn carrier(i: usize) -> String {
    format!("carrier-{i}")
}
