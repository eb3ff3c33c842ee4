//! Objects for tests: a verb for each thing a test varies, names that differ from the product's so that swapped arguments show.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use waybill_crds::condition::{Status, Wanted, set};
use waybill_crds::delivery::ProofSpec;
use waybill_crds::delivery::view::StatusView;
use waybill_crds::{Carrier, ConditionType, DeliveryView, Phase, Reason, Seller};

pub(crate) const NAMESPACE: &str = "shop";

/// A fixed time; tests add to it.
pub(crate) fn noon() -> Timestamp {
    "2026-11-21T12:00:00Z".parse().expect("a time")
}

/// A uid made readable: the same name gives the same uid.
pub(crate) fn uid(name: &str) -> String {
    let hash = crate::apply::hash(&serde_json::Value::from(name));
    format!("{}-0000-4000-8000-0000{}", &hash[..8], &hash[8..])
}

pub(crate) struct DeliveryFixture(DeliveryView);

pub(crate) fn delivery(name: &str) -> DeliveryFixture {
    let text = format!(
        r#"{{"metadata": {{"name": "{name}", "namespace": "{NAMESPACE}", "uid": "{}", "generation": 1,
            "resourceVersion": "10", "creationTimestamp": "2026-11-21T11:59:00Z"}},
            "spec": {{"upc": "UPC-{name}", "seller": "acme", "carrier": "truck"}}}}"#,
        uid(name)
    );
    DeliveryFixture(serde_json::from_str(&text).expect("a Delivery"))
}

impl DeliveryFixture {
    pub(crate) fn upc(mut self, upc: &str) -> Self {
        self.0.spec.upc = upc.into();
        self
    }

    pub(crate) fn seller(mut self, seller: &str) -> Self {
        self.0.spec.seller = seller.into();
        self.0.spec.carrier = None;
        self
    }

    pub(crate) fn carrier(mut self, carrier: &str) -> Self {
        self.0.spec.carrier = Some(carrier.into());
        self
    }

    pub(crate) fn proof(mut self, photo: Option<bool>, scan: Option<bool>) -> Self {
        self.0.spec.proof = Some(ProofSpec { photo, scan });
        self
    }

    pub(crate) fn created(mut self, at: &str) -> Self {
        self.0.metadata.creation_timestamp = Some(Time(at.parse().expect("a time")));
        self
    }

    pub(crate) fn phase(mut self, phase: Phase) -> Self {
        self.status().phase = phase;
        self
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut DeliveryView)) -> Self {
        change(&mut self.0);
        self
    }

    pub(crate) fn done(self) -> DeliveryView {
        self.0
    }

    fn status(&mut self) -> &mut StatusView {
        self.0.status.get_or_insert_default()
    }
}

/// A Seller; `ready` as its condition says.
pub(crate) fn seller(name: &str, ready: bool) -> Seller {
    let text = format!(
        r#"{{"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {{"name": "{name}",
            "namespace": "{NAMESPACE}", "uid": "{}", "generation": 1}}, "spec": {{}}, "status": {{}}}}"#,
        uid(name)
    );
    let mut seller: Seller = serde_json::from_str(&text).expect("a Seller");
    let conditions = &mut seller.status.as_mut().expect("a status").conditions;
    set(conditions, readiness(ready), noon());
    seller
}

/// A managed truck; `ready` as its condition says.
pub(crate) fn carrier(name: &str, ready: bool) -> Carrier {
    let text = format!(
        r#"{{"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {{"name": "{name}",
            "namespace": "{NAMESPACE}", "uid": "{}", "generation": 1}}, "spec": {{"kind": "truck"}}, "status": {{}}}}"#,
        uid(name)
    );
    let mut carrier: Carrier = serde_json::from_str(&text).expect("a Carrier");
    let conditions = &mut carrier.status.as_mut().expect("a status").conditions;
    set(conditions, readiness(ready), noon());
    carrier
}

fn readiness(ready: bool) -> Wanted {
    Wanted {
        type_: ConditionType::Ready,
        status: Status::from(ready),
        reason: if ready { Reason::Provisioned } else { Reason::Provisioning },
        message: "fixture".into(),
        observed_generation: Some(1),
    }
}

/// The settings' defaults.
pub(crate) fn settings() -> crate::Args {
    #[derive(clap::Parser)]
    struct Line {
        #[command(flatten)]
        args: crate::Args,
    }
    let mut args = <Line as clap::Parser>::parse_from(["operator"]).args;
    args.image = "registry.example/waybill:1".into();
    args
}
