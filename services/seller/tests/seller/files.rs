//! What broker and seller find in their folders: certificates, lists, keys.

use std::fs;
use std::net::Ipv4Addr;
use std::path::Path;

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, KeyIdMethod, KeyPair, SanType,
    SerialNumber,
};

use crate::domain::{Ca, Somebody};

/// A certificate with this uid as its name, and its key, for a server at this address.
pub(crate) fn leaf(ca: &Ca, uid: &str, ip: Ipv4Addr) -> (String, String) {
    leaf_for(ca, uid, vec![SanType::IpAddress(ip.into())])
}

fn leaf_for(ca: &Ca, uid: &str, names: Vec<SanType>) -> (String, String) {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, uid);
    params.serial_number = Some(SerialNumber::from(rand::random::<u64>() >> 1));
    params.subject_alt_names = names;
    params.use_authority_key_identifier_extension = true;
    let key = KeyPair::generate().unwrap();
    (params.signed_by(&key, &ca.issuer).unwrap().pem(), key.serialize_pem())
}

pub(crate) fn write_broker(run: &Path, ca: &Ca) {
    let (certificate, key) = leaf(ca, "broker", Ipv4Addr::LOCALHOST);
    let now = time::OffsetDateTime::now_utc();
    let list = CertificateRevocationListParams {
        this_update: now - time::Duration::hours(1),
        next_update: now + time::Duration::days(90),
        crl_number: SerialNumber::from(1_u64),
        issuing_distribution_point: None,
        revoked_certs: Vec::new(),
        key_identifier_method: KeyIdMethod::Sha256,
    };
    let list = list.signed_by(&ca.issuer).unwrap().pem().unwrap();
    let acl = |role: &str| {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/waybill/files/broker");
        fs::read_to_string(folder.join(format!("acl-{role}"))).unwrap()
    };
    for (name, content) in [
        ("server.crt", certificate),
        ("server.key", key),
        ("participants-ca.crt", ca.pem()),
        ("admin-ca.crt", ca.pem()),
        ("crl.pem", list),
        ("acl-carriers", acl("carriers")),
        ("acl-sellers", acl("sellers")),
        ("acl-admin", acl("admin")),
    ] {
        fs::write(run.join(name), content).unwrap();
    }
}

pub(crate) fn write_seller(dir: &Path, ca: &Ca, seller: &Somebody, (label_key, ip): (&[u8; 32], Ipv4Addr)) {
    // The name of its Service, as the operator writes it.
    let host = format!("wb-seller-acme.{}.svc", seller.signer.statement().namespace);
    let names = vec![SanType::IpAddress(ip.into()), SanType::DnsName(host.try_into().unwrap())];
    let (certificate, key) = leaf_for(ca, seller.signer.uid().as_str(), names);
    let (commit, bundle): ([u8; 32], String) = (rand::random(), ca.pem());
    let files: [(&str, &[u8]); 8] = [
        ("tls/tls.crt", certificate.as_bytes()),
        ("tls/tls.key", key.as_bytes()),
        ("tls/ca.crt", bundle.as_bytes()),
        ("keys/ed25519.seed", &seller.seed),
        ("keys/x25519.key", &seller.secret),
        ("keys/commit.key", &commit),
        ("keys/statement", &seller.statement),
        ("label/label.key", label_key),
    ];
    for (name, content) in files {
        let path = dir.join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }
}
