//! The logs the vectors are made of: honest deliveries of every kind, and logs someone has tampered with.

use ed25519_dalek::SigningKey;
use waybill_protocol::{
    Fact, Gate, Hash, Log, Mac, Order, PersonName, Reason, ScanOutcome, SignedEvent, Stage, Subject, UnixMillis,
    fact::reason::*, receipt_code,
};

use crate::refused;
use crate::{
    kit::{self, LABEL_KEY, NOW, World, order, push, released, world},
    play::{self, Move, back, delivered},
};

/// A log as it lies before a verifier.
pub(crate) struct Scene {
    pub(crate) name: String,
    pub(crate) subject: Subject,
    pub(crate) entries: Vec<Vec<u8>>,
}

pub(crate) fn all() -> Vec<Scene> {
    let mut scenes = honest();
    scenes.extend(tampered());
    scenes.extend(refused::all());
    scenes.extend((1000..1006).map(|seed| random(seed, 30)));
    scenes
}

/// A log of random moves, mixed up and repeated.
pub(crate) fn random(seed: u64, length: usize) -> Scene {
    let mut draw = Draw(seed);
    let moves = (0..length)
        .map(|_| Move {
            kind: draw.below(60),
            author: draw.below(4),
            choice: draw.below(256) as u8,
            honest: draw.below(10) > 1,
        })
        .collect();
    let (world, entries) = play::signed_moves(moves, draw.next());
    Scene { name: format!("random {seed}"), subject: world.subject, entries }
}

fn honest() -> Vec<Scene> {
    let world = world();
    vec![
        scene("a plain delivery", &world, &world.plain(9)),
        scene("a camera delivery: wrong parcel, then the right label, photo, receipt", &world, &camera(&world)),
        scene("a forged label, refused, and an incident instead", &world, &incident(&world)),
        scene("three attempts and back to the seller", &world, &attempts(&world)),
        scene("held, resumed, address changed twice, delivered", &world, &changes(&world)),
        scene("cancelled while the carrier was offline and delivering", &world, &late(&world)),
        scene("lost by the seller while the carrier was delivering, the loss taken back", &world, &noted(&world)),
        scene("cancelled before the hand-over", &world, &cancelled(&world)),
        scene("revoked on the way, given to another carrier and back", &world, &revoked(&world)),
        scene("given back, taken over by another carrier, given back again", &world, &given_back_twice(&world)),
        scene("both sides rotate their keys", &world, &rotated(&world)),
        scene("declared by a person, countersigned, taken back", &world, &declared(&world)),
        scene("lost, found, the loss taken back, delivered, forgotten", &world, &lost(&world)),
    ]
}

fn camera(world: &World) -> Log {
    let mut log = with_scan(world);
    push(&mut log, &world.carrier, Fact::Scanned { outcome: ScanOutcome::WrongParcel, tries: 1 });
    push(&mut log, &world.carrier, Fact::Scanned { outcome: ScanOutcome::WrongParcel, tries: 2 });
    let read =
        push(&mut log, &world.carrier, Fact::Scanned { outcome: ScanOutcome::Read { mac: Mac([7; 32]) }, tries: 3 });
    push(&mut log, &world.carrier, world.posted(Stage::PostalCode));
    push(&mut log, &world.seller, Fact::Released { stage: Stage::Door, gate: Some(Gate::Scan { scan: read.id() }) });
    push(&mut log, &world.carrier, delivered());
    let (kind, media, sha256) = (EvidenceKind::Photo, Media::Jpeg, Hash::of(b"photo"));
    push(&mut log, &world.carrier, Fact::ProofAttached { kind, media, sha256 });
    push(&mut log, &world.carrier, Fact::ReceiptProved { code: receipt_code(&LABEL_KEY, &world.subject.delivery) });
    push(&mut log, &world.carrier, Fact::Erased { scope: ErasedScope::Attempt });
    log
}

fn incident(world: &World) -> Log {
    let mut log = with_scan(world);
    let read =
        push(&mut log, &world.carrier, Fact::Scanned { outcome: ScanOutcome::Read { mac: Mac([7; 32]) }, tries: 1 });
    push(&mut log, &world.seller, Fact::ScanRefused { scan: read.id() });
    push(&mut log, &world.carrier, world.posted(Stage::PostalCode));
    let note = Some(Hash::of(b"the label is torn"));
    let told = push(&mut log, &world.carrier, Fact::IncidentReported { incident: Incident::LabelMismatch, note });
    push(
        &mut log,
        &world.seller,
        Fact::Released { stage: Stage::Door, gate: Some(Gate::Incident { incident: told.id() }) },
    );
    push(&mut log, &world.carrier, delivered());
    log
}

pub(crate) fn with_scan(world: &World) -> Log {
    let mut log = world.plain(1);
    let mut terms = world.terms();
    (terms.scan, terms.photo) = (true, true);
    push(&mut log, &world.seller, Fact::HandedOver { terms });
    for (author, fact) in world.plain_facts().into_iter().skip(2).take(4) {
        push(&mut log, author, fact);
    }
    log
}

fn attempts(world: &World) -> Log {
    let mut log = world.plain(8);
    for attempt in 2..=4 {
        push(&mut log, &world.carrier, Fact::AttemptFailed { reason: absent() });
        if attempt == 4 {
            break;
        }
        push(&mut log, &world.seller, Fact::Rescheduled { window: None });
        push(&mut log, &world.carrier, world.accepted(attempt));
        push(&mut log, &world.seller, Fact::HandedOver { terms: world.terms() });
        push(&mut log, &world.carrier, Fact::PickedUp);
    }
    push(&mut log, &world.seller, back());
    push(&mut log, &world.carrier, Fact::GivenBack);
    push(&mut log, &world.seller, Fact::ReturnReceived);
    log
}

fn changes(world: &World) -> Log {
    let mut log = world.plain(5);
    push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::AddressUnclear, note: None });
    let door = Order { door_number: "9".into(), ..order() };
    push(&mut log, &world.seller, Fact::AddressChanged { commitments: world.commitments(&door) });
    push(&mut log, &world.seller, Fact::Resumed);
    push(&mut log, &world.seller, released(Stage::PostalCode));
    push(&mut log, &world.carrier, world.posted(Stage::PostalCode));
    push(&mut log, &world.seller, released(Stage::Door));
    let street = Order { postal_code: "00119".into(), ..door };
    let commitments = world.commitments(&street);
    push(&mut log, &world.seller, Fact::AddressChanged { commitments });
    push(&mut log, &world.seller, released(Stage::PostalCode));
    let commitment = commitments.postal_code;
    push(&mut log, &world.carrier, Fact::Posted { stage: Stage::PostalCode, commitment });
    push(&mut log, &world.seller, released(Stage::Door));
    push(&mut log, &world.carrier, delivered());
    log
}

fn late(world: &World) -> Log {
    let mut log = world.plain(8);
    let offline = log.sign(&world.carrier.signer, delivered(), NOW).unwrap();
    push(&mut log, &world.seller, Fact::Cancelled { reason: CancelReason::RecipientRequest });
    log.push(offline.bytes());
    log
}

fn noted(world: &World) -> Log {
    let mut log = world.plain(8);
    let offline = log.sign(&world.carrier.signer, delivered(), NOW).unwrap();
    let lost = push(&mut log, &world.seller, Fact::Lost { reason: absent() });
    log.push(offline.bytes());
    push(&mut log, &world.seller, Fact::Corrected { event: lost.id(), note: None });
    push(&mut log, &world.carrier, delivered());
    log
}

fn cancelled(world: &World) -> Log {
    let mut log = world.plain(1);
    push(&mut log, &world.seller, Fact::Cancelled { reason: CancelReason::OutOfStock });
    log
}

fn revoked(world: &World) -> Log {
    let mut log = world.plain(5);
    let second = world.another_carrier("truck-8", 40);
    let late =
        log.sign(&world.carrier.signer, Fact::IncidentReported { incident: Incident::Theft, note: None }, NOW).unwrap();
    push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::CarrierRevoked, note: None });
    log.push(late.bytes());
    push(&mut log, &world.seller, Fact::CarrierAssigned { carrier: second.uid().clone() });
    push(&mut log, &second, world.accepted(2));
    push(&mut log, &world.seller, Fact::HandedOver { terms: world.terms_for(second.uid()) });
    push(&mut log, &second, Fact::PickedUp);
    push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::SellerRequest, note: None });
    push(&mut log, &world.seller, Fact::CarrierAssigned { carrier: world.carrier.uid().clone() });
    push(&mut log, &world.carrier, world.accepted(3));
    log
}

fn given_back_twice(world: &World) -> Log {
    let mut log = world.plain(8);
    let second = world.another_carrier("truck-8", 40);
    push(&mut log, &world.seller, back());
    push(&mut log, &world.carrier, Fact::GivenBack);
    push(&mut log, &world.seller, Fact::OnHold { reason: HoldReason::Investigation, note: None });
    push(&mut log, &world.seller, Fact::CarrierAssigned { carrier: second.uid().clone() });
    push(&mut log, &second, world.accepted(2));
    push(&mut log, &world.seller, Fact::HandedOver { terms: world.terms_for(second.uid()) });
    push(&mut log, &second, Fact::PickedUp);
    push(&mut log, &world.seller, back());
    push(&mut log, &second, Fact::GivenBack);
    push(&mut log, &world.seller, Fact::ReturnReceived);
    log
}

fn rotated(world: &World) -> Log {
    let mut log = world.plain(5);
    let seller = world.rotated(&world.seller, 50);
    let carrier = world.rotated(&world.carrier, 60);
    for (old, new) in [(&world.seller, &seller), (&world.carrier, &carrier)] {
        let rotation = log.rotate(&old.signer, &new.signer, NOW).unwrap();
        assert!(log.push(rotation.bytes()).counts());
    }
    push(&mut log, &seller, released(Stage::PostalCode));
    push(&mut log, &carrier, world.posted(Stage::PostalCode));
    log
}

fn declared(world: &World) -> Log {
    let mut log = world.plain(7);
    let by = PersonName::new("dispatcher@shop").unwrap();
    let told = push(&mut log, &world.api, Fact::Declared { fact: DeclaredFact::Delivered, by, note: None });
    let signed = push(&mut log, &world.seller, Fact::Countersigned { event: told.id() });
    push(&mut log, &world.seller, Fact::Corrected { event: signed.id(), note: None });
    log
}

fn lost(world: &World) -> Log {
    let mut log = world.plain(8);
    let lost = push(&mut log, &world.carrier, Fact::Lost { reason: absent() });
    push(&mut log, &world.carrier, Fact::Found { note: None });
    push(&mut log, &world.carrier, Fact::Corrected { event: lost.id(), note: None });
    push(&mut log, &world.carrier, delivered());
    push(&mut log, &world.carrier, Fact::Erased { scope: ErasedScope::Delivery });
    push(&mut log, &world.seller, Fact::Forgotten { guarantee: Guarantee::Full });
    log
}

pub(crate) fn absent() -> Reason {
    Reason { cause: Cause::Recipient, what: Happening::RecipientAbsent, note: Some(Hash::of(b"nobody there")) }
}

/// The plain delivery again, each time with one thing wrong.
fn tampered() -> Vec<Scene> {
    let world = world();
    let honest: Vec<Vec<u8>> = world.plain(9).entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    let mut scenes = Vec::new();
    let mut add = |name: &str, entries: Vec<Vec<u8>>| {
        scenes.push(Scene { name: name.to_owned(), subject: world.subject.clone(), entries });
    };
    let order = |order: &[usize]| order.iter().map(|index| honest[*index].clone()).collect::<Vec<_>>();
    add("an event dropped", order(&[0, 1, 2, 3, 5, 6, 7, 8]));
    add("two events swapped", order(&[0, 1, 2, 3, 4, 6, 5, 7, 8]));
    add("events repeated", order(&[0, 1, 0, 2, 2, 1, 3, 4]));
    add("the log cut short", order(&[0, 1, 2, 3, 4, 5]));
    add("a bit flipped in an event", with(&honest, 4, |bytes| bytes[100] ^= 1));
    add("a bit flipped in a signature", with(&honest, 4, |bytes| *bytes.last_mut().unwrap() ^= 1));
    add(
        "junk in the unprotected header",
        with(&honest, 2, |bytes| {
            bytes.splice(6..7, [0xa1, 0x18, 0x63, 0x00]);
        }),
    );
    add(
        "the version of a later day",
        with(&honest, 2, |bytes| *bytes = resigned(bytes, 20, |event| event.version = 2)),
    );
    add("an event signed by a stranger", with(&honest, 8, |bytes| *bytes = resigned(bytes, 99, |_| ())));
    add(
        "an event of another delivery",
        with(&honest, 2, |bytes| {
            *bytes = resigned(bytes, 20, |event| event.delivery = kit::uid("another"));
        }),
    );
    add(
        "a claim to have seen nothing",
        with(&honest, 4, |bytes| *bytes = resigned(bytes, 20, |event| event.seen = None)),
    );
    add(
        "a statement where none belongs",
        with(&honest, 2, |bytes| {
            let statement = world.carrier.signer.statement_bytes().clone();
            *bytes = resigned(bytes, 20, |event| event.statement = Some(statement));
        }),
    );
    add("a statement left out", with(&honest, 0, |bytes| *bytes = resigned(bytes, 20, |event| event.statement = None)));
    add("another attempt's event", with(&honest, 4, |bytes| *bytes = resigned(bytes, 20, |event| event.attempt = 2)));
    add(
        "the door before the postal code",
        with(&honest, 5, |bytes| {
            *bytes = resigned(bytes, 10, |event| event.fact = released(Stage::Door));
        }),
    );
    add(
        "a seller picking up",
        with(&honest, 3, |bytes| *bytes = resigned(bytes, 10, |event| event.fact = Fact::PickedUp)),
    );
    add("a fork", fork(&world, &honest));
    add("a fork someone else made up", made_up_fork(&world, &honest));
    add("a revoked carrier's word moved before its end", moved_before_its_end(&world));
    add("nothing at all", Vec::new());
    add("bytes that are no events", vec![vec![], vec![0xd2], b"{}".to_vec(), vec![0xff; 5000]]);
    scenes
}

fn fork(world: &World, honest: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let fact = Fact::Delivered { to: DeliveredTo::Neighbour, note: None };
    let other = world.plain(8).sign(&world.carrier.signer, fact, UnixMillis(1)).unwrap();
    [honest, &[other.bytes().to_vec()]].concat()
}

fn made_up_fork(world: &World, honest: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let mut entries = fork(world, honest);
    let last = entries.last_mut().unwrap();
    *last = resigned(last, 99, |_| ());
    entries
}

fn moved_before_its_end(world: &World) -> Vec<Vec<u8>> {
    let log = world.plain(8);
    let thief = log.sign(&world.carrier.signer, delivered(), NOW).unwrap();
    let hold =
        log.sign(&world.seller.signer, Fact::OnHold { reason: HoldReason::CarrierRevoked, note: None }, NOW).unwrap();
    let mut entries: Vec<Vec<u8>> = log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    entries.extend([thief.bytes().to_vec(), hold.bytes().to_vec()]);
    entries
}

fn with(honest: &[Vec<u8>], index: usize, bend: impl FnOnce(&mut Vec<u8>)) -> Vec<Vec<u8>> {
    let mut entries = honest.to_vec();
    bend(&mut entries[index]);
    entries
}

pub(crate) fn resigned(bytes: &[u8], seed: u8, bend: impl FnOnce(&mut waybill_protocol::Event)) -> Vec<u8> {
    let mut event = SignedEvent::read(bytes).unwrap().event().clone();
    bend(&mut event);
    SignedEvent::sign(event, &SigningKey::from_bytes(&[seed; 32])).unwrap().bytes().to_vec()
}

pub(crate) fn scene(name: &str, world: &World, log: &Log) -> Scene {
    let entries = log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
    Scene { name: name.to_owned(), subject: world.subject.clone(), entries }
}

/// Numbers that are the same everywhere and for ever.
struct Draw(u64);

impl Draw {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }
}

/// A generator whose bytes count up.
pub(crate) struct Counting(pub(crate) u8);

impl rand::TryRng for Counting {
    type Error = std::convert::Infallible;

    fn try_next_u32(&mut self) -> Result<u32, Self::Error> {
        panic!("keys are made of bytes")
    }

    fn try_next_u64(&mut self) -> Result<u64, Self::Error> {
        panic!("keys are made of bytes")
    }

    fn try_fill_bytes(&mut self, bytes: &mut [u8]) -> Result<(), Self::Error> {
        for byte in bytes {
            *byte = self.0;
            self.0 = self.0.wrapping_add(1);
        }
        Ok(())
    }
}

impl rand::TryCryptoRng for Counting {}
