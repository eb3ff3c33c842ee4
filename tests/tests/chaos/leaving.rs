//! A namespace that goes takes everything with it: nothing holds it, and nobody of it is let in any more.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Namespace as KubeNamespace;
use kube::Api;
use kube::api::{DeleteParams, ListParams};
use serde_json::json;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::objects::{self, apply, delivery, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace, ledger, quiet};

use crate::hand;

/// External ones; there is a managed one besides.
const CARRIERS: usize = 40;
const GONE: Duration = Duration::from_secs(120);

#[tokio::test(flavor = "multi_thread")]
async fn a_namespace_with_parcels_under_way_is_gone_when_deleted_and_its_people_are_refused() {
    in_namespace("leaves", &[], |namespace| async move {
        populate(&namespace).await;
        let serials = serials(&namespace).await;
        assert_eq!(serials.len(), CARRIERS + 2, "a seller and all carriers: {serials:?}");
        let lists = ledger::crl_number(&namespace.client).await;
        let namespaces: Api<KubeNamespace> = Api::all(namespace.client.clone());
        let begun = Instant::now();
        namespaces.delete(&namespace.name, &DeleteParams::default()).await.expect("a user deletes it");
        eventually("every serial is on the list of the revoked", GONE, || async {
            let revoked = ledger::revoked(&namespace.client).await.map_err(|why| why.to_string())?;
            let missing: Vec<_> = serials.iter().filter(|serial| !revoked.contains(*serial)).collect();
            if missing.is_empty() { Ok(()) } else { Err(format!("missing {missing:?}")) }
        })
        .await;
        let revoked = begun.elapsed();
        let lists = ledger::crl_number(&namespace.client).await - lists;
        assert!(
            lists < CARRIERS as u64 / 2,
            "{lists} lists written for {CARRIERS} carriers: each is as long as all before"
        );
        eventually("the namespace is gone", GONE, || async {
            match namespaces.get_opt(&namespace.name).await.map_err(|why| why.to_string())? {
                None => Ok(()),
                Some(left) => Err(format!("{:?}", left.status)),
            }
        })
        .await;
        let gone = begun.elapsed();
        let still = quiet::first_write(&namespace, Duration::from_secs(5)).await;
        assert_eq!(still, None, "the operator goes on writing where nothing is");
        let (revoked, gone) = (revoked.as_secs_f64(), gone.as_secs_f64());
        println!(
            "{CARRIERS} carriers: all revoked by {lists} lists after {revoked:.1} s, namespace gone after {gone:.1} s"
        );
    })
    .await;
}

async fn populate(namespace: &Namespace) {
    objects::seller(namespace, "shop", &["upc-1"]).await;
    objects::managed_carrier(namespace, "van").await;
    for i in 0..CARRIERS {
        let body = Keys::fresh().carrier(&namespace.name, &format!("bike-{i}"));
        apply::<Carrier>(namespace, &body).await.expect("a Carrier");
    }
    for i in 0..20 {
        apply::<Delivery>(namespace, &delivery(&format!("upc-{i}"), "shop", "bike-0")).await.expect("a Delivery");
    }
    wait_condition::<Seller>(namespace, "shop", "Ready", "True", None).await;
    wait_condition::<Carrier>(namespace, "van", "Ready", "True", None).await;
    for i in 0..CARRIERS {
        wait_condition::<Carrier>(namespace, &format!("bike-{i}"), "Ready", "True", None).await;
    }
    wait_condition::<Delivery>(namespace, "upc-0", "Ready", "True", None).await;
    under_way(namespace, "upc-0").await;
}

async fn under_way(namespace: &Namespace, name: &str) {
    let event = json!({"author": "Seller", "seq": 0, "event": "Noted", "at": "2026-12-01T09:30:00.000000Z",
                       "signed": "aGVsbG8=", "id": "0".repeat(64)});
    hand::write(namespace, name, json!({"phase": "InTransit", "custody": [event]})).await;
    let refused = namespace.api::<Delivery>().delete(name, &DeleteParams::default()).await;
    assert!(refused.is_err(), "a parcel under way is not deleted by itself");
}

async fn serials(namespace: &Namespace) -> Vec<String> {
    let sellers = namespace.api::<Seller>().list(&ListParams::default()).await.expect("sellers");
    let carriers = namespace.api::<Carrier>().list(&ListParams::default()).await.expect("carriers");
    let of_sellers = sellers.into_iter().filter_map(|s| Some(s.status?.certificate?.serial));
    of_sellers.chain(carriers.into_iter().filter_map(|c| Some(c.status?.certificate?.serial))).collect()
}
