//! The agent's keys and those it had before, beside its journals: a key that is replaced while the agent is down would
//! otherwise be gone before the log was told of the next one, and only a person could mend that.

use std::fs;
use std::path::PathBuf;

use minicbor::{Decode, Encode};
use waybill_chassis::telemetry::report;
use zeroize::Zeroizing;

use crate::renew;

/// Its name beside the journals.
pub(crate) const FILE: &str = "keys.kept";
/// Earlier keys that are remembered beside the current ones.
const FORMER: usize = 3;

/// Keys of one time.
#[derive(Clone, PartialEq, Eq, Encode, Decode)]
#[cbor(map)]
pub(crate) struct Keys {
    #[cbor(n(0), with = "minicbor::bytes")]
    seed: [u8; 32],
    #[cbor(n(1), with = "minicbor::bytes")]
    sealing: [u8; 32],
    #[cbor(n(2), with = "minicbor::bytes")]
    statement: Vec<u8>,
}

impl Drop for Keys {
    fn drop(&mut self) {
        zeroize::Zeroize::zeroize(&mut self.seed);
        zeroize::Zeroize::zeroize(&mut self.sealing);
    }
}

impl Keys {
    pub(crate) fn seed(&self) -> &[u8; 32] {
        &self.seed
    }

    pub(crate) fn sealing(&self) -> &[u8; 32] {
        &self.sealing
    }

    pub(crate) fn statement(&self) -> &[u8] {
        &self.statement
    }
}

/// The latest first.
pub(crate) struct Kept {
    path: PathBuf,
    keys: Vec<Keys>,
}

impl Kept {
    /// What is there; a damaged file is none, and is said.
    pub(crate) fn open(path: PathBuf) -> Self {
        let bytes = fs::read(&path).map(Zeroizing::new);
        let keys = bytes.map(|bytes| {
            minicbor::decode(&bytes).unwrap_or_else(|error| {
                tracing::warn!(%error, "can't read which keys were before");
                Vec::new()
            })
        });
        Self { path, keys: keys.unwrap_or_default() }
    }

    pub(crate) fn keys(&self) -> &[Keys] {
        &self.keys
    }

    /// A renewed statement of the same keys takes the place of the one before.
    pub(crate) fn remember(&mut self, seed: &[u8; 32], sealing: &[u8; 32], statement: &[u8]) {
        let current = Keys { seed: *seed, sealing: *sealing, statement: statement.to_vec() };
        if self.keys.first() == Some(&current) {
            return;
        }
        self.keys.retain(|keys| (keys.seed, keys.sealing) != (current.seed, current.sealing));
        self.keys.insert(0, current);
        self.keys.truncate(1 + FORMER);
        let bytes = Zeroizing::new(minicbor::to_vec(&self.keys).expect("encoding into memory does not fail"));
        if let Err(error) = renew::write(&self.path, &bytes) {
            tracing::warn!(error = %report(&error), "failed to keep which keys are in use");
        }
    }
}
