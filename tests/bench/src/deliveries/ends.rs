//! Who the Deliveries name: one seller, and a few external carriers whose owners are the bench.

use std::time::Duration;

use anyhow::{Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::api::Patch;
use kube::runtime::wait::await_condition;
use serde_json::json;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::enrol::Keys;

use super::ready;
use crate::cluster::{Setting, apply};
use crate::follow::Follower;

pub(crate) const CARRIERS: usize = 10;
pub(super) const SELLER: &str = "bench";
const DEADLINE: Duration = Duration::from_secs(120);

/// The name of the `i`th carrier.
pub(super) fn carrier(i: usize) -> String {
    format!("bench-{i}")
}

/// Returns when both ends are Ready.
pub(super) async fn provision(setting: &Setting) -> Result<()> {
    println!("a seller and {CARRIERS} external carriers …");
    let orders = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders-bench"}, "stringData": {}});
    setting.served::<Secret>().patch("orders-bench", &apply(), &Patch::Apply(orders)).await?;
    let seller =
        json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": SELLER}, "spec": {}});
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
