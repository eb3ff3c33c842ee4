//! What a hostile broker makes of what it sees, together with another carrier of the same house: genuine certificate, genuine
//! keys, and every frame that was ever meant for it. Pure: the same seed and the same captures make the same frames.

use std::collections::BTreeMap;

use hpke::aead::ChaCha20Poly1305;
use hpke::kdf::HkdfSha256;
use hpke::kem::X25519HkdfSha256 as Kem;
use hpke::{Deserializable, OpModeR, OpModeS, Serializable};
use rand::rngs::StdRng;
use rand::seq::IndexedRandom;
use rand::{Rng, RngExt, SeedableRng};
use waybill_protocol::seller_to_carrier::{self as down, Offer};
use waybill_protocol::{
    Bytes, Conversation, Direction, Frame, Hash, Mac, Outgoing, Recipient, SealedTo, Signer, Topic, Uid, Upc,
    X25519Key, carrier_to_seller as up, version,
};

use super::broker::Passing;
use crate::domain::Somebody;

/// Every way of tampering, in words.
pub(crate) const WAYS: [&str; 22] = [
    "a bit flipped",
    "several bytes overwritten",
    "cut short",
    "made longer",
    "junk",
    "nothing",
    "64 KiB of junk",
    "written in another form",
    "a key of low order",
    "of the future",
    "another attempt",
    "about another event",
    "for another key",
    "another's ciphertext",
    "of another delivery",
    "of the other direction",
    "of another carrier",
    "on no topic of ours",
    "signed by another carrier",
    "by another carrier in its own name",
    "of a house of its own",
    "passed on, stripped or signed anew",
];

/// Keys of the attackers, and what is public about the attacked.
pub(crate) struct Forger {
    rng: StdRng,
    /// A genuine carrier that works with the broker.
    thief: Somebody,
    /// Signs with the seller's uid; no authority of the house vouches for it.
    impostor: Signer,
    /// The statement keys of everybody, by uid.
    keys: BTreeMap<Uid, X25519Key>,
    seller: Uid,
}

impl Forger {
    pub(crate) fn new(seed: u64, thief: Somebody, impostor: Signer, parties: &[&Somebody]) -> Self {
        let key = |party: &&Somebody| (party.signer.uid().clone(), party.agreement.public());
        let keys = parties.iter().map(key).collect();
        Self { rng: StdRng::seed_from_u64(seed), thief, seller: impostor.uid().clone(), impostor, keys }
    }

    /// Another at the same work.
    pub(crate) fn twin(&self, seed: u64) -> Self {
        let Self { thief, impostor, keys, seller, .. } = self;
        let (thief, impostor, keys, seller) = (thief.clone(), impostor.clone(), keys.clone(), seller.clone());
        Self { rng: StdRng::seed_from_u64(seed), thief, impostor, keys, seller }
    }

    /// A frame that nobody may believe, made in this way from what was captured. `None` where it takes other captures.
    pub(crate) fn tamper(&mut self, way: &str, captured: &[Passing], direction: Direction) -> Option<Passing> {
        let tampered = self.tampered(way, captured, direction)?;
        // What comes out as somebody said it is no forgery but a repetition.
        (!captured.contains(&tampered)).then_some(tampered)
    }

    fn tampered(&mut self, way: &str, captured: &[Passing], direction: Direction) -> Option<Passing> {
        let (base, topic) = self.pick(captured, |topic| topic.direction == direction)?;
        let payload = base.payload.clone();
        let bent = match way {
            "a bit flipped" => Some(self.flipped(payload)),
            "several bytes overwritten" => self.overwritten(payload),
            "cut short" => Some(self.cut(payload)),
            "made longer" => Some(self.longer(payload)),
            "junk" => Some(self.junk()),
            "nothing" => Some(Vec::new()),
            "64 KiB of junk" => Some(vec![self.rng.random(); 64 * 1024]),
            "written in another form" => Some(another_form(payload)),
            "a key of low order" => Some(self.low_order(payload)),
            "of the future" => Some(future(payload)),
            "another attempt" => recoded(&payload, |frame| frame.attempt ^= 1 + self.rng.random_range(0..7_u32)),
            "about another event" => recoded(&payload, |frame| frame.about = Hash(self.rng.random())),
            "for another key" => recoded(&payload, |frame| {
                frame.sealed_to = match frame.sealed_to {
                    SealedTo::Statement => SealedTo::Attempt,
                    SealedTo::Attempt => SealedTo::Statement,
                };
            }),
            "another's ciphertext" => self.spliced(&payload, captured),
            _ => return self.misplaced(way, (base, topic), captured),
        }?;
        Some(Passing { payload: bent, ..base })
    }

    /// Frames as they were, where they do not belong; and new ones.
    fn misplaced(&mut self, way: &str, (base, topic): (Passing, Topic), captured: &[Passing]) -> Option<Passing> {
        let direction = topic.direction;
        match way {
            "of another delivery" => {
                let (_, other) = self.pick(captured, |other| {
                    other.direction == direction && other.carrier == topic.carrier && other.delivery != topic.delivery
                })?;
                Some(Passing { topic: other.to_string(), ..base })
            }
            "of the other direction" => {
                // What went up is put before the agent, and the other way round.
                let (other, _) =
                    self.pick(captured, |other| other.direction != direction && other.delivery == topic.delivery)?;
                Some(Passing { payload: other.payload, ..base })
            }
            "of another carrier" => {
                let (other, _) =
                    self.pick(captured, |other| other.direction == direction && other.carrier != topic.carrier)?;
                Some(Passing { payload: other.payload, ..base })
            }
            "on no topic of ours" => {
                let names = ["wb", "$SYS/broker", "wb/x/y/z/down", "wb/x/y/z/up"].map(str::to_owned);
                let other = Topic { seller: self.thief.signer.uid().clone(), ..topic.clone() };
                let names = names.into_iter().chain([format!("{topic}/"), topic.reply().to_string()]);
                let names: Vec<_> = names.chain((direction == Direction::Up).then(|| other.to_string())).collect();
                Some(Passing { topic: names.choose(&mut self.rng)?.clone(), ..base })
            }
            "signed by another carrier" => self.signed_by_thief(&topic, &topic.to_string()),
            "by another carrier in its own name" => {
                let own = Topic { carrier: self.thief.signer.uid().clone(), ..topic.clone() };
                let own = match direction {
                    Direction::Up => own,
                    Direction::Down => Topic { seller: self.thief.signer.uid().clone(), ..topic.clone() },
                };
                self.signed_by_thief(&topic, &own.to_string())
            }
            "of a house of its own" => self.of_another_house(&topic),
            "passed on, stripped or signed anew" => self.passed_on(&topic, captured),
            other => panic!("no such way: {other}"),
        }
    }

    fn pick(&mut self, captured: &[Passing], fits: impl Fn(&Topic) -> bool) -> Option<(Passing, Topic)> {
        let topics = captured.iter().filter_map(|frame| Some((frame, frame.topic.parse::<Topic>().ok()?)));
        // The thief works with the broker: what is meant for it is no news, and nothing of its own is attacked.
        let thief = self.thief.signer.uid();
        let fitting: Vec<_> = topics.filter(|(_, topic)| topic.carrier != *thief && fits(topic)).collect();
        fitting.choose(&mut self.rng).map(|(frame, topic)| ((*frame).clone(), topic.clone()))
    }

    fn flipped(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let bit = self.rng.random_range(0..bytes.len() * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        bytes
    }

    fn overwritten(&mut self, mut bytes: Vec<u8>) -> Option<Vec<u8>> {
        let (from, length) = (self.rng.random_range(0..bytes.len()), self.rng.random_range(1..40));
        let end = bytes.len().min(from + length);
        self.rng.fill_bytes(bytes.get_mut(from..end)?);
        Some(bytes)
    }

    fn cut(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        bytes.truncate(self.rng.random_range(0..bytes.len()));
        bytes
    }

    fn longer(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let more = self.rng.random_range(1..100);
        bytes.extend((0..more).map(|_| self.rng.random::<u8>()));
        bytes
    }

    fn junk(&mut self) -> Vec<u8> {
        let mut junk = vec![0; self.rng.random_range(1..2000)];
        self.rng.fill_bytes(&mut junk);
        junk
    }

    fn low_order(&mut self, mut bytes: Vec<u8>) -> Vec<u8> {
        let Ok(frame) = Frame::read(&bytes) else { return bytes };
        let at = bytes.windows(32).position(|window| window == frame.enc.as_bytes()).unwrap();
        let point: [u8; 32] = match self.rng.random_range(0..3) {
            0 => [0; 32],
            1 => std::array::from_fn(|index| u8::from(index == 0)),
            _ => std::array::from_fn(|index| [0xed, 0xff, 0x7f][usize::from(index > 0) + usize::from(index == 31)]),
        };
        bytes[at..at + 32].copy_from_slice(&point);
        bytes
    }

    fn spliced(&mut self, payload: &[u8], captured: &[Passing]) -> Option<Vec<u8>> {
        let other = self.pick(captured, |_| true)?.0;
        let other = Frame::read(&other.payload).ok()?;
        let both = self.rng.random();
        recoded(payload, |frame| {
            frame.ciphertext = other.ciphertext;
            if both {
                frame.enc = other.enc;
            }
        })
    }

    /// In the victim's conversation, sealed as it should be, with a genuine signature: the thief's.
    fn signed_by_thief(&mut self, topic: &Topic, on: &str) -> Option<Passing> {
        let thief = self.thief.signer.uid().clone();
        let payload = match topic.direction {
            Direction::Up => {
                let conversation = Conversation { carrier: thief, ..Conversation::from(topic) };
                let bodies =
                    [up::Message::Knock {}, up::Message::News {}, up::Message::Answer {}, up::Message::Received {}];
                let body = bodies.choose(&mut self.rng)?.clone();
                let message = self.saying(body);
                let to = Recipient::Statement(*self.keys.get(&topic.seller)?);
                conversation.seal(&message, &self.thief.signer, to, &mut self.rng).ok()?
            }
            Direction::Down => {
                let conversation = Conversation { seller: thief, ..Conversation::from(topic) };
                let statement = self.thief.signer.statement_bytes().clone();
                let message = self.saying_down(statement);
                let to = Recipient::Statement(*self.keys.get(&topic.carrier)?);
                conversation.seal(&message, &self.thief.signer, to, &mut self.rng).ok()?
            }
        };
        Some(Passing { to: receiver(topic), topic: on.to_owned(), payload })
    }

    /// As the seller, with a statement by an authority of the forger's own making.
    fn of_another_house(&mut self, topic: &Topic) -> Option<Passing> {
        if topic.direction == Direction::Up || topic.seller != self.seller {
            return None;
        }
        let statement = self.impostor.statement_bytes().clone();
        let message = self.saying_down(statement);
        let to = Recipient::Statement(*self.keys.get(&topic.carrier)?);
        let payload = Conversation::from(topic).seal(&message, &self.impostor, to, &mut self.rng).ok()?;
        Some(Passing { to: receiver(topic), topic: topic.to_string(), payload })
    }

    fn saying<B>(&mut self, body: B) -> Outgoing<B> {
        let about = if self.rng.random() { Hash::NONE } else { Hash(self.rng.random()) };
        Outgoing { attempt: self.rng.random_range(1..3), about, events: Vec::new(), body }
    }

    fn saying_down(&mut self, statement: Bytes) -> Outgoing<down::Message> {
        let offer = Offer { upc: Upc::new("upc-1").unwrap(), photo: false, scan: false, window: None };
        let hello = down::Message::Hello {
            statement,
            nonce: Mac(self.rng.random()),
            min: version::MIN,
            current: version::CURRENT,
            offer,
        };
        let bodies = [hello, down::Message::News {}, down::Message::HandOver { label: None }, down::Message::Erase {}];
        let body = bodies.choose(&mut self.rng).unwrap().clone();
        self.saying(body)
    }

    /// What the seller really signed for the thief, sealed anew to the victim: as it is, without its signature, or under the
    /// thief's.
    fn passed_on(&mut self, topic: &Topic, captured: &[Passing]) -> Option<Passing> {
        let thief = self.thief.signer.uid().clone();
        let meant = captured.iter().filter_map(|frame| Some((frame, frame.topic.parse::<Topic>().ok()?)));
        let meant = meant.filter(|(_, topic)| topic.carrier == thief && topic.direction == Direction::Down);
        let opened = meant.filter_map(|(frame, topic)| {
            let frame = Frame::read(&frame.payload).ok()?;
            (frame.sealed_to == SealedTo::Statement).then(|| self.opened(&frame, &topic))?
        });
        let mut signed = opened.collect::<Vec<_>>().choose(&mut self.rng)?.clone();
        let end = signed.len() - 64;
        match self.rng.random_range(0..3) {
            0 => {}
            1 => signed[end..].fill(0),
            _ => self.rng.fill_bytes(&mut signed[end..]),
        }
        let frame = self.sealed(&signed, topic)?;
        Some(Passing { to: receiver(topic), topic: topic.to_string(), payload: minicbor::to_vec(&frame).unwrap() })
    }

    /// With the thief's own key, as `docs/proof-format.md` says.
    fn opened(&self, frame: &Frame, topic: &Topic) -> Option<Vec<u8>> {
        let own = <Kem as hpke::Kem>::PrivateKey::from_bytes(&self.thief.secret).ok()?;
        let enc = <Kem as hpke::Kem>::EncappedKey::from_bytes(frame.enc.as_bytes()).ok()?;
        let info = info(topic, frame.attempt, frame.sealed_to, &frame.about);
        let context = hpke::setup_receiver::<ChaCha20Poly1305, HkdfSha256, Kem>(&OpModeR::Base, &own, &enc, &info);
        context.ok()?.open(&frame.ciphertext.0, &[]).ok()
    }

    fn sealed(&mut self, signed: &[u8], topic: &Topic) -> Option<Frame> {
        let receiver = Uid::new(receiver(topic)).ok()?;
        let key = <Kem as hpke::Kem>::PublicKey::from_bytes(self.keys.get(&receiver)?.as_bytes()).ok()?;
        let (attempt, sealed_to, about) = (1, SealedTo::Statement, Hash::NONE);
        let info = info(topic, attempt, sealed_to, &about);
        let (enc, mut context) = hpke::setup_sender_with_rng::<ChaCha20Poly1305, HkdfSha256, Kem>(
            &OpModeS::Base,
            &key,
            &info,
            &mut self.rng,
        )
        .ok()?;
        let ciphertext = Bytes(context.seal(signed, &[]).ok()?);
        let enc = X25519Key::from_bytes(&enc.to_bytes().into()).ok()?;
        Some(Frame { version: version::CURRENT, attempt, sealed_to, about, enc, ciphertext })
    }
}

fn receiver(topic: &Topic) -> String {
    match topic.direction {
        Direction::Down => topic.carrier.to_string(),
        Direction::Up => topic.seller.to_string(),
    }
}

fn info(topic: &Topic, attempt: u32, sealed_to: SealedTo, about: &Hash) -> Vec<u8> {
    let mut e = minicbor::Encoder::new(Vec::new());
    e.str("waybill.dev/seal").unwrap().u16(version::CURRENT).unwrap().str(topic.delivery.as_str()).unwrap();
    e.u32(attempt).unwrap().encode(topic.direction).unwrap().encode(sealed_to).unwrap().bytes(&about.0).unwrap();
    e.into_writer()
}

/// The same frame with other fields, in its one canonical form.
fn recoded(payload: &[u8], change: impl FnOnce(&mut Frame)) -> Option<Vec<u8>> {
    let mut frame = Frame::read(payload).ok()?;
    change(&mut frame);
    Some(minicbor::to_vec(&frame).unwrap())
}

/// The map's length in two bytes instead of one: what it says is the same.
fn another_form(mut payload: Vec<u8>) -> Vec<u8> {
    if let Some(head @ 0xa0..=0xb7) = payload.first().copied() {
        payload.splice(0..1, [0xb8, head & 0x1f]);
    }
    payload
}

fn future(mut payload: Vec<u8>) -> Vec<u8> {
    // A map, the key 0, the version.
    if let Some(version) = payload.get_mut(2) {
        *version = 2;
    }
    payload
}
