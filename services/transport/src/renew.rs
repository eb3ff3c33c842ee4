//! Renewal of an agent no cluster reaches: it asks the Carrier API for what the operator has signed for it and writes it
//! into its own folders, from which everything else follows it. An expired leaf is no dead end: the request is signed
//! with the agent's own key, and no client certificate is shown.
//!
//! Trusted: only what the CAs we know have signed. A Carrier API can withhold a renewal, not slip in a CA: a certificate
//! of the bundle is taken over if it is a CA's and a CA known here signed it, or is of a key that such a one vouches for as
//! a CA's. A leaf vouches for nothing: the Carrier API has one.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use tokio_util::sync::CancellationToken;
use waybill_chassis::telemetry::report;
use waybill_chassis::tls::{self, Material};
use waybill_protocol::{KeyStatement, RenewalRequest, Trust};
use x509_parser::prelude::{FromDer, X509Certificate};

use crate::api::{Api, Error as ApiError};
use crate::clock::Clock;
use crate::keys::{self, Identity};

/// How often the leaf's life is looked at.
const LOOK: Duration = Duration::from_secs(60);

/// Why nothing was renewed.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Error {
    #[error("failed to {what} {path:?}")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("failed to read the leaf's dates")]
    Leaf,
    #[error("failed to ask for a renewal")]
    Ask(#[source] ApiError),
    #[error("the bundle holds a CA that none known here has signed")]
    ForeignCa,
    #[error("failed to use the renewed certificate")]
    Certificate(#[source] tls::Error),
    #[error("the renewed statement is not this agent's, or not its CA's")]
    Statement,
    #[error("the answer lacks its {0}")]
    Missing(&'static str),
}

/// What the Carrier API answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Renewed {
    certificate: Option<String>,
    statement: Option<String>,
    bundle: Option<String>,
    revocations: Option<serde_json::Value>,
}

/// The agent's own folders.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) tls: PathBuf,
    pub(crate) keys: PathBuf,
    pub(crate) trust: PathBuf,
}

/// Looks at the leaf's life and renews it in its last third, until `shutdown`.
pub(crate) async fn run(folders: Folders, api: Api, clock: Clock, shutdown: CancellationToken) {
    while !shutdown.is_cancelled() {
        if let Err(error) = look(&folders, &api, &clock).await {
            tracing::warn!(error = %report(&error), "no renewal");
        }
        tokio::select! {
            () = shutdown.cancelled() => return,
            () = tokio::time::sleep(LOOK) => {}
        }
    }
}

async fn look(folders: &Folders, api: &Api, clock: &Clock) -> Result<(), Error> {
    let chain = read(&folders.tls.join("tls.crt"))?;
    let (from, until) = dates(&chain)?;
    let now = i64::try_from(clock.now().trusted.as_secs()).unwrap_or(i64::MAX);
    if until - now > (until - from) / 3 {
        return Ok(());
    }
    let Some(identity) = api.identity() else { return Ok(()) };
    let request = RenewalRequest::sign(&identity.own.signer, clock.now().trusted);
    let bundle = read(&folders.trust.join("ca.crt"))?;
    let renewed = api.renew(&STANDARD.encode(request), &bundle).await.map_err(Error::Ask)?;
    take(folders, &identity, &bundle, &renewed)?;
    tracing::info!("renewed certificate and statement");
    Ok(())
}

/// Checks everything, then writes everything.
fn take(folders: &Folders, identity: &Identity, known: &[u8], renewed: &Renewed) -> Result<(), Error> {
    let part = |part: &'static str, text: &Option<String>| text.clone().ok_or(Error::Missing(part));
    let (certificate, bundle) = (part("certificate", &renewed.certificate)?, part("bundle", &renewed.bundle)?);
    let statement = part("statement", &renewed.statement)?;
    let statement = STANDARD.decode(statement).map_err(|_| Error::Statement)?;
    check_bundle(known, bundle.as_bytes())?;
    let key = read(&folders.tls.join("tls.key"))?;
    Material::from_pem(certificate.as_bytes(), &key, bundle.as_bytes()).map_err(Error::Certificate)?;
    let trust = keys::trust(bundle.as_bytes()).map_err(|_| Error::ForeignCa)?;
    check_statement(&statement, &trust, identity)?;
    write(&folders.trust.join("ca.crt"), bundle.as_bytes())?;
    write(&folders.tls.join("ca.crt"), bundle.as_bytes())?;
    write(&folders.keys.join("statement"), &statement)?;
    write(&folders.tls.join("tls.crt"), certificate.as_bytes())?;
    match &renewed.revocations {
        // Whether it is newer than the one in force is decided where it is read.
        Some(list) => write(&folders.trust.join("revoked.json"), list.to_string().as_bytes()),
        None => Ok(()),
    }
}

/// Ours, with our key, and no step back.
fn check_statement(bytes: &[u8], trust: &Trust, identity: &Identity) -> Result<(), Error> {
    let statement = KeyStatement::verify_recorded(bytes, trust.cas()).map_err(|_| Error::Statement)?;
    let before = identity.own.signer.statement();
    let ours = statement.uid == before.uid
        && statement.role == before.role
        && statement.namespace == before.namespace
        && statement.ed25519 == before.ed25519
        && statement.epoch >= before.epoch;
    if ours { Ok(()) } else { Err(Error::Statement) }
}

/// Every certificate of the new bundle is a known one, or a CA's: signed by a known one, or of the key of one that is.
fn check_bundle(known: &[u8], offered: &[u8]) -> Result<(), Error> {
    let (known, offered) = (certificates(known)?, certificates(offered)?);
    let vouched: Vec<X509Certificate<'_>> =
        offered.iter().filter_map(ca).filter(|one| known.iter().any(|by| signs(by, one))).collect();
    let good = |der: &CertificateDer<'static>| {
        let same_key =
            |one: &X509Certificate<'_>, other: &X509Certificate<'_>| one.public_key().raw == other.public_key().raw;
        let is_known = known.contains(der);
        is_known || ca(der).is_some_and(|one| vouched.iter().any(|other| same_key(&one, other)))
    };
    if !offered.is_empty() && offered.iter().all(good) { Ok(()) } else { Err(Error::ForeignCa) }
}

fn signs(by: &CertificateDer<'static>, one: &X509Certificate<'_>) -> bool {
    ca(by).is_some_and(|by| one.verify_signature(Some(by.public_key())).is_ok())
}

fn ca<'d>(der: &'d CertificateDer<'static>) -> Option<X509Certificate<'d>> {
    parsed(der).filter(keys::is_ca)
}

fn parsed<'d>(der: &'d CertificateDer<'static>) -> Option<X509Certificate<'d>> {
    X509Certificate::from_der(der).ok().map(|(_, certificate)| certificate)
}

fn certificates(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, Error> {
    CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| Error::ForeignCa)
}

/// From when to when, in seconds.
fn dates(chain: &[u8]) -> Result<(i64, i64), Error> {
    let leaf = certificates(chain).ok().and_then(|chain| chain.into_iter().next()).ok_or(Error::Leaf)?;
    let validity = parsed(&leaf).ok_or(Error::Leaf)?.validity().clone();
    Ok((validity.not_before.timestamp(), validity.not_after.timestamp()))
}

fn read(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::File { what: "read", path: path.to_owned(), source })
}

/// Whole or not at all.
fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let next = path.with_extension("next");
    let written = fs::write(&next, bytes).and_then(|()| fs::File::open(&next)?.sync_all());
    let written = written.and_then(|()| fs::rename(&next, path));
    written.map_err(|source| Error::File { what: "write", path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair, KeyUsagePurpose};

    fn ca(name: &str) -> (CertificateParams, KeyPair, String) {
        let (key, mut params) = (KeyPair::generate().unwrap(), CertificateParams::default());
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.distinguished_name.push(DnType::CommonName, name);
        let pem = params.self_signed(&key).unwrap().pem();
        (params, key, pem)
    }

    #[test]
    fn a_new_ca_comes_in_by_the_old_ones_signature_and_no_other_way() {
        let (old_params, old_key, old) = ca("old");
        let (new_params, new_key, new) = ca("new");
        let (_, _, foreign) = ca("foreign");
        let crossed = new_params.signed_by(&new_key, &Issuer::from_params(&old_params, &old_key)).unwrap().pem();
        let check = |offered: &str| check_bundle(old.as_bytes(), offered.as_bytes());
        assert!(check(&old).is_ok());
        assert!(check(&format!("{old}{new}{crossed}")).is_ok());
        assert!(check(&format!("{crossed}{new}")).is_ok());
        assert!(matches!(check(&format!("{old}{new}")), Err(Error::ForeignCa)));
        assert!(matches!(check(&format!("{old}{foreign}{crossed}")), Err(Error::ForeignCa)));
        assert!(matches!(check(""), Err(Error::ForeignCa)));
    }

    #[test]
    fn a_leaf_brings_no_ca_in_neither_itself_nor_by_its_key() {
        let (params, key, known) = ca("known");
        let issuer = Issuer::from_params(&params, &key);
        let (mut leaf_params, leaf_key, over_leafs_key) = ca("over a leaf's key");
        let mut check = |is_ca: IsCa, usages: Vec<KeyUsagePurpose>| {
            (leaf_params.is_ca, leaf_params.key_usages) = (is_ca, usages);
            let leaf = leaf_params.signed_by(&leaf_key, &issuer).unwrap().pem();
            for bundle in [format!("{known}{leaf}"), format!("{known}{leaf}{over_leafs_key}")] {
                assert!(matches!(check_bundle(known.as_bytes(), bundle.as_bytes()), Err(Error::ForeignCa)));
                assert!(matches!(keys::trust(bundle.as_bytes()), Err(keys::Error::NoCa)));
            }
        };
        check(IsCa::NoCa, vec![]);
        check(IsCa::ExplicitNoCa, vec![KeyUsagePurpose::DigitalSignature]);
        check(IsCa::Ca(BasicConstraints::Unconstrained), vec![KeyUsagePurpose::DigitalSignature]);
    }
}
