//! Killed at any write, the operator goes on where it was: the end is the one of an undisturbed run.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::ListParams;
use kube::{Api, ResourceExt};
use waybill_crds::{Carrier, Delivery, Seller};

use crate::stage::{Stage, on_stage};

const DELIVERIES: usize = 40;
const CARRIERS: usize = 8;
const KILLS: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn killed_again_and_again_during_a_burst_it_ends_like_an_undisturbed_run() {
    let seed =
        std::env::var("WAYBILL_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or_else(rand::random::<u32>);
    println!("seed {seed}: WAYBILL_SEED={seed} replays it");
    on_stage("crash", &[("waybill.dev/auto-create", "enabled")], |stage| async move {
        burst(&stage).await;
        let mut dice = seed;
        for _ in 0..KILLS {
            let operator = stage.operator();
            dice = dice.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            // A moment drawn by lot, within the time an undisturbed run takes; what matters is only that they differ.
            tokio::time::sleep(Duration::from_millis(u64::from(dice >> 20))).await;
            operator.kill();
        }
        let operator = stage.operator();
        for n in 0..DELIVERIES {
            stage.becomes::<Delivery>(&format!("d-{n}"), "Ready", "True").await;
        }
        operator.settled(f64::from(u32::try_from(DELIVERIES).expect("few"))).await;
        end_is_as_it_should_be(&stage).await;
        operator.stop().await;
    })
    .await;
}

// === helpers ===

async fn burst(stage: &Stage) {
    for n in 0..CARRIERS {
        stage.external_carrier(&format!("c-{n}")).await;
    }
    for n in 0..DELIVERIES {
        // Half of them name a Seller and a Carrier that nobody made.
        let (seller, carrier) =
            if n % 2 == 0 { ("acme", format!("c-{}", n % CARRIERS)) } else { ("made", "van".to_owned()) };
        stage.delivery(&format!("d-{n}"), seller, &carrier).await;
    }
}

async fn end_is_as_it_should_be(stage: &Stage) {
    let names = |list: Vec<String>| list.into_iter().collect::<BTreeSet<_>>();
    let sellers = stage.namespace.api::<Seller>().list(&ListParams::default()).await.expect("a list");
    assert_eq!(names(sellers.iter().map(ResourceExt::name_any).collect()), names(vec!["acme".into(), "made".into()]));
    let carriers = stage.namespace.api::<Carrier>().list(&ListParams::default()).await.expect("a list");
    assert_eq!(carriers.items.len(), CARRIERS + 1);
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
