//! The Seller's own keys, from its mounted Secrets, followed while running.
//!
//! They count once the CA's statement names them: before, nothing could be signed that anybody would believe. Keys never
//! change; a statement does, when certificate or CA do.

use std::fmt;
use std::sync::Arc;

use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::probes::Gate;
use waybill_protocol::{AgreementSecret, Role, Signer, SignerError, Trust};
use zeroize::Zeroizing;

use crate::token::Tokens;

/// Files of Secret `wb-seller-<name>-keys`.
pub(crate) const FILES: &[&str] = &["ed25519.seed", "x25519.key", "commit.key", "statement"];
/// Files of Secret `wb-seller-<name>-label`.
pub(crate) const LABEL_FILES: &[&str] = &["label.key"];

type Key = Zeroizing<[u8; 32]>;

/// All of them.
pub(crate) struct Keys {
    pub(crate) signer: Signer,
    pub(crate) agreement: AgreementSecret,
    /// Makes hellos and, for orders without a salt of their own, commitments.
    pub(crate) commit: Key,
    /// Makes labels and recipients' codes.
    pub(crate) label: Key,
    pub(crate) tokens: Tokens,
}

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keys").field("signer", &self.signer).finish_non_exhaustive()
    }
}

/// Why there are no keys yet.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("no file {0}")]
    Missing(&'static str),
    #[error("file {0} is not 32 bytes long")]
    Length(&'static str),
    #[error("failed to use the key statement")]
    Signer(#[source] SignerError),
    #[error("the key statement is of another role or uid")]
    Foreign,
}

/// What keys are made of, each followed.
#[derive(Debug, Clone)]
pub(crate) struct Sources {
    pub(crate) keys: watch::Receiver<Arc<Files>>,
    pub(crate) label: watch::Receiver<Arc<Files>>,
    pub(crate) trust: watch::Receiver<Trust>,
    /// Of the Seller.
    pub(crate) uid: String,
}

/// The keys, none until all of them and their statement are there. What is damaged later leaves the last good ones.
pub(crate) fn follow(mut sources: Sources, gate: Gate) -> watch::Receiver<Option<Arc<Keys>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let made = sources.make();
            match made {
                Ok(keys) => {
                    gate.open();
                    sender.send_replace(Some(Arc::new(keys)));
                }
                Err(error) if sender.borrow().is_none() => gate.close(error.to_string()),
                Err(error) => tracing::warn!(%error, "kept the last good keys"),
            }
            let alive = tokio::select! {
                () = sender.closed() => false,
                changed = sources.keys.changed() => changed.is_ok(),
                changed = sources.label.changed() => changed.is_ok(),
                changed = sources.trust.changed() => changed.is_ok(),
            };
            if !alive {
                return;
            }
        }
    });
    receiver
}

impl Sources {
    fn make(&mut self) -> Result<Keys, Error> {
        let files = self.keys.borrow_and_update().clone();
        let label = self.label.borrow_and_update().clone();
        let trust = self.trust.borrow_and_update().clone();
        let seed = key(&files, "ed25519.seed")?;
        let statement = files.get("statement").ok_or(Error::Missing("statement"))?;
        let signer = Signer::new(statement, &trust, &seed).map_err(Error::Signer)?;
        let stated = signer.statement();
        if stated.role != Role::Seller || stated.uid.as_str() != self.uid {
            return Err(Error::Foreign);
        }
        Ok(Keys {
            tokens: Tokens::new(stated, &seed),
            agreement: AgreementSecret::from_bytes(*key(&files, "x25519.key")?),
            commit: key(&files, "commit.key")?,
            label: key(&label, "label.key")?,
            signer,
        })
    }
}

fn key(files: &Files, name: &'static str) -> Result<Key, Error> {
    let bytes = files.get(name).ok_or(Error::Missing(name))?;
    bytes.try_into().map(Zeroizing::new).map_err(|_| Error::Length(name))
}
