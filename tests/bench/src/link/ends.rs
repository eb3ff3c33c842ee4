//! Seller and carrier with keys by an authority, and what each does with a message.

use rand::SeedableRng;
use rand::rngs::StdRng;
use waybill_protocol::seller_to_carrier::{Message, Token};
use waybill_protocol::{
    AgreementSecret, Bytes, Conversation, Direction, Frame, Hash, Mac, Name, Outgoing, Recipient, Role, SellerTrust,
    Topic, TopicFilter, Trust, Uid, UnixMillis, carrier_to_seller,
};

use super::PAYLOAD;
use crate::domain::{Ca, Somebody};

/// Deliveries the messages are about, in turn.
const DELIVERIES: usize = 64;

/// Both of them, and what they know of each other.
pub(super) struct Pair {
    seller: Somebody,
    carrier: Somebody,
    attempt: AgreementSecret,
    trust: Trust,
    namespace: Name,
    conversations: Vec<Conversation>,
}

pub(super) struct Seller<'a>(&'a Pair, StdRng);
pub(super) struct Carrier<'a>(&'a Pair, StdRng);

impl Pair {
    pub(super) fn new() -> Self {
        let ca = Ca::new();
        let seller = ca.somebody(Role::Seller, "bench", "seller", "5e11e400-0000-4000-8000-000000000001");
        let carrier = ca.somebody(Role::Carrier, "bench", "carrier", "ca441e40-0000-4000-8000-000000000001");
        let name = |number: usize| Uid::new(format!("de11ee40-0000-4000-8000-{number:012}")).expect("a uid");
        let conversation = |number| Conversation {
            seller: seller.signer.uid().clone(),
            carrier: carrier.signer.uid().clone(),
            delivery: name(number),
        };
        let conversations = (0..DELIVERIES).map(conversation).collect();
        let (attempt, namespace) = (AgreementSecret::from_bytes(rand::random()), Name::new("bench").expect("a name"));
        Self { trust: ca.trust(), seller, carrier, attempt, namespace, conversations }
    }

    pub(super) fn seller_uid(&self) -> &str {
        self.seller.signer.uid().as_str()
    }

    pub(super) fn carrier_uid(&self) -> &str {
        self.carrier.signer.uid().as_str()
    }

    pub(super) fn to_seller(&self) -> String {
        TopicFilter::ToSeller(self.seller.signer.uid().clone()).to_string()
    }

    pub(super) fn to_carrier(&self) -> String {
        TopicFilter::ToCarrier(self.carrier.signer.uid().clone()).to_string()
    }

    pub(super) fn seller(&self, seed: u64) -> Seller<'_> {
        Seller(self, StdRng::seed_from_u64(seed))
    }

    pub(super) fn carrier(&self, seed: u64) -> Carrier<'_> {
        Carrier(self, StdRng::seed_from_u64(seed))
    }

    fn of(&self, number: usize) -> &Conversation {
        &self.conversations[number % DELIVERIES]
    }

    pub(super) fn down(&self, number: usize) -> String {
        self.of(number).topic(Direction::Down).to_string()
    }

    pub(super) fn up(&self, number: usize) -> String {
        self.of(number).topic(Direction::Up).to_string()
    }

    /// Which message a frame belongs to: it stands where the event's id stands.
    pub(super) fn number(&self, topic: &str, frame: &[u8]) -> anyhow::Result<usize> {
        let (_, about): (Topic, _) = (topic.parse()?, Frame::read(frame)?.about);
        let bytes: [u8; 8] = about.0[..8].try_into()?;
        Ok(usize::try_from(u64::from_be_bytes(bytes))?)
    }
}

fn about(number: usize) -> Hash {
    let mut about = [0; 32];
    about[..8].copy_from_slice(&(number as u64).to_be_bytes());
    Hash(about)
}

impl Seller<'_> {
    pub(super) fn says(&mut self, number: usize) -> Vec<u8> {
        let Self(pair, rng) = self;
        let token = Token::new("header.claims.signature").expect("a token");
        let body = Message::Part { part: Bytes(vec![0x5a; PAYLOAD]), salt: Mac([8; 32]), token };
        let message = Outgoing { attempt: 1, about: about(number), events: Vec::new(), body };
        let to = Recipient::Attempt(pair.attempt.public());
        pair.of(number).seal(&message, &pair.seller.signer, to, rng).expect("it is small enough")
    }

    pub(super) fn hears(&self, number: usize, frame: &[u8]) -> bool {
        let Self(pair, _) = self;
        let Ok(frame) = Frame::read(frame) else { return false };
        let key = pair.carrier.signer.statement().ed25519;
        let opened = pair.of(number).open_up(&frame, &pair.seller.agreement, &[key]);
        opened.is_ok_and(|said| said.body == carrier_to_seller::Message::Received {})
    }
}

impl Carrier<'_> {
    pub(super) fn answers(&mut self, number: usize, frame: &[u8]) -> Vec<u8> {
        let Self(pair, rng) = self;
        let frame = Frame::read(frame).expect("a frame of the bench's own");
        let known = pair.seller.signer.statement();
        let trust =
            SellerTrust { known: Some(known), trust: &pair.trust, namespace: &pair.namespace, now: UnixMillis(1) };
        let (heard, _) = pair.of(number).open_down(&frame, &pair.attempt, trust).expect("it opens");
        let body = carrier_to_seller::Message::Received {};
        let message = Outgoing { attempt: 1, about: heard.about, events: Vec::new(), body };
        let to = Recipient::Statement(pair.seller.agreement.public());
        pair.of(number).seal(&message, &pair.carrier.signer, to, rng).expect("it is small")
    }
}
