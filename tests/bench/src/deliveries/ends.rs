//! Who the Deliveries name: one seller, and a few external carriers whose owners are the bench.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Patch;
use kube::runtime::wait::await_condition;
use serde_json::json;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::objects::order;

use super::ready;
use crate::cluster::{Setting, apply};
use crate::follow::Follower;

pub(crate) const CARRIERS: usize = 10;
pub(super) const SELLER: &str = "bench";
const DEADLINE: Duration = Duration::from_secs(120);
/// A Secret holds no more than a megabyte.
const ORDERS: usize = 2_000;

/// The name of the `i`th Delivery, and its UPC.
pub(super) fn parcel(i: usize) -> String {
    format!("d-{i}")
}

/// The name of the `i`th carrier.
pub(super) fn carrier(i: usize) -> String {
    format!("bench-{i}")
}

/// Returns when both ends are Ready. The seller has an order for each of `count` Deliveries: without one it would say so in
/// the Delivery, and that would be a write.
pub(super) async fn provision(setting: &Setting, count: usize) -> Result<()> {
    println!("a seller and {CARRIERS} external carriers …");
    let names: Vec<String> = (0..count.div_ceil(ORDERS).max(1)).map(|part| format!("orders-bench-{part}")).collect();
    for (part, name) in names.iter().enumerate() {
        let parcels = part * ORDERS..count.min((part + 1) * ORDERS);
        let orders: BTreeMap<String, String> = parcels.map(|i| (parcel(i), order(&parcel(i)))).collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": orders});
        setting.served::<Secret>().patch(name, &apply(), &Patch::Apply(secret)).await?;
    }
    let seller = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": SELLER},
                        "spec": {"orders": names}});
    let sellers = setting.served::<Seller>();
    sellers.patch(SELLER, &apply(), &Patch::Apply(seller)).await?;
    let carriers = setting.served::<Carrier>();
    for name in (0..CARRIERS).map(carrier) {
        let body = Keys::fresh().carrier(&setting.namespace, &name);
        carriers.patch(&name, &apply(), &Patch::Apply(body)).await?;
    }
    let seller_ready = await_condition(sellers, SELLER, |seller: Option<&Seller>| {
        seller.is_some_and(|seller| ready(seller.status.as_ref().map(|status| &status.conditions[..])))
    });
    ensure!(tokio::time::timeout(DEADLINE, seller_ready).await.is_ok(), "the seller is not Ready after {DEADLINE:?}");
    let followed = Follower::start(carriers, |carrier: &Carrier| {
        ready(carrier.status.as_ref().map(|status| &status.conditions[..]))
    });
    let missing = followed.await?.wait(CARRIERS, DEADLINE).await;
    ensure!(missing == 0, "{missing} of {CARRIERS} carriers are not Ready after {DEADLINE:?}");
    Ok(())
}
