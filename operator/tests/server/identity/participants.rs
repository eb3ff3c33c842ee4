//! What a participant gets: its Secrets, its certificate, its statement, and what it is told to believe.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::future::join;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, ListParams, PostParams};
use kube::{Api, ResourceExt};
use waybill_crds::Reason;
use waybill_e2e::enrol::Keys;
use waybill_e2e::eventually;
use waybill_operator::identity::Participant;
use waybill_protocol::{CaKey, Custody, KeyStatement, Role, UnixMillis};

use super::openssl::{does_not_verify, openssl, verifies};
use super::stage::{SOON, Stage, on_stage, text};

#[tokio::test(flavor = "multi_thread")]
async fn a_seller_gets_keys_a_certificate_and_a_statement_over_both() {
    on_stage("seller", |stage| async move {
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        let outcome = operator.ensure(&seller).await;
        let api: Api<Secret> = stage.namespace.api();
        for (name, kind) in [("tls", "kubernetes.io/tls"), ("keys", "Opaque"), ("label", "Opaque")] {
            let secret = api.get(&format!("wb-seller-books-{name}")).await.expect("the Secret");
            assert_eq!(secret.type_.as_deref(), Some(kind));
            assert_eq!(secret.owner_references()[0].uid, seller.owner.uid);
            assert_eq!(secret.labels()["app.kubernetes.io/managed-by"], "waybill-operator");
            assert_eq!(secret.labels()["waybill.dev/seller"], "books");
        }
        let mut keys = stage.secret("wb-seller-books-keys").await;
        let beside = keys.remove("statement").expect("a statement beside the keys");
        assert_eq!(Some(STANDARD.encode(beside)), outcome.key_statement, "the very bytes that status shows");
        assert_eq!(keys.keys().collect::<Vec<_>>(), ["commit.key", "ed25519.seed", "x25519.key"]);
        assert!(keys.values().all(|key| key.len() == 32));
        let tls = stage.secret("wb-seller-books-tls").await;
        let trust = stage.trust().await;
        assert_eq!(text(&tls["ca.crt"]), trust["ca.crt"]);
        let host = format!("wb-seller-books.{}.svc", stage.namespace.name);
        verifies(&text(&tls["tls.crt"]), &trust["ca.crt"], &format!("-purpose sslserver -verify_hostname {host}"));
        let certificate = outcome.certificate.expect("a certificate");
        assert!(certificate.pem.is_none(), "it is in the Secret");
        assert_eq!(certificate.issuer, trust["root-fingerprint"]);
        assert!(stage.serials().await.contains(&certificate.serial));
        let statement = read(&stage, &outcome.key_statement.expect("a statement"), &trust["ca.crt"]);
        assert_eq!((statement.role, statement.custody), (Role::Seller, Custody::Managed));
        assert_eq!(statement.uid.as_str(), seller.owner.uid);
        assert_eq!(statement.tls_spki_sha256.0, spki(&text(&tls["tls.crt"])));
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn two_operators_give_one_participant_one_set_of_keys() {
    on_stage("one-set", |stage| async move {
        let operators = [stage.operator(), stage.operator()];
        for index in 0..5 {
            let seller = stage.seller(&format!("s-{index}")).await;
            let (one, two) = join(operators[0].ensure(&seller), operators[1].ensure(&seller)).await;
            let trust = stage.trust().await;
            let said =
                [one, two].map(|outcome| read(&stage, &outcome.key_statement.expect("stated"), &trust["ca.crt"]));
            assert_eq!(said[0].ed25519, said[1].ed25519);
            assert_eq!(said[0].x25519, said[1].x25519);
            assert_eq!(said[0].tls_spki_sha256, said[1].tls_spki_sha256);
        }
        for operator in operators {
            operator.stop().await;
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn lost_keys_are_a_persons_decision_and_a_lost_certificate_is_not() {
    on_stage("lost", |stage| async move {
        let operator = stage.operator();
        let seller = stage.seller("books").await;
        let first = operator.ensure(&seller).await;
        let seller = Participant { key_statement: first.key_statement.clone(), ..seller };
        let api: Api<Secret> = stage.namespace.api();
        api.delete("wb-seller-books-tls", &DeleteParams::default()).await.expect("deleted");
        let second = operator.ensure(&seller).await;
        assert!(second.refusal.is_none());
        assert_ne!(second.key_statement, first.key_statement, "another TLS key, another statement");
        assert_eq!(Some(beside(&stage, "wb-seller-books-keys").await), second.key_statement, "the file follows");
        let kept = api.get("wb-seller-books-keys").await.expect("the keys");
        api.delete("wb-seller-books-keys", &DeleteParams::default()).await.expect("deleted");
        let seller = Participant { key_statement: second.key_statement.clone(), ..seller };
        let lost = operator.ensure(&seller).await.refusal.expect("a refusal");
        assert_eq!(lost.reason, Reason::KeyLost);
        assert!(lost.message.contains("wb-seller-books-keys"), "{}", lost.message);
        assert!(api.get_opt("wb-seller-books-keys").await.expect("asked").is_none(), "none were made up");
        // Restored from a backup: without its uid, without its owner.
        let mut backup = Secret { data: kept.data, type_: kept.type_, ..Secret::default() };
        backup.metadata.name = kept.metadata.name;
        api.create(&PostParams::default(), &backup).await.expect("restored");
        let third = operator.ensure(&seller).await;
        assert_eq!(third.key_statement, second.key_statement, "the same keys, the same statement");
        let restored = api.get("wb-seller-books-keys").await.expect("the keys");
        assert_eq!(restored.owner_references()[0].uid, seller.owner.uid, "it is the Seller's again");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_external_carrier_gets_a_certificate_for_its_own_key_and_nothing_else_enters_the_cluster() {
    on_stage("external", |stage| async move {
        let operator = stage.operator();
        let van = stage.external("van").await;
        let outcome = operator.ensure(&van).await;
        let certificate = outcome.certificate.clone().expect("a certificate");
        let pem = certificate.pem.clone().expect("its PEM");
        let trust = stage.trust().await;
        verifies(&pem, &trust["ca.crt"], "-purpose sslclient");
        does_not_verify(&pem, &trust["ca.crt"], "-purpose sslserver");
        let (_, said) = openssl(&[("leaf.pem", &pem)], "x509 -in leaf.pem -noout -subject -ext subjectAltName");
        assert!(said.contains(&van.owner.uid), "{said}");
        assert!(said.contains(&format!("URI:spiffe://waybill/{}/carrier/van", stage.namespace.name)), "{said}");
        assert!(!said.contains("DNS:"), "{said}");
        let statement = read(&stage, &outcome.key_statement.clone().expect("a statement"), &trust["ca.crt"]);
        assert_eq!((statement.role, statement.custody), (Role::Carrier, Custody::External));
        // A reconciler whose cache has not seen the status yet gets the same answer, not another certificate.
        assert_eq!(operator.ensure(&van).await, outcome);
        let api: Api<Secret> = stage.namespace.api();
        assert!(api.list(&ListParams::default()).await.expect("a list").items.is_empty(), "no key of it is here");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_request_that_proves_nothing_gets_a_reason_and_no_certificate() {
    on_stage("refused", |stage| async move {
        let operator = stage.operator();
        let namespace = stage.namespace.name.clone();
        // Somebody else's enrolment under another name: the proof is for that name only.
        let mut stolen = Keys::fresh().carrier(&namespace, "theirs");
        stolen["metadata"]["name"] = "mine".into();
        let refusal = operator.ensure(&stage.apply_carrier(&stolen).await).await.refusal.expect("a refusal");
        assert_eq!(refusal.reason, Reason::KeyRejected);
        let mut weak = Keys::fresh().carrier(&namespace, "weak");
        weak["spec"]["transport"]["external"]["csr"] = rsa_1024().into();
        let refusal = operator.ensure(&stage.apply_carrier(&weak).await).await.refusal.expect("a refusal");
        assert_eq!(refusal.reason, Reason::CsrRejected);
        assert!(refusal.message.contains("1024 bits"), "{}", refusal.message);
        let ours = ["waybill-broker", "waybill-board"];
        assert!(stage.ledger().await.iter().all(|(_, uid)| ours.contains(&uid.as_str())), "nothing was issued");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_carrier_api_is_known_by_its_key_and_leaves_when_asked() {
    on_stage("carrier-api", |stage| async move {
        let operator = stage.operator();
        let namespace = stage.namespace.name.clone();
        let van = stage.external("van").await;
        operator.ensure(&van).await;
        let outcome = operator.ensure_carrier_api(&namespace).await;
        let trust = stage.trust().await;
        assert_eq!(Some(&trust["carrier-api-statement"]), outcome.key_statement.as_ref());
        let statement = read(&stage, &trust["carrier-api-statement"], &trust["ca.crt"]);
        assert_eq!((statement.role, statement.x25519), (Role::CarrierApi, None));
        let api: Api<Secret> = stage.namespace.api();
        let keys = api.get("waybill-carrier-api-keys").await.expect("its key");
        assert_eq!(keys.uid().as_deref(), Some(statement.uid.as_str()), "the Secret's uid stands for it");
        let leaf = text(&stage.secret("waybill-carrier-api-tls").await["tls.crt"]);
        for host in [format!("waybill-carrier-api.{namespace}.svc"), "api.example.com".to_owned()] {
            verifies(&leaf, &trust["ca.crt"], &format!("-purpose sslserver -verify_hostname {host}"));
        }
        operator.kill().await;
        let operator = stage.operator();
        assert_eq!(
            operator.ensure_carrier_api(&namespace).await.key_statement,
            outcome.key_statement,
            "after a restart too"
        );
        for _ in 0..2 {
            operator.identity.remove_carrier_api(&namespace).await.expect("removed");
        }
        assert!(super::stage::revoked(&stage.crl().await).0.contains(statement.uid.as_str()));
        let again = operator.ensure_carrier_api(&namespace).await;
        assert_ne!(again.key_statement, outcome.key_statement, "a new key is a new identity");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_broker_serves_all_its_names_and_its_admin_has_an_authority_of_its_own() {
    on_stage("broker", |stage| async move {
        let operator = stage.operator();
        let (server, admin) =
            (stage.home_secret("waybill-broker-tls").await, stage.home_secret("waybill-broker-admin").await);
        let (leaf, bundle) = (text(&server["tls.crt"]), text(&server["ca.crt"]));
        for host in [format!("waybill-broker.{}.svc", stage.home), "localhost".into(), "mqtt.example.com".into()] {
            verifies(&leaf, &bundle, &format!("-purpose sslserver -verify_hostname {host}"));
        }
        verifies(&leaf, &bundle, "-purpose sslserver -verify_ip 127.0.0.1");
        does_not_verify(&leaf, &bundle, "-purpose sslclient");
        let client = text(&admin["tls.crt"]);
        verifies(&client, &text(&admin["ca.crt"]), "-purpose sslclient");
        does_not_verify(&client, &bundle, "-purpose sslclient");
        does_not_verify(&leaf, &text(&admin["ca.crt"]), "");
        assert!(!admin.contains_key("ca.key"), "the sidecar can use its certificate, not make others");
        operator.stop().await;
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn trust_is_put_right_when_touched_and_leaves_with_the_last_participant() {
    on_stage("trust", |stage| async move {
        let operator = stage.operator();
        let van = stage.external("van").await;
        operator.ensure(&van).await;
        let good = stage.trust().await;
        assert_eq!(good["broker"], format!("waybill-broker.{}.svc:8883", stage.home));
        operator.kill().await;
        let maps: Api<k8s_openapi::api::core::v1::ConfigMap> = stage.namespace.api();
        let patch = serde_json::json!({"data": {"ca.crt": "another"}});
        maps.patch("waybill-trust", &kube::api::PatchParams::default(), &kube::api::Patch::Merge(patch))
            .await
            .expect("touched");
        let operator = stage.operator();
        eventually("it is put right", SOON, || async {
            if stage.trust().await["ca.crt"] == good["ca.crt"] { Ok(()) } else { Err("not yet") }
        })
        .await;
        operator.kill().await;
        stage.delete_carrier("van").await;
        let operator = stage.operator();
        eventually("it is gone", SOON, || async {
            match maps.get_metadata_opt("waybill-trust").await {
                Ok(None) => Ok(()),
                other => Err(format!("{other:?}")),
            }
        })
        .await;
        operator.stop().await;
    })
    .await;
}

// === helpers ===

/// The statement that lies beside the keys, as status writes it.
async fn beside(stage: &Stage, secret: &str) -> String {
    STANDARD.encode(&stage.secret(secret).await["statement"])
}

fn read(_: &Stage, statement: &str, bundle: &str) -> KeyStatement {
    let keys: Vec<CaKey> = x509_parser::pem::Pem::iter_from_buffer(bundle.as_bytes())
        .map(|pem| {
            let pem = pem.expect("PEM");
            let certificate = pem.parse_x509().expect("a certificate");
            let point = certificate.public_key().subject_public_key.data.to_vec();
            CaKey::new(&pem.contents, &point).expect("a CA")
        })
        .collect();
    let now = UnixMillis::from_secs(u64::try_from(Timestamp::now().as_second()).expect("after 1970"));
    KeyStatement::verify(&STANDARD.decode(statement).expect("base64"), &keys, now).expect("a statement of this CA")
}

fn spki(chain: &str) -> [u8; 32] {
    use sha2::{Digest, Sha256};
    let pem = x509_parser::pem::Pem::iter_from_buffer(chain.as_bytes()).next().expect("a block").expect("PEM");
    Sha256::digest(pem.parse_x509().expect("a certificate").public_key().raw).into()
}

fn rsa_1024() -> String {
    let line = "req -new -newkey rsa:1024 -nodes -keyout /dev/null -subj /CN=weak -config openssl.cnf";
    let (ok, said) = openssl(&[("openssl.cnf", "[req]\ndistinguished_name=dn\n[dn]\n")], line);
    assert!(ok, "{said}");
    let start = said.find("-----BEGIN CERTIFICATE REQUEST-----").expect("a request");
    let end = said.find("-----END CERTIFICATE REQUEST-----").expect("a request");
    said[start..end].to_owned() + "-----END CERTIFICATE REQUEST-----\n"
}
