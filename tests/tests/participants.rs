//! What a Seller and a Carrier get: pods that run under restricted Pod Security, an identity that stands up to openssl.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Pod, Secret};
use kube::ResourceExt;
use kube::api::ListParams;
use serde_json::json;
use waybill_crds::{Carrier, Seller};
use waybill_e2e::enrol::Keys;
use waybill_e2e::http::Service;
use waybill_e2e::objects::{self, apply, config, wait_condition};
use waybill_e2e::{Namespace, eventually, in_namespace, openssl};

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_and_its_carrier_become_ready_with_identities_that_openssl_accepts() {
    in_namespace("participants", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        objects::managed_carrier(&namespace, "van").await;
        let seller: Seller = wait_condition(&namespace, "shop", "Ready", "True", None).await;
        let carrier: Carrier = wait_condition(&namespace, "van", "Ready", "True", None).await;
        check_leaf(&namespace, "wb-seller-shop-tls", &seller.uid().expect("a uid"), &["sslserver", "sslclient"]).await;
        check_leaf(&namespace, "wb-carrier-van-tls", &carrier.uid().expect("a uid"), &["sslclient"]).await;
        let (seller, carrier) = (seller.status.expect("a status"), carrier.status.expect("a status"));
        for (what, certificate, statement) in [
            ("seller", seller.certificate, seller.key_statement),
            ("carrier", carrier.certificate, carrier.key_statement),
        ] {
            let serial = &certificate.expect("a certificate").serial;
            assert!(in_ledger(&namespace, serial).await, "the {what}'s serial {serial} is in no ledger");
            assert!(statement.is_some(), "the {what} has a key statement");
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn d_22_the_carrier_api_says_it_is_connected_without_asking_who_looks() {
    in_namespace("d-22", &[], |namespace| async move {
        objects::managed_carrier(&namespace, "van").await;
        wait_condition::<Carrier>(&namespace, "van", "Ready", "True", None).await;
        let service = Service::reach(&namespace, "waybill-carrier-api", 5001).await;
        let answer = service.get("/").await.expect("an answer");
        assert_eq!((answer.0, answer.1), (200, json!({"carrier": "connected"})));
        let unknown = service.get("/no/such/place").await.expect("an answer");
        assert_eq!((unknown.0, &unknown.1["status"]), (404, &json!(404)), "a problem document: {}", unknown.1);
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_holder_of_the_lease_speaks_to_the_broker() {
    in_namespace("one-speaks", &[], |namespace| async move {
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        wait_condition::<Seller>(&namespace, "shop", "Ready", "True", None).await;
        let holder = eventually("a holder of the Lease", objects::PROVISIONED, || async {
            let lease = namespace.api::<Lease>().get("wb-seller-shop").await.map_err(|why| why.to_string())?;
            lease.spec.and_then(|s| s.holder_identity).filter(|h| !h.is_empty()).ok_or_else(|| "nobody".to_owned())
        })
        .await;
        let pods =
            namespace.api::<Pod>().list(&ListParams::default().labels("waybill.dev/seller=shop")).await.expect("pods");
        assert!(!pods.items.is_empty(), "a seller has pods");
        for pod in pods {
            let expected = if pod.name_any() == holder { "connected" } else { "standby" };
            eventually(&format!("{} is {expected}", pod.name_any()), objects::PROVISIONED, || async {
                let ready = objects::probe(&namespace, &pod.name_any(), "/readyz").await?;
                if ready.contains(expected) { Ok(()) } else { Err(ready) }
            })
            .await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_renewed_certificate_is_served_without_a_restart_or_a_failed_request() {
    in_namespace("renewed", &[], |namespace| async move {
        objects::managed_carrier(&namespace, "van").await;
        objects::seller(&namespace, "shop", &["upc-1"]).await;
        let seller: Seller = wait_condition(&namespace, "shop", "Ready", "True", None).await;
        let first = serial(&seller);
        let pods = restarts(&namespace).await;
        let service = Service::reach(&namespace, "wb-seller-shop", 5000).await;
        assert_eq!(service.serial().await, first, "the served certificate is the one in status");
        let longer = json!({"apiVersion": "waybill.dev/v1alpha1", "kind": "Seller", "metadata": {"name": "shop"},
                            "spec": {"certificate": {"ttl": "96h"}}});
        apply::<Seller>(&namespace, &longer).await.expect("a user asks for another ttl");
        let served = eventually("the new certificate is served", Duration::from_secs(180), || async {
            service.get("/").await.map_err(|why| format!("a request failed meanwhile: {why}"))?;
            let now = service.serial().await;
            if now == first { Err("still the first".to_owned()) } else { Ok(now) }
        })
        .await;
        let seller: Seller = wait_condition(&namespace, "shop", "Ready", "True", None).await;
        assert_eq!(served, serial(&seller));
        assert_eq!(restarts(&namespace).await, pods, "no pod was replaced or restarted");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_carrier_gets_a_certificate_and_leaves_no_key_in_the_cluster() {
    in_namespace("external", &[], |namespace| async move {
        let keys = Keys::fresh();
        apply::<Carrier>(&namespace, &keys.carrier(&namespace.name, "van")).await.expect("an external Carrier");
        let carrier: Carrier = wait_condition(&namespace, "van", "Ready", "True", None).await;
        let status = carrier.status.as_ref().expect("a status");
        let chain = status.certificate.as_ref().and_then(|c| c.pem.clone()).expect("its chain in status");
        let trust = config(&namespace, "waybill-trust", "ca.crt").await;
        let scratch = tempfile::tempdir().expect("a scratch folder");
        let (leaf, roots) = (scratch.path().join("leaf.pem"), scratch.path().join("roots.pem"));
        std::fs::write(&leaf, &chain).expect("written");
        std::fs::write(&roots, &trust).expect("written");
        openssl(&["verify", "-CAfile", path(&roots), "-untrusted", path(&leaf), "-purpose", "sslclient", path(&leaf)]);
        let secrets = namespace.api::<Secret>().list(&ListParams::default()).await.expect("secrets");
        let of_van: Vec<_> =
            secrets.iter().map(ResourceExt::name_any).filter(|name| name.starts_with("wb-carrier-")).collect();
        assert!(of_van.is_empty(), "no Secret is made for an external carrier: {of_van:?}");
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_for_a_certificate_with_stolen_keys_is_refused_with_the_reason() {
    in_namespace("bad-enrolment", &[], |namespace| async move {
        let (own, stolen) = (Keys::fresh(), Keys::fresh());
        let mut body = own.carrier(&namespace.name, "thief");
        let other = stolen.carrier(&namespace.name, "thief");
        body["spec"]["transport"]["external"]["keys"]["ed25519"] =
            other["spec"]["transport"]["external"]["keys"]["ed25519"].clone();
        apply::<Carrier>(&namespace, &body).await.expect("the schema cannot know");
        let carrier: Carrier =
            wait_condition(&namespace, "thief", "CertificatesIssued", "False", Some("KeyRejected")).await;
        assert!(carrier.status.expect("a status").certificate.is_none(), "no certificate");
    })
    .await;
}

// === helpers ===

async fn check_leaf(namespace: &Namespace, secret: &str, uid: &str, purposes: &[&str]) {
    let data = namespace.api::<Secret>().get(secret).await.expect("the leaf's Secret").data.expect("data");
    let scratch = tempfile::tempdir().expect("a scratch folder");
    let file = |key: &str| {
        let at = scratch.path().join(key);
        std::fs::write(&at, &data[key].0).expect("written");
        at
    };
    let (leaf, roots) = (file("tls.crt"), file("ca.crt"));
    for purpose in purposes {
        openssl(&["verify", "-CAfile", path(&roots), "-untrusted", path(&leaf), "-purpose", purpose, path(&leaf)]);
    }
    if purposes.contains(&"sslserver") {
        let host = format!("{}.{}.svc", secret.trim_end_matches("-tls"), namespace.name);
        openssl(&[
            "verify",
            "-CAfile",
            path(&roots),
            "-untrusted",
            path(&leaf),
            "-verify_hostname",
            &host,
            path(&leaf),
        ]);
    }
    let text = openssl(&["x509", "-in", path(&leaf), "-noout", "-text", "-nameopt", "RFC2253"]);
    assert!(text.contains(&format!("CN={uid}")), "the common name is the uid: {text}");
    assert!(text.contains(&format!("URI:spiffe://waybill/{}/", namespace.name)), "a name of its namespace: {text}");
    assert!(text.contains("CA:FALSE") && text.contains("Authority Key Identifier"), "a leaf: {text}");
    // Backdated for clocks that lag: valid an hour ago already.
    let roots = path(&roots);
    let hour_ago = (jiff::Timestamp::now().as_second() - 3000).to_string();
    openssl(&["verify", "-attime", &hour_ago, "-CAfile", roots, "-untrusted", path(&leaf), path(&leaf)]);
}

async fn in_ledger(namespace: &Namespace, serial: &str) -> bool {
    let api: kube::Api<ConfigMap> = kube::Api::namespaced(namespace.client.clone(), "waybill-system");
    let ledgers = api.list(&ListParams::default().labels("waybill.dev/ledger=true")).await.expect("ledgers");
    ledgers.iter().any(|ledger| ledger.data.iter().flatten().any(|(_, text)| text.contains(serial)))
}

fn serial(seller: &Seller) -> String {
    seller.status.as_ref().and_then(|s| s.certificate.as_ref()).expect("a certificate").serial.clone()
}

/// Each pod of the namespace with how often its containers were restarted.
async fn restarts(namespace: &Namespace) -> Vec<(String, i32)> {
    let pods = namespace.api::<Pod>().list(&ListParams::default()).await.expect("pods");
    let count = |pod: &Pod| {
        pod.status.iter().flat_map(|s| s.container_statuses.iter().flatten()).map(|c| c.restart_count).sum()
    };
    pods.iter().map(|pod| (pod.name_any(), count(pod))).collect()
}

fn openssl(arguments: &[&str]) -> String {
    openssl::openssl(arguments).unwrap_or_else(|complaint| panic!("{complaint}"))
}

fn path(path: &Path) -> &str {
    path.to_str().expect("a plain path")
}
