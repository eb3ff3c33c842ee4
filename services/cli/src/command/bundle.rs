//! The proof of a delivery as one file. What is written is read and checked before it is called written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use http::Method;
use waybill_crds::{Carrier, Delivery, Seller};
use waybill_proof::report::Answer;
use waybill_proof::{About, Contents, Photo, check, epcis};
use waybill_protocol::fact::reason::Media;
use waybill_protocol::{Author, Entry, Hash, Log, Uid};

use super::verify::fingerprint;
use crate::carrier_api::{CarrierApi, Road};
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
    /// A folder with the pictures; those the log names are taken, by their hashes. From the Carrier API unless you say so
    #[arg(long, value_name = "FOLDER")]
    photos: Option<PathBuf>,
    /// Without pictures
    #[arg(long, conflicts_with = "photos")]
    no_photos: bool,
    #[command(flatten)]
    road: Road,
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
    let (delivery, published, log) = match look(cluster, &args.delivery).await {
        Err(Error::NoDelivery { .. }) => return archived(cluster, args).await,
        found => found?,
    };
    let contents = Contents {
        about: about(&delivery, &log),
        log: log.entries().iter().map(|entry| entry.bytes().to_vec()).collect(),
        authorities: published.authorities(),
        crosses: published.text("cross.crt").to_owned(),
        revocations: published.text("crl.pem").to_owned(),
        certificates: certificates(cluster, &log).await?,
        photos: pictures(cluster, args, &delivery, &log).await?,
    };
    let bytes = contents.write().map_err(Error::Bundle)?;
    finish(args, &bytes, published.text("root-fingerprint"), &delivery.spec.upc)
}

/// One whose Delivery is gone.
async fn archived(cluster: &Cluster, args: &Args) -> Result<u8, Error> {
    let published = Published::of(cluster).await?;
    let api = CarrierApi::of(cluster, &args.road).await?;
    let answer = api.ask(Method::GET, &format!("/api/shipment/{}/bundle", args.delivery), None).await?;
    eprintln!("the Delivery is gone from the cluster; this is its archived bundle");
    finish(args, &answer.body, published.text("root-fingerprint"), &args.delivery)
}

/// Checks it, then writes it.
fn finish(args: &Args, bytes: &[u8], root: &str, upc: &str) -> Result<u8, Error> {
    let report = check(bytes, fingerprint(root).ok());
    if report.answer == Answer::Broken {
        return Err(Error::Missing(format!("the bundle would not verify: {:?}", report.lines)));
    }
    let file = args.file.clone().unwrap_or_else(|| format!("{upc}.waybill.zip").into());
    write(&file, bytes)?;
    print(&format!(
        "{}: {} events, the parcel is {}\nverify it anywhere: kubectl waybill verify {} --root {root}\n",
        file.display(),
        report.events,
        report.phase.unwrap_or("nowhere"),
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

/// The pictures the log names: from a folder, or from the Carrier API as far as it has them. One that is missing is told by the bundle
/// itself.
async fn pictures(cluster: &Cluster, args: &Args, delivery: &Delivery, log: &Log) -> Result<Vec<Photo>, Error> {
    if let Some(folder) = &args.photos {
        return from_folder(folder, log);
    }
    let named: Vec<_> = waybill_proof::pictures(log).collect();
    if args.no_photos || named.is_empty() {
        return Ok(Vec::new());
    }
    let api = CarrierApi::of(cluster, &args.road).await?;
    let (upc, uid) = (&delivery.spec.upc, delivery.metadata.uid.as_deref().unwrap_or_default());
    let mut photos = Vec::new();
    for (hash, media) in named {
        let path = format!("/api/shipment/{upc}/photos/{hash}?uid={uid}");
        match api.ask(Method::GET, &path, None).await {
            Ok(answer) if Hash::of(&answer.body) == hash => photos.push(Photo { media, bytes: answer.body.to_vec() }),
            Ok(_) => {
                eprintln!("the Carrier API gives another picture than the one that was signed for: {hash} is left out")
            }
            Err(Error::Refused { slug, .. }) if slug == "photo-unknown" => {
                eprintln!("picture {hash} is not kept any more")
            }
            Err(error) => return Err(error),
        }
    }
    Ok(photos)
}

fn from_folder(folder: &Path, log: &Log) -> Result<Vec<Photo>, Error> {
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
