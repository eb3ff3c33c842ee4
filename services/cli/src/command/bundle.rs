//! The proof of a delivery as one file. What is written is read and checked before it is called written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use waybill_crds::{Carrier, Delivery, Seller};
use waybill_proof::report::Answer;
use waybill_proof::{About, Contents, Photo, check, epcis};
use waybill_protocol::fact::reason::Media;
use waybill_protocol::{Author, Entry, Hash, Log, Uid};

use super::verify::fingerprint;
use crate::cluster::{Cluster, Where};
use crate::code;
use crate::error::Error;
use crate::log::{self, Published};
use crate::show::print;

#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The UPC or the name of the Delivery
    delivery: String,
    /// Where to write it; UPC.waybill.zip here unless you say so
    #[arg(short, long, value_name = "FILE")]
    file: Option<PathBuf>,
    /// A folder with the pictures; those the log names are taken, by their hashes
    #[arg(long, value_name = "FOLDER")]
    photos: Option<PathBuf>,
    #[command(flatten)]
    pub(crate) place: Where,
}

#[derive(Debug, clap::Args)]
pub(crate) struct EpcisArgs {
    /// The UPC or the name of the Delivery
    delivery: String,
    #[command(flatten)]
    pub(crate) place: Where,
}

pub(crate) async fn run(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let (delivery, published, log) = look(cluster, &args.delivery).await?;
    let contents = Contents {
        about: about(&delivery, &log),
        log: log.entries().iter().map(|entry| entry.bytes().to_vec()).collect(),
        authorities: published.authorities(),
        crosses: published.text("cross.crt").to_owned(),
        revocations: published.text("crl.pem").to_owned(),
        certificates: certificates(cluster, &log).await?,
        photos: photos(args.photos.as_deref(), &log)?,
    };
    let bytes = contents.write().map_err(Error::Bundle)?;
    let root = published.text("root-fingerprint");
    let report = check(&bytes, fingerprint(root).ok());
    if report.answer == Answer::Broken {
        return Err(Error::Missing(format!("the bundle would not verify: {:?}", report.lines)));
    }
    let file = args.file.clone().unwrap_or_else(|| format!("{}.waybill.zip", delivery.spec.upc).into());
    write(&file, &bytes)?;
    print(&format!(
        "{}: {} events, the parcel is {}\nverify it anywhere: kubectl waybill verify {} --root {root}\n",
        file.display(),
        report.events,
        waybill_proof::words::phase(log.phase()),
        file.display()
    ));
    Ok(code::DONE)
}

pub(crate) async fn epcis(cluster: &Cluster, args: &EpcisArgs) -> Result<u8, Error> {
    let (delivery, _, log) = look(cluster, &args.delivery).await?;
    let document = epcis::document(&about(&delivery, &log), &log);
    print(&format!("{document:#}\n"));
    Ok(code::DONE)
}

async fn look(cluster: &Cluster, name: &str) -> Result<(Delivery, Published, Log), Error> {
    let delivery = cluster.delivery(name).await?;
    let published = Published::of(cluster).await?;
    let log = log::read(cluster, &delivery, &published).await?;
    Ok((delivery, published, log))
}

fn about(delivery: &Delivery, log: &Log) -> About {
    let subject = log.subject();
    About {
        uid: subject.delivery.to_string(),
        namespace: subject.namespace.to_string(),
        name: delivery.metadata.name.clone().unwrap_or_default(),
        upc: delivery.spec.upc.clone(),
        seller: subject.seller.to_string(),
    }
}

/// The certificates of those who signed, where their status shows them.
async fn certificates(cluster: &Cluster, log: &Log) -> Result<Vec<(Uid, String)>, Error> {
    let mut shown: Vec<(Option<String>, Option<String>)> = Vec::new();
    let pem = |status: Option<waybill_crds::CertificateStatus>| status.and_then(|certificate| certificate.pem);
    for seller in cluster.list::<Seller>().await? {
        shown.push((seller.metadata.uid, pem(seller.status.and_then(|status| status.certificate))));
    }
    for carrier in cluster.list::<Carrier>().await? {
        shown.push((carrier.metadata.uid, pem(carrier.status.and_then(|status| status.certificate))));
    }
    let signed = |uid: &Uid| {
        let mut authors = log.entries().iter().filter_map(Entry::event).map(|signed| signed.event());
        authors.any(|event| event.uid == *uid && event.author != Author::Person)
    };
    let known = shown.into_iter().filter_map(|(uid, pem)| Some((Uid::new(uid?).ok()?, pem?)));
    Ok(known.filter(|(uid, _)| signed(uid)).collect())
}

fn photos(folder: Option<&Path>, log: &Log) -> Result<Vec<Photo>, Error> {
    let Some(folder) = folder else { return Ok(Vec::new()) };
    let file = |verb| move |source| Error::File { verb, path: folder.to_owned(), source };
    let mut photos = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(file("open"))? {
        let path = entry.map_err(file("read"))?.path();
        let Ok(bytes) = std::fs::read(&path) else { continue };
        let hash = Hash::of(&bytes);
        let media = if bytes.starts_with(b"\x89PNG") { Media::Png } else { Media::Jpeg };
        if log.state().proofs().iter().any(|proof| proof.sha256 == hash) {
            photos.push(Photo { media, bytes });
        }
    }
    Ok(photos)
}

/// Whole or not at all: beside its place first.
fn write(file: &Path, bytes: &[u8]) -> Result<(), Error> {
    let failed = |source| Error::File { verb: "write", path: file.to_owned(), source };
    let beside = file.with_extension("partial");
    let written = std::fs::File::create(&beside).and_then(|mut partial| {
        partial.write_all(bytes)?;
        partial.sync_all()
    });
    written.and_then(|()| std::fs::rename(&beside, file)).map_err(failed)
}
