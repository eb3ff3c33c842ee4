//! Who is let in, who is known, and who is thrown out again while connected.

use axum::Router;
use rcgen::ExtendedKeyUsagePurpose;
use rustls::HandshakeKind;
use std::sync::Arc;
use waybill_chassis::revocation::List;
use waybill_chassis::server::Limits;
use waybill_chassis::tls::ClientAuth;

use crate::authority::{Authority, Wish};
use crate::wire::{Server, routes, start, until};

async fn server(ca: &Authority, clients: ClientAuth) -> Server {
    start(ca, clients, routes(), Limits::default()).await
}

fn revoke(number: u64, entry: &str) -> List {
    List::parse(format!(r#"{{"number":{number},"entries":[{entry}]}}"#).as_bytes()).unwrap()
}

#[tokio::test]
async fn a_trusted_client_is_known_to_every_handler() {
    let ca = Authority::new("ca");
    let server = server(&ca, ClientAuth::Required).await;
    let mut client = server.connect(&ca.client(&ca.issue(Wish::default()))).await.unwrap();
    assert_eq!(client.get("/").await.unwrap().body, "uid-1");
    assert_eq!(client.get("/known").await.unwrap().body, "abc");
}

#[tokio::test]
async fn a_client_nobody_vouches_for_is_refused() {
    let (ca, stranger) = (Authority::new("ca"), Authority::new("ca"));
    for clients in [ClientAuth::Required, ClientAuth::Optional] {
        let server = server(&ca, clients).await;
        let forged = ca.client(&stranger.issue(Wish::default()));
        server.visit(&forged).await.unwrap_err();
    }
}

#[tokio::test]
async fn an_expired_or_misused_certificate_is_refused() {
    let ca = Authority::new("ca");
    let server = server(&ca, ClientAuth::Optional).await;
    let expired = ca.issue(Wish { ends_in: time::Duration::minutes(-1), ..Wish::default() });
    server.visit(&ca.client(&expired)).await.unwrap_err();
    let servers = ca.issue(Wish { usage: ExtendedKeyUsagePurpose::ServerAuth, ..Wish::default() });
    server.visit(&ca.client(&servers)).await.unwrap_err();
    assert!(server.metrics.encode().unwrap().contains(r#"tls_handshakes_total{outcome="Refused"} 2"#));
}

#[tokio::test]
async fn an_optional_certificate_is_optional_and_a_required_one_is_not() {
    let ca = Authority::new("ca");
    let optional = server(&ca, ClientAuth::Optional).await;
    let mut client = optional.connect(&ca.anonymous()).await.unwrap();
    assert_eq!(client.get("/").await.unwrap().body, "nobody");
    let refused = client.get("/known").await.unwrap();
    assert_eq!((refused.status, refused.slug().as_str()), (401, "certificate-required"));

    let required = server(&ca, ClientAuth::Required).await;
    required.visit(&ca.anonymous()).await.unwrap_err();
}

#[tokio::test]
async fn a_revoked_client_is_refused_on_its_next_request_not_its_next_handshake() {
    let ca = Authority::new("ca");
    let server = server(&ca, ClientAuth::Optional).await;
    let other = ca.issue(Wish { uid: "uid-2", serial: 0xdef, ..Wish::default() });
    for (number, entry) in [(1, r#"{"serial":"","uid":"uid-1"}"#), (2, r#"{"serial":"ABC","uid":""}"#)] {
        let mut client = server.connect(&ca.client(&ca.issue(Wish::default()))).await.unwrap();
        let mut bystander = server.connect(&ca.client(&other)).await.unwrap();
        if number == 1 {
            assert_eq!(client.get("/").await.unwrap().status, 200);
        }
        server.feed.offer(revoke(number, entry));
        let refused = client.get("/").await.unwrap();
        assert_eq!((refused.status, refused.slug().as_str()), (403, "certificate-revoked"));
        assert!(refused.head.contains("content-type: application/problem+json"), "{}", refused.head);
        assert_eq!(bystander.get("/").await.unwrap().body, "uid-2");
        assert_eq!(server.visit(&ca.anonymous()).await.unwrap().body, "nobody");
    }
}

#[tokio::test]
async fn a_certificate_that_ends_under_a_live_connection_ends_its_requests() {
    let ca = Authority::new("ca");
    let server = server(&ca, ClientAuth::Required).await;
    // Certificates count whole seconds, so two leave at least one for the handshake.
    let brief = ca.issue(Wish { ends_in: time::Duration::seconds(3), ..Wish::default() });
    let mut client = server.connect(&ca.client(&brief)).await.unwrap();
    assert_eq!(client.get("/").await.unwrap().status, 200);
    let client = tokio::sync::Mutex::new(client);
    let refused = until("the certificate ends", async || {
        let answer = client.lock().await.get("/").await.unwrap();
        (answer.status != 200).then_some(answer)
    })
    .await;
    assert_eq!((refused.status, refused.slug().as_str()), (403, "certificate-expired"));
}

#[tokio::test]
async fn sessions_are_never_resumed() {
    let ca = Authority::new("ca");
    let server = start(&ca, ClientAuth::Required, Router::new(), Limits::default()).await;
    for versions in [&[&rustls::version::TLS13], &[&rustls::version::TLS12]] {
        let mut config = (*ca.client(&ca.issue(Wish::default()))).clone();
        config.resumption = rustls::client::Resumption::in_memory_sessions(8);
        let mut narrow = rustls::ClientConfig::builder_with_provider(Arc::clone(config.crypto_provider()))
            .with_protocol_versions(versions)
            .unwrap()
            .dangerous()
            .with_custom_certificate_verifier(Arc::new(Trusting))
            .with_client_cert_resolver(config.client_auth_cert_resolver.clone());
        narrow.resumption = config.resumption.clone();
        let narrow = Arc::new(narrow);
        for _ in 0..3 {
            let mut client = server.connect(&narrow).await.unwrap();
            assert_eq!(client.get("/").await.unwrap().status, 404);
            assert_eq!(client.stream.get_ref().1.handshake_kind(), Some(HandshakeKind::Full));
        }
    }
}

// === helpers ===

/// The chain is not what this test is about, and a verifier cannot be taken out of a finished configuration.
#[derive(Debug)]
struct Trusting;

impl rustls::client::danger::ServerCertVerifier for Trusting {
    fn verify_server_cert(
        &self,
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &[rustls::pki_types::CertificateDer<'_>],
        _: &rustls::pki_types::ServerName<'_>,
        _: &[u8],
        _: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Ok(rustls::client::danger::ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn verify_tls13_signature(
        &self,
        _: &[u8],
        _: &rustls::pki_types::CertificateDer<'_>,
        _: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Ok(rustls::client::danger::HandshakeSignatureValid::assertion())
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        rustls::crypto::aws_lc_rs::default_provider().signature_verification_algorithms.supported_schemes()
    }
}
