//! Killed at any write, the operator goes on where it was: the end is the one of an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use waybill_crds::{Carrier, Delivery, Seller};

use crate::gate::{Death, Gate};
use crate::stage::{SOON, Stage, on_stage};

/// One write of each kind that a new Delivery, with its Seller and Carrier, always costs; `#` is its number.
const WRITES: [&str; 14] = [
    "/sellers s-#",
    "/secrets wb-seller-s-#-keys",
    "/secrets wb-seller-s-#-tls",
    "/secrets/wb-seller-s-#-keys",
    "/configmaps waybill-ledger",
    "/serviceaccounts/wb-seller-s-#",
    "/roles/wb-seller-s-#",
    "/rolebindings/wb-seller-s-#",
    "/leases wb-seller-s-#",
    "/services/wb-seller-s-#",
    "/deployments/wb-seller-s-#",
    "/sellers/s-#/status",
    "/carriers/c-#/status",
    "/deliveries/d-#/status",
];

#[tokio::test(flavor = "multi_thread")]
async fn killed_at_a_write_of_each_kind_it_ends_like_an_undisturbed_run() {
    on_stage("crash", &[("waybill.dev/auto-create", "enabled")], |stage| async move {
        let plans = WRITES.iter().flat_map(|write| [(write, false), (write, true)]).enumerate();
        let mut deliveries = 0;
        for (n, (write, after)) in plans {
            // It finds new work each time, beside what the ones before it left half done.
            work(&stage, n).await;
            deliveries = n + 1;
            let death = Death { at: write.replace('#', &n.to_string()), after };
            let gate = Gate::with(death.clone());
            let operator = stage.gated(&gate);
            tokio::time::timeout(SOON, gate.died())
                .await
                .unwrap_or_else(|_| panic!("{death:?} never came: {:#?}", gate.writes()));
            operator.kill();
        }
        let operator = stage.operator();
        for n in 0..deliveries {
            stage.becomes::<Delivery>(&format!("d-{n}"), "Ready", "True").await;
        }
        operator.settled(f64::from(u32::try_from(deliveries).expect("few"))).await;
        end_is_as_it_should_be(&stage, deliveries).await;
        operator.stop().await;
    })
    .await;
}

// === helpers ===

/// A Delivery that names a Carrier of its own, and a Seller that nobody made.
async fn work(stage: &Stage, n: usize) {
    stage.external_carrier(&format!("c-{n}")).await;
    stage.delivery(&format!("d-{n}"), &format!("s-{n}"), &format!("c-{n}")).await;
}

async fn end_is_as_it_should_be(stage: &Stage, deliveries: usize) {
    let each = |kind: &str| (0..deliveries).map(|n| format!("{kind}-{n}")).collect::<BTreeSet<_>>();
    let sellers = stage.namespace.api::<Seller>().list(&ListParams::default()).await.expect("a list");
    assert_eq!(sellers.iter().map(ResourceExt::name_any).collect::<BTreeSet<_>>(), each("s"));
    let carriers = stage.namespace.api::<Carrier>().list(&ListParams::default()).await.expect("a list");
    assert_eq!(carriers.iter().map(ResourceExt::name_any).collect::<BTreeSet<_>>(), each("c"));
    let uids: BTreeMap<_, _> = sellers
        .iter()
        .map(|s| (s.name_any(), s.uid()))
        .chain(carriers.iter().map(|c| (c.name_any(), c.uid())))
        .collect();
    for delivery in stage.deliveries().list(&ListParams::default()).await.expect("a list") {
        let status = delivery.status.clone().expect("a status");
        let topics = status.topics.expect("topics");
        let seller = uids[&delivery.spec.seller].clone().expect("a uid");
        let carrier = uids[delivery.spec.carrier.as_ref().expect("a carrier")].clone().expect("a uid");
        assert_eq!(topics.down, format!("wb/{seller}/{carrier}/{}/down", delivery.uid().expect("a uid")));
        assert_eq!(status.observed_generation, delivery.metadata.generation);
        let said: Vec<_> = status.conditions.iter().map(|c| (c.type_.as_str(), c.status.as_str())).collect();
        assert_eq!(said, [("Admitted", "True"), ("Ready", "True")], "{}", delivery.name_any());
    }
    serials_are_unique(stage, &carriers.items).await;
}

/// Whatever was signed was in the ledger first, once.
async fn serials_are_unique(stage: &Stage, carriers: &[Carrier]) {
    let ledgers: Api<ConfigMap> = Api::namespaced(stage.namespace.client.clone(), &stage.home);
    let batches = ledgers.list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("the ledger");
    let text: String =
        batches.iter().flat_map(|batch| batch.data.iter().flatten().map(|(_, text)| text.clone())).collect();
    let mut seen = BTreeSet::new();
    for carrier in carriers {
        let serial = carrier
            .status
            .as_ref()
            .and_then(|status| status.certificate.as_ref())
            .expect("a certificate")
            .serial
            .clone();
        assert_eq!(text.matches(&serial).count(), 1, "serial {serial} is in the ledger exactly once");
        assert!(seen.insert(serial), "no two have one serial");
    }
}
