//! A carrier whose identity ends while it is on its way: cut off everywhere, the parcel held with the reason, and another brings it.

use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::{Pod, Secret};
use kube::api::{DeleteParams, ListParams, Patch, PatchParams};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use waybill_crds::delivery::Author;
use waybill_crds::{Carrier, Delivery, Phase};
use waybill_e2e::agent::Agent;
use waybill_e2e::ledger::SYSTEM;
use waybill_e2e::objects::{self, apply, config, delivery, service, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace};

/// Five seconds are promised; the rest is patience with a busy machine. The times it took are printed.
const CUT_OFF: Duration = Duration::from_secs(20);
const SOON: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_revoked_on_its_way_is_cut_off_everywhere_and_another_one_brings_the_parcel() {
    in_namespace("revoked-midway", &[], |namespace| async move {
        on_its_way(&namespace, "slow").await;
        let slow = Copied::from(&namespace, "slow").await;
        assert_eq!(slow.at_the_api().await, Ok(401), "let in, and asked for a token");
        let revoked = Instant::now();
        change::<Carrier>(&namespace, "slow", json!({"revoked": true})).await;
        let held = until(&namespace, "upc-1", CUT_OFF, |delivery| delivery.phase() == Phase::OnHold).await;
        println!("held after {:.1} s", revoked.elapsed().as_secs_f64());
        assert_eq!(words(&held).last().map(String::as_str), Some("OnHold"));
        wait_condition::<Delivery>(&namespace, "upc-1", "Ready", "False", Some("CarrierRevoked")).await;
        eventually("the Carrier API refuses it", CUT_OFF, || async {
            match slow.at_the_api().await {
                Ok(403) | Err(_) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        println!("refused by the Carrier API after {:.1} s", revoked.elapsed().as_secs_f64());
        eventually("the broker refuses it", CUT_OFF, || async {
            if slow.at_the_broker().connect().await.is_err() { Ok(()) } else { Err("let in") }
        })
        .await;
        println!("refused by the broker after {:.1} s", revoked.elapsed().as_secs_f64());

        managed(&namespace, "quick", "0s").await;
        change::<Delivery>(&namespace, "upc-1", json!({"carrier": "quick"})).await;
        let delivered = until(&namespace, "upc-1", SOON, |delivery| delivery.phase() == Phase::Delivered).await;
        let status = delivered.status.clone().expect("a status");
        let quick = namespace.api::<Carrier>().get("quick").await.expect("the Carrier").uid();
        assert_eq!((status.carrier_uid, status.attempt), (quick, 2), "{:?}", words(&delivered));
        let words = words(&delivered);
        let after = words.iter().rposition(|word| word == "OnHold").expect("it was held");
        let fresh: Vec<_> =
            words[after..].iter().filter(|word| ["Accepted", "HandedOver"].contains(&word.as_str())).collect();
        assert_eq!(fresh, ["Accepted", "HandedOver"], "a new attempt with keys of its own: {words:?}");
        assert_eq!(words[after..].iter().filter(|word| *word == "Released").count(), 3, "every part anew: {words:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_made_anew_under_the_same_name_on_the_way_gets_nothing() {
    in_namespace("replaced-midway", &[], |namespace| async move {
        on_its_way(&namespace, "van").await;
        let carriers = namespace.api::<Carrier>();
        let before = carriers.get("van").await.expect("the Carrier").uid();
        carriers.delete("van", &DeleteParams::default()).await.expect("a user deletes it");
        eventually("it is gone", CUT_OFF, || async {
            match carriers.get_opt("van").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        managed(&namespace, "van", "0s").await;
        assert_ne!(carriers.get("van").await.expect("the Carrier").uid(), before);
        let held = until(&namespace, "upc-1", CUT_OFF, |delivery| delivery.phase() == Phase::OnHold).await;
        let told = words(&held);
        // The new one is there and listens: had there been anything for it, it would have come by now.
        let metrics = connected(&namespace, "van").await;
        let heard = metrics.lines().find_map(|line| line.strip_prefix("waybill_transport_frames_heard_total "));
        assert_eq!(heard, Some("0"), "{metrics}");
        let now = namespace.api::<Delivery>().get("upc-1").await.expect("the Delivery");
        assert_eq!(words(&now), told, "nothing was accepted, released or reported since");
        assert_ne!(now.status.expect("a status").carrier_uid, carriers.get("van").await.expect("the Carrier").uid());
    })
    .await;
}

// === helpers ===

/// A delivery whose carrier learnt the country and stays on that leg.
async fn on_its_way(namespace: &Namespace, carrier: &str) {
    objects::seller(namespace, "shop", &["upc-1"]).await;
    managed(namespace, carrier, "20s").await;
    apply::<Delivery>(namespace, &delivery("upc-1", "shop", carrier)).await.expect("a Delivery");
    until(namespace, "upc-1", SOON, |delivery| words(delivery).iter().any(|word| word == "Released")).await;
}

async fn managed(namespace: &Namespace, name: &str, pace: &str) {
    let body = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Carrier", "metadata": {"name": name},
                      "spec": {"kind": "truck", "transport": {"managed": {"pace": pace}}}});
    apply::<Carrier>(namespace, &body).await.expect("a Carrier");
    wait_condition::<Carrier>(namespace, name, "Ready", "True", None).await;
}

async fn change<K>(namespace: &Namespace, name: &str, spec: Value)
where
    K: kube::Resource<Scope = kube::core::NamespaceResourceScope, DynamicType = ()>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug,
{
    let api: Api<K> = namespace.api();
    api.patch(name, &PatchParams::default(), &Patch::Merge(json!({ "spec": spec }))).await.expect("a user changes it");
}

async fn until(namespace: &Namespace, name: &str, deadline: Duration, holds: impl Fn(&Delivery) -> bool) -> Delivery {
    eventually(name, deadline, || async {
        let delivery = namespace.api::<Delivery>().get(name).await.map_err(|why| why.to_string())?;
        if holds(&delivery) { Ok(delivery) } else { Err(format!("{}: {:?}", delivery.phase(), words(&delivery))) }
    })
    .await
}

fn words(delivery: &Delivery) -> Vec<String> {
    let custody = delivery.status.iter().flat_map(|status| &status.custody);
    custody.filter(|entry| entry.author != Author::Person).map(|entry| entry.event.clone()).collect()
}

/// What the agent of a carrier shows once its session is up.
async fn connected(namespace: &Namespace, carrier: &str) -> String {
    let pods = namespace.api::<Pod>();
    eventually(&format!("the agent of {carrier} is connected"), SOON, || async {
        let pods = pods.list(&ListParams::default()).await.map_err(|why| why.to_string())?;
        let begins = format!("wb-transport-{carrier}-");
        let pod = pods.into_iter().map(|pod| pod.name_any()).find(|name| name.starts_with(&begins));
        let pod = pod.ok_or_else(|| "no pod".to_owned())?;
        let metrics = objects::probe(namespace, &pod, "/metrics").await?;
        if metrics.lines().any(|line| line == "waybill_link_connected 1") {
            Ok(metrics)
        } else {
            Err("not yet".to_owned())
        }
    })
    .await
}

/// A carrier's certificate in the hands of somebody who copied it in time.
struct Copied {
    chain: String,
    key: String,
    trust: String,
    broker: std::net::SocketAddr,
    api: reqwest::Client,
    url: String,
}

impl Copied {
    async fn from(namespace: &Namespace, carrier: &str) -> Self {
        let secrets: Api<Secret> = namespace.api();
        let secret = secrets.get(&format!("wb-carrier-{carrier}-tls")).await.expect("its Secret");
        let data = secret.data.expect("data");
        let text = |key: &str| String::from_utf8(data[key].0.clone()).expect("PEM");
        let (chain, key) = (text("tls.crt"), text("tls.key"));
        let trust = config(namespace, "waybill-trust", "ca.crt").await;
        let broker = service(&namespace.client, SYSTEM, "waybill-broker", 8883).await;
        let (host, address) = (
            format!("waybill-carrier-api.{}.svc", namespace.name),
            service(&namespace.client, &namespace.name, "waybill-carrier-api", 5001).await,
        );
        let identity = reqwest::Identity::from_pem(format!("{chain}{key}").as_bytes()).expect("an identity");
        let api = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(trust.as_bytes()).expect("authorities"))
            .identity(identity)
            .resolve(&host, address)
            .no_proxy()
            .pool_max_idle_per_host(0)
            .build()
            .expect("a client");
        Self { chain, key, trust, broker, api, url: format!("https://{host}:{}/api/agent/deliveries", address.port()) }
    }

    async fn at_the_api(&self) -> Result<u16, String> {
        let answer = self.api.get(&self.url).send().await.map_err(|why| why.to_string())?;
        Ok(answer.status().as_u16())
    }

    fn at_the_broker(&self) -> Agent {
        Agent::new(self.broker, "any", &self.trust, &self.chain, &self.key)
    }
}
