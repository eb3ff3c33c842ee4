//! What can go wrong with identities, each with what was being done. No key, certificate text or CSR is ever part of it.

use std::sync::Arc;

use super::{ca, crl, keys, ledger, statement, x509};

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the certificate authority is not ready yet")]
    NotReady,
    #[error("failed to use the certificate authority")]
    Authority(#[source] ca::store::Error),
    #[error("failed to write the ledger")]
    Ledger(#[source] ledger::Error),
    #[error("failed to keep the list of revocations")]
    Revocations(#[source] crl::store::Error),
    #[error("failed to sign the certificate of {owner}")]
    Sign {
        owner: String,
        #[source]
        source: ca::Error,
    },
    #[error("failed to state the keys of {owner}")]
    Statement {
        owner: String,
        #[source]
        source: statement::Error,
    },
    #[error("failed to make a key")]
    Key(#[source] x509::key::Error),
    #[error("failed to use Secret {namespace}/{name}")]
    Damaged {
        namespace: String,
        name: String,
        #[source]
        source: keys::Damaged,
    },
    #[error("failed to {verb} {what}")]
    Api {
        verb: &'static str,
        what: String,
        #[source]
        source: Arc<kube::Error>,
    },
    #[error("failed to write {what}: somebody else did at the same time")]
    Contended { what: String },
}

// The sources are this module's own; callers match on the outer kind and print the chain.
impl Error {
    pub(crate) fn api(verb: &'static str, what: impl Into<String>) -> impl FnOnce(kube::Error) -> Self {
        let what = what.into();
        move |source| Self::Api { verb, what, source: Arc::new(source) }
    }
}
