//! All rounds of a seed, some of them at once.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Instant;

use futures::StreamExt;
use tokio::sync::RwLock;
use waybill_e2e::Cluster;

use crate::fault::Fault;
use crate::parcel::Parcel;
use crate::plan::{PER_ROUND, Round};
use crate::report::Report;
use crate::round;
use crate::world::cluster;

/// Plans of deliveries and faults, drawn from a seed and played against a real API server and broker
#[derive(Debug, clap::Parser)]
pub struct Args {
    /// Where all chance comes from; a new one unless given
    #[arg(long)]
    seed: Option<u64>,

    /// How many plans; every kind of fault once by default
    #[arg(long, default_value_t = 217)]
    plans: usize,

    /// Only this one, with those that share its fault
    #[arg(long)]
    plan: Option<usize>,

    /// Only faults whose name holds this text
    #[arg(long)]
    only: Option<String>,

    /// Worlds at once
    #[arg(long, default_value_t = 4)]
    at_once: usize,

    /// Say what would be played, and play nothing
    #[arg(long)]
    list: bool,
}

/// Plays; true if every plan came to its end.
pub async fn run(args: Args) -> bool {
    let seed = args.seed.unwrap_or_else(|| u64::from(rand::random::<u32>()));
    println!("seed {seed}");
    let rounds = drawn(&args, seed);
    if args.list {
        rounds.iter().for_each(|round| println!("{round:?}"));
        return true;
    }
    let cluster = Cluster::connect("fault").await.expect("scripts/fault starts a cluster");
    cluster::define(&cluster.client).await;
    let begun = Instant::now();
    let parcels: BTreeSet<Parcel> =
        rounds.iter().flat_map(|round| &round.parcels).map(|(parcel, _)| parcel.kept()).collect();
    let varieties = parcels.len();
    let undisturbed = Arc::new(round::undisturbed(parcels).await);
    println!("✓ {varieties} varieties of deliveries undisturbed ({:.0} s)", begun.elapsed().as_secs_f64());

    let (all, node) = (rounds.len(), RwLock::new(()));
    let node = &node;
    let playing = futures::stream::iter(rounds).map(async |round| {
        // What breaks the node breaks it for everybody.
        let (_alone, _among);
        if round.faults().any(Fault::is_everybodys) {
            _alone = node.write().await;
        } else {
            _among = node.read().await;
        }
        let begun = Instant::now();
        let played = round::play(round.clone(), undisturbed.clone()).await;
        (round, played, begun.elapsed())
    });
    let mut playing = std::pin::pin!(playing.buffer_unordered(args.at_once));
    let mut report = Report::default();
    while let Some((round, played, took)) = playing.next().await {
        report.add(&round, played, all, took);
    }
    report.close(seed, begun.elapsed())
}

fn drawn(args: &Args, seed: u64) -> Vec<Round> {
    let numbers = match args.plan {
        Some(plan) => plan / PER_ROUND..plan / PER_ROUND + 1,
        None => 0..args.plans.div_ceil(PER_ROUND),
    };
    let wanted =
        |round: &Round| args.only.as_ref().is_none_or(|text| round.faults().any(|fault| fault.kind().contains(text)));
    numbers.map(|number| Round::draw(seed, number)).filter(wanted).collect()
}
