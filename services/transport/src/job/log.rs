//! The custody log in the agent's hands: pushed into as the seller tells it, signed into as things happen, and read
//! anew from the Carrier API where the two no longer fit.

use std::sync::Arc;

use waybill_crds::delivery::LocationSharing;
use waybill_protocol::{Author, Bytes, Fact, KeyStatement, Log, Role, SignError, SignedEvent, Upc};

use super::{Dropped, Effect, Input, Job, LogRead, Own, Time};
use crate::journal::Record;

impl Job {
    /// Signs a fact into the log, to be kept before it leaves. False if the machine would not let it count.
    pub(super) fn state(&mut self, fact: Fact, now: Time) -> bool {
        let kind = fact.kind();
        if let Err(error) = self.try_state(fact, now) {
            tracing::warn!(delivery = %self.delivery(), %kind, %error, "did not sign an event");
            return false;
        }
        true
    }

    pub(super) fn try_state(&mut self, fact: Fact, now: Time) -> Result<(), SignError> {
        let signed = match self.log.sign(&self.own.signer, fact.clone(), now.device) {
            Err(SignError::KeyNotCurrent) => {
                self.rotate(now)?;
                self.log.sign(&self.own.signer, fact, now.device)?
            }
            signed => signed?,
        };
        self.take_own(&signed);
        Ok(())
    }

    /// The new key's first event is signed by the old one.
    fn rotate(&mut self, now: Time) -> Result<(), SignError> {
        let current = self.log.key_of(Author::Transport, self.uid());
        let old = self.own.former.iter().find(|former| Some(&former.statement().ed25519) == current);
        let old = old.ok_or(SignError::KeyNotCurrent)?;
        let signed = self.log.rotate(old, &self.own.signer, now.device)?;
        self.take_own(&signed);
        Ok(())
    }

    fn take_own(&mut self, signed: &SignedEvent) {
        self.log.push(signed.bytes());
        self.standing.closed = false;
        self.post.is_news(signed.event().kind());
        self.keep(Record::Event { bytes: Bytes(signed.bytes().to_vec()) });
    }

    /// Events of others, as a message brought them. What is not genuine is left out: nothing here shows it to anyone.
    pub(super) fn learn(&mut self, events: &[Bytes]) {
        for bytes in events {
            let Ok(signed) = SignedEvent::read(&bytes.0) else { continue };
            if self.log.event(&signed.id()).is_some() {
                continue;
            }
            let mut with = self.log.clone();
            if with.push(&bytes.0).is_genuine() {
                self.log = with;
                self.standing.closed = false;
                self.keep(Record::Event { bytes: bytes.clone() });
                self.hear_acknowledgement(&signed);
            }
        }
    }

    /// What the seller has seen of this agent stands in the log.
    pub(super) fn hear_acknowledgement(&mut self, signed: &SignedEvent) {
        let seen = (signed.event().author == Author::Seller).then_some(signed.event().seen).flatten();
        let seen = seen.and_then(|seen| self.log.event(&seen)).map(SignedEvent::event);
        if let Some(event) = seen.filter(|event| event.author == Author::Transport && event.uid == *self.uid()) {
            self.post.acknowledge(event.seq + 1);
        }
    }

    pub(super) fn read_log(&mut self) {
        // A delivery without a name was neither offered nor listed: there is nothing to ask for.
        let upc = self.upc.clone().filter(|_| !self.standing.reading);
        if let Some(upc) = upc {
            self.standing.reading = true;
            self.out.push(Effect::ReadLog { upc });
        }
    }

    /// The Carrier API lists the delivery: somebody may be waiting, and the log may have come further than the journal.
    pub(super) fn listed(&mut self, upc: Upc, expected: u32, location: LocationSharing) {
        self.spoken_of();
        self.shared.location = location;
        self.learn_upc(&upc);
        let next = self.log.expected(Author::Transport, self.uid()).0;
        if expected > next || self.seller().is_none() {
            self.standing.sure = false;
        }
        self.post.acknowledge(expected.min(next));
        self.standing.knock = true;
    }

    pub(super) fn log_read(&mut self, read: LogRead, now: Time) {
        self.standing.reading = false;
        self.shared.location = read.location;
        if let Some(bytes) = read.seller_statement {
            self.meet_by_api(bytes, now);
        }
        let merged = self.merge(&read.custody);
        if let Err(dropped) = merged {
            self.out.push(Effect::Drop(dropped));
        } else {
            self.standing.sure = true;
            if let Some(frame) = self.standing.waiting.take() {
                self.hear(frame, now);
            }
        }
    }

    /// The Carrier API's word is worth the CA's signature under it.
    fn meet_by_api(&mut self, bytes: Vec<u8>, now: Time) {
        let subject = self.log.subject();
        let verified = KeyStatement::verify(&bytes, self.own.trust.cas(), now.trusted).ok().filter(|statement| {
            statement.role == Role::Seller
                && statement.uid == subject.seller
                && statement.namespace == subject.namespace
        });
        match verified {
            Some(statement) => self.meet(statement, Bytes(bytes)),
            None => self.out.push(Effect::Drop(Dropped::Statement)),
        }
    }

    /// Takes the log in the order in which it stands, then what only this agent knows. An answer may be older than what
    /// is known here, so nothing genuine is given up for it. Fails if the agent's own word has no place after it, and if
    /// nothing in it is genuine: it may hold this agent's word, for all that can be told.
    fn merge(&mut self, custody: &[Vec<u8>]) -> Result<(), Dropped> {
        let mut log = Log::new(self.log.subject().clone(), &self.own.trust);
        for entry in custody {
            let mut with = log.clone();
            if with.push(entry).is_genuine() {
                log = with;
            }
        }
        if !custody.is_empty() && log.entries().is_empty() {
            return Err(Dropped::Unbelieved);
        }
        let (stored, read) = (log.expected(Author::Transport, self.uid()).0, log.clone());
        for entry in self.log.entries() {
            let known = entry.event().is_none_or(|signed| log.event(&signed.id()).is_some());
            if !known && !log.push(entry.bytes()).is_genuine() {
                return if self.yield_to(read) { Ok(()) } else { Err(Dropped::Fork) };
            }
        }
        let same =
            log.entries().iter().map(|entry| entry.bytes()).eq(self.log.entries().iter().map(|entry| entry.bytes()));
        if !same || std::mem::take(&mut self.standing.doubted) {
            self.standing.doubted = false;
            self.log = log;
            self.keep_all();
        }
        self.post.acknowledge(stored);
        Ok(())
    }

    /// The log holds own events that this journal does not: another life of this agent wrote them. They stand; what was
    /// never written of this one's does not. Its keys go with it: they are made anew.
    fn yield_to(&mut self, log: Log) -> bool {
        let stored = log.expected(Author::Transport, self.uid()).0;
        let written =
            |entry: &waybill_protocol::Entry| entry.event().is_some_and(|signed| log.event(&signed.id()).is_some());
        let sellers = |entry: &&waybill_protocol::Entry| {
            entry.event().is_some_and(|signed| signed.event().author == Author::Seller)
        };
        if !self.log.entries().iter().filter(sellers).all(written) {
            // It lacks what the seller certainly wrote: an old answer. Ask again.
            self.standing.sure = false;
            return false;
        }
        tracing::warn!(delivery = %self.delivery(), "own events in the log that this journal does not hold");
        self.log = log;
        let label = self.held.label.take();
        self.held.wipe();
        self.held.label = label;
        self.post.restart(stored);
        self.keep_all();
        true
    }

    /// All that is worth keeping, in the place of all that was kept and was to be kept in this round.
    pub(super) fn keep_all(&mut self) {
        self.out.retain(|effect| !matches!(effect, Effect::Keep(_) | Effect::Rewrite(_)));
        self.out.insert(0, Effect::Rewrite(self.snapshot()));
    }

    /// Other keys, other CAs: the log is read again with them.
    pub(super) fn keys_changed(&mut self, own: Arc<Own>) {
        self.own = own;
        let entries: Vec<Vec<u8>> = self.log.entries().iter().map(|entry| entry.bytes().to_vec()).collect();
        let log = Log::read(self.log.subject().clone(), &self.own.trust, entries.iter().map(Vec::as_slice));
        // A bundle that lacks the CA of an event that was believed is a bundle too short: keep what is known.
        let lost = log.entries().iter().any(|entry| !entry.verdict().is_genuine());
        if !lost {
            self.log = log;
        }
    }
}

impl Job {
    /// Feeds one input and forgets the effects: what a restored journal says happened long ago.
    pub(super) fn push_known(&mut self, bytes: &[u8]) -> bool {
        let mut with = self.log.clone();
        let genuine = with.push(bytes).is_genuine();
        if genuine {
            self.log = with;
            if let Ok(signed) = SignedEvent::read(bytes) {
                self.hear_acknowledgement(&signed);
            }
        }
        genuine
    }

    /// Wakes a job that was restored.
    pub fn start(&mut self, now: Time) -> Vec<Effect> {
        self.on(Input::Started, now)
    }
}
