//! What a bundle holds, and how one is made.
//!
//! A log can hold entries that are nobody's word: junk a compromised service wrote. They would make a true bundle look bent, so they are
//! set apart in `left-out/`, for whoever wonders; nothing is read from there.

use serde::{Deserialize, Serialize};
use waybill_protocol::fact::reason::{EvidenceKind, Media};
use waybill_protocol::{Hash, Log, Name, NameError, Subject, Uid};

use crate::archive::{self, ArchiveError, Files};
use crate::authority::{Authorities, CertificateError};
use crate::page;

/// What the manifest says it is.
pub(crate) const FORMAT: &str = "waybill.dev/proof-bundle";
/// The version of the format.
pub(crate) const VERSION: u16 = 1;
pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const PAGE: &str = "index.html";
pub(crate) const AUTHORITIES: &str = "trust/authorities.pem";
pub(crate) const CROSSES: &str = "trust/cross.pem";
pub(crate) const REVOCATIONS: &str = "trust/crl.pem";
const CERTIFICATES: &str = "certificates/";

/// Which delivery a bundle is about.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct About {
    /// The uid of the Delivery.
    pub uid: String,
    pub namespace: String,
    /// The Delivery's name in its namespace.
    pub name: String,
    pub upc: String,
    /// The uid of its Seller.
    pub seller: String,
}

/// What a bundle is made of.
#[derive(Debug, Clone)]
pub struct Contents {
    pub about: About,
    /// The entries of the custody log, in its order.
    pub log: Vec<Vec<u8>>,
    /// The CAs, former ones included, in PEM.
    pub authorities: String,
    /// The cross-certificates between them, in PEM; may be empty.
    pub crosses: String,
    /// The revocation lists, in PEM; may be empty.
    pub revocations: String,
    /// TLS certificates of those who signed: uid and PEM. None are needed.
    pub certificates: Vec<(Uid, String)>,
    /// Pictures the log names.
    pub photos: Vec<Photo>,
}

/// A picture.
#[derive(Debug, Clone)]
pub struct Photo {
    pub media: Media,
    pub bytes: Vec<u8>,
}

impl Photo {
    fn read(name: &str, bytes: &[u8]) -> Self {
        let media = if name.ends_with(".png") { Media::Png } else { Media::Jpeg };
        Self { media, bytes: bytes.to_vec() }
    }
}

/// Why no bundle was made.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WriteError {
    #[error("failed to name the delivery")]
    About(#[source] NameError),
    #[error("failed to read the authorities")]
    Authorities(#[source] CertificateError),
    #[error("no entry of the log is genuine under these authorities")]
    NothingGenuine,
    #[error("the log names no picture with the hash {hash}")]
    ForeignPhoto { hash: Hash },
    #[error("failed to write the archive")]
    Archive(#[source] ArchiveError),
}

/// Why a bundle is not read back.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    #[error("failed to read the archive")]
    Archive(#[source] ArchiveError),
    #[error("the manifest cannot be read")]
    Manifest,
    #[error("{name} is no text")]
    Text { name: String },
}

/// The manifest: what is in the bundle, and which bytes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub(crate) struct Manifest {
    pub(crate) format: String,
    pub(crate) version: u16,
    /// The version of the page, which no checker of another version can compare.
    pub(crate) page: u16,
    pub(crate) delivery: About,
    pub(crate) files: Vec<Listed>,
}

/// One file of a bundle, as the manifest knows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Listed {
    pub(crate) path: String,
    pub(crate) size: u64,
    pub(crate) sha256: String,
}

impl About {
    pub(crate) fn subject(&self) -> Result<Subject, NameError> {
        Ok(Subject {
            delivery: Uid::new(self.uid.clone())?,
            namespace: Name::new(self.namespace.clone())?,
            seller: Uid::new(self.seller.clone())?,
        })
    }
}

impl Contents {
    /// What a bundle was made of, to make one of less of it. Nothing is checked but the form.
    pub fn read(bytes: &[u8]) -> Result<Self, ReadError> {
        let found = archive::read(bytes).map_err(ReadError::Archive)?;
        found.form.map_err(ReadError::Archive)?;
        let manifest = found.files.get(MANIFEST).and_then(|bytes| serde_json::from_slice::<Manifest>(bytes).ok());
        let about = manifest.ok_or(ReadError::Manifest)?.delivery;
        let text = |name: &str| {
            let bytes = found.files.get(name).cloned().unwrap_or_default();
            String::from_utf8(bytes).map_err(|_| ReadError::Text { name: name.to_owned() })
        };
        let within = |folder: &'static str| found.files.iter().filter(move |(name, _)| name.starts_with(folder));
        let mut certificates = Vec::new();
        for (name, _) in within(CERTIFICATES) {
            let uid = name.strip_prefix(CERTIFICATES).and_then(|rest| Uid::new(rest.strip_suffix(".pem")?).ok());
            certificates.push((uid.ok_or_else(|| ReadError::Text { name: name.clone() })?, text(name)?));
        }
        Ok(Self {
            about,
            log: within("log/").chain(within("left-out/")).map(|(_, bytes)| bytes.clone()).collect(),
            authorities: text(AUTHORITIES)?,
            crosses: text(CROSSES)?,
            revocations: text(REVOCATIONS)?,
            certificates,
            photos: within("photos/").map(|(name, bytes)| Photo::read(name, bytes)).collect(),
        })
    }

    /// The one bundle of this content: the same content, the same bytes.
    pub fn write(&self) -> Result<Vec<u8>, WriteError> {
        let subject = self.about.subject().map_err(WriteError::About)?;
        let authorities = Authorities::read(self.authorities.as_bytes(), self.crosses.as_bytes());
        let authorities = authorities.map_err(WriteError::Authorities)?;
        let (log, left_out) = self.genuine(&subject, &authorities)?;
        let mut files = Files::new();
        let pem = [(AUTHORITIES, &self.authorities), (CROSSES, &self.crosses), (REVOCATIONS, &self.revocations)];
        let pem = pem.into_iter().filter(|(_, text)| !text.is_empty());
        files.extend(pem.map(|(name, text)| (name.to_owned(), text.clone().into_bytes())));
        let certificates = self.certificates.iter();
        files.extend(certificates.map(|(uid, pem)| (format!("{CERTIFICATES}{uid}.pem"), pem.clone().into_bytes())));
        let entries = log.entries().iter().map(|entry| entry.bytes().to_vec());
        files.extend(entries.enumerate().map(|(at, bytes)| (entry_name(at), bytes)));
        files.extend(left_out.into_iter().enumerate().map(|(at, bytes)| (format!("left-out/{at:03}.bin"), bytes)));
        for photo in &self.photos {
            files.insert(photo_name(&log, photo)?, photo.bytes.clone());
        }
        files.insert(PAGE.into(), page::render(&self.about, &log, &names(&files)).into_bytes());
        let manifest = Manifest::of(self.about.clone(), &files);
        files.insert(MANIFEST.into(), manifest.bytes());
        archive::write(&files).map_err(WriteError::Archive)
    }

    /// The log without the entries that are nobody's word. What stands without them is judged anew, until all of it is genuine.
    fn genuine(&self, subject: &Subject, authorities: &Authorities) -> Result<(Log, Vec<Vec<u8>>), WriteError> {
        let trust = Authorities::trust(&authorities.own);
        let (mut kept, mut left_out) = (self.log.clone(), Vec::new());
        loop {
            let log = Log::read(subject.clone(), &trust, kept.iter().map(Vec::as_slice));
            let genuine: Vec<bool> = log.entries().iter().map(|entry| entry.verdict().is_genuine()).collect();
            if genuine.iter().all(|genuine| *genuine) {
                let nothing = kept.is_empty() && !left_out.is_empty();
                return if nothing { Err(WriteError::NothingGenuine) } else { Ok((log, left_out)) };
            }
            let mut at = genuine.into_iter();
            let (good, bad) = kept.into_iter().partition(|_| at.next().unwrap_or(false));
            kept = good;
            left_out.extend::<Vec<Vec<u8>>>(bad);
        }
    }
}

impl Manifest {
    fn of(delivery: About, files: &Files) -> Self {
        let listed = |(path, content): (&String, &Vec<u8>)| Listed {
            path: path.clone(),
            size: content.len() as u64,
            sha256: Hash::of(content).to_string(),
        };
        let files = files.iter().map(listed).collect();
        Self { format: FORMAT.into(), version: VERSION, page: page::VERSION, delivery, files }
    }

    /// Its one form.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a manifest has only texts and numbers");
        bytes.push(b'\n');
        bytes
    }
}

pub(crate) fn entry_name(at: usize) -> String {
    format!("log/{at:03}.cose")
}

/// The pictures among the names of files, by hash.
pub(crate) fn photo_path(hash: &Hash, media: Media) -> String {
    let ending = match media {
        Media::Jpeg => "jpg",
        Media::Png => "png",
    };
    format!("photos/{hash}.{ending}")
}

fn photo_name(log: &Log, photo: &Photo) -> Result<String, WriteError> {
    let hash = Hash::of(&photo.bytes);
    let named = log.state().proofs().iter().any(|proof| proof.kind == EvidenceKind::Photo && proof.sha256 == hash);
    if named { Ok(photo_path(&hash, photo.media)) } else { Err(WriteError::ForeignPhoto { hash }) }
}

pub(crate) fn names(files: &Files) -> Vec<&str> {
    files.keys().map(String::as_str).collect()
}
