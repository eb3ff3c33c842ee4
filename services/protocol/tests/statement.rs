//! Statements as the operator makes them and everyone else checks them.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

use p256::ecdsa::{Signature, SigningKey, signature::Signer};
use waybill_protocol::{
    AgreementSecret, CaKey, Custody, Ed25519Key, Hash, KeyStatement, Name, Role, StatementError, Uid, UnixMillis,
    WireError,
};

const CERTIFICATE: &[u8] = b"the DER of a CA certificate";
const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);

#[test]
fn a_statement_signed_by_the_ca_is_read_back() {
    let ca = ca(1);
    let bytes = signed(&ca, &statement());
    assert_eq!(KeyStatement::verify(&bytes, &[trust(&ca)], NOW), Ok(statement()));
    assert!(bytes.len() < 400, "statements travel inside events: {} bytes", bytes.len());
}

#[test]
fn a_ca_kept_as_pkcs8_signs_the_same_way() {
    use p256::pkcs8::{DecodePrivateKey, EncodePrivateKey};
    let der = ca(1).to_pkcs8_der().unwrap();
    let ca = SigningKey::from_pkcs8_der(der.as_bytes()).unwrap();
    assert!(KeyStatement::verify(&signed(&ca, &statement()), &[trust(&ca)], NOW).is_ok());
}

#[test]
fn both_twins_of_a_signature_assemble_to_one_statement_and_only_that_verifies() {
    let ca = ca(1);
    let tbs = statement().to_be_signed(CERTIFICATE).unwrap();
    let low: Signature = Signer::<Signature>::sign(&ca, &tbs.bytes()).normalize_s();
    let high = Signature::from_scalars(*low.r(), -*low.s()).unwrap();
    assert_eq!(tbs.assemble(&low), tbs.assemble(&high));

    let mut twin = tbs.assemble(&low);
    let at = twin.len() - 64;
    twin[at..].copy_from_slice(&high.to_bytes());
    assert_eq!(KeyStatement::verify(&twin, &[trust(&ca)], NOW), Err(StatementError::BadSignature));
}

#[test]
fn a_statement_counts_from_its_first_to_its_last_moment() {
    let ca = ca(1);
    let bytes = signed(&ca, &statement());
    let at = |now| KeyStatement::verify(&bytes, &[trust(&ca)], now);
    let (first, end) = (statement().not_before, statement().not_after);
    assert!(at(first).is_ok());
    assert!(at(UnixMillis(end.0 - 1)).is_ok());
    assert_eq!(
        at(UnixMillis(first.0 - 1)),
        Err(StatementError::NotYetValid { not_before: first, now: UnixMillis(first.0 - 1) })
    );
    assert_eq!(at(end), Err(StatementError::Expired { not_after: end, now: end }));
    assert!(KeyStatement::verify_recorded(&bytes, &[trust(&ca)]).is_ok(), "a log keeps what has ended");
}

#[test]
fn another_ca_is_not_believed_even_under_the_same_name() {
    let (ours, other) = (ca(1), ca(2));
    let bytes = signed(&other, &statement());
    assert_eq!(KeyStatement::verify(&bytes, &[trust(&ours)], NOW), Err(StatementError::BadSignature));
    assert_eq!(KeyStatement::verify(&bytes, &[], NOW), Err(StatementError::UnknownCa(Hash::of(CERTIFICATE))),);
}

#[test]
fn during_a_rotation_statements_of_both_cas_count() {
    let (old, new) = (ca(1), ca(2));
    let trusted =
        [CaKey::new(b"old certificate", &point(&old)).unwrap(), CaKey::new(b"new certificate", &point(&new)).unwrap()];
    for (key, certificate) in [(&old, b"old certificate"), (&new, b"new certificate")] {
        let tbs = statement().to_be_signed(certificate).unwrap();
        let bytes = tbs.assemble(&key.sign(&tbs.bytes()));
        assert!(KeyStatement::verify(&bytes, &trusted, NOW).is_ok());
    }
}

#[test]
fn no_bit_of_a_statement_can_be_flipped_and_no_byte_cut() {
    let ca = ca(1);
    let bytes = signed(&ca, &statement());
    for bit in 0..bytes.len() * 8 {
        let mut bent = bytes.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        assert!(KeyStatement::verify(&bent, &[trust(&ca)], NOW).is_err(), "bit {bit}");
    }
    for len in 0..bytes.len() {
        assert!(KeyStatement::verify(&bytes[..len], &[trust(&ca)], NOW).is_err(), "{len} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    assert!(KeyStatement::verify(&longer, &[trust(&ca)], NOW).is_err());
}

#[test]
fn a_statement_that_nobody_would_believe_is_not_even_encoded() {
    let refused = |change: fn(&mut KeyStatement)| {
        let mut statement = statement();
        change(&mut statement);
        statement.to_be_signed(CERTIFICATE).map(|_| ()).unwrap_err()
    };
    assert!(matches!(refused(|s| s.x25519 = None), StatementError::Inconsistent(_)));
    assert!(matches!(refused(|s| s.role = Role::CarrierApi), StatementError::Inconsistent(_)));
    assert!(matches!(refused(|s| s.not_after = s.not_before), StatementError::Inconsistent(_)));
    assert!(
        matches!(refused(|s| s.role = Role::Seller), StatementError::Inconsistent(_)),
        "only a carrier is external"
    );
    assert!(matches!(refused(|s| s.version = 2), StatementError::Wire(WireError::FromTheFuture { version: 2, .. })));
}

#[test]
fn a_statement_of_a_later_version_says_so_once_its_ca_is_known() {
    let ca = ca(1);
    let payload = minicbor::to_vec(&Later { version: 9, anything: "new" }).unwrap();
    let tbs = raw_tbs(&payload);
    let signature: Signature = ca.sign(&tbs);
    let bytes = raw_envelope(&payload, &signature);
    assert_eq!(
        KeyStatement::verify(&bytes, &[trust(&ca)], NOW),
        Err(StatementError::Wire(WireError::FromTheFuture { what: "key statement", version: 9 }))
    );
}

// === helpers ===

#[derive(minicbor::Encode)]
#[cbor(map)]
struct Later<'a> {
    #[n(0)]
    version: u16,
    #[n(99)]
    anything: &'a str,
}

fn protected() -> Vec<u8> {
    [&[0xa2, 0x01, 0x26, 0x04, 0x58, 0x20], Hash::of(CERTIFICATE).0.as_slice()].concat()
}

fn raw_tbs(payload: &[u8]) -> Vec<u8> {
    let mut e = minicbor::Encoder::new(Vec::new());
    e.array(4).unwrap().str("Signature1").unwrap().bytes(&protected()).unwrap();
    e.bytes(b"waybill.dev/key-statement").unwrap().bytes(payload).unwrap();
    e.into_writer()
}

fn raw_envelope(payload: &[u8], signature: &Signature) -> Vec<u8> {
    let mut e = minicbor::Encoder::new(Vec::new());
    e.tag(minicbor::data::Tag::new(18)).unwrap().array(4).unwrap().bytes(&protected()).unwrap().map(0).unwrap();
    e.bytes(payload).unwrap().bytes(&signature.normalize_s().to_bytes()).unwrap();
    e.into_writer()
}

fn ca(seed: u8) -> SigningKey {
    SigningKey::from_slice(&[seed; 32]).unwrap()
}

fn point(ca: &SigningKey) -> Vec<u8> {
    ca.verifying_key().to_sec1_point(false).as_bytes().to_vec()
}

fn trust(ca: &SigningKey) -> CaKey {
    CaKey::new(CERTIFICATE, &point(ca)).unwrap()
}

fn signed(ca: &SigningKey, statement: &KeyStatement) -> Vec<u8> {
    let tbs = statement.to_be_signed(CERTIFICATE).unwrap();
    tbs.assemble(&ca.sign(&tbs.bytes()))
}

fn statement() -> KeyStatement {
    let signing = ed25519_dalek::SigningKey::from_bytes(&[3; 32]);
    KeyStatement {
        version: waybill_protocol::version::CURRENT,
        uid: Uid::new("11111111-2222-4333-8444-555555555555").unwrap(),
        namespace: Name::new("shop").unwrap(),
        name: Name::new("drone-7").unwrap(),
        role: Role::Carrier,
        custody: Custody::External,
        ed25519: Ed25519Key::from(signing.verifying_key()),
        x25519: Some(AgreementSecret::from_bytes([4; 32]).public()),
        tls_spki_sha256: Hash::of(b"spki"),
        epoch: 1,
        not_before: UnixMillis::from_secs(1_800_000_000 - 3600),
        not_after: UnixMillis::from_secs(1_800_000_000 + 72 * 3600),
    }
}
