//! Writing into a log: the next event of an author, with its place filled in, refused before it is signed where the state machine would
//! not let it count.

use super::Log;
use crate::{
    codec::WireError,
    event::{Author, Event, SignedEvent},
    fact::{Fact, Kind},
    id::{Bytes, Uid, UnixMillis},
    machine::{Input, Refusal},
    phase::Phase,
    signer::Signer,
    version,
};

/// Why an event is not signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    #[error("the event would not count: {0}")]
    Refused(#[source] Refusal),
    #[error("{0} is not a participant of this delivery")]
    Stranger(Uid),
    #[error("the signer's key is not the one its chain has now: rotate first")]
    KeyNotCurrent,
    #[error("the new statement is not a later one of the same signer")]
    NotARotation,
    #[error("the log has no place left for {0}")]
    NoPlace(Kind),
    #[error("failed to encode event: {0}")]
    Wire(#[source] WireError),
}

impl Log {
    /// Signs the next event of `signer` at this point of the log. Make it durable, then [`push`](Log::push) it.
    pub fn sign(&self, signer: &Signer, fact: Fact, at: UnixMillis) -> Result<SignedEvent, SignError> {
        self.check_signer(signer)?;
        let first = self.chains.get(signer.author(), signer.uid()).is_none();
        let statement = first.then(|| signer.statement_bytes().clone());
        self.sign_with(signer, fact, at, statement)
    }

    /// Signs the change from one statement to the next: by the old key, carrying the new statement.
    pub fn rotate(&self, old: &Signer, new: &Signer, at: UnixMillis) -> Result<SignedEvent, SignError> {
        self.check_signer(old)?;
        self.check_stranger(new)?;
        let later = old.uid() == new.uid() && old.author() == new.author() && {
            let chain = self.chains.get(old.author(), old.uid()).ok_or(SignError::NotARotation)?;
            new.statement().epoch > chain.statement().epoch
        };
        if !later {
            return Err(SignError::NotARotation);
        }
        self.sign_with(old, Fact::KeyRotated, at, Some(new.statement_bytes().clone()))
    }

    /// Whether the state machine would let this fact count if it came next.
    pub fn allows(&self, author: Author, uid: &Uid, fact: &Fact) -> Result<(), Refusal> {
        let seen = self.chains.last_of_other_side(author).and_then(|seen| self.chains.place(&seen));
        let input = Input {
            // No event has this id, so none refers to it.
            id: crate::id::Hash::NONE,
            delivery: &self.subject.delivery,
            author,
            uid,
            seq: self.chains.get(author, uid).map_or(0, super::chain::Chain::next),
            seen: seen.map(|place| place.seq),
            attempt: self.attempt_of(fact),
            fact,
        };
        self.machine.clone().on(&input).map(|_| ())
    }

    fn sign_with(
        &self,
        signer: &Signer,
        fact: Fact,
        at: UnixMillis,
        statement: Option<Bytes>,
    ) -> Result<SignedEvent, SignError> {
        let author = signer.author();
        if !super::has_place(self.entries.len(), fact.kind()) {
            return Err(SignError::NoPlace(fact.kind()));
        }
        self.allows(author, signer.uid(), &fact).map_err(SignError::Refused)?;
        let chain = self.chains.get(author, signer.uid());
        let event = Event {
            version: version::CURRENT,
            delivery: self.subject.delivery.clone(),
            author,
            uid: signer.uid().clone(),
            seq: chain.map_or(0, super::chain::Chain::next),
            prev: chain.map(|chain| chain.last),
            seen: self.chains.last_of_other_side(author),
            at,
            attempt: self.attempt_of(&fact),
            fact,
            statement,
        };
        SignedEvent::sign(event, signer.key()).map_err(SignError::Wire)
    }

    fn check_signer(&self, signer: &Signer) -> Result<(), SignError> {
        self.check_stranger(signer)?;
        match self.chains.get(signer.author(), signer.uid()) {
            Some(chain) if chain.statement().ed25519 != signer.statement().ed25519 => Err(SignError::KeyNotCurrent),
            _ => Ok(()),
        }
    }

    fn check_stranger(&self, signer: &Signer) -> Result<(), SignError> {
        let seller = signer.author() != Author::Seller || *signer.uid() == self.subject.seller;
        if seller && signer.statement().namespace == self.subject.namespace {
            return Ok(());
        }
        Err(SignError::Stranger(signer.uid().clone()))
    }

    /// An acceptance begins the next attempt; everything else belongs to this one.
    fn attempt_of(&self, fact: &Fact) -> u32 {
        let state = self.machine.state();
        let begins = fact.kind() == Kind::Accepted && state.phase_beneath() != Phase::Accepted;
        state.attempt() + u32::from(begins)
    }
}
