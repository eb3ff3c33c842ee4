//! Authorities, leafs and revocation lists as the operator makes them, and as it never would.

use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, RevokedCertParams, SanType, SerialNumber,
};
use time::{Duration, OffsetDateTime};

/// The name in the broker's certificate.
pub(crate) const BROKER_NAME: &str = "waybill-broker.test.svc";

/// A certificate authority.
pub(crate) struct Ca {
    pub(crate) name: String,
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// A certificate, its key, and its number.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) uid: String,
    pub(crate) chain: String,
    pub(crate) key: String,
    pub(crate) serial: u64,
}

/// What a list says beside whom it names.
#[derive(Clone, Copy)]
pub(crate) struct When {
    pub(crate) number: u64,
    pub(crate) from: Duration,
    pub(crate) until: Duration,
}

/// A list with this number, in force since an hour ago.
pub(crate) fn number(number: u64) -> When {
    When { number, from: Duration::hours(-1), until: Duration::days(90) }
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        Self { name: name.to_owned(), issuer: CertifiedIssuer::self_signed(authority(name), key).unwrap() }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    /// This authority's key under another's signature.
    pub(crate) fn crossed_by(&self, other: &Self) -> String {
        authority(&self.name).signed_by(self.issuer.key(), &other.issuer).unwrap().pem()
    }

    pub(crate) fn client(&self, uid: &str) -> Leaf {
        self.leaf(uid, ExtendedKeyUsagePurpose::ClientAuth)
    }

    pub(crate) fn server(&self) -> Leaf {
        self.leaf("broker", ExtendedKeyUsagePurpose::ServerAuth)
    }

    fn leaf(&self, uid: &str, usage: ExtendedKeyUsagePurpose) -> Leaf {
        let serial = rand::random::<u64>() >> 1;
        let mut params = params(uid);
        params.is_ca = IsCa::ExplicitNoCa;
        params.serial_number = Some(SerialNumber::from(serial));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![usage];
        params.subject_alt_names =
            vec![SanType::DnsName(BROKER_NAME.try_into().unwrap()), SanType::IpAddress([127, 0, 0, 1].into())];
        let key = KeyPair::generate().unwrap();
        let chain = params.signed_by(&key, &self.issuer).unwrap().pem();
        Leaf { uid: uid.to_owned(), chain, key: key.serialize_pem(), serial }
    }

    /// A signed list of these numbers.
    pub(crate) fn list(&self, when: When, serials: &[u64]) -> String {
        let now = OffsetDateTime::now_utc();
        let revoked = |serial: &u64| RevokedCertParams {
            serial_number: SerialNumber::from(*serial),
            revocation_time: now - Duration::hours(1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: now + when.from,
            next_update: now + when.until,
            crl_number: SerialNumber::from(when.number),
            issuing_distribution_point: None,
            revoked_certs: serials.iter().map(revoked).collect(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }
}

/// `revoked.json` for these leafs.
pub(crate) fn revoked_json(number: u64, leafs: &[&Leaf]) -> String {
    let entries: Vec<String> =
        leafs.iter().map(|leaf| format!(r#"{{"serial":"{:x}","uid":"{}"}}"#, leaf.serial, leaf.uid)).collect();
    format!(r#"{{"number":{number},"entries":[{}]}}"#, entries.join(","))
}

fn authority(name: &str) -> CertificateParams {
    let mut params = params(name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn params(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = OffsetDateTime::now_utc() - Duration::hours(1);
    params.not_after = OffsetDateTime::now_utc() + Duration::days(3);
    params.use_authority_key_identifier_extension = true;
    params.key_identifier_method = KeyIdMethod::Sha256;
    params
}
