//! The envelope of every message: signed by its sender for one receiver and one key, then sealed to that key.
//!
//! What is signed names sender, receiver, the key it is sealed to, delivery, attempt, direction and event. So a receiver can't pass a
//! message on as if it were meant for someone else, and nobody can strip a signature and put their own name under someone else's words.

use core::fmt;
use std::collections::VecDeque;

use hpke::rand_core::CryptoRng;
use minicbor::{Decode, Encode};

use crate::{
    carrier_to_seller,
    codec::{self, WireError},
    cose::{self, Domain, Sign1},
    id::{Bytes, EventId, Hash, Name, Uid, UnixMillis},
    key::{AgreementSecret, Ed25519Key, X25519Key},
    seal::{Binding, Frame, MAX_FRAME, SealedTo},
    seller_to_carrier,
    signer::Signer,
    statement::{KeyStatement, Role, StatementError},
    topic::{Direction, Topic},
    trust::Trust,
    version,
};

const WHAT: &str = "message";

/// Who talks with whom about what: a topic without its direction.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Conversation {
    pub seller: Uid,
    pub carrier: Uid,
    pub delivery: Uid,
}

/// What one side wants to say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Outgoing<B> {
    pub attempt: u32,
    /// The event it is about; [`Hash::NONE`] if none.
    pub about: EventId,
    /// Entries of the log the receiver may lack, oldest first.
    pub events: Vec<Bytes>,
    pub body: B,
}

/// What the other side said, and certainly said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Incoming<B> {
    pub attempt: u32,
    pub about: EventId,
    pub events: Vec<Bytes>,
    pub body: B,
    /// The message's name: the same whenever the same is said again. See [`Replays`].
    pub id: Hash,
}

/// The receiver's key a message is sealed to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Recipient {
    Statement(X25519Key),
    Attempt(X25519Key),
}

/// What a carrier's agent goes by when a message comes down.
#[derive(Debug, Clone, Copy)]
pub struct SellerTrust<'a> {
    /// The seller's statement as the log or an earlier hello showed it. Without one, only a hello is listened to; with one, no hello
    /// with an older statement is.
    pub known: Option<&'a KeyStatement>,
    pub trust: &'a Trust,
    pub namespace: &'a Name,
    pub now: UnixMillis,
}

/// Why a message is not sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SealError {
    #[error("the message has {size} bytes when sealed, at most {limit} can be sent")]
    TooLarge { size: usize, limit: usize },
    #[error("the {0:?} of this conversation is another than the signer")]
    NotTheSender(Direction),
}

/// Why a message is dropped. Count it; don't answer it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    #[error("failed to read message: {0}")]
    Wire(#[source] WireError),
    #[error("the frame does not open with this key for this delivery, attempt, direction and event")]
    DoesNotOpen,
    #[error("the message was signed for another {0}")]
    Misdirected(&'static str),
    #[error("the seller's key is not known and this is no hello")]
    UnknownSeller,
    #[error("failed to verify the seller's statement: {0}")]
    Statement(#[source] StatementError),
    #[error("the statement is of another {0}")]
    ForeignStatement(&'static str),
}

impl OpenError {
    /// Written by a newer program: counted apart from what is forged.
    pub fn is_from_the_future(&self) -> bool {
        matches!(self, Self::Wire(WireError::FromTheFuture { .. }))
    }
}

/// A body that travels in one direction.
pub trait Body: Clone + Encode<()> + for<'b> Decode<'b, ()> + sealed::Sealed {
    const DIRECTION: Direction;
}

mod sealed {
    pub trait Sealed {}
}

impl sealed::Sealed for seller_to_carrier::Message {}
impl Body for seller_to_carrier::Message {
    const DIRECTION: Direction = Direction::Down;
}

impl sealed::Sealed for carrier_to_seller::Message {}
impl Body for carrier_to_seller::Message {
    const DIRECTION: Direction = Direction::Up;
}

/// What is signed.
#[derive(Encode, Decode)]
#[cbor(map)]
struct Envelope<B> {
    #[n(0)]
    version: u16,
    #[n(1)]
    delivery: Uid,
    #[n(2)]
    attempt: u32,
    #[n(3)]
    direction: Direction,
    #[n(4)]
    sender: Uid,
    #[n(5)]
    receiver: Uid,
    #[n(6)]
    receiver_key: X25519Key,
    #[n(7)]
    about: EventId,
    #[n(8)]
    events: Vec<Bytes>,
    #[n(9)]
    body: B,
}

impl Conversation {
    /// The topic of one direction.
    pub fn topic(&self, direction: Direction) -> Topic {
        let Self { seller, carrier, delivery } = self.clone();
        Topic { seller, carrier, delivery, direction }
    }

    fn sender(&self, direction: Direction) -> &Uid {
        match direction {
            Direction::Down => &self.seller,
            Direction::Up => &self.carrier,
        }
    }

    fn receiver(&self, direction: Direction) -> &Uid {
        match direction {
            Direction::Down => &self.carrier,
            Direction::Up => &self.seller,
        }
    }

    /// Signs and seals. What is too large is refused here, before anything is sent.
    pub fn seal<B: Body>(
        &self,
        message: &Outgoing<B>,
        signer: &Signer,
        to: Recipient,
        rng: &mut impl CryptoRng,
    ) -> Result<Vec<u8>, SealError> {
        if self.sender(B::DIRECTION) != signer.uid() {
            return Err(SealError::NotTheSender(B::DIRECTION));
        }
        let (sealed_to, key) = to.split();
        let envelope = Envelope {
            version: version::CURRENT,
            delivery: self.delivery.clone(),
            attempt: message.attempt,
            direction: B::DIRECTION,
            sender: signer.uid().clone(),
            receiver: self.receiver(B::DIRECTION).clone(),
            receiver_key: key,
            about: message.about,
            events: message.events.clone(),
            body: message.body.clone(),
        };
        let signed = cose::sign_eddsa(Domain::Message, signer.key(), &codec::encode(&envelope));
        let binding = Binding {
            delivery: &self.delivery,
            direction: B::DIRECTION,
            attempt: message.attempt,
            sealed_to,
            about: message.about,
        };
        let frame = Frame::seal(binding, &key, &signed, rng).encode();
        match frame.len() {
            size if size > MAX_FRAME => Err(SealError::TooLarge { size, limit: MAX_FRAME }),
            _ => Ok(frame),
        }
    }

    /// Opens what a carrier's agent sent. `carrier`: the keys it may sign with, those of its statement and of the log.
    pub fn open_up(
        &self,
        frame: &Frame,
        own: &AgreementSecret,
        carrier: &[Ed25519Key],
    ) -> Result<Incoming<carrier_to_seller::Message>, OpenError> {
        let signed = self.unseal(frame, Direction::Up, own)?;
        let envelope = Sign1::read_eddsa(Domain::Message, &signed).map_err(OpenError::Wire)?;
        let by_one = carrier.iter().any(|key| envelope.verify_eddsa(Domain::Message, key).is_ok());
        if !by_one {
            return Err(OpenError::Wire(WireError::BadSignature { what: WHAT }));
        }
        self.check(frame, own, &envelope)
    }

    /// Opens what a seller sent: with its known key, or, if it is a hello, with the statement it brings.
    pub fn open_down(
        &self,
        frame: &Frame,
        own: &AgreementSecret,
        trust: SellerTrust<'_>,
    ) -> Result<(Incoming<seller_to_carrier::Message>, Option<KeyStatement>), OpenError> {
        let signed = self.unseal(frame, Direction::Down, own)?;
        let envelope = Sign1::read_eddsa(Domain::Message, &signed).map_err(OpenError::Wire)?;
        let incoming = self.check(frame, own, &envelope)?;
        let statement = match &incoming.body {
            seller_to_carrier::Message::Hello { statement, .. } => Some(self.seller_statement(statement, trust)?),
            _ => None,
        };
        let key = statement.as_ref().or(trust.known).map(|statement| &statement.ed25519);
        envelope.verify_eddsa(Domain::Message, key.ok_or(OpenError::UnknownSeller)?).map_err(OpenError::Wire)?;
        Ok((incoming, statement))
    }

    fn seller_statement(&self, bytes: &Bytes, trust: SellerTrust<'_>) -> Result<KeyStatement, OpenError> {
        let statement = KeyStatement::verify(&bytes.0, trust.trust.cas(), trust.now).map_err(OpenError::Statement)?;
        let same = [
            ("role", statement.role == Role::Seller),
            ("uid", statement.uid == self.seller),
            ("namespace", statement.namespace == *trust.namespace),
            ("epoch", trust.known.is_none_or(|known| statement.epoch >= known.epoch)),
        ];
        match same.into_iter().find(|(_, same)| !same) {
            Some((what, _)) => Err(OpenError::ForeignStatement(what)),
            None => Ok(statement),
        }
    }

    fn unseal(&self, frame: &Frame, direction: Direction, own: &AgreementSecret) -> Result<Vec<u8>, OpenError> {
        frame.open(&self.delivery, direction, own).map_err(|_| OpenError::DoesNotOpen)
    }

    /// Whether what was signed is what was sealed, for us, here.
    fn check<B: Body>(
        &self,
        frame: &Frame,
        own: &AgreementSecret,
        signed: &Sign1<'_>,
    ) -> Result<Incoming<B>, OpenError> {
        let envelope: Envelope<B> = codec::decode_versioned(WHAT, signed.payload).map_err(OpenError::Wire)?;
        let same = [
            ("delivery", envelope.delivery == self.delivery),
            ("attempt", envelope.attempt == frame.attempt),
            ("direction", envelope.direction == B::DIRECTION),
            ("sender", envelope.sender == *self.sender(B::DIRECTION)),
            ("receiver", envelope.receiver == *self.receiver(B::DIRECTION)),
            ("key", envelope.receiver_key == own.public()),
            ("event", envelope.about == frame.about),
        ];
        if let Some((what, _)) = same.into_iter().find(|(_, same)| !same) {
            return Err(OpenError::Misdirected(what));
        }
        let Envelope { attempt, about, events, body, .. } = envelope;
        Ok(Incoming { attempt, about, events, body, id: Hash(signed.id(Domain::Message)) })
    }
}

impl From<&Topic> for Conversation {
    fn from(topic: &Topic) -> Self {
        let Topic { seller, carrier, delivery, .. } = topic.clone();
        Self { seller, carrier, delivery }
    }
}

impl Recipient {
    fn split(self) -> (SealedTo, X25519Key) {
        match self {
            Self::Statement(key) => (SealedTo::Statement, key),
            Self::Attempt(key) => (SealedTo::Attempt, key),
        }
    }
}

/// The last messages of one conversation: what is said again is answered as before and done no second time.
///
/// It only spares work. What must not happen twice is kept from it by the log: an event has one number, a part is posted once, and the
/// newest position is the one with the highest number.
#[derive(Clone, Default)]
pub struct Replays {
    last: VecDeque<Hash>,
}

impl Replays {
    const KEPT: usize = 64;

    /// Whether this message is heard for the first time.
    pub fn first_time(&mut self, id: &Hash) -> bool {
        if self.last.contains(id) {
            return false;
        }
        if self.last.len() == Self::KEPT {
            self.last.pop_front();
        }
        self.last.push_back(*id);
        true
    }
}

impl fmt::Debug for Replays {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Replays({})", self.last.len())
    }
}
