//! The keys of an attempt: made fresh at its beginning, in the journal before anybody hears of them, made anew where
//! they were lost, and erased when the attempt ends.

use rand::Rng;
use waybill_protocol::fact::reason::ErasedScope;
use waybill_protocol::{AgreementSecret, Author, Bytes, Fact, Mac, X25519Key};
use zeroize::Zeroizing;

use super::{Effect, Job, Time};
use crate::journal::{HeldKey, Record};

impl Job {
    /// Takes the job, or says again that it did. False if this hello is not for an attempt that can be accepted now.
    pub(super) fn accept(&mut self, attempt: u32, nonce: Mac, protocol: u16, now: Time) -> bool {
        let Some(seller) = self.seller().and_then(|seller| seller.x25519) else { return false };
        if self.standing.forgotten {
            return false;
        }
        let state = self.log.state();
        if let Some(before) = state.acceptance_of(self.uid()).filter(|_| self.attempt_lives(attempt)) {
            let same = before.nonce == nonce && self.held.key.as_ref().is_some_and(|key| key.seller == seller);
            return same || self.rekey(nonce, seller, now);
        }
        if attempt > state.attempt() + 1 {
            // The log has come further than this agent knows.
            self.standing.sure = false;
        }
        let begins = state.attempt_to_accept() == Some(attempt);
        let joins = attempt == state.attempt() && state.acceptance_of(self.uid()).is_none();
        (begins || joins) && {
            let (key, attempt_key) = self.fresh_key(attempt, seller);
            self.state_with(key, Fact::Accepted { attempt_key, nonce, protocol }, now)
        }
    }

    fn attempt_lives(&self, attempt: u32) -> bool {
        let state = self.log.state();
        state.attempt() == attempt && state.attempt_key(self.uid()).is_some()
    }

    /// The attempt goes on with another key: the old one is lost, or the seller's changed.
    fn rekey(&mut self, nonce: Mac, seller: X25519Key, now: Time) -> bool {
        let (key, attempt_key) = self.fresh_key(self.log.state().attempt(), seller);
        self.state_with(key, Fact::Rekeyed { attempt_key, nonce }, now)
    }

    /// Where the log says that this agent accepted and no journal holds the key, the key was lost. The nonce of the
    /// acceptance stands in the log: only the seller of then could have made it, and it checks it again.
    pub(super) fn mend_keys(&mut self, now: Time) {
        if self.standing.forgotten {
            return;
        }
        let state = self.log.state();
        let Some(before) = state.acceptance_of(self.uid()).filter(|_| self.attempt_lives(state.attempt())) else {
            return;
        };
        let held = self.held.key.as_ref().is_some_and(|key| key.secret().public() == before.attempt_key);
        let nonce = before.nonce;
        if !held && let Some(seller) = self.seller().and_then(|seller| seller.x25519) {
            self.rekey(nonce, seller, now);
        }
    }

    fn fresh_key(&mut self, attempt: u32, seller: X25519Key) -> (HeldKey, X25519Key) {
        let mut bytes = Zeroizing::new([0; 32]);
        self.rng.fill_bytes(bytes.as_mut());
        let attempt_key = AgreementSecret::from_bytes(*bytes).public();
        (HeldKey { attempt, secret: *bytes, seller }, attempt_key)
    }

    /// Signs a fact about a key and takes the key with it. The key stands first in the journal: an event without its
    /// key would lock this agent out.
    fn state_with(&mut self, key: HeldKey, fact: Fact, now: Time) -> bool {
        self.keep(Record::Key { key: key.clone() });
        let stated = self.state(fact, now);
        if stated {
            self.held.key = Some(key);
        }
        stated
    }

    /// What an answer to a hello brings: the acceptance that counts and all that followed from this agent.
    pub(super) fn since_acceptance(&self) -> Vec<Bytes> {
        let Some(accepted) = self.log.state().acceptance_of(self.uid()) else { return Vec::new() };
        let seq = self.log.event(&accepted.event).map_or(0, |signed| signed.event().seq);
        self.own_events(seq.min(self.post.acknowledged()))
    }

    /// Once the attempt is over nothing of it is kept, and the log says so. One write does both.
    pub(super) fn end_attempt(&mut self, now: Time) {
        let over = !self.attempt_lives(self.log.state().attempt());
        if over && self.holds_secrets() {
            self.erase(ErasedScope::Attempt, now);
        }
    }

    /// The seller wants the order forgotten: nothing but this agent's own word is kept.
    pub(super) fn erase_delivery(&mut self, now: Time) {
        if self.standing.forgotten {
            return self.say_news(self.own_tail());
        }
        self.held.photo = None;
        self.recall();
        self.standing.forgotten = true;
        self.erase(ErasedScope::Delivery, now);
        self.say_news(self.own_tail());
    }

    fn erase(&mut self, scope: ErasedScope, now: Time) {
        self.held.wipe();
        self.state(Fact::Erased { scope }, now);
        // What this round wanted kept stands in the snapshot, or was among what is erased.
        self.out.retain(|effect| !matches!(effect, Effect::Keep(_) | Effect::Rewrite(_)));
        self.out.insert(0, Effect::Rewrite(self.snapshot()));
    }

    fn own_tail(&self) -> Vec<Bytes> {
        let next = self.log.expected(Author::Transport, self.uid()).0;
        self.own_events(next.saturating_sub(1))
    }
}
