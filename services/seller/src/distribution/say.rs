//! What should be out to the carrier: a pure function of the case. It is built from the log each time it is sent, so what is
//! said is always what is true.

use waybill_protocol::fact::reason::ErasedScope;
use waybill_protocol::seller_to_carrier::{Message, Offer, Token};
use waybill_protocol::{
    Author, Bytes, Conversation, Custody, DoorGate, EventId, Fact, Hash, KeyStatement, Kind, Log, Outgoing, Phase,
    Recipient, SignedEvent, Stage, Uid, UnixMillis, Upc, commitment, version,
};

use super::case::{Case, rekeyed};
use super::decide::acceptance;
use super::facts::{Facts, Found};
use super::label;

/// As many bytes of events as go with one message.
const NEWS: usize = 24 << 10;
/// After the end of a delivery its carrier is told so for this long.
const FAREWELL: u64 = 3_600_000;

/// Which message it is. Another one is due at once, the same one again after a pause.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct Out {
    pub(crate) what: What,
    pub(crate) carrier: Uid,
    pub(crate) attempt: u32,
    pub(crate) about: EventId,
    /// Of the attempt: what was said to a key that is lost is said again to the new one at once.
    pub(crate) key: Option<[u8; 32]>,
}

/// What is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) enum What {
    Hello,
    HandOver,
    Part(Stage),
    News,
    Erase,
}

impl Case {
    /// The message that should be out until it is answered, if any.
    pub(crate) fn outstanding(&self, now: UnixMillis) -> Option<Out> {
        let facts = self.facts.as_ref()?;
        // The hold that says so may not be written yet: whoever lost its identity hears nothing from now on.
        if facts.lost.is_some() {
            return None;
        }
        let state = facts.log.state();
        if let Some(out) = erasure(facts, now) {
            return Some(out);
        }
        if state.hold().is_some_and(|hold| hold.reason.cuts_carrier()) {
            return None;
        }
        if let Some(attempt) = state.attempt_to_accept()
            && !state.phase().is_terminal()
        {
            let carrier = may_be_asked(facts)?;
            return Some(Out { what: What::Hello, carrier: carrier.clone(), attempt, about: Hash::NONE, key: None });
        }
        let carrier = state.carrier()?.clone();
        let key = state.attempt_key(&carrier).map(|key| *key.as_bytes());
        let out = |what, about| Out { what, carrier: carrier.clone(), attempt: state.attempt(), about, key };
        let label =
            rekeyed(&facts.log, &carrier).filter(|event| !self.is_labelled(event) && needs_label(facts, &carrier));
        let said = match state.unanswered() {
            // Without its label an agent that lost what it had could not go on with any part.
            _ if label.is_some() => return label.map(|event| out(What::HandOver, event)),
            Some((stage, released)) => {
                let ready = self.part(&released).is_some() && self.order().is_some() && !facts.seller.suspended;
                ready.then(|| out(What::Part(stage), released))
            }
            None if state.phase() == Phase::Accepted && state.is_handed_over() => {
                Some(out(What::HandOver, last(&facts.log, Kind::HandedOver)?))
            }
            None => self.news(facts, &carrier, now).map(|about| out(What::News, about)),
        };
        said.filter(|out| matches!(out.what, What::HandOver) || !self.is_received(&out.about))
    }

    /// The seller's last event, where the carrier has not shown that it knows it.
    fn news(&self, facts: &Facts, carrier: &Uid, now: UnixMillis) -> Option<EventId> {
        if last_word(facts).is_some_and(|end| now >= end) {
            return None;
        }
        let lacks = !facts.log.news_for(carrier, NEWS).is_empty();
        let last = facts.log.expected(Author::Seller, &facts.log.subject().seller).1;
        last.filter(|_| lacks)
    }

    /// The message itself, and to which key it goes.
    pub(crate) fn message(&self, out: &Out, now: UnixMillis) -> Option<(Conversation, Outgoing<Message>, Recipient)> {
        let facts = self.facts.as_ref()?;
        let body = match out.what {
            What::Hello => hello(facts, out.attempt)?,
            What::HandOver => Message::HandOver { label: picture(facts, &out.carrier) },
            What::Part(stage) => self.part_message(facts, stage, &out.about, now)?,
            What::News => Message::News {},
            What::Erase => Message::Erase {},
        };
        let attempt_key = || {
            acceptance(facts, &facts.log, &out.carrier)?;
            facts.log.state().attempt_key(&out.carrier)
        };
        let to = match (out.what, attempt_key()) {
            (What::Hello, _) => Recipient::Statement(statement(facts, &out.carrier)?.x25519?),
            (_, Some(key)) => Recipient::Attempt(key),
            // What is to be unreadable once the attempt is over never goes to a key that outlives it.
            (What::Part(_) | What::HandOver, None) => return None,
            (What::News | What::Erase, None) => Recipient::Statement(statement(facts, &out.carrier)?.x25519?),
        };
        let subject = facts.log.subject();
        let conversation = Conversation {
            seller: subject.seller.clone(),
            carrier: out.carrier.clone(),
            delivery: subject.delivery.clone(),
        };
        let events = facts.log.news_for(&out.carrier, NEWS);
        Some((conversation, Outgoing { attempt: out.attempt, about: out.about, events, body }, to))
    }

    fn part_message(&self, facts: &Facts, stage: Stage, released: &EventId, now: UnixMillis) -> Option<Message> {
        let (part, order) = (self.part(released)?, self.order()?);
        let uid = facts.uid();
        let salt = order.salt(&facts.keys, uid, stage);
        // An order that changed a moment ago is committed to anew first; nothing else would be believed.
        let committed = facts.log.state().commitments()?.of(stage);
        if commitment(uid, part, &salt) != committed {
            return None;
        }
        let token = facts.keys.tokens.link(uid.as_str(), &facts.delivery.spec.upc, stage, now);
        Some(Message::Part { part: Bytes(part.encode()), salt, token: Token::new(token).ok()? })
    }
}

/// When the last word to the carrier of a finished delivery was said often enough.
pub(super) fn last_word(facts: &Facts) -> Option<UnixMillis> {
    let after = |at: u64| Some(UnixMillis(at.saturating_add(FAREWELL)));
    let finished = facts.delivery.status.as_ref().and_then(|status| status.finished_at.as_ref());
    let ended = finished.and_then(|at| u64::try_from(at.0.as_millisecond()).ok()).and_then(after);
    // What was said last counts; it is the seller's own clock.
    let forgotten = facts.log.state().forgotten().and_then(|_| event_of(&facts.log, Kind::Forgotten));
    ended.max(forgotten.and_then(|event| after(event.event().at.0)))
}

/// The agent is to wipe what it holds, until it has said that it did.
fn erasure(facts: &Facts, now: UnixMillis) -> Option<Out> {
    let state = facts.log.state();
    if !facts.is_to_be_forgotten() || !state.phase().is_terminal() {
        return None;
    }
    let carrier = state.carrier()?;
    let wiped = facts
        .log
        .events_of(Author::Transport, carrier, 0)
        .any(|event| matches!(event.event().fact, Fact::Erased { scope: ErasedScope::Delivery }));
    let too_late = state.forgotten().is_some() && last_word(facts).is_some_and(|end| now >= end);
    let (attempt, about) = (state.attempt(), Hash::NONE);
    (!wiped && !too_late).then(|| Out { what: What::Erase, carrier: carrier.clone(), attempt, about, key: None })
}

/// Whether the label is still to be scanned, by an agent that has no parcel in its hands.
fn needs_label(facts: &Facts, carrier: &Uid) -> bool {
    let state = facts.log.state();
    let carries = matches!(state.phase(), Phase::PickedUp | Phase::InTransit);
    carries && state.door_gate() == DoorGate::AwaitsScan && is_managed(facts, carrier)
}

/// The carrier a hello may go to: named, ready, its keys known, and not in somebody else's place.
fn may_be_asked(facts: &Facts) -> Option<&Uid> {
    let carrier = facts.carrier.as_ref().filter(|carrier| !carrier.revoked && carrier.statement.is_some())?;
    let state = facts.log.state();
    let mine = state.assigned().or(state.carrier()).is_none_or(|current| *current == carrier.uid);
    let wanted = facts.delivery.spec.cancelled.is_none() && !facts.seller.suspended;
    let order = !matches!(facts.order, Found::Missing { .. });
    (mine && wanted && order && facts.ready()).then_some(&carrier.uid)
}

fn hello(facts: &Facts, attempt: u32) -> Option<Message> {
    let carrier = facts.carrier.as_ref()?;
    let proof = facts.delivery.spec.proof.unwrap_or_default();
    Some(Message::Hello {
        statement: facts.keys.signer.statement_bytes().clone(),
        nonce: facts.nonce(attempt),
        min: version::MIN,
        current: version::CURRENT,
        offer: Offer {
            upc: Upc::new(facts.delivery.spec.upc.clone()).ok()?,
            photo: proof.photo.unwrap_or(carrier.camera),
            scan: proof.scan.unwrap_or(carrier.camera),
            window: None,
        },
    })
}

/// For an agent without a parcel in its hands, where the terms ask for a scan.
fn picture(facts: &Facts, carrier: &Uid) -> Option<waybill_protocol::seller_to_carrier::Picture> {
    let scan = facts.log.state().terms().is_some_and(|terms| terms.scan);
    (scan && is_managed(facts, carrier)).then(|| label::picture(&facts.keys.label, facts.uid())).flatten()
}

fn is_managed(facts: &Facts, carrier: &Uid) -> bool {
    statement(facts, carrier).is_some_and(|statement| statement.custody == Custody::Managed)
}

/// The keys of a carrier: what the cluster says now, or what it showed in the log.
fn statement<'f>(facts: &'f Facts, carrier: &Uid) -> Option<&'f KeyStatement> {
    let current = facts.carrier.as_ref().filter(|current| current.uid == *carrier);
    let current = current.and_then(|current| current.statement.as_ref());
    current.or_else(|| facts.log.statement_of(Author::Transport, carrier))
}

fn last(log: &Log, kind: Kind) -> Option<EventId> {
    event_of(log, kind).map(SignedEvent::id)
}

/// The last of this kind that counts.
fn event_of(log: &Log, kind: Kind) -> Option<&SignedEvent> {
    let counted = log.entries().iter().rev().filter(|entry| entry.verdict().counts());
    counted.filter_map(|entry| entry.event()).find(|signed| signed.event().kind() == kind)
}
