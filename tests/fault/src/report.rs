//! What is shown: a line a round, everything about a plan that failed, a table at the end.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::plan::Round;
use crate::round::Played;

/// What all rounds came to so far.
#[derive(Default)]
pub(crate) struct Report {
    kinds: BTreeMap<String, Kind>,
    errors: BTreeMap<String, usize>,
    rounds: usize,
    failed: Vec<usize>,
}

#[derive(Default)]
struct Kind {
    plans: usize,
    finished: usize,
    recovered: Vec<Duration>,
}

impl Report {
    pub(crate) fn add(&mut self, round: &Round, played: Played, all: usize, took: Duration) {
        self.rounds += 1;
        let kind = self.kinds.entry(round.kind()).or_default();
        let mut bad = 0;
        let mut recovered = Vec::new();
        for (at, outcome) in played.outcomes.into_iter().enumerate() {
            kind.plans += 1;
            recovered.extend(outcome.recovered);
            if outcome.wrongs.is_empty() {
                kind.finished += 1;
                continue;
            }
            bad += 1;
            let plan = round.plan(at);
            self.failed.push(plan);
            println!(
                "✗ plan {plan}: {:?} under {:?}, {:?}, {} sellers, pace {}",
                round.parcels[at],
                round.faults().collect::<Vec<_>>(),
                round.moment,
                round.sellers,
                round.pace
            );
            outcome.wrongs.iter().for_each(|wrong| println!("  {wrong}"));
        }
        let (sign, last) = (if bad == 0 { '✓' } else { '✗' }, recovered.iter().max().copied().unwrap_or_default());
        println!(
            "{sign} {}/{all} plans {}…{} {}: all over {:.1} s after the end of it ({:.0} s in all)",
            self.rounds,
            round.plan(0),
            round.plan(round.parcels.len() - 1),
            round.kind(),
            last.as_secs_f64(),
            took.as_secs_f64(),
        );
        kind.recovered.extend(recovered);
        for (error, times) in played.errors {
            *self.errors.entry(error).or_insert(0) += times;
        }
    }

    /// The table; true if nothing failed.
    pub(crate) fn close(mut self, seed: u64, took: Duration) -> bool {
        println!("\n{:<36} {:>6} {:>9} {:>9} {:>9}", "fault", "plans", "finished", "p50 s", "max s");
        let (mut plans, mut finished) = (0, 0);
        for (name, kind) in &mut self.kinds {
            kind.recovered.sort();
            let at = |index: usize| kind.recovered.get(index).map_or(f64::NAN, Duration::as_secs_f64);
            let (middle, last) = (at(kind.recovered.len() / 2), at(kind.recovered.len().wrapping_sub(1)));
            println!("{name:<36} {:>6} {:>9} {middle:>9.2} {last:>9.2}", kind.plans, kind.finished);
            plans += kind.plans;
            finished += kind.finished;
        }
        println!("{:<36} {plans:>6} {finished:>9}", "all");
        for (error, times) in &self.errors {
            println!("logged {times} times: {error}");
        }
        println!("\n{finished} of {plans} plans in {:.0} s; seed {seed}", took.as_secs_f64());
        for plan in &self.failed {
            println!("again: make fault FAULT_FLAGS=\"--seed {seed} --plan {plan}\"");
        }
        self.failed.is_empty()
    }
}
