//! Who takes part: a seller with its orders, carriers without pauses, and the processes behind them on this machine.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::Patch;
use kube::runtime::wait::await_condition;
use serde_json::{Map, Value, json};
use waybill_crds::{Carrier, ConditionType, Delivery, Seller, condition};
use waybill_e2e::{objects, process as processes};

use crate::cluster::{Setting, apply};
use crate::process::{Process, Usage};

pub(super) const CARRIERS: usize = 4;
const SELLER: &str = "unpaced";
const READY: Duration = Duration::from_secs(120);

pub(super) struct Cast {
    pub(super) namespace: String,
    pub(super) deliveries: Api<Delivery>,
}

/// The name of a delivery, and of its parcel.
pub(super) fn upc(number: usize) -> String {
    format!("j-{number}")
}

fn carrier(number: usize) -> String {
    format!("unpaced-{}", number % CARRIERS)
}

impl Cast {
    /// Returns when all ends are Ready. Orders are there for so many.
    pub(super) async fn gather(setting: &Setting, orders: usize) -> Result<Self> {
        println!("a seller, {CARRIERS} managed carriers without pauses …");
        let namespace = setting.example.clone();
        let orders: Map<String, Value> = (0..orders).map(|n| (upc(n), objects::order(&upc(n)).into())).collect();
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": format!("orders-{SELLER}")}, "stringData": orders});
        let secrets: Api<Secret> = Api::namespaced(setting.client.clone(), &namespace);
        secrets.patch(&format!("orders-{SELLER}"), &apply(), &Patch::Apply(secret)).await?;
        let sellers: Api<Seller> = Api::namespaced(setting.client.clone(), &namespace);
        let body = |kind: &str, name: &str, spec: Value| json!({"apiVersion": "waybill.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec});
        sellers.patch(SELLER, &apply(), &Patch::Apply(body("Seller", SELLER, json!({})))).await?;
        let carriers: Api<Carrier> = Api::namespaced(setting.client.clone(), &namespace);
        for name in (0..CARRIERS).map(carrier) {
            let spec = json!({"kind": "truck", "transport": {"managed": {"pace": "0s"}}});
            carriers.patch(&name, &apply(), &Patch::Apply(body("Carrier", &name, spec))).await?;
        }
        let seller = await_condition(sellers, SELLER, |seller: Option<&Seller>| {
            seller
                .and_then(|seller| seller.status.as_ref())
                .is_some_and(|status| condition::is_true(&status.conditions, ConditionType::Ready))
        });
        ensure!(tokio::time::timeout(READY, seller).await.is_ok(), "the seller is not Ready after {READY:?}");
        for name in (0..CARRIERS).map(carrier) {
            let ready = await_condition(carriers.clone(), &name, |carrier: Option<&Carrier>| {
                carrier
                    .and_then(|carrier| carrier.status.as_ref())
                    .is_some_and(|status| condition::is_true(&status.conditions, ConditionType::Ready))
            });
            ensure!(tokio::time::timeout(READY, ready).await.is_ok(), "{name} is not Ready after {READY:?}");
        }
        let deliveries = Api::namespaced(setting.client.clone(), &namespace);
        Ok(Self { namespace, deliveries })
    }

    pub(super) fn delivery(&self, number: usize) -> Result<Delivery> {
        Ok(serde_json::from_value(objects::delivery(&upc(number), SELLER, &carrier(number)))?)
    }
}

/// The processes that a delivery keeps busy, by what they are.
pub(super) struct Household(BTreeMap<String, Process>);

/// Whether it is a part of Kubernetes itself.
pub(super) fn is_clusters(who: &str) -> bool {
    ["kube-apiserver", "etcd"].contains(&who)
}

impl Household {
    pub(super) async fn find(namespace: &str) -> Result<Self> {
        let mut found = BTreeMap::new();
        for (who, words) in [
            ("operator", &["waybill", "operator"][..]),
            ("broker", &["mosquitto"]),
            ("kube-apiserver", &["kube-apiserver"]),
            ("etcd", &["etcd"]),
        ] {
            let pids = processes::find(words);
            let pid = pids.first().with_context(|| format!("no {who} runs here"))?;
            found.insert(who.to_owned(), Process(*pid));
        }
        for role in ["seller", "carrier-api", "transport"] {
            for pid in processes::find(&["waybill", role]) {
                let environment = std::fs::read_to_string(format!("/proc/{pid}/environ")).unwrap_or_default();
                let says =
                    |name: &str| environment.split('\0').find_map(|line| line.strip_prefix(name)).map(str::to_owned);
                let name = says("WAYBILL_NAME=").unwrap_or_default();
                let here = says("WAYBILL_NAMESPACE=").is_some_and(|place| place == namespace);
                // A namespace's other sellers have nothing to do with it.
                if here && (role == "carrier-api" || name.starts_with(SELLER)) {
                    found.insert(format!("{role} {name}").trim().to_owned(), Process(pid));
                }
            }
        }
        ensure!(found.len() >= 4 + 2 + CARRIERS, "not everybody was found: {:?}", found.keys());
        Ok(Self(found))
    }

    pub(super) fn on_cpu(&self) -> Result<BTreeMap<String, Duration>> {
        self.each(|usage| Duration::from_secs_f64(usage.cpu_seconds))
    }

    /// Peak RSS in KiB.
    pub(super) fn memory(&self) -> Result<BTreeMap<String, f64>> {
        self.each(|usage| usage.peak_kib)
    }

    /// Who ended meanwhile is named: what was measured beside that says nothing.
    fn each<T>(&self, of: impl Fn(Usage) -> T) -> Result<BTreeMap<String, T>> {
        let used = self.0.iter().map(|(who, process)| {
            let usage = process.usage().with_context(|| format!("{who} ended under the load"))?;
            Ok((who.clone(), of(usage)))
        });
        used.collect()
    }
}
