//! The custody log: bytes in, and out comes what they say. A pure function of the entries and the trusted CAs, the same for seller,
//! Carrier API, transport, operator, board and verifier.
//!
//! Every entry gets a [`Verdict`]. Genuine events stand in their authors' chains and go through the state machine; what is not genuine is
//! kept, shown and built upon by nothing. Order is the log's; what an author had seen (`seen`) must stand before it.

mod chain;
mod part;
mod sign;
mod verdict;

use crate::{
    event::{Author, SignedEvent},
    fact::Kind,
    id::{Bytes, EventId, Name, Uid},
    key::Ed25519Key,
    machine::{Input, Machine, State},
    phase::{Phase, Stage},
    statement::{KeyStatement, StatementError},
    trust::Trust,
};
use chain::Chains;

pub use part::PartError;
pub use sign::SignError;
pub use verdict::{Invalid, Verdict};

/// The most entries a log can hold.
pub const CAPACITY: usize = 256;
/// Of these, how many are kept for endings ([`Kind::is_ending`]).
pub const RESERVED: usize = 16;

/// Which delivery a log is about. What is signed for another one has no place in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subject {
    /// The uid of the Delivery.
    pub delivery: Uid,
    /// Its namespace: no statement of another one counts.
    pub namespace: Name,
    /// The uid of its Seller.
    pub seller: Uid,
}

/// A log and what it says.
#[derive(Debug, Clone)]
pub struct Log {
    subject: Subject,
    trust: Trust,
    entries: Vec<Entry>,
    chains: Chains,
    machine: Machine,
}

/// One entry and what became of it.
#[derive(Debug, Clone)]
pub struct Entry {
    content: Result<SignedEvent, Bytes>,
    verdict: Verdict,
}

/// Whether an entry of this kind may stand at this position.
pub fn has_place(position: usize, kind: Kind) -> bool {
    position < CAPACITY - RESERVED || (position < CAPACITY && kind.is_ending())
}

impl Log {
    /// A log without entries.
    pub fn new(subject: Subject, trust: &Trust) -> Self {
        let (chains, machine) = (Chains::default(), Machine::new());
        Self { subject, trust: trust.clone(), entries: Vec::new(), chains, machine }
    }

    /// Reads a whole log.
    pub fn read<'b>(subject: Subject, trust: &Trust, entries: impl IntoIterator<Item = &'b [u8]>) -> Self {
        let mut log = Self::new(subject, trust);
        for entry in entries {
            log.push(entry);
        }
        log
    }

    /// Adds one entry, whatever it is, and says what becomes of it.
    pub fn push(&mut self, bytes: &[u8]) -> &Verdict {
        let (content, verdict) = match SignedEvent::read(bytes) {
            Ok(signed) => {
                let verdict = self.judge(&signed);
                (Ok(signed), verdict)
            }
            Err(error) => (Err(Bytes(bytes.to_vec())), Verdict::Invalid(Invalid::Unreadable(error))),
        };
        let genuine = verdict.is_genuine();
        self.entries.push(Entry { content, verdict });
        if genuine {
            self.cut_carriers();
        }
        &self.entries.last().expect("an entry was just added").verdict
    }

    fn judge(&mut self, signed: &SignedEvent) -> Verdict {
        let position = self.entries.len();
        let kind = signed.event().kind();
        if !has_place(position, kind) {
            let full = position >= CAPACITY;
            return Verdict::Invalid(if full { Invalid::Full } else { Invalid::Reserved });
        }
        if let Err(invalid) = self.chains.take(signed, position, &self.subject, &self.trust) {
            return Verdict::Invalid(invalid);
        }
        let event = signed.event();
        let seen = event.seen.and_then(|seen| self.chains.place(&seen)).map(|place| place.seq);
        let input = Input {
            id: signed.id(),
            delivery: &self.subject.delivery,
            author: event.author,
            uid: &event.uid,
            seq: event.seq,
            seen,
            attempt: event.attempt,
            fact: &event.fact,
        };
        match self.machine.on(&input) {
            Ok(effect) => Verdict::Counts(effect),
            Err(refusal) => Verdict::Refused(refusal),
        }
    }

    /// A hold or an assignment can end a carrier's word further back than the log has come: then the whole log is read again, with
    /// that end known from the start. An honest seller has seen everything that stands before its event, so this is for the others.
    fn cut_carriers(&mut self) {
        let Some(Ok(last)) = self.entries.last().map(|entry| entry.content.as_ref()) else { return };
        if !self.chains.cut(last) {
            return;
        }
        let mut again = Self::new(self.subject.clone(), &self.trust);
        again.chains = Chains::with_cuts_of(&self.chains);
        for entry in &self.entries {
            again.push(entry.bytes());
        }
        *self = again;
    }

    /// Before an event is written that is not in the log yet: whoever states its author's keys must count now. The
    /// statements of CAs that counted once are for what stands there already.
    pub fn check_new(&self, signed: &SignedEvent) -> Result<(), StatementError> {
        let statement = signed.event().statement.as_ref();
        statement.map_or(Ok(()), |bytes| self.trust.statement(&bytes.0).map(drop))
    }

    pub fn subject(&self) -> &Subject {
        &self.subject
    }

    pub fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// Everything that follows from the events that count.
    pub fn state(&self) -> &State {
        self.machine.state()
    }

    /// The machine as this log leaves it.
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    pub fn phase(&self) -> Phase {
        self.state().phase()
    }

    /// The part of the address that is open now.
    pub fn stage(&self) -> Option<Stage> {
        self.state().stage()
    }

    /// Entries that show an author signing two different events with one number.
    pub fn forks(&self) -> impl Iterator<Item = (usize, &Entry)> {
        let is_fork = |entry: &Entry| matches!(entry.verdict, Verdict::Invalid(Invalid::Fork { .. }));
        self.entries.iter().enumerate().filter(move |(_, entry)| is_fork(entry))
    }

    /// A genuine event of this log.
    pub fn event(&self, id: &EventId) -> Option<&SignedEvent> {
        let place = self.chains.place(id)?;
        self.entries.get(place.position)?.event()
    }

    /// The statement an author's next event is checked with.
    pub fn statement_of(&self, author: Author, uid: &Uid) -> Option<&KeyStatement> {
        self.chains.get(author, uid).map(chain::Chain::statement)
    }

    /// The key an author's next event is checked with.
    pub fn key_of(&self, author: Author, uid: &Uid) -> Option<&Ed25519Key> {
        self.statement_of(author, uid).map(|statement| &statement.ed25519)
    }

    /// The number an author's next event has, and the id it builds on: what a 409 tells.
    pub fn expected(&self, author: Author, uid: &Uid) -> (u32, Option<EventId>) {
        self.chains.get(author, uid).map_or((0, None), |chain| (chain.next(), Some(chain.last)))
    }

    /// An author's genuine events from this number on, in their order: what an agent sends again after an answer with the
    /// [`expected`](Self::expected) number.
    pub fn events_of(&self, author: Author, uid: &Uid, from: u32) -> impl Iterator<Item = &SignedEvent> {
        let chain = self.chains.get(author, uid);
        let positions = chain.into_iter().flat_map(move |chain| chain.positions(from));
        positions.filter_map(|position| self.entries.get(position)?.event())
    }

    /// What a carrier's agent may lack: every genuine event of others after the last one it says it has seen, oldest first, as far as
    /// `budget` bytes go.
    pub fn news_for(&self, carrier: &Uid, budget: usize) -> Vec<Bytes> {
        let seen = self.chains.get(Author::Transport, carrier).and_then(|chain| chain.seen);
        let own = |signed: &SignedEvent| signed.event().author == Author::Transport && signed.event().uid == *carrier;
        let news = self.entries.iter().skip(seen.map_or(0, |position| position + 1));
        let mut left = budget;
        news.filter(|entry| entry.verdict.is_genuine())
            .filter_map(Entry::event)
            .filter(|signed| !own(signed))
            .map_while(|signed| {
                left = left.checked_sub(signed.bytes().len())?;
                Some(Bytes(signed.bytes().to_vec()))
            })
            .collect()
    }
}

impl Entry {
    pub fn verdict(&self) -> &Verdict {
        &self.verdict
    }

    /// The event, if the entry is one at all. Not necessarily genuine: see [`Entry::verdict`].
    pub fn event(&self) -> Option<&SignedEvent> {
        self.content.as_ref().ok()
    }

    /// What stands in the log.
    pub fn bytes(&self) -> &[u8] {
        match &self.content {
            Ok(signed) => signed.bytes(),
            Err(bytes) => &bytes.0,
        }
    }
}
