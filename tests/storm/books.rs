//! A reference count: what the barrier's counters must say, kept from what the parties have seen.

use super::crew::{Deed, Seen};
use super::drive::{Checked, Stage};
use super::model::{Oracle, Player};
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
    advance: Option<Advance>,
}

/// Somebody who arrives and gives its handle up breaks the next trip in advance. If its own breaks as well, for another
/// cause, there are two breaks, of which nobody may have heard of the second.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Advance {
    kind: &'static str,
    /// It was so.
    counted: bool,
}

impl Books {
    pub(crate) fn reset(&mut self) {
        self.resets += 1;
    }

    /// A round of which it is known what became of it.
    pub(crate) fn round(&mut self, oracle: &Oracle<'_>) {
        let deserts = |player: &Player| {
            matches!(player.deeds.last(), Some(Deed::Desert { .. })) && player.seen.last() == Some(&Seen::Gone)
        };
        self.advance = oracle.players.iter().find(|player| deserts(player)).map(|player| {
            let panics = matches!(player.deeds.last(), Some(Deed::Desert { panics: true }));
            Advance { kind: if panics { "panicked" } else { "dropped" }, counted: false }
        });
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

    /// Whether a break in advance was counted beside the one that everybody has heard of.
    pub(crate) fn take_advance(&mut self) -> bool {
        self.advance.take().is_some_and(|advance| advance.counted)
    }

    /// The barrier has counted these breaks and arrivals. Of a trip that was broken in advance nobody but the barrier knows which
    /// newcomers had come to it: one arrival more of a rank is taken from there, with the break and never without; and where
    /// everybody has heard of that break, so that it is no second one, the first arrival of a rank that had none.
    fn hear(&mut self, counted: &BTreeMap<String, u64>, arrivals: &BTreeMap<usize, u64>) {
        let Some(advance) = self.advance.as_mut().filter(|advance| !advance.counted) else { return };
        let times = self.breaks.get(advance.kind).copied().unwrap_or(0) + 1;
        if counted.get(advance.kind) == Some(&times) {
            self.breaks.insert(advance.kind.to_owned(), times);
            advance.counted = true;
            for (rank, &count) in arrivals {
                let known = self.arrivals.entry(*rank).or_default();
                *known += u64::from(count == *known + 1);
            }
            self.arrivals.retain(|_, count| *count > 0);
        } else if self.breaks.contains_key(advance.kind) {
            for (rank, _) in arrivals.iter().filter(|(_, count)| **count == 1) {
                self.arrivals.entry(*rank).or_insert(1);
            }
        }
    }

    fn arrive(&mut self, ranks: &[usize]) {
        ranks.iter().for_each(|rank| *self.arrivals.entry(*rank).or_default() += 1);
    }
}

impl Stage<'_> {
    /// Nobody is on the way: the counters are exact.
    pub(crate) fn check_books(&mut self) -> Checked {
        let stats = self.barrier.stats();
        let arrivals = stats.per_party.iter().filter(|party| party.arrivals > 0);
        let arrivals = arrivals.map(|party| (party.rank, party.arrivals)).collect();
        self.books.hear(&stats.breaks, &arrivals);
        let counted = Books {
            trips: stats.trips,
            resets: stats.resets,
            arrivals,
            breaks: stats.breaks,
            advance: self.books.advance.clone(),
        };
        prop_assert_eq!(&counted, &self.books, "counted, and in the books");
        Ok(())
    }
}
