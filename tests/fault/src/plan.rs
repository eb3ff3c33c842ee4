//! What one seed comes to: rounds, each one fault in a world of its own that many deliveries feel; a plan is one of these
//! deliveries under that fault. The same seed and number give the same plan.

use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use crate::fault::{Fault, KINDS};
use crate::parcel::Parcel;

/// Deliveries in flight when a fault strikes.
pub(crate) const PER_ROUND: usize = 7;
/// Carriers of one world: each is a process.
const CARRIERS: usize = 4;
/// The last of them are created while it is broken.
const LATE: Duration = Duration::from_millis(1_500);

/// One fault, and those who feel it.
#[derive(Clone, Debug)]
pub(crate) struct Round {
    pub(crate) number: usize,
    pub(crate) fault: Fault,
    /// What breaks next, before anything has recovered.
    pub(crate) then: Option<Fault>,
    pub(crate) moment: Moment,
    pub(crate) sellers: usize,
    /// How long a leg takes.
    pub(crate) pace: &'static str,
    /// With the moment each is created, from the round's beginning.
    pub(crate) parcels: Vec<(Parcel, Duration)>,
}

/// When it strikes: when the log of one delivery has so many entries, and a little later.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Moment {
    pub(crate) parcel: usize,
    pub(crate) entries: usize,
    pub(crate) later: Duration,
}

impl Round {
    pub(crate) fn draw(seed: u64, number: usize) -> Self {
        let mut chance = StdRng::seed_from_u64(seed ^ (number as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
        let chance = &mut chance;
        let fault = Fault::draw(number, chance);
        // First every kind by itself.
        let then =
            (number >= KINDS && chance.random_bool(0.3)).then(|| Fault::draw(chance.random_range(0..KINDS), chance));
        let parcels = parcels(chance);
        let moment = moment(&parcels, chance);
        let sellers =
            if [Some(fault), then].into_iter().flatten().any(Fault::needs_two_sellers) || chance.random_bool(0.3) {
                2
            } else {
                1
            };
        let pace = if chance.random_bool(0.5) { "0s" } else { "1s" };
        let late = |chance: &mut StdRng| Duration::from_millis(chance.random_range(0..LATE.as_millis() as u64));
        let parcels = parcels
            .into_iter()
            .enumerate()
            .map(|(at, parcel)| {
                (parcel, if at == moment.parcel || at % 2 == 0 { Duration::ZERO } else { late(chance) })
            })
            .collect();
        Self { number, fault, then, moment, sellers, pace, parcels }
    }

    /// The same deliveries, left alone.
    pub(crate) fn undisturbed(parcels: Vec<Parcel>) -> Self {
        let moment = Moment { parcel: 0, entries: 0, later: Duration::ZERO };
        let parcels = parcels.into_iter().map(|parcel| (parcel, Duration::ZERO)).collect();
        Self { number: 0, fault: Fault::None, then: None, moment, sellers: 1, pace: "0s", parcels }
    }

    /// What breaks, in its order.
    pub(crate) fn faults(&self) -> impl Iterator<Item = Fault> + use<> {
        [Some(self.fault), self.then].into_iter().flatten()
    }

    /// One line of the summary.
    pub(crate) fn kind(&self) -> String {
        if self.then.is_some() { "two kinds, one after the other".into() } else { self.fault.kind() }
    }

    /// Number of the plan of one of its deliveries.
    pub(crate) fn plan(&self, parcel: usize) -> usize {
        self.number * PER_ROUND + parcel
    }
}

/// Of few carriers, so that each has several at once.
fn parcels(chance: &mut StdRng) -> Vec<Parcel> {
    let mut parcels: Vec<Parcel> = Vec::new();
    while parcels.len() < PER_ROUND {
        let parcel = Parcel::draw(chance);
        let mut carriers: Vec<String> = parcels.iter().map(Parcel::carrier).collect();
        carriers.push(parcel.carrier());
        carriers.sort();
        carriers.dedup();
        if carriers.len() <= CARRIERS {
            parcels.push(parcel);
        }
    }
    // Somebody's log says when it strikes.
    parcels[0] = parcels[0].kept();
    parcels
}

/// Any entry that the log of that delivery will surely have.
fn moment(parcels: &[Parcel], chance: &mut StdRng) -> Moment {
    let kept: Vec<usize> = (0..parcels.len()).filter(|at| parcels[*at].cancelled_after.is_none()).collect();
    let parcel = kept[chance.random_range(0..kept.len())];
    let later = [0, 10, 60, 250][chance.random_range(0..4)];
    let later = Duration::from_millis(chance.random_range(0..=later));
    Moment { parcel, entries: chance.random_range(0..=parcels[parcel].entries()), later }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_seed_and_a_number_always_give_the_same_plan() {
        for number in 0..2 * KINDS {
            let [one, other] = [7, 7].map(|seed| format!("{:?}", Round::draw(seed, number)));
            assert_eq!(one, other);
            assert_ne!(one, format!("{:?}", Round::draw(8, number)));
        }
    }

    #[test]
    fn two_hundred_plans_hold_every_kind_of_trouble_but_the_longest() {
        let kinds: std::collections::BTreeSet<String> =
            (0..KINDS).map(|number| Round::draw(1, number).fault.kind()).collect();
        assert!(kinds.len() >= KINDS - 2, "{kinds:?}");
    }
}
