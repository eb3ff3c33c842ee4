//! An authority and its leafs as the operator makes them: P-256, the uid as common name, one usage, a list of the revoked.

use std::sync::Arc;

use anyhow::Result;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DistinguishedName, DnType,
    ExtendedKeyUsagePurpose, IsCa, KeyIdMethod, KeyPair, KeyUsagePurpose, SanType, SerialNumber,
};
use rustls::client::Resumption;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use time::{Duration, OffsetDateTime};

/// The name in the broker's certificate.
pub(super) const BROKER: &str = "waybill-broker.bench.svc";

/// Issues everything in one place.
pub(crate) struct Authority {
    issuer: CertifiedIssuer<'static, KeyPair>,
}

/// The broker's own certificate.
pub(super) struct Server {
    pub(super) chain: String,
    pub(super) key: String,
}

impl Authority {
    pub(crate) fn new(name: &str) -> Result<Self> {
        let mut params = params(name);
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        Ok(Self { issuer: CertifiedIssuer::self_signed(params, KeyPair::generate()?)? })
    }

    pub(super) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(super) fn server(&self) -> Result<Server> {
        let key = KeyPair::generate()?;
        let chain = leaf("broker", ExtendedKeyUsagePurpose::ServerAuth)?.signed_by(&key, &self.issuer)?.pem();
        Ok(Server { chain, key: key.serialize_pem() })
    }

    /// How the participant of this uid connects, with a key of its own; never by a resumed session.
    pub(crate) fn client(&self, uid: &str) -> Result<Arc<ClientConfig>> {
        let key = KeyPair::generate()?;
        let certificate = leaf(uid, ExtendedKeyUsagePurpose::ClientAuth)?.signed_by(&key, &self.issuer)?;
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::clone(self.issuer.der()))?;
        let key = PrivateKeyDer::Pkcs8(key.serialize_der().into());
        let chain = vec![certificate.der().clone()];
        let mut config = ClientConfig::builder().with_root_certificates(roots).with_client_auth_cert(chain, key)?;
        config.resumption = Resumption::disabled();
        Ok(Arc::new(config))
    }

    /// A list that names nobody, as there is before anybody was revoked.
    pub(super) fn revocations(&self) -> Result<String> {
        let now = OffsetDateTime::now_utc();
        let params = CertificateRevocationListParams {
            this_update: now - Duration::hours(1),
            next_update: now + Duration::days(90),
            crl_number: SerialNumber::from(1),
            issuing_distribution_point: None,
            revoked_certs: Vec::new(),
            key_identifier_method: KeyIdMethod::Sha256,
        };
        Ok(params.signed_by(&self.issuer)?.pem()?)
    }
}

fn leaf(uid: &str, usage: ExtendedKeyUsagePurpose) -> Result<CertificateParams> {
    let mut params = params(uid);
    params.is_ca = IsCa::ExplicitNoCa;
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    params.extended_key_usages = vec![usage];
    // By name or, for whoever dials it directly, by address.
    params.subject_alt_names = vec![SanType::DnsName(BROKER.try_into()?), SanType::IpAddress([127, 0, 0, 1].into())];
    Ok(params)
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
