//! What every part finds in its folders: leafs, bundles, lists, keys, statements. As the operator writes them, and anew
//! whenever it would.

use std::fs;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};

use rcgen::{
    CertificateParams, CertificateRevocationListParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose as Usage,
    KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};

use crate::domain::{Ca, Somebody};

/// Whoever issues, and everyone who still counts (the issuer among them).
pub(crate) struct Authorities<'a> {
    pub(crate) issuer: &'a Ca,
    pub(crate) all: Vec<&'a Ca>,
}

impl Authorities<'_> {
    pub(crate) fn bundle(&self) -> String {
        self.all.iter().map(|ca| ca.pem()).collect()
    }

    /// A list for each of them that names nobody.
    fn lists(&self) -> String {
        let now = time::OffsetDateTime::now_utc();
        let list = |ca: &&Ca| {
            let params = CertificateRevocationListParams {
                this_update: now - time::Duration::hours(1),
                next_update: now + time::Duration::days(90),
                crl_number: SerialNumber::from(1_u64),
                issuing_distribution_point: None,
                revoked_certs: Vec::new(),
                key_identifier_method: KeyIdMethod::Sha256,
            };
            params.signed_by(&ca.issuer).unwrap().pem().unwrap()
        };
        self.all.iter().map(list).collect()
    }

    /// A certificate with this uid as its name, and its key, for a server at this address.
    pub(crate) fn leaf(&self, uid: &str, ip: Ipv4Addr) -> (String, String) {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, uid);
        params.serial_number = Some(SerialNumber::from(rand::random::<u64>() >> 1));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![Usage::ServerAuth, Usage::ClientAuth];
        params.not_before = time::OffsetDateTime::now_utc() - time::Duration::hours(1);
        params.not_after = time::OffsetDateTime::now_utc() + time::Duration::days(3);
        // Proxies between two parts are at the ordinary loopback address.
        let names = [ip, Ipv4Addr::LOCALHOST].map(|ip| SanType::IpAddress(ip.into()));
        params.subject_alt_names =
            names.into_iter().chain([SanType::DnsName("localhost".try_into().unwrap())]).collect();
        params.use_authority_key_identifier_extension = true;
        let key = KeyPair::generate().unwrap();
        (params.signed_by(&key, &self.issuer.issuer).unwrap().pem(), key.serialize_pem())
    }

    /// What the sidecar writes for the broker.
    pub(crate) fn write_broker(&self, run: &Path, ip: Ipv4Addr) {
        let (certificate, key) = self.leaf("broker", ip);
        let files = [
            ("server.crt", certificate),
            ("server.key", key),
            ("participants-ca.crt", self.bundle()),
            ("admin-ca.crt", self.bundle()),
            ("crl.pem", self.lists()),
            ("acl-carriers", access("carriers")),
            ("acl-sellers", access("sellers")),
            ("acl-admin", access("admin")),
        ];
        for (name, content) in files {
            write(run.join(name), content.as_bytes());
        }
    }

    /// A mounted Secret with a leaf.
    pub(crate) fn write_leaf(&self, dir: &Path, uid: &str, ip: Ipv4Addr) {
        let (certificate, key) = self.leaf(uid, ip);
        // The key last: a certificate whose key is not there yet is the pair a reader must not take.
        write(dir.join("ca.crt"), self.bundle().as_bytes());
        write(dir.join("tls.crt"), certificate.as_bytes());
        write(dir.join("tls.key"), key.as_bytes());
    }

    /// What an agent trusts and where it connects.
    pub(crate) fn write_trust(&self, dir: &Path, (broker, carrier_api): (&str, &str), revoked: &str) {
        let files = [
            ("ca.crt", self.bundle().as_str()),
            ("revoked.json", revoked),
            ("broker", broker),
            ("carrier-api", carrier_api),
        ]
        .map(|(name, content)| (name, content.to_owned()));
        for (name, content) in files {
            write(dir.join(name), content.as_bytes());
        }
    }
}

/// The keys of a participant.
pub(crate) fn write_keys(dir: &Path, somebody: &Somebody) {
    write(dir.join("ed25519.seed"), &somebody.seed);
    write(dir.join("x25519.key"), &somebody.secret);
    write(dir.join("statement"), &somebody.statement);
}

/// Whole or not at all, as a mounted Secret changes.
pub(crate) fn write(path: PathBuf, content: &[u8]) {
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    let fresh = path.with_extension("fresh");
    fs::write(&fresh, content).unwrap();
    fs::rename(fresh, path).unwrap();
}

fn access(role: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../charts/waybill/files/broker");
    fs::read_to_string(folder.join(format!("acl-{role}"))).unwrap()
}
