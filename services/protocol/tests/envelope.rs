//! Bent COSE envelopes: an event has one form, and whatever else parses to the same words is not that event.
#![allow(clippy::unwrap_used, reason = "a test that unwraps fails where it should")]

#[path = "kit/world.rs"]
mod kit;

use ed25519_dalek::{Signer as _, SigningKey};
use kit::{NOW, World, world};
use minicbor::{Encoder, data::Tag};
use waybill_protocol::{Ed25519Key, Fact, Invalid, KeyError, Log, SignedEvent, Verdict, WireError};

#[test]
fn the_honest_envelope_is_taken_and_every_bent_one_refused() {
    let scene = Scene::new();
    assert!(scene.push(&scene.honest).counts());
    let Scene { protected, payload, signature, .. } = &scene;
    let bent: Vec<(&str, Vec<u8>)> = vec![
        (
            "junk in the unprotected header",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(protected)?
                    .map(1)?
                    .u8(99)?
                    .str("junk")?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "a kid in the unprotected header",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(protected)?
                    .map(1)?
                    .u8(4)?
                    .bytes(b"kid")?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "an indefinite unprotected header",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(protected)?
                    .begin_map()?
                    .end()?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        ("no tag", cose(|e| e.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(signature)?.ok())),
        (
            "the tag of COSE_Mac0",
            cose(|e| e.tag(Tag::new(17))?.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(signature)?.ok()),
        ),
        (
            "a tag around the tag",
            cose(|e| {
                e.tag(Tag::new(55799))?
                    .tag(Tag::new(18))?
                    .array(4)?
                    .bytes(protected)?
                    .map(0)?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "five items",
            cose(|e| {
                e.tag(Tag::new(18))?.array(5)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(signature)?.null()?.ok()
            }),
        ),
        (
            "an indefinite array",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .begin_array()?
                    .bytes(protected)?
                    .map(0)?
                    .bytes(payload)?
                    .bytes(signature)?
                    .end()?
                    .ok()
            }),
        ),
        (
            "no protected header",
            cose(|e| e.tag(Tag::new(18))?.array(4)?.bytes(b"")?.map(0)?.bytes(payload)?.bytes(signature)?.ok()),
        ),
        (
            "a protected header that is a map",
            cose(|e| {
                e.tag(Tag::new(18))?.array(4)?.map(1)?.u8(1)?.i8(-8)?.map(0)?.bytes(payload)?.bytes(signature)?.ok()
            }),
        ),
        (
            "another algorithm",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(&[0xa1, 0x01, 0x26])?
                    .map(0)?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "the algorithm in long form",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(&[0xa1, 0x01, 0x38, 0x07])?
                    .map(0)?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "one header more",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(&[0xa2, 0x01, 0x27, 0x18, 0x63, 0x00])?
                    .map(0)?
                    .bytes(payload)?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "a detached payload",
            cose(|e| e.tag(Tag::new(18))?.array(4)?.bytes(protected)?.map(0)?.null()?.bytes(signature)?.ok()),
        ),
        (
            "a payload in pieces",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(protected)?
                    .map(0)?
                    .begin_bytes()?
                    .bytes(payload)?
                    .end()?
                    .bytes(signature)?
                    .ok()
            }),
        ),
        (
            "a signature with a byte more",
            cose(|e| {
                e.tag(Tag::new(18))?
                    .array(4)?
                    .bytes(protected)?
                    .map(0)?
                    .bytes(payload)?
                    .bytes(&[signature.as_slice(), &[0]].concat())?
                    .ok()
            }),
        ),
        (
            "a signature with a byte less",
            cose(|e| {
                e.tag(Tag::new(18))?.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(&signature[..63])?.ok()
            }),
        ),
        ("a byte after the end", [scene.honest.as_slice(), &[0]].concat()),
        ("the tag in long form", [&[0xd8, 18], &scene.honest[1..]].concat()),
        ("the array in long form", [&[0xd2, 0x98, 4], &scene.honest[2..]].concat()),
        ("the protected header's length in long form", [&[0xd2, 0x84, 0x58, 3], &scene.honest[3..]].concat()),
    ];
    for (what, bytes) in &bent {
        let verdict = scene.push(bytes);
        assert!(matches!(verdict, Verdict::Invalid(Invalid::Unreadable(_))), "{what}: {verdict:?}");
    }
}

#[test]
fn a_payload_that_is_signed_but_not_canonical_is_no_event() {
    let scene = Scene::new();
    let honest = &scene.payload;
    // {0: 1, ...}: the version in long form, the count of the map in long form, one unknown field more.
    let bent: [(&str, Vec<u8>); 4] = [
        ("a long-form integer", [&honest[..2], &[0x18, 0x01], &honest[3..]].concat()),
        ("a long-form map", [&[0xb8, honest[0] & 0x1f], &honest[1..]].concat()),
        ("an unknown field", [&[honest[0] + 1], &honest[1..], &[0x18, 0x63, 0xf6]].concat()),
        ("trailing bytes", [honest.as_slice(), &[0xf6]].concat()),
    ];
    for (what, payload) in &bent {
        let bytes = scene.sign(payload);
        let verdict = scene.push(&bytes);
        assert!(matches!(verdict, Verdict::Invalid(Invalid::Unreadable(_))), "{what}: {verdict:?}");
    }
    assert_eq!(scene.sign(honest), scene.honest, "the same hand, the same words, the same bytes");
}

#[test]
fn no_bit_of_an_event_can_be_flipped_and_no_byte_cut() {
    let scene = Scene::new();
    for bit in 0..scene.honest.len() * 8 {
        let mut bent = scene.honest.clone();
        bent[bit / 8] ^= 1 << (bit % 8);
        let verdict = scene.push(&bent);
        assert!(!verdict.is_genuine(), "bit {bit}: {verdict:?}");
    }
    for len in 0..scene.honest.len() {
        assert!(!scene.push(&scene.honest[..len]).is_genuine(), "{len} bytes");
    }
}

#[test]
fn a_signature_has_one_form() {
    let scene = Scene::new();
    // s + L verifies wherever s is taken modulo L.
    const L: [u8; 32] = [
        0xed, 0xd3, 0xf5, 0x5c, 0x1a, 0x63, 0x12, 0x58, 0xd6, 0x9c, 0xf7, 0xa2, 0xde, 0xf9, 0xde, 0x14, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0x10,
    ];
    let mut twin = scene.signature;
    let mut carry = 0;
    for (byte, add) in twin[32..].iter_mut().zip(L) {
        let sum = u16::from(*byte) + u16::from(add) + carry;
        *byte = sum as u8;
        carry = sum >> 8;
    }
    assert_eq!(carry, 0);
    let Scene { protected, payload, .. } = &scene;
    let bent = cose(|e| e.tag(Tag::new(18))?.array(4)?.bytes(protected)?.map(0)?.bytes(payload)?.bytes(&twin)?.ok());
    assert_eq!(scene.push(&bent), Verdict::Invalid(Invalid::BadSignature));
}

#[test]
fn a_key_of_small_order_signs_nothing() {
    // With the neutral element as key, (R, s) = (s·B, s) verifies for every message where small order is let through.
    let mut neutral = [0; 32];
    neutral[0] = 1;
    assert_eq!(Ed25519Key::from_bytes(&neutral), Err(KeyError::SmallOrder));
    let world = world();
    let statement = world.carrier.signer.statement_bytes().0.clone();
    let key = *world.carrier.key().as_bytes();
    let first = world.plain(1).entries()[0].bytes().to_vec();
    let mut swapped = first.clone();
    let at = first.windows(32).position(|window| window == key).unwrap();
    swapped[at..at + 32].copy_from_slice(&neutral);
    assert!(!world.log().push(&swapped).is_genuine());
    assert!(statement.windows(32).any(|window| window == key));
}

#[test]
fn what_is_signed_for_one_purpose_counts_for_no_other() {
    let scene = Scene::new();
    let as_message = scene.sign_for(b"waybill.dev/message", &scene.payload);
    assert_eq!(scene.push(&as_message), Verdict::Invalid(Invalid::BadSignature));
    let check =
        waybill_protocol::sign_courier_check(&scene.world.carrier.signer, &scene.world.subject.delivery, 1, b"K7QF");
    assert!(matches!(scene.push(&check), Verdict::Invalid(Invalid::Unreadable(_))));
    let event = scene.honest.clone();
    let key = scene.world.carrier.key();
    let delivery = &scene.world.subject.delivery;
    let verified = waybill_protocol::verify_courier_check(&event, &key, delivery, 1, b"K7QF");
    assert_eq!(verified, Err(WireError::BadSignature { what: "courier check" }));
    assert_eq!(waybill_protocol::verify_courier_check(&check, &key, delivery, 1, b"K7QF"), Ok(()));
    for (attempt, challenge) in [(2, b"K7QF".as_slice()), (1, b"K7Q"), (1, b"K7QG")] {
        assert!(waybill_protocol::verify_courier_check(&check, &key, delivery, attempt, challenge).is_err());
    }
}

#[test]
fn an_event_that_is_too_large_is_neither_signed_nor_read() {
    let scene = Scene::new();
    let mut event = SignedEvent::read(&scene.honest).unwrap().event().clone();
    event.statement = Some(waybill_protocol::Bytes(vec![0; 4096]));
    let refused = SignedEvent::sign(event, &scene.key).unwrap_err();
    assert!(matches!(refused, WireError::TooLarge { what: "event", limit: 4096, .. }));
    assert!(matches!(SignedEvent::read(&[0xd2; 4097]), Err(WireError::TooLarge { .. })));
}

// === helpers ===

/// A log that waits for `PickedUp`, and that event in its pieces.
struct Scene {
    world: World,
    log: Log,
    key: SigningKey,
    honest: Vec<u8>,
    protected: Vec<u8>,
    payload: Vec<u8>,
    signature: [u8; 64],
}

impl Scene {
    fn new() -> Self {
        let world = world();
        let log = world.plain(2);
        let honest = log.sign(&world.carrier.signer, Fact::PickedUp, NOW).unwrap().bytes().to_vec();
        let mut d = minicbor::Decoder::new(&honest);
        d.tag().unwrap();
        d.array().unwrap();
        let protected = d.bytes().unwrap().to_vec();
        d.map().unwrap();
        let payload = d.bytes().unwrap().to_vec();
        let signature = d.bytes().unwrap().try_into().unwrap();
        Self { world, log, key: SigningKey::from_bytes(&[20; 32]), honest, protected, payload, signature }
    }

    fn push(&self, bytes: &[u8]) -> Verdict {
        self.log.clone().push(bytes).clone()
    }

    fn sign(&self, payload: &[u8]) -> Vec<u8> {
        self.sign_for(b"waybill.dev/event", payload)
    }

    fn sign_for(&self, purpose: &[u8], payload: &[u8]) -> Vec<u8> {
        let tbs = cose(|e| e.array(4)?.str("Signature1")?.bytes(&self.protected)?.bytes(purpose)?.bytes(payload)?.ok());
        let signature = self.key.sign(&tbs).to_bytes();
        cose(|e| e.tag(Tag::new(18))?.array(4)?.bytes(&self.protected)?.map(0)?.bytes(payload)?.bytes(&signature)?.ok())
    }
}

type Written = Result<(), minicbor::encode::Error<std::convert::Infallible>>;

fn cose(body: impl FnOnce(&mut Encoder<Vec<u8>>) -> Written) -> Vec<u8> {
    let mut encoder = Encoder::new(Vec::new());
    body(&mut encoder).unwrap();
    encoder.into_writer()
}
