//! A trust domain with real certificates, and deliveries in it.

use p256::ecdsa::SigningKey as CaSigningKey;
use p256::ecdsa::signature::Signer as _;
use p256::pkcs8::DecodePrivateKey as _;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateRevocationListParams, CertifiedIssuer, DnType, IsCa, KeyIdMethod,
    KeyPair, RevokedCertParams, SerialNumber,
};
use waybill_proof::report::{Answer, Outcome, Report};
use waybill_proof::{About, Contents, Photo, check};
use waybill_protocol::fact::reason::{DeliveredTo, EvidenceKind, Media};
use waybill_protocol::{
    AgreementSecret, Custody, Ed25519Key, Fact, Gate, Hash, KeyStatement, Log, Name, Order, Role, SaltKey, Signer,
    Stage, Terms, Trust, Uid, UnixMillis, Upc, hello_nonce, version,
};

pub(crate) const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);
pub(crate) const DELIVERY: &str = "dddddddd-0000-4000-8000-000000000001";
pub(crate) const PICTURE: &[u8] = b"\xff\xd8\xff a picture \xff\xd9";

/// An authority as the operator makes it.
pub(crate) struct Ca {
    pub(crate) issuer: CertifiedIssuer<'static, KeyPair>,
    name: String,
    signing: CaSigningKey,
}

pub(crate) struct Participant {
    pub(crate) signer: Signer,
    pub(crate) leaf: String,
}

pub(crate) struct World {
    pub(crate) ca: Ca,
    pub(crate) seller: Participant,
    pub(crate) carrier: Participant,
}

impl Ca {
    pub(crate) fn new(name: &str) -> Self {
        let key = KeyPair::generate().unwrap();
        let signing = CaSigningKey::from_pkcs8_der(&key.serialize_der()).unwrap();
        Self { issuer: CertifiedIssuer::self_signed(authority(name), key).unwrap(), name: name.into(), signing }
    }

    pub(crate) fn fingerprint(&self) -> Hash {
        Hash::of(self.issuer.der())
    }

    pub(crate) fn trust(&self) -> Trust {
        let point = self.signing.verifying_key().to_sec1_point(false);
        Trust::new(vec![waybill_protocol::CaKey::new(self.issuer.der(), point.as_bytes()).unwrap()])
    }

    /// A certificate by which this authority vouches for another.
    pub(crate) fn cross(&self, other: &Self) -> String {
        let params = authority(&other.name);
        params.signed_by(other.issuer.key(), &self.issuer).unwrap().pem()
    }

    /// A revocation list with this serial.
    pub(crate) fn revoked(&self, serial: &[u8]) -> String {
        let day = |day| rcgen::date_time_ymd(2027, 1, day);
        let revoked = RevokedCertParams {
            serial_number: SerialNumber::from_slice(serial),
            revocation_time: day(1),
            reason_code: None,
            invalidity_date: None,
        };
        let params = CertificateRevocationListParams {
            this_update: day(1),
            next_update: day(20),
            crl_number: SerialNumber::from(7_u64),
            issuing_distribution_point: None,
            revoked_certs: vec![revoked],
            key_identifier_method: KeyIdMethod::Sha256,
        };
        params.signed_by(&self.issuer).unwrap().pem().unwrap()
    }

    pub(crate) fn participant(&self, name: &str, role: Role, seed: u8, custody: Custody) -> Participant {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, name);
        params.serial_number = Some(SerialNumber::from_slice(&[seed; 8]));
        let leaf = params.signed_by(&key, &self.issuer).unwrap();
        let signing = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
        let statement = KeyStatement {
            version: version::CURRENT,
            uid: Uid::new(format!("{seed:08x}-0000-4000-8000-000000000007")).unwrap(),
            namespace: Name::new("shop").unwrap(),
            name: Name::new(name).unwrap(),
            role,
            custody,
            ed25519: Ed25519Key::from(signing.verifying_key()),
            x25519: (role != Role::CarrierApi).then(|| AgreementSecret::from_bytes([seed + 1; 32]).public()),
            tls_spki_sha256: Hash::of(&rcgen::PublicKeyData::subject_public_key_info(&key)),
            epoch: 1,
            not_before: UnixMillis(NOW.0 - 3_600_000),
            not_after: UnixMillis(NOW.0 + 72 * 3_600_000),
        };
        let tbs = statement.to_be_signed(self.issuer.der()).unwrap();
        let bytes = tbs.assemble(&self.signing.sign(&tbs.bytes()));
        Participant { signer: Signer::new(&bytes, &self.trust(), &[seed; 32]).unwrap(), leaf: leaf.pem() }
    }
}

fn authority(name: &str) -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.distinguished_name.push(DnType::CommonName, format!("Waybill CA {name}"));
    params
}

impl World {
    pub(crate) fn new() -> Self {
        let ca = Ca::new("one");
        let seller = ca.participant("acme", Role::Seller, 10, Custody::Managed);
        let carrier = ca.participant("truck-7", Role::Carrier, 20, Custody::External);
        Self { ca, seller, carrier }
    }

    pub(crate) fn about(&self) -> About {
        About {
            uid: DELIVERY.into(),
            namespace: "shop".into(),
            name: "upc-1".into(),
            upc: "UPC_1".into(),
            seller: self.seller.signer.uid().to_string(),
        }
    }

    fn log(&self) -> Log {
        let about = self.about();
        let subject = waybill_protocol::Subject {
            delivery: Uid::new(about.uid).unwrap(),
            namespace: Name::new(about.namespace).unwrap(),
            seller: self.seller.signer.uid().clone(),
        };
        Log::new(subject, &self.ca.trust())
    }

    fn terms(&self) -> Terms {
        let order = Order {
            country: "MARKER-country".into(),
            province: "MARKER-province".into(),
            city: "MARKER-city".into(),
            postal_code: "MARKER-postal".into(),
            client_name: "MARKER-name".into(),
            door_number: "MARKER-door".into(),
            phone_number: "MARKER-phone".into(),
        };
        Terms {
            upc: Upc::new("UPC_1").unwrap(),
            carrier: self.carrier.signer.uid().clone(),
            max_attempts: 3,
            photo: true,
            scan: false,
            window: None,
            commitments: SaltKey::Order(b"sixteen random by").commit(&Uid::new(DELIVERY).unwrap(), &order),
            receipt: None,
        }
    }

    /// A delivery with a picture, as far as this many of its ten events.
    pub(crate) fn delivered(&self, events: usize) -> Log {
        let mut log = self.log();
        let (s, t) = (&self.seller.signer, &self.carrier.signer);
        let terms = self.terms();
        let posted = |stage| Fact::Posted { stage, commitment: terms.commitments.of(stage) };
        let released = |stage| Fact::Released { stage, gate: (stage == Stage::Door).then_some(Gate::NotAsked) };
        let nonce = hello_nonce(&[0xc0; 32], &Uid::new(DELIVERY).unwrap(), 1);
        let attempt_key = AgreementSecret::from_bytes([0xa1; 32]).public();
        let facts = [
            (t, Fact::Accepted { attempt_key, nonce, protocol: version::CURRENT }),
            (s, Fact::HandedOver { terms: terms.clone() }),
            (t, Fact::PickedUp),
            (s, released(Stage::Country)),
            (t, posted(Stage::Country)),
            (s, released(Stage::PostalCode)),
            (t, posted(Stage::PostalCode)),
            (s, released(Stage::Door)),
            (t, Fact::Delivered { to: DeliveredTo::Recipient, note: None }),
            (t, picture(PICTURE)),
        ];
        for (signer, fact) in facts.into_iter().take(events) {
            add(&mut log, signer, fact);
        }
        log
    }

    /// The bundle of this log.
    pub(crate) fn contents(&self, log: &Log) -> Contents {
        Contents {
            about: self.about(),
            log: log.entries().iter().map(|entry| entry.bytes().to_vec()).collect(),
            authorities: self.ca.issuer.pem(),
            crosses: String::new(),
            revocations: String::new(),
            certificates: Vec::new(),
            photos: Vec::new(),
        }
    }

    /// A whole one: delivered, with its picture and the seller's certificate.
    pub(crate) fn whole(&self) -> Contents {
        let mut contents = self.contents(&self.delivered(10));
        contents.photos.push(Photo { media: Media::Jpeg, bytes: PICTURE.to_vec() });
        contents.certificates.push((self.carrier.signer.uid().clone(), self.carrier.leaf.clone()));
        contents
    }

    pub(crate) fn root(&self) -> Option<Hash> {
        Some(self.ca.fingerprint())
    }
}

pub(crate) fn picture(bytes: &[u8]) -> Fact {
    Fact::ProofAttached { kind: EvidenceKind::Photo, media: Media::Jpeg, sha256: Hash::of(bytes) }
}

pub(crate) fn add(log: &mut Log, signer: &Signer, fact: Fact) {
    let at = UnixMillis(NOW.0 + 1000 * log.entries().len() as u64);
    let signed = log.sign(signer, fact, at).unwrap();
    let verdict = log.push(signed.bytes());
    assert!(verdict.counts(), "{verdict:?}");
}

/// Checks, and expects this answer.
pub(crate) fn answers(bytes: &[u8], root: Option<Hash>, answer: Answer) -> Report {
    let report = check(bytes, root);
    assert_eq!(report.answer, answer, "{report:#?}");
    report
}

/// What failed: where, and in which words.
pub(crate) fn failures(report: &Report) -> Vec<(String, String)> {
    let failed = report.lines.iter().filter(|line| line.outcome == Outcome::Fails);
    failed.map(|line| (line.place.clone().unwrap_or_default(), line.text.clone())).collect()
}

/// Expects a failure there that says so.
pub(crate) fn fails_at(report: &Report, place: &str, words: &str) {
    assert_eq!(report.answer, Answer::Broken);
    let failures = failures(report);
    assert!(failures.iter().any(|(at, text)| at == place && text.contains(words)), "{place} {words}: {failures:#?}");
}
