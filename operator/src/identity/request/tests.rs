use ed25519_dalek::{Signer, SigningKey};
use rcgen::{
    CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ECDSA_P521_SHA512, PKCS_ED25519,
};
use rcgen::{PKCS_RSA_SHA256, RsaKeySize};
use waybill_crds::carrier::ExternalKeys;

use super::*;

fn request(key: &KeyPair) -> Vec<u8> {
    CertificateParams::default().serialize_request(key).unwrap().der().to_vec()
}

/// A complete enrolment for `shop/van`, as its owner makes it.
fn enrolment(csr: &[u8]) -> External {
    enrolment_for(csr, "shop", "van", SigningKey::from_bytes(&[5; 32]))
}

fn enrolment_for(csr: &[u8], namespace: &str, name: &str, signing: SigningKey) -> External {
    let ed25519 = signing.verifying_key().to_bytes();
    let x25519 = *waybill_protocol::AgreementSecret::from_bytes([6; 32]).public().as_bytes();
    let proof = signing.sign(&proof_message(namespace, name, &ed25519, &x25519, &Sha256::digest(csr).into()));
    External {
        csr: pem::encode(pem::REQUEST, csr),
        keys: ExternalKeys {
            ed25519: STANDARD.encode(ed25519),
            x25519: STANDARD.encode(x25519),
            proof: STANDARD.encode(proof.to_bytes()),
        },
    }
}

fn refusal(external: &External) -> Refusal {
    match check(external, "shop", "van") {
        Ok(_) => panic!("accepted"),
        Err(refusal) => refusal,
    }
}

#[test]
fn good_keys_of_each_accepted_kind_are_enrolled() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_3072).unwrap();
    let ec = [&PKCS_ECDSA_P256_SHA256, &PKCS_ECDSA_P384_SHA384, &PKCS_ED25519];
    for key in ec.into_iter().map(|kind| KeyPair::generate_for(kind).unwrap()).chain([rsa]) {
        let enrolled = check(&enrolment(&request(&key)), "shop", "van").unwrap_or_else(|refusal| panic!("{refusal:?}"));
        let spki: [u8; 32] = Sha256::digest(rcgen::PublicKeyData::subject_public_key_info(&key)).into();
        assert_eq!(enrolled.tls_spki_sha256, spki);
        assert_eq!(
            rcgen::PublicKeyData::subject_public_key_info(&enrolled.tls),
            rcgen::PublicKeyData::subject_public_key_info(&key)
        );
    }
}

#[test]
fn weak_and_unusual_keys_are_refused() {
    let rsa = KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048).unwrap();
    let refused = refusal(&enrolment(&request(&rsa)));
    assert_eq!(refused.reason, Reason::CsrRejected);
    assert!(refused.message.contains("weak (2048 bits)"), "{}", refused.message);
    let p521 = KeyPair::generate_for(&PKCS_ECDSA_P521_SHA512).unwrap();
    assert!(refusal(&enrolment(&request(&p521))).message.contains("P-256 or P-384"));
}

#[test]
fn a_request_that_is_bent_is_refused() {
    let key = KeyPair::generate().unwrap();
    let der = request(&key);
    let mut signature = der.clone();
    *signature.last_mut().unwrap() ^= 1;
    let mut trailing = der.clone();
    trailing.push(0);
    let truncated = &der[..der.len() - 7];
    for (bytes, says) in
        [(&signature[..], "signature"), (&trailing, "behind"), (truncated, "PKCS#10"), (b"junk", "PKCS#10")]
    {
        let refused = refusal(&enrolment(bytes));
        assert_eq!(refused.reason, Reason::CsrRejected);
        assert!(refused.message.contains(says), "{}", refused.message);
    }
    let text = External { csr: "-----BEGIN CERTIFICATE REQUEST-----\nAA".into(), ..enrolment(&der) };
    assert_eq!(refusal(&text).reason, Reason::CsrRejected);
}

#[test]
fn a_swapped_request_key_cannot_ride_on_another_proof() {
    let (mine, theirs) = (request(&KeyPair::generate().unwrap()), request(&KeyPair::generate().unwrap()));
    let mut external = enrolment(&mine);
    external.csr = pem::encode(pem::REQUEST, &theirs);
    assert_eq!(refusal(&external).reason, Reason::KeyRejected);
}

#[test]
fn a_proof_counts_for_one_namespace_and_name_only() {
    let der = request(&KeyPair::generate().unwrap());
    for (namespace, name) in [("other", "van"), ("shop", "truck"), ("shop/van", ""), ("sho", "p/van")] {
        let external = enrolment_for(&der, namespace, name, SigningKey::from_bytes(&[5; 32]));
        let refused = refusal(&external);
        assert_eq!(refused.reason, Reason::KeyRejected);
        assert!(refused.message.contains("keys.proof"), "{}", refused.message);
    }
}

#[test]
fn keys_with_which_anybody_could_sign_or_agree_are_refused() {
    let der = request(&KeyPair::generate().unwrap());
    let mut identity = [0; 32];
    identity[0] = 1;
    let mut weak = enrolment(&der);
    weak.keys.ed25519 = STANDARD.encode(identity);
    assert!(refusal(&weak).message.contains("keys.ed25519"));
    for low in [[0; 32], identity] {
        let mut weak = enrolment(&der);
        weak.keys.x25519 = STANDARD.encode(low);
        let refused = refusal(&weak);
        assert_eq!(refused.reason, Reason::KeyRejected);
        assert!(refused.message.contains("keys.x25519"), "{}", refused.message);
    }
    let mut short = enrolment(&der);
    short.keys.proof = STANDARD.encode([0; 63]);
    assert!(refusal(&short).message.contains("64 bytes"));
}

#[test]
fn names_and_extensions_in_a_request_are_ignored() {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec!["wb-seller-books.shop.svc".to_owned()]).unwrap();
    params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
    let der = params.serialize_request(&key).unwrap().der().to_vec();
    assert!(check(&enrolment(&der), "shop", "van").is_ok());
}
