//! What one more carrier costs the broker: a real mosquitto with the chart's very settings and client certificates, once with ten
//! carriers and once with ten thousand, measured in turn.
//!
//! Nothing is provisioned at the broker for a carrier: access lists are patterns, so joining is a handshake and a subscription. Cost
//! is the broker's own processor time, not the time that passes: others may be at work on this machine.

mod client;
mod crowd;
mod mosquitto;
mod pki;
mod place;

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Resource, getrlimit, setrlimit};

use crate::report::Report;
use crate::sample::Samples;
use place::Place;

pub(crate) use mosquitto::Mosquitto;
pub(crate) use pki::Authority;

/// Carriers beside the busy one in the small place.
const FEW: usize = 10;
/// In one round and place: how often the newest carrier joins anew; how many turns both places get, and how often seller and
/// carrier exchange messages in each. Short turns, so that what else the machine does falls on both alike.
const JOINS: usize = 20;
const TURNS: usize = 10;
const EXCHANGES: usize = 100;
const IDLE: Duration = Duration::from_secs(20);
/// Descriptors a process needs beside its connections.
const SPARE: usize = 200;

/// How much of it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Load {
    pub(crate) carriers: usize,
    pub(crate) rounds: usize,
}

/// What was measured in one place.
#[derive(Default)]
struct Costs {
    join: Samples,
    message: Samples,
    /// To carrier 10 of that place, whoever came later.
    tenth: Samples,
    each: Samples,
}

pub(crate) fn measure(load: Load, report: &mut Report) -> Result<()> {
    let many = load.carriers.min(room()?).max(FEW);
    println!("two brokers, {FEW} and {many} carriers …");
    let mut few = Place::open(FEW)?;
    let mut crowd = Place::open(many)?;
    report.line("mosquitto", format!("{}, the chart's settings, two of them on this machine", mosquitto::version()?));
    report.line(
        "carriers connected at once",
        format!("{} and {} of {}", few.connected(), crowd.connected(), load.carriers),
    );
    let (mut of_few, mut of_crowd) = (Costs::default(), Costs::default());
    for round in 0..load.rounds {
        println!("  round {} of {}", round + 1, load.rounds);
        crowd.keep_alive();
        few.keep_alive();
        for (place, costs) in [(&mut few, &mut of_few), (&mut crowd, &mut of_crowd)] {
            costs.join.push(place.join_anew(JOINS)?);
        }
        for _ in 0..TURNS {
            talk(&mut few, &mut of_few)?;
            talk(&mut crowd, &mut of_crowd)?;
        }
    }
    tell(&of_few, &of_crowd, many, report);
    tell_standing(&few, &mut crowd, many, report)?;
    for (place, name) in [(&few, FEW), (&crowd, many)] {
        report.lost(&format!("messages, with {name} carriers"), place.lost(), place.sent());
        report.lost(&format!("connections, with {name} carriers"), place.broken(), name);
    }
    Ok(())
}

fn talk(place: &mut Place, costs: &mut Costs) -> Result<()> {
    costs.message.push(place.exchange(place.newest(), EXCHANGES)?);
    costs.tenth.push(place.exchange(FEW - 1, EXCHANGES)?);
    costs.each.push(place.exchange_with_each(EXCHANGES)?);
    Ok(())
}

fn tell(few: &Costs, crowd: &Costs, many: usize, report: &mut Report) {
    let ratio = |a: &Samples, b: &Samples| b.median() / a.median();
    let told =
        |a: &Samples, b: &Samples| format!("{} with {FEW} connected, {} with {many}", a.show("µs"), b.show("µs"));
    for (what, a, b) in [("a carrier joins", &few.join, &crowd.join), ("a message", &few.message, &crowd.message)] {
        report.line(&format!("broker's processor time: {what}, the newest carrier's"), told(a, b));
        report.at_most(&format!("… carrier {many}'s ÷ carrier {FEW}'s"), ratio(a, b), 1.2, "×");
    }
    for (what, a, b) in [("carrier 10's", &few.tenth, &crowd.tenth), ("all carriers' in turn", &few.each, &crowd.each)]
    {
        let told = format!("{}: {:.2} ×", told(a, b), ratio(a, b));
        report.line(&format!("broker's processor time: a message, {what}"), told);
    }
}

/// What connections cost that do nothing.
fn tell_standing(few: &Place, crowd: &mut Place, many: usize, report: &mut Report) -> Result<()> {
    crowd.keep_alive();
    let before = crowd.broker.on_cpu()?;
    std::thread::sleep(IDLE);
    let core = (crowd.broker.on_cpu()? - before).as_secs_f64() / IDLE.as_secs_f64() * 100.0;
    report.line(&format!("broker's processor time: {many} carriers silent"), format!("{core:.2} % of a core"));
    let (small, large) = (few.broker.usage()?.rss_kib, crowd.broker.usage()?.rss_kib);
    let each = (large - small) / many.saturating_sub(FEW).max(1) as f64;
    report
        .line("broker RSS", format!("{:.0} and {:.0} MiB, {each:.1} KiB a connection", small / 1024.0, large / 1024.0));
    Ok(())
}

/// How many connections one process may hold, after asking for as many as there are to be had.
fn room() -> Result<usize> {
    let mut limit = getrlimit(Resource::Nofile);
    limit.current = limit.maximum;
    setrlimit(Resource::Nofile, limit).context("failed to raise the limit of open files")?;
    let open = limit.current.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX));
    Ok(open.saturating_sub(SPARE))
}
