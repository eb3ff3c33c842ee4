//! A participant that can sign: its statement and the key that statement names, checked to belong together once, so that nothing is ever
//! signed that nobody can verify.

use core::fmt;

use ed25519_dalek::SigningKey;

use crate::{
    event::Author,
    id::{Bytes, Uid},
    key::Ed25519Key,
    statement::{KeyStatement, Role, StatementError},
    trust::Trust,
};

/// A statement and its signing key.
#[derive(Clone)]
pub struct Signer {
    statement: KeyStatement,
    statement_bytes: Bytes,
    key: SigningKey,
}

/// Why a key and a statement do not make a signer.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignerError {
    #[error("failed to verify own key statement")]
    Statement(#[source] StatementError),
    #[error("the statement names another key than the one at hand")]
    AnotherKey,
}

impl Signer {
    /// `seed`: the raw 32 bytes of `ed25519.seed`.
    pub fn new(statement: &[u8], trust: &Trust, seed: &[u8; 32]) -> Result<Self, SignerError> {
        let key = SigningKey::from_bytes(seed);
        let bytes = Bytes(statement.to_vec());
        let statement = trust.statement(statement).map_err(SignerError::Statement)?;
        if statement.ed25519 != Ed25519Key::from(key.verifying_key()) {
            return Err(SignerError::AnotherKey);
        }
        Ok(Self { statement, statement_bytes: bytes, key })
    }

    pub fn uid(&self) -> &Uid {
        &self.statement.uid
    }

    pub fn statement(&self) -> &KeyStatement {
        &self.statement
    }

    /// The statement as the CA signed it.
    pub fn statement_bytes(&self) -> &Bytes {
        &self.statement_bytes
    }

    /// As whom it signs events.
    pub fn author(&self) -> Author {
        match self.statement.role {
            Role::Seller => Author::Seller,
            Role::Carrier => Author::Transport,
            Role::CarrierApi => Author::Person,
        }
    }

    pub(crate) fn key(&self) -> &SigningKey {
        &self.key
    }
}

impl fmt::Debug for Signer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Signer").field("statement", &self.statement).finish_non_exhaustive()
    }
}
