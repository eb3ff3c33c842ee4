//! A certificate authority for tests, and the folder a kubelet would mount.

use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    KeyPair, KeyUsagePurpose, SerialNumber,
};
use rustls::ClientConfig;
use time::OffsetDateTime;
use waybill_chassis::tls::{Bundle, Material, anonymous_client};

pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
}

/// What a leaf is for; each field has the usual value by default.
pub(crate) struct Wish {
    pub(crate) uid: &'static str,
    pub(crate) serial: u64,
    pub(crate) ends_in: time::Duration,
    pub(crate) usage: ExtendedKeyUsagePurpose,
}

impl Default for Wish {
    fn default() -> Self {
        let usage = ExtendedKeyUsagePurpose::ClientAuth;
        Self { uid: "uid-1", serial: 0xabc, ends_in: time::Duration::hours(1), usage }
    }
}

impl Authority {
    pub(crate) fn new(name: &str) -> Self {
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        let key = KeyPair::generate().unwrap();
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn issue(&self, wish: Wish) -> Leaf {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, wish.uid);
        params.serial_number = Some(SerialNumber::from(wish.serial));
        params.extended_key_usages = vec![wish.usage];
        params.not_before = OffsetDateTime::now_utc() - time::Duration::hours(2);
        params.not_after = OffsetDateTime::now_utc() + wish.ends_in;
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Leaf { chain, key: key.serialize_pem() }
    }

    pub(crate) fn server(&self, serial: u64) -> Leaf {
        self.issue(Wish { uid: "server", serial, usage: ExtendedKeyUsagePurpose::ServerAuth, ..Wish::default() })
    }

    /// A client that shows `leaf` and trusts this authority.
    pub(crate) fn client(&self, leaf: &Leaf) -> Arc<ClientConfig> {
        let material = Material::from_pem(leaf.chain.as_bytes(), leaf.key.as_bytes(), self.pem().as_bytes()).unwrap();
        Arc::new(material.client().unwrap())
    }

    /// A client that shows nothing.
    pub(crate) fn anonymous(&self) -> Arc<ClientConfig> {
        Arc::new(anonymous_client(&Bundle::from_pem(self.pem().as_bytes()).unwrap()).unwrap())
    }
}

/// Short enough for a test, long enough for a busy machine.
pub(crate) const POLL: Duration = Duration::from_millis(10);

/// Publishes a Secret's files as a kubelet does: into a dated folder, then one symlink swapped by rename.
pub(crate) fn mount(dir: &Path, version: u32, leaf: &Leaf, bundle: &str) {
    let dated = format!("..2026_{version}");
    fs::create_dir(dir.join(&dated)).unwrap();
    for (name, content) in [("tls.crt", &leaf.chain), ("tls.key", &leaf.key), ("ca.crt", &bundle.to_owned())] {
        fs::write(dir.join(&dated).join(name), content).unwrap();
        if fs::symlink_metadata(dir.join(name)).is_err() {
            symlink(format!("..data/{name}"), dir.join(name)).unwrap();
        }
    }
    symlink(&dated, dir.join("..data_tmp")).unwrap();
    fs::rename(dir.join("..data_tmp"), dir.join("..data")).unwrap();
}
