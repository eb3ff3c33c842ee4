//! Which CAs count, which counted once, and a memory of what was verified already.
//!
//! A seller reads the same few events again at every change of a delivery; with a memory it pays for each signature once. What is
//! remembered is the digest of key and signed bytes together, so nothing is believed that was not verified just so.

use core::fmt;
use std::{
    collections::{BTreeSet, VecDeque},
    sync::{Arc, Mutex, PoisonError},
};

use sha2::{Digest, Sha256};

use crate::{
    codec::WireError,
    event::SignedEvent,
    key::Ed25519Key,
    statement::{CaKey, KeyStatement, StatementError},
};

/// The CAs whose statements count, and those of the past, whose statements count where they stand in a log. Cheap to clone;
/// clones share their memory.
#[derive(Clone)]
pub struct Trust {
    cas: Arc<[CaKey]>,
    former: Arc<[CaKey]>,
    memory: Option<Arc<Mutex<Memory>>>,
}

/// The digests of what verified, the oldest forgotten first.
struct Memory {
    capacity: usize,
    known: BTreeSet<[u8; 32]>,
    oldest_first: VecDeque<[u8; 32]>,
}

impl Trust {
    /// Trust in these CAs, verifying everything every time.
    pub fn new(cas: impl Into<Arc<[CaKey]>>) -> Self {
        Self { cas: cas.into(), former: Arc::default(), memory: None }
    }

    /// The same, remembering the last `capacity` signatures that verified (about 100 bytes each).
    pub fn remembering(cas: impl Into<Arc<[CaKey]>>, capacity: usize) -> Self {
        let memory = Memory { capacity, known: BTreeSet::new(), oldest_first: VecDeque::new() };
        Self { cas: cas.into(), former: Arc::default(), memory: Some(Arc::new(Mutex::new(memory))) }
    }

    /// With CAs that counted once: for statements that stand in a log already, and for nothing else. What was remembered
    /// before is forgotten.
    #[must_use]
    pub fn with_former(self, former: impl Into<Arc<[CaKey]>>) -> Self {
        let capacity = self.with_memory(Some([0; 32]), |memory, _| memory.capacity);
        let plain = match capacity {
            Some(capacity) => Self::remembering(self.cas, capacity),
            None => Self::new(self.cas),
        };
        Self { former: former.into(), ..plain }
    }

    /// The CAs that count now: for whatever is new.
    pub fn cas(&self) -> &[CaKey] {
        &self.cas
    }

    /// A statement by a CA that counts now, whatever its dates: see [`KeyStatement::verify_recorded`].
    pub fn statement(&self, bytes: &[u8]) -> Result<KeyStatement, StatementError> {
        self.known_or(b"current", bytes, |bytes| KeyStatement::verify_recorded(bytes, &self.cas))
    }

    /// A statement as it stands in a log, by a CA that counts now or counted once: see [`KeyStatement::verify_recorded`].
    pub fn recorded_statement(&self, bytes: &[u8]) -> Result<KeyStatement, StatementError> {
        self.known_or(b"statement", bytes, |bytes| match KeyStatement::verify_recorded(bytes, &self.cas) {
            Err(StatementError::UnknownCa(_)) => KeyStatement::verify_recorded(bytes, &self.former),
            verified => verified,
        })
    }

    fn known_or(
        &self,
        what: &[u8],
        bytes: &[u8],
        verify: impl FnOnce(&[u8]) -> Result<KeyStatement, StatementError>,
    ) -> Result<KeyStatement, StatementError> {
        let digest = self.digest(&[what, bytes]);
        if self.knows(digest) {
            return KeyStatement::read_verified(bytes).map_err(StatementError::Wire);
        }
        let statement = verify(bytes)?;
        self.learn(digest);
        Ok(statement)
    }

    /// An event's signature: see [`SignedEvent::verify`].
    pub fn verify(&self, signed: &SignedEvent, key: &Ed25519Key) -> Result<(), WireError> {
        let digest = self.digest(&[b"event", key.as_bytes(), signed.bytes()]);
        if self.knows(digest) {
            return Ok(());
        }
        signed.verify(key)?;
        self.learn(digest);
        Ok(())
    }

    /// None where there is no memory to look it up in.
    fn digest(&self, parts: &[&[u8]]) -> Option<[u8; 32]> {
        self.memory.as_ref()?;
        let mut hash = Sha256::new();
        for part in parts {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        Some(hash.finalize().into())
    }

    fn knows(&self, digest: Option<[u8; 32]>) -> bool {
        self.with_memory(digest, |memory, digest| memory.known.contains(&digest)).unwrap_or(false)
    }

    fn learn(&self, digest: Option<[u8; 32]>) {
        self.with_memory(digest, Memory::learn);
    }

    fn with_memory<T>(&self, digest: Option<[u8; 32]>, act: impl FnOnce(&mut Memory, [u8; 32]) -> T) -> Option<T> {
        let (memory, digest) = (self.memory.as_ref()?, digest?);
        // A panic elsewhere leaves at worst a digest that will be learned again.
        let mut memory = memory.lock().unwrap_or_else(PoisonError::into_inner);
        Some(act(&mut memory, digest))
    }
}

impl Memory {
    fn learn(&mut self, digest: [u8; 32]) {
        if !self.known.insert(digest) {
            return;
        }
        self.oldest_first.push_back(digest);
        if self.oldest_first.len() > self.capacity
            && let Some(oldest) = self.oldest_first.pop_front()
        {
            self.known.remove(&oldest);
        }
    }
}

impl fmt::Debug for Trust {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Trust").field("cas", &self.cas).field("former", &self.former).finish_non_exhaustive()
    }
}
