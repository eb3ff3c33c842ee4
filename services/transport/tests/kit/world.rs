//! A trust domain for tests: a CA as the operator makes it, a seller and carriers with their statements.
#![allow(dead_code, reason = "every test takes what it needs of the shared kit")]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use p256::ecdsa::SigningKey as CaSigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey as _;
use waybill_protocol::{
    AgreementSecret, CaKey, Conversation, Custody, Ed25519Key, Hash, KeyStatement, Name, Order, Role, Signer, Subject,
    Trust, Uid, UnixMillis, published, version,
};

pub(crate) const COMMIT_KEY: [u8; 32] = [0xc0; 32];
pub(crate) const LABEL_KEY: [u8; 32] = [0x1a; 32];
pub(crate) const ORDER_SALT: &[u8] = b"sixteen random by";
pub(crate) const DELIVERY: &str = "dddddddd-0000-4000-8000-000000000001";

/// The CA and who it vouches for.
pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) now: UnixMillis,
    pub(crate) seller: Participant,
    pub(crate) carrier: Participant,
}

/// A CA's certificate and keys.
pub(crate) struct Ca {
    pub(crate) key: rcgen::KeyPair,
    pub(crate) params: rcgen::CertificateParams,
    pub(crate) der: Vec<u8>,
    pub(crate) pem: String,
    signing: CaSigningKey,
}

/// Someone with keys and a statement.
#[derive(Clone)]
pub(crate) struct Participant {
    pub(crate) signer: Signer,
    pub(crate) agreement: AgreementSecret,
    pub(crate) seed: [u8; 32],
}

impl Participant {
    pub(crate) fn uid(&self) -> &Uid {
        self.signer.uid()
    }
}

impl Ca {
    pub(crate) fn new() -> Self {
        let key = rcgen::KeyPair::generate().unwrap();
        let mut params = rcgen::CertificateParams::default();
        params.is_ca = rcgen::IsCa::Ca(rcgen::BasicConstraints::Unconstrained);
        params.distinguished_name = rcgen::DistinguishedName::new();
        params.distinguished_name.push(rcgen::DnType::CommonName, "Waybill test CA");
        let certificate = params.self_signed(&key).unwrap();
        let signing = CaSigningKey::from_pkcs8_der(&key.serialize_der()).unwrap();
        Self { der: certificate.der().to_vec(), pem: certificate.pem(), params, signing, key }
    }

    pub(crate) fn trust(&self) -> Trust {
        let point = self.signing.verifying_key().to_sec1_point(false);
        Trust::new(vec![CaKey::new(&self.der, point.as_bytes()).unwrap()])
    }

    /// As the operator publishes it: see `waybill_protocol::published`.
    pub(crate) fn publishes(&self, name: &str, content: &str) -> serde_json::Value {
        let signature = self.signing.sign(&published::to_be_signed(name, content.as_bytes()));
        let signature = published::assemble(self.trust().cas()[0].kid(), &signature);
        serde_json::json!({"name": name, "content": content, "signature": STANDARD.encode(signature)})
    }

    pub(crate) fn participant(&self, statement: &KeyStatement, seed: u8) -> Participant {
        let tbs = statement.to_be_signed(&self.der).unwrap();
        let bytes = tbs.assemble(&self.signing.sign(&tbs.bytes()));
        Participant {
            signer: Signer::new(&bytes, &self.trust(), &[seed; 32]).unwrap(),
            agreement: AgreementSecret::from_bytes([seed + 1; 32]),
            seed: [seed; 32],
        }
    }
}

impl World {
    pub(crate) fn new(now: UnixMillis) -> Self {
        let ca = Ca::new();
        let seller = ca.participant(&statement("acme", Role::Seller, 10, now), 10);
        let carrier = ca.participant(&statement("truck-7", Role::Carrier, 20, now), 20);
        Self { ca, now, seller, carrier }
    }

    /// The same participant after a rotation: same uid, other keys, next epoch.
    pub(crate) fn rotated(&self, old: &Participant, seed: u8) -> Participant {
        let before = old.signer.statement();
        let mut next = statement(before.name.as_str(), before.role, seed, self.now);
        next.uid = before.uid.clone();
        next.epoch = before.epoch + 1;
        self.ca.participant(&next, seed)
    }

    pub(crate) fn subject(&self, delivery: &str) -> Subject {
        Subject { delivery: uid(delivery), namespace: name("shop"), seller: self.seller.uid().clone() }
    }

    pub(crate) fn conversation(&self, delivery: &str) -> Conversation {
        Conversation { seller: self.seller.uid().clone(), carrier: self.carrier.uid().clone(), delivery: uid(delivery) }
    }
}

pub(crate) fn statement(who: &str, role: Role, seed: u8, now: UnixMillis) -> KeyStatement {
    let signing = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let agreement = AgreementSecret::from_bytes([seed + 1; 32]).public();
    KeyStatement {
        version: version::CURRENT,
        uid: uid(&format!("{seed:08x}-0000-4000-8000-{:012x}", 7)),
        namespace: name("shop"),
        name: name(who),
        role,
        custody: Custody::Managed,
        ed25519: Ed25519Key::from(signing.verifying_key()),
        x25519: (role != Role::CarrierApi).then_some(agreement),
        tls_spki_sha256: Hash::of(who.as_bytes()),
        epoch: 1,
        not_before: UnixMillis(now.0 - 3_600_000),
        not_after: UnixMillis(now.0 + 72 * 3_600_000),
    }
}

/// Marked, so that a test can look for it where it must not be.
pub(crate) fn order() -> Order {
    Order {
        country: "MARKER-country".into(),
        province: "MARKER-province".into(),
        city: "MARKER-city".into(),
        postal_code: "MARKER-postal".into(),
        client_name: "MARKER-name".into(),
        door_number: "MARKER-door".into(),
        phone_number: "MARKER-phone".into(),
    }
}

pub(crate) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}
