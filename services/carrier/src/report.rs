//! What an agent reports: the events of one post, read and judged against the log. Pure.
//!
//! A genuine event is taken whatever the state machine makes of it: a device says late what it did long ago, and the log has
//! to know. Only what no state could ever let count, or what has no place in its author's chain, is refused, and then
//! nothing of the post is written.

#[cfg(test)]
mod tests;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use waybill_crds::phase::MAX_NEW_EVENTS;
use waybill_protocol::{
    Author, Entry, EventId, Fact, Invalid, Kind, Log, Refusal as Machine, SignedEvent, Uid, Verdict, WireError,
};

/// The body of a post. One event may stand alone; the token belongs into the header and is tolerated here (D-19).
#[derive(Debug, Clone, Default, Deserialize, JsonSchema)]
pub(crate) struct Report {
    /// Signed events in base64, 1 to 8.
    #[serde(default)]
    pub(crate) events: Vec<String>,
    #[serde(default)]
    pub(crate) event: Option<String>,
    #[serde(default)]
    pub(crate) token: Option<String>,
}

/// Why a body holds no events.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Unreadable {
    #[error("the body holds no event; it needs 1 to {MAX_NEW_EVENTS} of them in `events`")]
    Empty,
    #[error("the body holds {0} events; a post may have {MAX_NEW_EVENTS}")]
    TooMany(usize),
    #[error("event {0} is no base64")]
    NotBase64(usize),
    #[error("event {0} can not be read: {1}")]
    Malformed(usize, WireError),
}

impl Report {
    /// The events in their order. Nothing about them is verified yet but their form.
    pub(crate) fn read(&self) -> Result<Vec<SignedEvent>, Unreadable> {
        let texts: Vec<&String> = self.event.iter().chain(&self.events).collect();
        match texts.len() {
            0 => return Err(Unreadable::Empty),
            count if count > MAX_NEW_EVENTS => return Err(Unreadable::TooMany(count)),
            _ => {}
        }
        let read = |(at, text): (usize, &String)| {
            let bytes = STANDARD.decode(text).map_err(|_| Unreadable::NotBase64(at))?;
            SignedEvent::read(&bytes).map_err(|error| Unreadable::Malformed(at, error))
        };
        texts.into_iter().enumerate().map(read).collect()
    }
}

/// Of one carrier, in one log: how many events may change nothing, how many there may be at all, and with those that end
/// something. What it says for nothing takes no place of others, and the end can always be told.
const IDLE: usize = 32;
const MOST: usize = 128;
const MOST_WITH_ENDINGS: usize = 144;

/// What became of one event, for its author.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Taken {
    pub(crate) id: String,
    /// Where it stands in the log, from 0.
    pub(crate) position: usize,
    pub(crate) new: bool,
    /// Whether the state machine took it.
    pub(crate) counts: bool,
    /// Why not, in one word.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) reason: Option<&'static str>,
}

/// A post that can be written.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) taken: Vec<Taken>,
    /// What the log does not hold yet.
    pub(crate) new: Vec<SignedEvent>,
    /// The log with them.
    pub(crate) after: Log,
}

/// Why a post is not written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Refused {
    /// An event of somebody else.
    Foreign { index: usize, id: EventId },
    /// It does not follow what the log holds of its author: look there and go on from it.
    OutOfChain { index: usize, id: EventId, reason: &'static str },
    /// It has no place in this log, now or later.
    Never { index: usize, id: EventId, reason: &'static str },
    /// Its author has filled its part of this log.
    TooMany { index: usize, id: EventId },
}

/// Judges the events of `carrier` against its log.
pub(crate) fn judge(before: &Log, carrier: &Uid, events: &[SignedEvent]) -> Result<Judged, Refused> {
    let (mut after, mut taken, mut new) = (before.clone(), Vec::new(), Vec::new());
    for (index, event) in events.iter().enumerate() {
        let id = event.id();
        if event.event().author != Author::Transport || event.event().uid != *carrier {
            return Err(Refused::Foreign { index, id });
        }
        if let Some(position) = position(&after, &id) {
            taken.push(take(&after, position, position >= before.entries().len()));
            continue;
        }
        if before.check_new(event).is_err() {
            return Err(Refused::Never { index, id, reason: "Statement" });
        }
        let verdict = after.push(event.bytes()).clone();
        if let Some(refused) = refusal(&verdict, index, id) {
            return Err(refused);
        }
        if is_too_much(&after, carrier) {
            return Err(Refused::TooMany { index, id });
        }
        taken.push(take(&after, after.entries().len() - 1, true));
        new.push(event.clone());
    }
    Ok(Judged { taken, new, after })
}

/// Whether the last event of this log is one too many of its author.
fn is_too_much(log: &Log, carrier: &Uid) -> bool {
    let own = |entry: &&Entry| {
        let event = entry.event().map(SignedEvent::event);
        let its = event.is_some_and(|event| event.author == Author::Transport && event.uid == *carrier);
        its && entry.verdict().is_genuine()
    };
    let own: Vec<&Entry> = log.entries().iter().filter(own).collect();
    let Some(last) = own.last() else { return false };
    match ends(last) {
        true => own.len() > MOST_WITH_ENDINGS,
        false => own.len() > MOST || (is_idle(last) && own.iter().filter(|entry| is_idle(entry)).count() > IDLE),
    }
}

/// Not taken by the state machine, or taken without moving the delivery or telling an end.
fn is_idle(entry: &Entry) -> bool {
    let posted = entry.event().is_some_and(|event| event.event().kind() == Kind::Posted);
    match entry.verdict() {
        Verdict::Counts(effect) => effect.from == effect.to && !posted && !ends(entry),
        Verdict::Refused(_) | Verdict::Invalid(_) => true,
    }
}

/// An end or its proof, and no way back and forth.
fn ends(entry: &Entry) -> bool {
    let kind = entry.event().map(|event| event.event().kind());
    let ending = kind.is_some_and(|kind| kind.is_ending() && !matches!(kind, Kind::Corrected | Kind::OnHold));
    ending && entry.verdict().counts()
}

/// Where a genuine event stands.
fn position(log: &Log, id: &EventId) -> Option<usize> {
    log.event(id)?;
    let same = |event: &SignedEvent| event.id() == *id;
    log.entries().iter().position(|entry| entry.verdict().is_genuine() && entry.event().is_some_and(same))
}

fn take(log: &Log, position: usize, new: bool) -> Taken {
    let entry = &log.entries()[position];
    let reason = match entry.verdict() {
        Verdict::Refused(refusal) => Some(refusal.code()),
        _ => None,
    };
    let id = entry.event().map(|event| event.id().to_string()).unwrap_or_default();
    Taken { id, position, new, counts: entry.verdict().counts(), reason }
}

fn refusal(verdict: &Verdict, index: usize, id: EventId) -> Option<Refused> {
    match verdict {
        Verdict::Counts(_) => None,
        Verdict::Refused(refusal) if was_ever_right(refusal) => None,
        Verdict::Refused(refusal) => Some(Refused::Never { index, id, reason: refusal.code() }),
        Verdict::Invalid(invalid) if follows_another(invalid) => {
            Some(Refused::OutOfChain { index, id, reason: invalid.code() })
        }
        Verdict::Invalid(invalid) => Some(Refused::Never { index, id, reason: invalid.code() }),
    }
}

/// What another state would have let count: its author may have been right where it was. Who may state what, and that
/// repeated scans are told together, does not depend on what others did meanwhile.
fn was_ever_right(refusal: &Machine) -> bool {
    !matches!(refusal, Machine::NotByThisAuthor { .. } | Machine::NotCoalesced { .. })
}

/// Its author and this log know different things: mended by looking at the log.
fn follows_another(invalid: &Invalid) -> bool {
    use Invalid as I;
    matches!(
        invalid,
        I::Gap { .. }
            | I::BrokenChain
            | I::Fork { .. }
            | I::Repeated { .. }
            | I::UnknownSeen
            | I::SeenGoesBack
            | I::StatementMissing
            | I::StatementUnexpected
    )
}

/// Whether this carrier has to do with this delivery: the job is its own, or was once, or it had a word in it before.
pub(crate) fn concerns(log: &Log, carrier: &Uid, named_in_spec: bool) -> bool {
    is_its_job(log, carrier, named_in_spec)
        || log.statement_of(Author::Transport, carrier).is_some()
        || was_given(log, carrier)
}

/// Whether the seller gave it the job at some time: what it did until it learned that it is another's now, it may say.
fn was_given(log: &Log, carrier: &Uid) -> bool {
    let given = |entry: &Entry| {
        let fact = entry.event().map(|signed| &signed.event().fact);
        entry.verdict().counts() && matches!(fact, Some(Fact::CarrierAssigned { carrier: given }) if given == carrier)
    };
    log.entries().iter().any(given)
}

/// Whether the job is this carrier's now: given by the seller, accepted, or, before any of that, named in the specification.
pub(crate) fn is_its_job(log: &Log, carrier: &Uid, named_in_spec: bool) -> bool {
    let state = log.state();
    match state.assigned().or(state.carrier()) {
        Some(holder) => holder == carrier,
        None => named_in_spec,
    }
}
