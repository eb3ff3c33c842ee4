//! Renewal of an agent no cluster reaches: it asks the Carrier API for what the operator has signed for it and writes it
//! into its own folders, from which everything else follows it. An expired leaf is no dead end: the request is signed
//! with the agent's own key, and no client certificate is shown.
//!
//! Trusted: only what the CAs we know have signed. A Carrier API can withhold a renewal, not slip in a CA: a certificate
//! of the bundle is taken over if it is a CA's and a CA known here signed it, or is of a key that such a one vouches for as
//! a CA's. A leaf vouches for nothing: the Carrier API has one. Revocations and former CAs count as the CA that issues now
//! signed them, and a list of revocations is never replaced by an older one.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use serde::Deserialize;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use waybill_chassis::revocation::List;
use waybill_chassis::telemetry::report;
use waybill_chassis::tls::{self, Material};
use waybill_protocol::{KeyStatement, Name, RenewalRequest, Role, Trust, Uid, UnixMillis, published};
use x509_parser::prelude::{FromDer, X509Certificate};
use zeroize::Zeroizing;

use crate::agent::retry::pause;
use crate::api::{self, Address, Error as ApiError};
use crate::clock::Clock;
use crate::keys::{self, Identity};

/// How often the leaf's life is looked at.
const LOOK: Duration = Duration::from_secs(60);
/// The same while nothing is known of this agent yet.
const SOON: Duration = Duration::from_secs(1);
/// What others' standing may be behind by: authorities and revocations are asked for as often, whatever the leaf's life.
const FRESH: Duration = Duration::from_secs(15 * 60);

/// What is taken over of what the operator publishes.
const REVOKED: &str = "revoked.json";
const FORMER: &str = "former-ca.crt";

/// Why nothing was renewed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
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
    #[error("no Carrier API address is known")]
    NoAddress,
    #[error("the bundle holds a CA that none known here has signed")]
    ForeignCa,
    #[error("failed to use the renewed certificate")]
    Certificate(#[source] tls::Error),
    #[error("the renewed certificate names somebody else")]
    Holder,
    #[error("the renewed statement is not this agent's, or not its CA's")]
    Statement,
    #[error("{name:?} is not what the operator published")]
    Published { name: String },
    #[error("the answer lacks its {0}")]
    Missing(&'static str),
}

/// What the Carrier API answers.
#[derive(Debug, Deserialize)]
pub(crate) struct Renewed {
    certificate: Option<String>,
    statement: Option<String>,
    bundle: Option<String>,
    #[serde(default)]
    published: Vec<Published>,
}

/// What the operator publishes, as it signed it.
#[derive(Debug, Deserialize)]
struct Published {
    name: String,
    content: String,
    /// Base64.
    signature: String,
}

/// The agent's own folders.
#[derive(Debug, Clone)]
pub(crate) struct Folders {
    pub(crate) tls: PathBuf,
    pub(crate) keys: PathBuf,
    pub(crate) trust: PathBuf,
}

impl Folders {
    /// All in one.
    pub(crate) fn one(folder: PathBuf) -> Self {
        Self { tls: folder.clone(), keys: folder.clone(), trust: folder }
    }

    /// Whether there is anything to begin with.
    fn are_complete(&self) -> bool {
        let files = [self.tls.join("tls.crt"), self.tls.join("ca.crt"), self.keys.join("statement")];
        files.iter().all(|file| file.exists())
    }
}

/// Who asks, before any statement says so.
pub(crate) struct Who {
    pub(crate) uid: Uid,
    pub(crate) namespace: Name,
    pub(crate) name: Name,
    pub(crate) seed: Zeroizing<[u8; 32]>,
}

// The seed stays out.
impl std::fmt::Debug for Who {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Who({}/{})", self.namespace, self.name)
    }
}

impl Who {
    /// Whether a statement, verified by whoever asks, is of this agent and its key.
    fn is_named_by(&self, statement: &KeyStatement) -> bool {
        let key = RenewalRequest::key_of(&self.seed);
        let named = statement.uid == self.uid && statement.namespace == self.namespace && statement.name == self.name;
        named && statement.role == Role::Carrier && statement.ed25519 == key
    }
}

/// Brings an agent's own folders up to date, from nothing if need be.
pub(crate) struct Renewal {
    pub(crate) folders: Folders,
    pub(crate) address: Address,
    pub(crate) clock: Clock,
    /// Where no statement says it yet.
    pub(crate) who: Option<Who>,
}

impl Renewal {
    /// First contact: asks until certificate and statement are there. False if it was told to stop before.
    pub(crate) async fn enter(&self, shutdown: &CancellationToken) -> bool {
        let mut failures = 0;
        while !self.folders.are_complete() {
            let Err(error) = self.ask(None).await else { continue };
            tracing::warn!(error = %report(&error), "no certificate yet");
            tokio::select! {
                () = shutdown.cancelled() => return false,
                () = tokio::time::sleep(pause(failures)) => {}
            }
            failures = failures.saturating_add(1);
        }
        true
    }

    /// Renews the leaf in its last third, and what is known of others every so often, until `shutdown`.
    pub(crate) async fn run(self, identity: watch::Receiver<Option<Arc<Identity>>>, shutdown: CancellationToken) {
        let mut asked: Option<Instant> = None;
        while !shutdown.is_cancelled() {
            let fresh = asked.is_some_and(|asked| asked.elapsed() < FRESH);
            let current = identity.borrow().clone();
            let due = async {
                if current.is_none() && self.who.is_none() || fresh && !self.is_ending()? {
                    return Ok(false);
                }
                self.ask(current.as_deref()).await.map(|()| true)
            };
            match due.await {
                Ok(true) => asked = Some(Instant::now()),
                Ok(false) => {}
                Err(error) => tracing::warn!(error = %report(&error), "no renewal"),
            }
            let pause = if current.is_none() { SOON } else { LOOK };
            tokio::select! {
                () = shutdown.cancelled() => return,
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    fn is_ending(&self) -> Result<bool, Error> {
        let (from, until) = dates(&read(&self.folders.tls.join("tls.crt"))?)?;
        let now = i64::try_from(self.clock.now().trusted.as_secs()).unwrap_or(i64::MAX);
        Ok(until - now <= (until - from) / 3)
    }

    async fn ask(&self, identity: Option<&Identity>) -> Result<(), Error> {
        let address = self.address.get().ok_or(Error::NoAddress)?;
        let bundle = read(&self.folders.trust.join("ca.crt"))?;
        let request = |now: UnixMillis| {
            STANDARD.encode(match (identity, &self.who) {
                (Some(identity), _) => RenewalRequest::sign(&identity.own.signer, now),
                (None, Some(who)) => RenewalRequest::sign_first(&who.seed, &who.uid, &who.namespace, now),
                (None, None) => Vec::new(),
            })
        };
        let renewed = api::renew(&address, &self.clock, &bundle, request).await.map_err(Error::Ask)?;
        if self.take(identity, &bundle, &renewed)? {
            tracing::info!("renewed certificate, statement or trust");
        }
        Ok(())
    }

    /// Checks everything, then writes what is new. True if anything was.
    fn take(&self, identity: Option<&Identity>, known: &[u8], renewed: &Renewed) -> Result<bool, Error> {
        let folders = &self.folders;
        let part = |part: &'static str, text: &Option<String>| text.clone().ok_or(Error::Missing(part));
        let (certificate, bundle) = (part("certificate", &renewed.certificate)?, part("bundle", &renewed.bundle)?);
        let statement = part("statement", &renewed.statement)?;
        let statement = STANDARD.decode(statement).map_err(|_| Error::Statement)?;
        check_bundle(known, bundle.as_bytes())?;
        let key = read(&folders.tls.join("tls.key"))?;
        let material =
            Material::from_pem(certificate.as_bytes(), &key, bundle.as_bytes()).map_err(Error::Certificate)?;
        let trust = keys::trust(bundle.as_bytes()).map_err(|_| Error::ForeignCa)?;
        let statement_of = KeyStatement::verify_recorded(&statement, trust.cas()).map_err(|_| Error::Statement)?;
        self.check_statement(&statement_of, identity)?;
        if material.holder().uid != statement_of.uid.as_str() {
            return Err(Error::Holder);
        }
        let published = check_published(&renewed.published, &trust)?;
        let mut new = write_new(&folders.trust.join("ca.crt"), bundle.as_bytes())?;
        new |= write_new(&folders.tls.join("ca.crt"), bundle.as_bytes())?;
        new |= write_new(&folders.keys.join("statement"), &statement)?;
        new |= write_new(&folders.tls.join("tls.crt"), certificate.as_bytes())?;
        for Published { name, content, .. } in published {
            let path = folders.trust.join(name);
            if name != REVOKED || is_newer(&path, content.as_bytes()) {
                new |= write_new(&path, content.as_bytes())?;
            }
        }
        Ok(new)
    }

    /// Ours, with our key, and no step back.
    fn check_statement(&self, statement: &KeyStatement, identity: Option<&Identity>) -> Result<(), Error> {
        let no_step_back = identity.is_none_or(|identity| {
            let before = identity.own.signer.statement();
            let same = statement.uid == before.uid
                && statement.role == before.role
                && statement.namespace == before.namespace
                && statement.ed25519 == before.ed25519;
            same && statement.epoch >= before.epoch
        });
        let named = self.who.as_ref().is_none_or(|who| who.is_named_by(statement));
        if no_step_back && named { Ok(()) } else { Err(Error::Statement) }
    }
}

/// Those known here, each signed by a CA that counts once the bundle is taken; what is not known is left alone.
fn check_published<'p>(published: &'p [Published], trust: &Trust) -> Result<Vec<&'p Published>, Error> {
    let known: Vec<_> = published.iter().filter(|one| [REVOKED, FORMER].contains(&one.name.as_str())).collect();
    for Published { name, content, signature } in &known {
        let signature = STANDARD.decode(signature).unwrap_or_default();
        published::verify(name, content.as_bytes(), &signature, trust.cas())
            .map_err(|_| Error::Published { name: name.clone() })?;
    }
    Ok(known)
}

/// An old list, signed as it is, brings nobody back, nor does it after a restart.
fn is_newer(path: &Path, offered: &[u8]) -> bool {
    let Ok(offered) = List::parse(offered) else { return false };
    let held = fs::read(path).ok().and_then(|held| List::parse(&held).ok());
    let newer = held.as_ref().is_none_or(|held| offered.number() > held.number());
    if held.is_some_and(|held| offered.number() < held.number()) {
        tracing::warn!(number = offered.number(), "kept a list of revocations that is newer than the one offered");
    }
    newer
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

/// Whole or not at all, and for nobody else to read.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), Error> {
    let next = path.with_extension("next");
    let mut open = fs::OpenOptions::new();
    let written = fs::remove_file(&next).or_else(|error| match error.kind() {
        io::ErrorKind::NotFound => Ok(()),
        _ => Err(error),
    });
    let written = written.and_then(|()| open.create_new(true).write(true).mode(0o600).open(&next));
    let written = written.and_then(|mut file| file.write_all(bytes).and_then(|()| file.sync_all()));
    let written = written.and_then(|()| fs::rename(&next, path));
    written.map_err(|source| Error::File { what: "write", path: path.to_owned(), source })
}

fn write_new(path: &Path, bytes: &[u8]) -> Result<bool, Error> {
    let new = fs::read(path).ok().is_none_or(|kept| kept != bytes);
    if new {
        write(path, bytes)?;
    }
    Ok(new)
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

    /// A Carrier API can hold a list back; it can neither change one nor bring an old one back.
    #[test]
    fn what_the_operator_published_counts_as_signed_and_a_list_never_goes_back() {
        use p256::ecdsa::SigningKey;
        use p256::ecdsa::signature::Signer as _;
        use p256::pkcs8::DecodePrivateKey as _;
        let (_, key, pem) = ca("issues now");
        let trust = keys::trust(pem.as_bytes()).unwrap();
        let signing = SigningKey::from_pkcs8_pem(&key.serialize_pem()).unwrap();
        let signed = |name: &str, content: &str| {
            let signature = signing.sign(&published::to_be_signed(name, content.as_bytes()));
            let signature = STANDARD.encode(published::assemble(trust.cas()[0].kid(), &signature));
            Published { name: name.into(), content: content.into(), signature }
        };
        let list = |number: u64| format!(r#"{{"number":{number},"entries":[{{"uid":"u{number}"}}]}}"#);
        let good = [signed(REVOKED, &list(5)), signed(FORMER, &pem), signed("something-new", "x")];
        let names: Vec<_> = check_published(&good, &trust).unwrap().iter().map(|one| one.name.as_str()).collect();
        assert_eq!(names, [REVOKED, FORMER], "and what is not known here is left alone");
        let bent = |change: &dyn Fn(&mut Published)| {
            let mut one = signed(REVOKED, &list(5));
            change(&mut one);
            check_published(&[one], &trust).is_err()
        };
        assert!(bent(&|one| one.content = list(6)));
        assert!(bent(&|one| one.name = FORMER.into()));
        assert!(bent(&|one| one.signature = String::new()));
        let (_, _, foreign) = ca("foreign");
        assert!(check_published(&good[..1], &keys::trust(foreign.as_bytes()).unwrap()).is_err());

        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(REVOKED);
        assert!(is_newer(&path, list(5).as_bytes()), "the first one");
        fs::write(&path, list(5)).unwrap();
        assert!(is_newer(&path, list(6).as_bytes()));
        assert!(!is_newer(&path, list(5).as_bytes()) && !is_newer(&path, list(4).as_bytes()));
        assert!(!is_newer(&path, b"junk"));
    }
}
