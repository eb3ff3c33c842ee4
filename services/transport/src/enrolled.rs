//! An agent outside any cluster, from one file: who it is, where it connects, what it trusts, where its keys are.
//!
//! Everything else comes from the Carrier API, signed by a CA the file pins by its root: certificate, statement, revocations.
//! They are kept in the file's `state` folder, with copies of the keys, in the layout a pod's mounts have.
//!
//! Trusted: this file and the keys, and so nobody else may read them: what others can read is refused, not mended.

use std::fs;
use std::io;
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde::Deserialize;
use sha2::{Digest, Sha256};
use waybill_chassis::telemetry::report;
use waybill_crds::carrier::{CarrierKind, Step};
use waybill_crds::duration::Duration;
use waybill_protocol::{Name, Uid};
use zeroize::{Zeroize, Zeroizing};

use crate::config::{Args, Script};
use crate::keys;
use crate::renew::{self, Folders, Who};

/// Bytes of the file, and of a key or bundle it names.
const MAX: u64 = 1 << 20;
/// Folders and files of its own.
const IDENTITY: &str = "identity";
const JOURNAL: &str = "journal";
/// Which root the kept bundle grew from.
const ROOT: &str = "root";

/// Why the file can't be used.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("failed to {what} {path:?}")]
    File {
        what: &'static str,
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("refused {path:?}: others can read it (mode {mode:o}); it needs `chmod go=`")]
    Exposed { path: PathBuf, mode: u32 },
    #[error("failed to understand {path:?}: {words}")]
    Syntax { path: PathBuf, words: String },
    #[error("{field} is not usable: {why}")]
    Field { field: &'static str, why: String },
    #[error("failed to keep the agent's identity")]
    Keep(#[source] renew::Error),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct File {
    namespace: String,
    name: String,
    uid: String,
    broker: String,
    carrier_api: String,
    root_fingerprint: String,
    /// PEM, or the path of one.
    ca: String,
    keys: Keys,
    state: PathBuf,
    #[serde(default)]
    kind: CarrierKind,
    #[serde(default)]
    camera: bool,
    pictures: Option<PathBuf>,
    taps: Option<PathBuf>,
    pace: Option<Duration>,
    script: Option<Vec<Step>>,
    probe_addr: Option<SocketAddr>,
}

/// Each PEM, or the path of one.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Keys {
    tls: String,
    signing: String,
    sealing: String,
}

impl Drop for Keys {
    fn drop(&mut self) {
        [&mut self.tls, &mut self.signing, &mut self.sealing].into_iter().for_each(Zeroize::zeroize);
    }
}

/// An agent's settings, and as whom it asks for its first certificate where it has none.
#[derive(Debug)]
pub(crate) struct Enrolled {
    pub(crate) args: Args,
    pub(crate) who: Option<Who>,
}

/// The settings as they are, or those of the file they name. Makes the state folder and puts the keys into it.
pub(crate) fn load(args: Args) -> Result<Enrolled, Error> {
    let Some(path) = args.config.clone() else { return Ok(Enrolled { args, who: None }) };
    let file = parse(&path)?;
    let near = path.parent().unwrap_or(Path::new(".")).to_owned();
    let at = |path: &Path| near.join(path);
    let field = |field: &'static str| move |why: String| Error::Field { field, why };
    let (_, broker_port) =
        file.broker.rsplit_once(':').ok_or_else(|| field("broker")("it is not host:port".to_owned()))?;
    broker_port.parse::<u16>().map_err(|_| field("broker")("it is not host:port".to_owned()))?;
    if !file.carrier_api.starts_with("https://") {
        return Err(field("carrierApi")("it is no https:// URL".to_owned()));
    }
    let state = at(&file.state);
    let folders = Folders::one(state.join(IDENTITY));
    private_folder(&state)?;
    private_folder(&folders.keys)?;
    let seed = keep_keys(&file, &near, &folders)?;
    keep_root(&file, &near, &folders)?;
    let who = Who {
        uid: Uid::new(&file.uid).map_err(|error| field("uid")(error.to_string()))?,
        namespace: Name::new(&file.namespace).map_err(|error| field("namespace")(error.to_string()))?,
        name: Name::new(&file.name).map_err(|error| field("name")(error.to_string()))?,
        seed,
    };
    let args = Args {
        broker: Some(file.broker),
        carrier_api: Some(file.carrier_api),
        tls_dir: folders.tls,
        keys_dir: folders.keys,
        trust_dir: folders.trust,
        journal_dir: state.join(JOURNAL),
        renew: true,
        kind: file.kind,
        camera: file.camera,
        camera_dir: file.pictures.as_deref().map(at),
        taps: file.taps.as_deref().map(at),
        pace: file.pace.unwrap_or(args.pace),
        script: file.script.map_or(args.script, Script),
        probes: file.probe_addr.map_or(args.probes, |addr| waybill_chassis::probes::ProbeArgs { addr }),
        config: None,
        log: args.log,
    };
    Ok(Enrolled { args, who: Some(who) })
}

fn parse(path: &Path) -> Result<File, Error> {
    let text = read(path)?;
    let syntax = |words: String| Error::Syntax { path: path.to_owned(), words };
    let text = str::from_utf8(&text).map_err(|error| syntax(error.to_string()))?;
    let file: File = serde_saphyr::from_str(text).map_err(|error| syntax(first_line(&error.to_string())))?;
    let inline = [&file.keys.tls, &file.keys.signing, &file.keys.sealing].into_iter().any(|key| is_pem(key));
    if inline {
        private(path)?;
    }
    Ok(file)
}

/// What a parser quotes of the file could be a key.
fn first_line(words: &str) -> String {
    words.lines().next().unwrap_or_default().to_owned()
}

fn is_pem(text: &str) -> bool {
    text.trim_start().starts_with("-----BEGIN ")
}

/// Into the layout a pod's mounts have. The seed signs the first request.
fn keep_keys(file: &File, near: &Path, folders: &Folders) -> Result<Zeroizing<[u8; 32]>, Error> {
    let tls = secret(&file.keys.tls, near)?;
    PrivateKeyDer::from_pem_slice(&tls).map_err(|_| unusable("keys.tls", "it is no private key in PEM"))?;
    let seed = raw(&secret(&file.keys.signing, near)?, 0x70)
        .ok_or_else(|| unusable("keys.signing", "it is no Ed25519 key: neither PKCS#8 in PEM nor 32 bytes"))?;
    let sealing = raw(&secret(&file.keys.sealing, near)?, 0x6e)
        .ok_or_else(|| unusable("keys.sealing", "it is no X25519 key: neither PKCS#8 in PEM nor 32 bytes"))?;
    let keep = |path: PathBuf, bytes: &[u8]| renew::write(&path, bytes).map_err(Error::Keep);
    keep(folders.tls.join("tls.key"), &tls)?;
    keep(folders.keys.join("ed25519.seed"), seed.as_ref())?;
    keep(folders.keys.join("x25519.key"), sealing.as_ref())?;
    Ok(seed)
}

/// The bundle of the file is where trust begins; the one that grew from it by renewal counts more, until the file names
/// another root.
fn keep_root(file: &File, near: &Path, folders: &Folders) -> Result<(), Error> {
    let ca = if is_pem(&file.ca) { file.ca.clone().into_bytes() } else { read(&near.join(&file.ca))?.to_vec() };
    keys::trust(&ca).map_err(|error| unusable("ca", &report(&error).to_string()))?;
    let wanted = file.root_fingerprint.to_ascii_lowercase().replace(':', "");
    let pinned = CertificateDer::pem_slice_iter(&ca).flatten().any(|der| hex::encode(Sha256::digest(&der)) == wanted);
    if !pinned {
        return Err(unusable("rootFingerprint", "no certificate of `ca` has it"));
    }
    let root = folders.trust.join(ROOT);
    let grown = fs::read(&root).is_ok_and(|kept| kept == wanted.as_bytes()) && folders.trust.join("ca.crt").exists();
    if !grown {
        renew::write(&folders.trust.join("ca.crt"), &ca).map_err(Error::Keep)?;
        renew::write(&root, wanted.as_bytes()).map_err(Error::Keep)?;
    }
    Ok(())
}

fn unusable(field: &'static str, why: &str) -> Error {
    Error::Field { field, why: why.to_owned() }
}

fn secret(text: &str, near: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    if is_pem(text) {
        return Ok(Zeroizing::new(text.as_bytes().to_vec()));
    }
    let path = near.join(text.trim());
    private(&path)?;
    read(&path)
}

/// The 32 bytes of a key of RFC 8410, as PKCS#8 in PEM or as they are.
fn raw(bytes: &[u8], algorithm: u8) -> Option<Zeroizing<[u8; 32]>> {
    if let Ok(raw) = <[u8; 32]>::try_from(bytes) {
        return Some(Zeroizing::new(raw));
    }
    let PrivateKeyDer::Pkcs8(der) = PrivateKeyDer::from_pem_slice(bytes).ok()? else { return None };
    let der = der.secret_pkcs8_der();
    let fits = der.get(5..12)? == [0x30, 5, 6, 3, 0x2b, 0x65, algorithm] && der.get(12..16)? == [4, 0x22, 4, 0x20];
    let raw = der.get(16..48).filter(|_| fits)?;
    raw.try_into().ok().map(Zeroizing::new)
}

fn read(path: &Path) -> Result<Zeroizing<Vec<u8>>, Error> {
    let failed = |source| Error::File { what: "read", path: path.to_owned(), source };
    if fs::metadata(path).map_err(failed)?.len() > MAX {
        return Err(failed(io::Error::from(io::ErrorKind::FileTooLarge)));
    }
    fs::read(path).map(Zeroizing::new).map_err(failed)
}

fn private(path: &Path) -> Result<(), Error> {
    let failed = |source| Error::File { what: "look at", path: path.to_owned(), source };
    let mode = fs::metadata(path).map_err(failed)?.permissions().mode() & 0o777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(Error::Exposed { path: path.to_owned(), mode }) }
}

fn private_folder(path: &Path) -> Result<(), Error> {
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|source| Error::File { what: "make folder", path: path.to_owned(), source })?;
    private(path)
}

#[cfg(test)]
mod tests;
