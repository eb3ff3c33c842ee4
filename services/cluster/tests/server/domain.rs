//! A trust domain for tests: a CA as the operator makes one, and people whose keys it states. Public API only.
#![allow(dead_code, reason = "every test takes what it needs of the shared kit")]

use p256::ecdsa::SigningKey as CaSigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey;
use rcgen::{
    BasicConstraints, CertificateParams, CertifiedIssuer, DistinguishedName, DnType, IsCa, KeyPair, KeyUsagePurpose,
};
use waybill_protocol::{
    AgreementSecret, Custody, Ed25519Key, Hash, KeyStatement, Name, Role, Signer, Trust, Uid, UnixMillis, version,
};

/// The certificate authority.
pub(crate) struct Ca {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    key: CaSigningKey,
}

/// Somebody with keys and a statement.
#[derive(Clone)]
pub(crate) struct Somebody {
    pub(crate) signer: Signer,
    pub(crate) agreement: AgreementSecret,
    pub(crate) seed: [u8; 32],
    pub(crate) secret: [u8; 32],
    pub(crate) statement: Vec<u8>,
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = KeyPair::generate().unwrap();
        let signing = CaSigningKey::from_pkcs8_der(&key.serialize_der()).unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name = DistinguishedName::new();
        params.distinguished_name.push(DnType::CommonName, "waybill test authority");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        params.use_authority_key_identifier_extension = true;
        Self { issuer: CertifiedIssuer::self_signed(params, key).unwrap(), key: signing }
    }

    pub(crate) fn pem(&self) -> String {
        self.issuer.pem()
    }

    pub(crate) fn trust(&self) -> Trust {
        Trust::remembering(waybill_cluster::trust::keys(self.pem().as_bytes()).unwrap(), 1000)
    }

    /// Keys for the object with this uid.
    pub(crate) fn somebody(&self, role: Role, namespace: &str, name: &str, uid: &str) -> Somebody {
        let (seed, secret): ([u8; 32], [u8; 32]) = (rand::random(), rand::random());
        let agreement = AgreementSecret::from_bytes(secret);
        let signing = ed25519_dalek::SigningKey::from_bytes(&seed);
        let statement = KeyStatement {
            version: version::CURRENT,
            uid: Uid::new(uid).unwrap(),
            namespace: Name::new(namespace).unwrap(),
            name: Name::new(name).unwrap(),
            role,
            custody: Custody::Managed,
            ed25519: Ed25519Key::from(signing.verifying_key()),
            x25519: (role != Role::CarrierApi).then(|| agreement.public()),
            tls_spki_sha256: Hash::NONE,
            epoch: 1,
            not_before: UnixMillis(0),
            not_after: UnixMillis(u64::MAX),
        };
        let bytes = self.sign(&statement);
        Somebody {
            signer: Signer::new(&bytes, &self.trust(), &seed).unwrap(),
            agreement,
            seed,
            secret,
            statement: bytes,
        }
    }

    /// The same somebody with the same keys, stated anew.
    pub(crate) fn restate(&self, somebody: &Somebody) -> Somebody {
        let mut statement = somebody.signer.statement().clone();
        statement.epoch += 1;
        let bytes = self.sign(&statement);
        let signer = Signer::new(&bytes, &self.trust(), &somebody.seed).unwrap();
        Somebody { signer, statement: bytes, ..somebody.clone() }
    }

    /// The same somebody with new keys.
    pub(crate) fn renewed(&self, somebody: &Somebody) -> Somebody {
        let before = somebody.signer.statement();
        let mut fresh =
            self.somebody(before.role, before.namespace.as_str(), before.name.as_str(), before.uid.as_str());
        for _ in 1..=before.epoch {
            fresh = self.restate(&fresh);
        }
        fresh
    }

    fn sign(&self, statement: &KeyStatement) -> Vec<u8> {
        let unsigned = statement.to_be_signed(self.issuer.der()).unwrap();
        unsigned.assemble(&self.key.sign(&unsigned.bytes()))
    }
}
