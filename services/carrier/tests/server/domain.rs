//! A CA as the operator makes one, and people whose keys it states.

use p256::ecdsa::SigningKey as CaSigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, ExtendedKeyUsagePurpose as Usage,
    IsCa, KeyPair,
};
use sha2::{Digest, Sha256};
use time::OffsetDateTime;
use waybill_chassis::jwt::SigningKey;
use waybill_protocol::{
    AgreementSecret, Custody, Ed25519Key, Hash, KeyStatement, Name, Role, Signer, Trust, Uid, UnixMillis, version,
};

/// The certificate authority.
pub(crate) struct Ca {
    issuer: CertifiedIssuer<'static, KeyPair>,
    key: CaSigningKey,
}

/// Somebody with keys and a statement.
#[derive(Clone)]
pub(crate) struct Somebody {
    pub(crate) signer: Signer,
    pub(crate) seed: [u8; 32],
    pub(crate) statement: Vec<u8>,
}

/// A leaf and its key, in PEM.
#[derive(Clone)]
pub(crate) struct Leaf {
    pub(crate) chain: String,
    pub(crate) key: String,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let signing = CaSigningKey::from_pkcs8_der(&key.serialize_der()).unwrap();
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap(), key: signing }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::remembering(waybill_cluster::trust::keys(self.pem().as_bytes()).unwrap(), 1000)
    }

    pub(crate) fn leaf(&self, uid: &str, usage: Usage) -> Leaf {
        let mut params = CertificateParams::new(vec!["localhost".to_owned()]).unwrap();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, uid);
        params.extended_key_usages = vec![usage];
        params.not_before = OffsetDateTime::now_utc() - time::Duration::hours(1);
        params.not_after = OffsetDateTime::now_utc() + time::Duration::hours(1);
        let key = KeyPair::generate().unwrap();
        Leaf { chain: params.signed_by(&key, &self.issuer).unwrap().pem(), key: key.serialize_pem() }
    }

    /// Keys for the object with this uid.
    pub(crate) fn somebody(&self, role: Role, namespace: &str, name: &str, uid: &str) -> Somebody {
        let (seed, secret): ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
        let signing = ed25519_dalek::SigningKey::from_bytes(&seed);
        let statement = KeyStatement {
            version: version::CURRENT,
            uid: Uid::new(uid).unwrap(),
            namespace: Name::new(namespace).unwrap(),
            name: Name::new(name).unwrap(),
            role,
            custody: Custody::Managed,
            ed25519: Ed25519Key::from(signing.verifying_key()),
            x25519: (role != Role::CarrierApi).then(|| AgreementSecret::from_bytes(secret).public()),
            tls_spki_sha256: Hash::NONE,
            epoch: 1,
            not_before: UnixMillis(0),
            not_after: UnixMillis(u64::MAX),
        };
        self.states(&statement, seed)
    }

    /// The same somebody, stated by this CA.
    pub(crate) fn restates(&self, who: &Somebody) -> Somebody {
        let before = who.signer.statement().clone();
        self.states(&KeyStatement { epoch: before.epoch + 1, ..before }, who.seed)
    }

    fn states(&self, statement: &KeyStatement, seed: [u8; 32]) -> Somebody {
        let unsigned = statement.to_be_signed(self.issuer.der()).unwrap();
        let bytes = unsigned.assemble(&self.key.sign(&unsigned.bytes()));
        Somebody { signer: Signer::new(&bytes, &self.trust(), &seed).unwrap(), seed, statement: bytes }
    }
}

impl Somebody {
    pub(crate) fn uid(&self) -> &Uid {
        self.signer.uid()
    }

    /// Its key for tokens, under the id everybody knows it by.
    pub(crate) fn token_key(&self) -> SigningKey {
        let public = ed25519_dalek::SigningKey::from_bytes(&self.seed).verifying_key().to_bytes();
        SigningKey::from_seed(hex::encode(Sha256::digest(public)), &self.seed)
    }
}
