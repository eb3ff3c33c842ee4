//! Who this agent is: its keys and statement from a folder, its CAs from the published trust, both followed while it
//! runs. Keys of before are remembered, over restarts too: a rotation is signed by the old one, and messages to it may
//! still be under way.

mod kept;

use std::sync::Arc;

use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use tokio::sync::watch;
use waybill_chassis::files::Files;
use waybill_chassis::probes::Gate;
use waybill_protocol::{AgreementSecret, CaKey, Role, Signer, SignerError, StatementError, Trust};
use x509_parser::certificate::X509Certificate;
use x509_parser::parse_x509_certificate;
use zeroize::Zeroizing;

use crate::job::Own;
use crate::token::ApiTokens;

pub(crate) use kept::{FILE as KEPT, Kept};

/// Files of the keys folder.
pub const FILES: &[&str] = &["ed25519.seed", "x25519.key", "statement"];
/// Signatures that are remembered as good.
const MEMORY: usize = 4096;

/// The agent's keys at one moment, and what is made of them.
#[derive(Debug)]
pub struct Identity {
    pub own: Arc<Own>,
    pub tokens: ApiTokens,
}

/// Why there is no identity yet.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("no {0} among the keys")]
    Missing(&'static str),
    #[error("{0} is not 32 bytes")]
    Length(&'static str),
    #[error("failed to read a CA's certificate")]
    Certificate,
    #[error("a certificate of the bundle is not a CA's")]
    NoCa,
    #[error("failed to trust a CA")]
    Ca(#[source] StatementError),
    #[error("failed to sign with these keys")]
    Signer(#[source] SignerError),
    #[error("the statement is not a carrier's")]
    Role,
}

impl Error {
    /// As `/readyz` shows it.
    const fn word(&self) -> &'static str {
        match self {
            Self::Missing(_) => "a key is missing",
            Self::Length(_) => "a key is not 32 bytes",
            Self::Certificate | Self::NoCa | Self::Ca(_) => "the CA can't be read",
            Self::Signer(_) => "the statement is not for these keys",
            Self::Role => "the statement is not a carrier's",
        }
    }
}

/// The identity as files change; what can't be used leaves the last good one in force.
pub(crate) fn follow(
    (mut keys, mut published): (watch::Receiver<Arc<Files>>, watch::Receiver<Arc<Files>>),
    mut kept: Kept,
    gate: Gate,
) -> watch::Receiver<Option<Arc<Identity>>> {
    let (sender, receiver) = watch::channel(None);
    tokio::spawn(async move {
        loop {
            let (files, trust) = (keys.borrow_and_update().clone(), published.borrow_and_update().clone());
            match read(&files, &trust, &mut kept) {
                Ok(identity) => {
                    gate.open();
                    sender.send_replace(Some(Arc::new(identity)));
                }
                Err(error) => {
                    tracing::warn!(%error, "no new identity");
                    if sender.borrow().is_none() {
                        gate.close(error.word());
                    }
                }
            }
            let alive = tokio::select! {
                changed = keys.changed() => changed.is_ok(),
                changed = published.changed() => changed.is_ok(),
                () = sender.closed() => false,
            };
            if !alive {
                return;
            }
        }
    });
    receiver
}

fn read(files: &Files, published: &Files, kept: &mut Kept) -> Result<Identity, Error> {
    // Former CAs were taken from the operator alone: the mounted trust, or a renewal that it signed.
    let former = published.get("former-ca.crt").map(cas).transpose()?.unwrap_or_default();
    let trust = trust(published.get("ca.crt").ok_or(Error::Missing("ca.crt"))?)?.with_former(former);
    let (seed, x25519) = (secret(files, "ed25519.seed")?, secret(files, "x25519.key")?);
    let statement = files.get("statement").ok_or(Error::Missing("statement"))?;
    let signer = Signer::new(statement, &trust, &seed).map_err(Error::Signer)?;
    if signer.statement().role != Role::Carrier {
        return Err(Error::Role);
    }
    let tokens = ApiTokens::new(signer.statement(), &seed);
    kept.remember(&seed, &x25519, statement);
    Ok(Identity { own: Arc::new(own(signer, trust, kept)), tokens })
}

/// With what was in force before, where that was something else.
fn own(signer: Signer, trust: Trust, kept: &Kept) -> Own {
    let (mut former, mut agreement): (Vec<Signer>, Vec<AgreementSecret>) = (Vec::new(), Vec::new());
    for keys in kept.keys() {
        let secret = AgreementSecret::from_bytes(*keys.sealing());
        if agreement.iter().all(|known| known.public() != secret.public()) {
            agreement.push(secret);
        }
        // One whose CA is gone vouches for nothing any more.
        let Ok(before) = Signer::new(keys.statement(), &trust, keys.seed()) else { continue };
        let key = before.statement().ed25519;
        if key != signer.statement().ed25519 && former.iter().all(|known| known.statement().ed25519 != key) {
            former.push(before);
        }
    }
    Own { signer, former, agreement, trust }
}

fn secret(files: &Files, name: &'static str) -> Result<Zeroizing<[u8; 32]>, Error> {
    let bytes = files.get(name).ok_or(Error::Missing(name))?;
    bytes.try_into().map(Zeroizing::new).map_err(|_| Error::Length(name))
}

/// Whether this certificate may sign others: it says so itself, and its usages, where it names any, allow it.
pub(crate) fn is_ca(certificate: &X509Certificate<'_>) -> bool {
    let signs = certificate.key_usage().is_ok_and(|usage| usage.is_none_or(|usage| usage.value.key_cert_sign()));
    certificate.is_ca() && signs
}

/// The CAs of a bundle, as signers of statements. A bundle with anything else in it is not trusted at all.
pub fn trust(pem: &[u8]) -> Result<Trust, Error> {
    match cas(pem)? {
        none if none.is_empty() => Err(Error::Certificate),
        cas => Ok(Trust::remembering(cas, MEMORY)),
    }
}

fn cas(pem: &[u8]) -> Result<Vec<CaKey>, Error> {
    CertificateDer::pem_slice_iter(pem)
        .map(|der| {
            let der = der.map_err(|_| Error::Certificate)?;
            let (_, certificate) = parse_x509_certificate(&der).map_err(|_| Error::Certificate)?;
            if !is_ca(&certificate) {
                return Err(Error::NoCa);
            }
            CaKey::new(&der, &certificate.public_key().subject_public_key.data).map_err(Error::Ca)
        })
        .collect()
}
