//! A trust domain in memory for tests: a CA, a seller, carriers, a Carrier API, all from fixed seeds. Public API only.
#![allow(dead_code, reason = "every test file takes what it needs of the shared kit")]

use p256::ecdsa::SigningKey as CaSigningKey;
use p256::ecdsa::signature::Signer as _;
use rand::{SeedableRng, rngs::StdRng};
use waybill_protocol::{
    AgreementSecret, CaKey, Commitments, Conversation, Custody, Ed25519Key, Fact, Hash, KeyStatement, Log, Mac, Name,
    Order, Phase, Role, SaltKey, SignedEvent, Signer, Stage, Subject, Terms, Trust, Uid, UnixMillis, Upc, Verdict,
    hello_nonce, receipt_code, receipt_hash, version,
};

pub(crate) const NOW: UnixMillis = UnixMillis::from_secs(1_800_000_000);
pub(crate) const COMMIT_KEY: [u8; 32] = [0xc0; 32];
pub(crate) const LABEL_KEY: [u8; 32] = [0x1a; 32];
pub(crate) const ORDER_SALT: &[u8] = b"sixteen random by";
const CERTIFICATE: &[u8] = b"the DER of a CA certificate";

pub(crate) struct World {
    ca: CaSigningKey,
    pub(crate) seller: Participant,
    pub(crate) carrier: Participant,
    pub(crate) api: Participant,
    pub(crate) subject: Subject,
}

/// Someone with keys and a statement.
#[derive(Clone)]
pub(crate) struct Participant {
    pub(crate) signer: Signer,
    pub(crate) agreement: AgreementSecret,
}

impl Participant {
    pub(crate) fn uid(&self) -> &Uid {
        self.signer.uid()
    }

    pub(crate) fn key(&self) -> Ed25519Key {
        self.signer.statement().ed25519
    }
}

pub(crate) fn world() -> World {
    World::new(1)
}

impl World {
    pub(crate) fn new(seed: u8) -> Self {
        let ca = CaSigningKey::from_slice(&[seed; 32]).unwrap();
        let make = |name, role, seed| make(&ca, name, role, seed, 1);
        let seller = make("acme", Role::Seller, 10);
        let (carrier, api) = (make("truck-7", Role::Carrier, 20), make("carrier-api", Role::CarrierApi, 30));
        let subject = Subject {
            delivery: uid("dddddddd-0000-4000-8000-000000000001"),
            namespace: name("shop"),
            seller: seller.uid().clone(),
        };
        Self { ca, seller, carrier, api, subject }
    }

    pub(crate) fn trust(&self) -> Trust {
        trust(&self.ca)
    }

    /// The CA's public key, as a verifier gets it.
    pub(crate) fn ca_point(&self) -> Vec<u8> {
        self.ca.verifying_key().to_sec1_point(false).as_bytes().to_vec()
    }

    /// Another carrier of the same trust domain.
    pub(crate) fn another_carrier(&self, name: &str, seed: u8) -> Participant {
        make(&self.ca, name, Role::Carrier, seed, 1)
    }

    /// The same participant after a rotation: same uid, other keys, next epoch.
    pub(crate) fn rotated(&self, old: &Participant, seed: u8) -> Participant {
        let statement = old.signer.statement();
        let mut next = unsigned(statement.name.as_str(), statement.role, seed, statement.epoch + 1);
        next.uid = statement.uid.clone();
        participant(&self.ca, &next, seed)
    }

    pub(crate) fn log(&self) -> Log {
        Log::new(self.subject.clone(), &self.trust())
    }

    pub(crate) fn conversation(&self) -> Conversation {
        Conversation {
            seller: self.seller.uid().clone(),
            carrier: self.carrier.uid().clone(),
            delivery: self.subject.delivery.clone(),
        }
    }

    pub(crate) fn commitments(&self, order: &Order) -> Commitments {
        SaltKey::Order(ORDER_SALT).commit(&self.subject.delivery, order)
    }

    pub(crate) fn terms(&self) -> Terms {
        self.terms_for(self.carrier.uid())
    }

    pub(crate) fn terms_for(&self, carrier: &Uid) -> Terms {
        let delivery = &self.subject.delivery;
        Terms {
            upc: Upc::new("UPC_1").unwrap(),
            carrier: carrier.clone(),
            max_attempts: 3,
            photo: false,
            scan: false,
            window: None,
            commitments: self.commitments(&order()),
            receipt: Some(receipt_hash(delivery, &receipt_code(&LABEL_KEY, delivery))),
        }
    }

    pub(crate) fn nonce(&self, attempt: u32) -> Mac {
        hello_nonce(&COMMIT_KEY, &self.subject.delivery, attempt)
    }

    pub(crate) fn accepted(&self, attempt: u32) -> Fact {
        Fact::Accepted {
            attempt_key: attempt_secret(attempt).public(),
            nonce: self.nonce(attempt),
            protocol: version::CURRENT,
        }
    }

    pub(crate) fn posted(&self, stage: Stage) -> Fact {
        Fact::Posted { stage, commitment: self.commitments(&order()).of(stage) }
    }

    /// A plain delivery up to and including this many of its nine events.
    pub(crate) fn plain(&self, events: usize) -> Log {
        let mut log = self.log();
        for (author, fact) in self.plain_facts().into_iter().take(events) {
            push(&mut log, author, fact);
        }
        log
    }

    /// Author and fact of every step of a plain delivery.
    pub(crate) fn plain_facts(&self) -> Vec<(&Participant, Fact)> {
        let (s, t) = (&self.seller, &self.carrier);
        vec![
            (t, self.accepted(1)),
            (s, Fact::HandedOver { terms: self.terms() }),
            (t, Fact::PickedUp),
            (s, released(Stage::Country)),
            (t, self.posted(Stage::Country)),
            (s, released(Stage::PostalCode)),
            (t, self.posted(Stage::PostalCode)),
            (s, released(Stage::Door)),
            (t, Fact::Delivered { to: waybill_protocol::fact::reason::DeliveredTo::Recipient, note: None }),
        ]
    }
}

/// Signs, adds and expects it to count.
pub(crate) fn push(log: &mut Log, author: &Participant, fact: Fact) -> SignedEvent {
    let at = UnixMillis(NOW.0 + 1000 * log.entries().len() as u64);
    let kind = fact.kind();
    let signed = log.sign(&author.signer, fact, at).unwrap_or_else(|error| panic!("{kind}: {error}"));
    let verdict = log.push(signed.bytes()).clone();
    assert!(verdict.counts(), "{kind}: {verdict:?}");
    signed
}

pub(crate) fn at(log: &Log) -> (Phase, Option<Stage>, u32) {
    (log.phase(), log.stage(), log.state().attempt())
}

pub(crate) fn released(stage: Stage) -> Fact {
    Fact::Released { stage, gate: (stage == Stage::Door).then_some(waybill_protocol::Gate::NotAsked) }
}

pub(crate) fn invalid(verdict: &Verdict) -> &waybill_protocol::Invalid {
    match verdict {
        Verdict::Invalid(invalid) => invalid,
        other => panic!("expected an invalid entry, got {other:?}"),
    }
}

pub(crate) fn order() -> Order {
    Order {
        country: "Italia".into(),
        province: "Lazio".into(),
        city: "Roma".into(),
        postal_code: "00118".into(),
        client_name: "Ada Lovelace".into(),
        door_number: "7 bis".into(),
        phone_number: "+39 06 0000000".into(),
    }
}

pub(crate) fn attempt_secret(attempt: u32) -> AgreementSecret {
    AgreementSecret::from_bytes([0xa0 + attempt as u8; 32])
}

pub(crate) fn rng(seed: u64) -> StdRng {
    StdRng::seed_from_u64(seed)
}

pub(crate) fn uid(text: &str) -> Uid {
    Uid::new(text).unwrap()
}

pub(crate) fn name(text: &str) -> Name {
    Name::new(text).unwrap()
}

fn make(ca: &CaSigningKey, name: &str, role: Role, seed: u8, epoch: u64) -> Participant {
    participant(ca, &unsigned(name, role, seed, epoch), seed)
}

fn participant(ca: &CaSigningKey, statement: &KeyStatement, seed: u8) -> Participant {
    let tbs = statement.to_be_signed(CERTIFICATE).unwrap();
    let bytes = tbs.assemble(&ca.sign(&tbs.bytes()));
    Participant {
        signer: Signer::new(&bytes, &trust(ca), &[seed; 32]).unwrap(),
        agreement: AgreementSecret::from_bytes([seed + 1; 32]),
    }
}

fn unsigned(name: &str, role: Role, seed: u8, epoch: u64) -> KeyStatement {
    let signing = ed25519_dalek::SigningKey::from_bytes(&[seed; 32]);
    let agreement = AgreementSecret::from_bytes([seed + 1; 32]).public();
    KeyStatement {
        version: version::CURRENT,
        uid: uid(&format!("{seed:08x}-0000-4000-8000-{:012x}", 7)),
        namespace: self::name("shop"),
        name: self::name(name),
        role,
        custody: Custody::Managed,
        ed25519: Ed25519Key::from(signing.verifying_key()),
        x25519: (role != Role::CarrierApi).then_some(agreement),
        tls_spki_sha256: Hash::of(name.as_bytes()),
        epoch,
        not_before: UnixMillis(NOW.0 - 3_600_000),
        not_after: UnixMillis(NOW.0 + 72 * 3_600_000),
    }
}

fn trust(ca: &CaSigningKey) -> Trust {
    let key = CaKey::new(CERTIFICATE, ca.verifying_key().to_sec1_point(false).as_bytes()).unwrap();
    Trust::new(vec![key])
}
