//! Every field of what we sign, as the real openssl reads it.

use jiff::{SignedDuration, Timestamp};

use crate::identity::ca::lifecycle::{Reason, Step};
use crate::identity::ca::tests::{authority_at, rotate, take};
use crate::identity::ca::{Authority, Ca};
use crate::identity::ledger::Kind;
use crate::identity::openssl::OpenSsl;
use crate::identity::serial::Serial;
use crate::identity::x509::key::PrivateKey;
use crate::identity::{BACKDATE, leaf, names, pem};

const UID: &str = "3f0c1d2e-0000-4000-8000-000000000001";

struct Made {
    pem: String,
    serial: Serial,
}

fn make(authority: &Authority, kind: Kind, now: Timestamp) -> Made {
    let key = PrivateKey::generate().unwrap();
    let wanted = leaf::Wanted {
        uid: UID.into(),
        names: names::participant(kind, "shop", "books", &["shop.example.com".into()]),
        usage: names::usage(kind),
        ttl: SignedDuration::from_hours(72),
        renew_before: None,
        spki_sha256: key.spki_sha256(),
    };
    let serial = Serial::from_entropy(rand::random());
    let at = leaf::issued(now, authority.active());
    Made { pem: leaf::issue(&wanted, serial, &key, authority.active(), at).unwrap(), serial }
}

fn certificate(ca: &Ca) -> String {
    pem::encode(pem::CERTIFICATE, &ca.der)
}

fn blocks(chain: &str) -> Vec<String> {
    let blocks = pem::decode_all(pem::CERTIFICATE, chain).unwrap();
    blocks.iter().map(|der| pem::encode(pem::CERTIFICATE, der)).collect()
}

#[test]
fn a_leaf_is_what_it_should_be_in_every_field() {
    let now = Timestamp::now();
    let authority = authority_at(now);
    let made = make(&authority, Kind::Seller, now);
    let openssl = OpenSsl::new();
    openssl.put("leaf.pem", &made.pem).put("ca.pem", authority.bundle());
    let text = openssl.succeeds("x509 -in leaf.pem -noout -text");
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    let colons = made.serial.as_bytes().map(|byte| format!("{byte:02x}")).join(":");
    for expected in [
        "Version: 3 (0x2)".to_owned(),
        format!("Serial Number: {colons}"),
        "Signature Algorithm: ecdsa-with-SHA256".to_owned(),
        format!("Issuer: CN = Waybill CA {}", authority.active().id),
        format!("Subject: CN = {UID}"),
        "X509v3 Key Usage: critical Digital Signature X509v3".to_owned(),
        "X509v3 Extended Key Usage: TLS Web Server Authentication, TLS Web Client Authentication".to_owned(),
        "X509v3 Basic Constraints: critical CA:FALSE".to_owned(),
        "X509v3 Subject Key Identifier:".to_owned(),
        "DNS:shop.example.com, DNS:wb-seller-books, DNS:wb-seller-books.shop, DNS:wb-seller-books.shop.svc, \
         DNS:wb-seller-books.shop.svc.cluster.local, URI:spiffe://waybill/shop/seller/books"
            .to_owned(),
    ] {
        assert!(flat.contains(&expected), "{expected}\n{text}");
    }
    let key_id =
        |name: &str| openssl.succeeds(name).lines().last().unwrap().trim().trim_start_matches("keyid:").to_owned();
    assert_eq!(
        key_id("x509 -in leaf.pem -noout -ext authorityKeyIdentifier"),
        key_id("x509 -in ca.pem -noout -ext subjectKeyIdentifier")
    );
    for purpose in ["sslserver", "sslclient"] {
        openssl.succeeds(&format!("verify -CAfile ca.pem -purpose {purpose} -x509_strict leaf.pem"));
    }
    openssl.succeeds("verify -CAfile ca.pem -verify_hostname wb-seller-books.shop.svc leaf.pem");
    openssl.fails("verify -CAfile ca.pem -verify_hostname evil.example leaf.pem", "hostname mismatch");
}

#[test]
fn a_carrier_is_no_server_and_a_broker_no_client() {
    let now = Timestamp::now();
    let authority = authority_at(now);
    let openssl = OpenSsl::new();
    openssl.put("ca.pem", authority.bundle());
    openssl.put("carrier.pem", make(&authority, Kind::Carrier, now).pem);
    openssl.put("broker.pem", make(&authority, Kind::Broker, now).pem);
    openssl.succeeds("verify -CAfile ca.pem -purpose sslclient carrier.pem");
    openssl.fails("verify -CAfile ca.pem -purpose sslserver carrier.pem", "unsuitable certificate purpose");
    openssl.succeeds("verify -CAfile ca.pem -purpose sslserver broker.pem");
    openssl.fails("verify -CAfile ca.pem -purpose sslclient broker.pem", "unsuitable certificate purpose");
}

#[test]
fn dates_are_backdated_by_an_hour_and_end_with_the_authority() {
    let now = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
    let authority = authority_at(now);
    let openssl = OpenSsl::new();
    openssl.put("leaf.pem", make(&authority, Kind::Carrier, now).pem).put("ca.pem", authority.bundle());
    let at = |offset: SignedDuration| (now + offset).as_second();
    let verify = |time: i64| openssl.run(&format!("verify -CAfile ca.pem -attime {time} leaf.pem"));
    assert!(verify(at(-BACKDATE)).0 && verify(at(SignedDuration::from_hours(72)) - 1).0);
    assert!(verify(at(-BACKDATE) - 1).1.contains("not yet valid"));
    assert!(verify(at(SignedDuration::from_hours(72)) + 1).1.contains("expired"));
    let late = now + SignedDuration::from_hours(8759);
    openssl.put("late.pem", make(&authority, Kind::Carrier, late).pem);
    let end = openssl.succeeds("x509 -in late.pem -noout -enddate");
    assert_eq!(end, openssl.succeeds("x509 -in ca.pem -noout -enddate"));
}

#[test]
fn a_root_may_sign_leafs_lists_and_statements_and_nothing_deep() {
    let openssl = OpenSsl::new();
    let authority = authority_at(Timestamp::now());
    openssl.put("ca.pem", authority.bundle());
    let text = openssl.succeeds("x509 -in ca.pem -noout -text");
    let flat: String = text.split_whitespace().collect::<Vec<_>>().join(" ");
    for expected in [
        "X509v3 Basic Constraints: critical CA:TRUE, pathlen:2",
        "X509v3 Key Usage: critical Digital Signature, Certificate Sign, CRL Sign",
        "X509v3 Subject Key Identifier:",
        "X509v3 Authority Key Identifier:",
        "NIST CURVE: P-256",
    ] {
        assert!(flat.contains(expected), "{expected}\n{text}");
    }
    openssl.succeeds("verify -CAfile ca.pem -check_ss_sig -x509_strict ca.pem");
}

#[test]
fn who_knows_only_the_old_root_verifies_new_leafs_through_the_cross_certificates() {
    let now = Timestamp::now();
    let first = authority_at(now);
    let mut current = first.clone();
    for rotations in 1..=2 {
        current = rotate(&current, now);
        let openssl = OpenSsl::new();
        openssl.put("old.pem", certificate(first.active())).put("new.pem", certificate(current.active()));
        openssl.put("leaf.pem", make(&current, Kind::Seller, now).pem).put("chain.pem", current.chain());
        assert_eq!(blocks(&current.chain()).len(), rotations);
        openssl.fails("verify -CAfile old.pem leaf.pem", "unable to get local issuer certificate");
        openssl.succeeds("verify -CAfile old.pem -untrusted chain.pem -x509_strict -purpose sslserver leaf.pem");
        openssl.succeeds("verify -CAfile new.pem -untrusted chain.pem -x509_strict -purpose sslclient leaf.pem");
        openssl.put("bundle.pem", current.bundle());
        openssl.succeeds("verify -CAfile bundle.pem -untrusted chain.pem leaf.pem");
    }
}

#[test]
fn who_knows_only_the_next_root_verifies_old_leafs_through_the_other_cross_certificate() {
    let now = Timestamp::now();
    let first = authority_at(now);
    let prepared = take(&first, &Step::Prepare(Reason::Age), now);
    let next = prepared.trusted().nth(1).unwrap();
    let openssl = OpenSsl::new();
    openssl.put("next.pem", certificate(next)).put("crosses.pem", prepared.crosses());
    openssl.put("leaf.pem", make(&prepared, Kind::Carrier, now).pem);
    openssl.fails("verify -CAfile next.pem leaf.pem", "unable to get local issuer certificate");
    openssl.succeeds("verify -CAfile next.pem -untrusted crosses.pem -x509_strict leaf.pem");
}

#[test]
fn the_same_key_gets_a_new_number_each_time() {
    let authority = authority_at(Timestamp::now());
    let (one, two) =
        (make(&authority, Kind::Carrier, Timestamp::now()), make(&authority, Kind::Carrier, Timestamp::now()));
    assert_ne!(one.serial, two.serial);
}
