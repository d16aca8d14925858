//! A reference count: what the barrier's counters must say, kept from what the parties have seen.

use super::drive::{Checked, Stage};
use super::model::Oracle;
use phalanx::Broken;
use proptest::prelude::*;
use std::collections::BTreeMap;

/// What has happened in a script so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Books {
    trips: u64,
    resets: u64,
    breaks: BTreeMap<String, u64>,
    /// By rank.
    arrivals: BTreeMap<usize, u64>,
}

impl Books {
    pub(crate) fn reset(&mut self) {
        self.resets += 1;
    }

    /// A round of which it is known what became of it.
    pub(crate) fn round(&mut self, oracle: &Oracle<'_>) {
        for trip in oracle.completed() {
            let ranks = oracle.ranks_of(trip);
            self.trips += u64::from(!ranks.is_empty());
            self.arrive(&ranks);
        }
        if let Some((trip, broken)) = oracle.verdict {
            self.broken(&oracle.ranks_of(trip), broken);
        }
    }

    /// A trip of these ranks broke.
    pub(crate) fn broken(&mut self, ranks: &[usize], broken: &Broken) {
        let is_missing = |rank: &usize| broken.missing().iter().any(|missing| missing.rank == *rank);
        let here: Vec<usize> = ranks.iter().copied().filter(|rank| !is_missing(rank)).collect();
        self.arrive(&here);
        *self.breaks.entry(broken.cause().kind().to_owned()).or_default() += 1;
    }

    fn arrive(&mut self, ranks: &[usize]) {
        ranks.iter().for_each(|rank| *self.arrivals.entry(*rank).or_default() += 1);
    }
}

impl Stage<'_> {
    /// Nobody is on the way: the counters are exact.
    pub(crate) fn check_books(&self) -> Checked {
        let stats = self.barrier.stats();
        let arrivals = stats.per_party.iter().filter(|party| party.arrivals > 0);
        let counted = Books {
            trips: stats.trips,
            resets: stats.resets,
            arrivals: arrivals.map(|party| (party.rank, party.arrivals)).collect(),
            breaks: stats.breaks,
        };
        prop_assert_eq!(&counted, &self.books, "counted, and in the books");
        Ok(())
    }
}
