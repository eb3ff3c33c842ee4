//! A namespace with participants, one for the operator, and operators that come and go.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, ListParams};
use kube::{Api, Client};
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::{Namespace, eventually};
use waybill_operator::context::Scope;
use waybill_operator::identity::{Error, Identity, Outcome, Participant, Settings};

use crate::gate::Gate;

pub(crate) use crate::stage::SOON;

#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) namespace: Namespace,
    /// The operator's own namespace.
    pub(crate) home: String,
}

/// Runs `story` with two fresh namespaces; skips loudly where there is no cluster.
pub(crate) async fn on_stage<F, Fut>(test: &str, story: F)
where
    F: FnOnce(Stage) -> Fut,
    Fut: Future<Output = ()>,
{
    crate::stage::on_stage(test, &[], |stage| story(Stage { namespace: stage.namespace, home: stage.home })).await;
}

/// One operator, as far as identity is concerned.
pub(crate) struct Operator {
    pub(crate) identity: Identity,
    stop: CancellationToken,
    work: tokio::task::JoinHandle<()>,
}

impl Operator {
    /// As `kill -9`: nothing it was doing goes on.
    pub(crate) async fn kill(self) {
        self.work.abort();
        let _ = self.work.await;
    }

    pub(crate) async fn stop(self) {
        self.stop.cancel();
        let _ = self.work.await;
    }

    /// Until it succeeds: a CA that is being made, and races, are weather.
    pub(crate) async fn ensure(&self, participant: &Participant) -> Outcome {
        self.ensure_at(participant, Timestamp::now()).await
    }

    pub(crate) async fn ensure_at(&self, participant: &Participant, now: Timestamp) -> Outcome {
        eventually("an identity", SOON, || async { self.try_ensure(participant, now).await.map_err(report) }).await
    }

    pub(crate) async fn try_ensure(&self, participant: &Participant, now: Timestamp) -> Result<Outcome, Error> {
        self.identity.ensure(participant, now).await
    }

    pub(crate) async fn ensure_carrier_api(&self, namespace: &str) -> Outcome {
        let ensure = || async { self.identity.ensure_carrier_api(namespace, Timestamp::now()).await.map_err(report) };
        eventually("the Carrier API's identity", SOON, ensure).await
    }
}

fn report(error: Error) -> String {
    waybill_chassis::telemetry::report(&error).to_string()
}

impl Stage {
    pub(crate) fn operator(&self) -> Operator {
        self.operator_with(&self.namespace.client, |settings| settings)
    }

    pub(crate) fn gated(&self, gate: &Arc<Gate>) -> Operator {
        self.operator_with(&gate.client(&self.namespace.client), |settings| settings)
    }

    pub(crate) fn operator_with(&self, client: &Client, change: impl FnOnce(Settings) -> Settings) -> Operator {
        let settings = change(Settings {
            namespace: self.home.clone(),
            broker_host: format!("waybill-broker.{}.svc", self.home),
            broker_url: None,
            broker_external_names: vec!["mqtt.example.com".into()],
            board: true,
            board_external_names: vec!["board.example.com".into()],
            carrier_api_external_names: vec!["api.example.com".into()],
            board_url: Some("https://board.example.com".into()),
            ca_ttl: Duration::from_secs(8760 * 3600),
            ca_overlap: Duration::from_secs(2),
        });
        let scope = Scope::of(std::slice::from_ref(&self.namespace.name));
        let registry = waybill_chassis::metrics::Metrics::new("operator");
        let identity = Identity::new(client.clone(), settings, scope, &registry);
        let stop = CancellationToken::new();
        let work = tokio::spawn({
            let (identity, stop) = (identity.clone(), stop.clone());
            async move { identity.run(stop).await }
        });
        Operator { identity, stop, work }
    }

    pub(crate) async fn seller(&self, name: &str) -> Participant {
        let body =
            json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": name}, "spec": {}});
        let seller: Seller = waybill_e2e::objects::apply(&self.namespace, &body).await.expect("a Seller");
        Participant::of_seller(&seller).expect("it is stored")
    }

    pub(crate) async fn carrier(&self, name: &str) -> Participant {
        let carrier = waybill_e2e::objects::managed_carrier(&self.namespace, name).await;
        Participant::of_carrier(&carrier).expect("it is stored")
    }

    pub(crate) async fn external(&self, name: &str) -> Participant {
        self.apply_carrier(&Keys::fresh().carrier(&self.namespace.name, name)).await
    }

    pub(crate) async fn apply_carrier(&self, body: &Value) -> Participant {
        let carrier: Carrier = waybill_e2e::objects::apply(&self.namespace, body).await.expect("a Carrier");
        Participant::of_carrier(&carrier).expect("it is stored")
    }

    pub(crate) async fn delete_carrier(&self, name: &str) {
        let api: Api<Carrier> = self.namespace.api();
        api.delete(name, &DeleteParams::default()).await.expect("deleted");
        eventually("it is gone", SOON, || async {
            match api.get_metadata_opt(name).await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
    }

    pub(crate) async fn secret(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let api: Api<Secret> = self.namespace.api();
        data(api.get(name).await.expect("the Secret"))
    }

    pub(crate) async fn home_secret(&self, name: &str) -> BTreeMap<String, Vec<u8>> {
        let api: Api<Secret> = Api::namespaced(self.namespace.client.clone(), &self.home);
        eventually(name, SOON, || async { api.get(name).await.map(data).map_err(|error| error.to_string()) }).await
    }

    pub(crate) async fn trust(&self) -> BTreeMap<String, String> {
        let api: Api<ConfigMap> = self.namespace.api();
        api.get("waybill-trust").await.expect("the trust ConfigMap").data.unwrap_or_default()
    }

    pub(crate) async fn crl(&self) -> BTreeMap<String, String> {
        let get = || async {
            let map = self.home_maps().get("waybill-crl").await.map_err(|error| error.to_string())?;
            map.data.ok_or("it is empty".to_owned())
        };
        eventually("waybill-crl", SOON, get).await
    }

    pub(crate) fn home_maps(&self) -> Api<ConfigMap> {
        Api::namespaced(self.namespace.client.clone(), &self.home)
    }

    /// Every serial in the ledger, each batch's as it stands.
    pub(crate) async fn ledger(&self) -> Vec<(String, String)> {
        let maps =
            self.home_maps().list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("a list");
        let entries = maps.items.into_iter().flat_map(|map| {
            let text = map.data.and_then(|mut data| data.remove("entries.json")).expect("entries");
            serde_json::from_str::<Vec<Value>>(&text).expect("a JSON array")
        });
        let text = |value: &Value| value.as_str().expect("a text").to_owned();
        entries.map(|entry| (text(&entry["serial"]), text(&entry["uid"]))).collect()
    }

    pub(crate) async fn serials(&self) -> BTreeSet<String> {
        let ledger = self.ledger().await;
        let serials: BTreeSet<_> = ledger.iter().map(|(serial, _)| serial.clone()).collect();
        assert_eq!(serials.len(), ledger.len(), "no number twice");
        serials
    }
}

pub(crate) fn data(secret: Secret) -> BTreeMap<String, Vec<u8>> {
    secret.data.unwrap_or_default().into_iter().map(|(key, bytes)| (key, bytes.0)).collect()
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

/// The identities cut off, and the numbers refused.
pub(crate) fn revoked(crl: &BTreeMap<String, String>) -> (BTreeSet<String>, BTreeSet<String>) {
    let json: Value = serde_json::from_str(&crl["revoked.json"]).expect("JSON");
    let all = |key: &str| {
        let entries = json["entries"].as_array().expect("entries");
        entries.iter().filter_map(|entry| entry[key].as_str()).map(str::to_owned).collect()
    };
    (all("uid"), all("serial"))
}

pub(crate) fn number(crl: &BTreeMap<String, String>) -> u64 {
    crl["number"].parse().expect("a number")
}
