//! What it costs to check a proof bundle: how many events a second of one core, and a bundle full of pictures. Beside what the
//! signatures and hashes alone would take.

use std::hint::black_box;
use std::time::Instant;

use anyhow::{Result, ensure};
use ed25519_dalek::{Signer as _, SigningKey};
use rand::RngExt as _;
use sha2::{Digest, Sha256};
use waybill_proof::report::Answer;
use waybill_proof::{Photo, check};
use waybill_protocol::fact::reason::Media;

use crate::report::Report;
use crate::sample::Samples;
use crate::sealed_parcel::{World, add, picture};

const ROUNDS: usize = 15;
/// As many as a log takes, nearly.
const EVENTS: usize = 240;
/// Pictures of it, together ten mebibytes.
const PICTURES: usize = 20;
const MEBIBYTES: usize = 10;

pub(crate) fn measure(report: &mut Report) -> Result<()> {
    println!("proof bundles, checked …");
    let world = World::new();
    long_log(&world, report)?;
    full_of_pictures(&world, report)
}

/// Events alone: each signature, each link of both chains, each step of the state machine.
fn long_log(world: &World, report: &mut Report) -> Result<()> {
    let mut log = world.delivered(10);
    let hashes = |number: usize| number.to_be_bytes();
    (10..EVENTS).for_each(|number| add(&mut log, &world.carrier.signer, picture(&hashes(number))));
    let bytes = world.contents(&log).write()?;
    let (mut checked, mut signatures) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        checked.push(EVENTS as f64 / seconds(|| proved(world, &bytes))?);
        signatures.push(signatures_per_second());
    }
    report.line("Ed25519 signatures checked, one core", signatures.show("/s"));
    report.at_least(&format!("events checked of a bundle of {EVENTS}, one core"), checked.median(), 2_000.0, "/s");
    report.line("… of the signatures alone", format!("{:.2} ×", checked.median() / signatures.median()));
    Ok(())
}

fn full_of_pictures(world: &World, report: &mut Report) -> Result<()> {
    let mut log = world.delivered(9);
    let mut photos = Vec::with_capacity(PICTURES);
    for _ in 0..PICTURES {
        let mut bytes = vec![0; (MEBIBYTES << 20) / PICTURES];
        rand::rng().fill(&mut bytes[..]);
        bytes[..3].copy_from_slice(b"\xff\xd8\xff");
        add(&mut log, &world.carrier.signer, picture(&bytes));
        photos.push(Photo { media: Media::Jpeg, bytes });
    }
    let mut contents = world.contents(&log);
    contents.photos = photos;
    let bytes = contents.write()?;
    let (mut checked, mut hashed) = (Samples::default(), Samples::default());
    for _ in 0..ROUNDS {
        checked.push(1000.0 * seconds(|| proved(world, &bytes))?);
        hashed.push(
            1000.0
                * seconds(|| {
                    black_box(Sha256::digest(black_box(&bytes)));
                    Ok(())
                })?,
        );
    }
    report.line(&format!("SHA-256 over {MEBIBYTES} MiB"), hashed.show("ms"));
    report.at_most(
        &format!("a bundle of {MEBIBYTES} MiB, {PICTURES} pictures, checked"),
        checked.median(),
        150.0,
        "ms",
    );
    Ok(())
}

/// What is not proved is no figure.
fn proved(world: &World, bytes: &[u8]) -> Result<()> {
    let report = check(black_box(bytes), world.root());
    ensure!(report.answer == Answer::Proved, "the bench's own bundle is not proved: {report:?}");
    Ok(())
}

fn seconds(work: impl FnOnce() -> Result<()>) -> Result<f64> {
    let start = Instant::now();
    work()?;
    Ok(start.elapsed().as_secs_f64())
}

fn signatures_per_second() -> f64 {
    const EACH: usize = 500;
    let (key, text) = (SigningKey::from_bytes(&[7; 32]), [0x5a; 300]);
    let signature = key.sign(&text);
    let start = Instant::now();
    for _ in 0..EACH {
        black_box(key.verifying_key().verify_strict(black_box(&text), &signature)).expect("it is its own");
    }
    EACH as f64 / start.elapsed().as_secs_f64()
}
