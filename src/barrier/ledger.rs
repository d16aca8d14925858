//! The ledger: what a barrier has been through, kept so that no party pays for it.
//!
//! Trips and arrivals need no counters: an arrival slot is a count of its party's trips already. The era that is present says
//! how far its slots have come since its first trip, and one that has ended says where it ended; so when an era retires, what
//! it came to is added up here, under the registry's lock, and that is all ([`Sum`]). An era that was broken by a verdict on
//! one of its own trips is one break, by the cause of the verdict. What cannot be read from the slots (how long waits were
//! passed, who came first and last) each party keeps in a [`Tally`] of its own, which stays with its rank.
//!
//! # What an era came to
//!
//! How it ended ([`End`]) is said by who ends it, under the registry's lock, and not found out from its words, on which its
//! last parties may still be at work:
//!
//! - turned: all trips before the turn. If only newcomers go on, those who leave may not have arrived at the last of them when
//!   it retires, and nobody can keep them from it;
//! - broken: the trips before the one that the verdict names, the arrivals at that one which the verdict does not miss, and the
//!   break; nothing if the verdict is on a trip of the era before, whose break it is;
//! - superseded: nothing. Its newcomers arrive elsewhere, and its verdict, if it has one, is its successor's.
//!
//! A verdict on a complete trip (its action panicked, an operator did) may come when the era has retired already, and takes the
//! place of one on a later trip. Then what was added is taken back, and added anew ([`Ledger::correct`]).
//!
//! # Counts that only grow
//!
//! So a trip may be counted that turns out to be broken, and readers of counters take one that shrinks for a restart. What was
//! told is therefore told again until the truth has caught up with it, with the next trip ([`Ledger::sum`]).

use super::era::Era;
use super::registry::{End, Retired};
use crate::error::Broken;
use crate::fate::is_beyond;
use crate::primitive::{Mutex, lock};
use crate::wait::Tally;
use std::collections::BTreeMap;
use std::sync::Arc;

/// What eras came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// Trips that were completed.
    pub(crate) trips: u64,
    /// Arrivals by rank, at trips that were completed or open; at a broken trip, those that were there when it broke.
    pub(crate) arrivals: Vec<u64>,
    /// Breaks, by the kind of their cause ([`Cause::kind`](crate::Cause::kind)).
    pub(crate) breaks: BTreeMap<&'static str, u64>,
}

impl Sum {
    /// Adds what the era of `ranks` came to.
    fn add(&mut self, ranks: &[usize], account: &Account) {
        self.trips += account.trips;
        for (&rank, arrivals) in ranks.iter().zip(account.arrivals()) {
            if self.arrivals.len() <= rank {
                self.arrivals.resize(rank + 1, 0);
            }
            self.arrivals[rank] += arrivals;
        }
        if let Some(kind) = account.broken {
            *self.breaks.entry(kind).or_default() += 1;
        }
    }

    /// Takes back what was added.
    fn subtract(&mut self, ranks: &[usize], account: &Account) {
        self.trips -= account.trips;
        for (&rank, arrivals) in ranks.iter().zip(account.arrivals()) {
            self.arrivals[rank] -= arrivals;
        }
        if let Some(count) = account.broken.and_then(|kind| self.breaks.get_mut(kind)) {
            *count -= 1;
        }
    }

    /// At least as much of everything as `told`.
    fn raise(&mut self, told: &Self) {
        self.trips = self.trips.max(told.trips);
        self.arrivals.resize(self.arrivals.len().max(told.arrivals.len()), 0);
        self.arrivals.iter_mut().zip(&told.arrivals).for_each(|(count, told)| *count = (*count).max(*told));
        for (kind, told) in &told.breaks {
            let count = self.breaks.entry(kind).or_default();
            *count = (*count).max(*told);
        }
    }
}

/// What one era has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) trips: u64,
    /// Who has arrived at the trip behind those, by seat.
    pub(crate) here: Vec<bool>,
    /// The kind of cause for which that trip is broken, if it is.
    pub(crate) broken: Option<&'static str>,
}

impl Account {
    const NOTHING: Self = Self { trips: 0, here: Vec::new(), broken: None };

    /// By seat; none if it came to nothing.
    fn arrivals(&self) -> impl Iterator<Item = u64> {
        self.here.iter().map(|&here| self.trips + u64::from(here))
    }
}

impl Era {
    /// What it has come to so far.
    fn account(&self) -> Account {
        if let Some(verdict) = self.verdict() {
            return self.account_of(&verdict);
        }
        // One that has turned and is complete stands at its turn, where nobody arrives any more.
        let census = self.census();
        let here = self.design().ranks.iter().map(|rank| census.missing.binary_search(rank).is_err()).collect();
        Account { here, ..self.account_before(census.generation) }
    }

    /// All trips before `end`, and nobody at that one.
    fn account_before(&self, end: u64) -> Account {
        Account { trips: end.wrapping_sub(self.first()), here: vec![false; self.parties()], broken: None }
    }

    /// What it came to if it ended with this.
    fn account_of(&self, verdict: &Broken) -> Account {
        if is_beyond(self.first(), verdict.generation()) {
            return Account::NOTHING;
        }
        // A trip that was broken in advance may have got more parties since, which the verdict does not miss.
        let anybody = verdict.arrived() > 0;
        // Both are ascending, and may be long.
        let is_missing = |rank: usize| verdict.missing().binary_search_by_key(&rank, |missing| missing.rank).is_ok();
        let is_here = |&rank: &usize| anybody && !is_missing(rank);
        Account {
            here: self.design().ranks.iter().map(is_here).collect(),
            broken: Some(verdict.cause().kind()),
            ..self.account_before(verdict.generation())
        }
    }
}

impl Retired {
    fn account(&self) -> Account {
        match self.end {
            End::Turned(turn) => self.era.account_before(turn),
            End::Broken => self.era.account(),
            End::Superseded => Account::NOTHING,
        }
    }
}

/// What all eras that have retired came to, and the tallies of all ranks.
#[derive(Debug, Default)]
pub(super) struct Ledger {
    past: Mutex<Past>,
}

#[derive(Debug, Default)]
struct Past {
    sum: Sum,
    /// What was told last.
    told: Sum,
    resets: u64,
    tallies: Vec<Arc<Tally>>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { past: Mutex::new(Past::default()) }
    }

    /// Adds up eras that have retired. Under the registry's lock, so that nobody sees one twice or not at all.
    pub(super) fn close(&self, retired: &[Retired]) {
        if retired.is_empty() {
            return;
        }
        let mut past = lock(&self.past);
        for retired in retired {
            past.sum.add(&retired.era.design().ranks, retired.era.close(retired.account()));
        }
    }

    /// A verdict was given on `era`, perhaps when it was in the books already. Under the registry's lock, and once.
    pub(super) fn correct(&self, era: &Era) {
        let (Some(closed), Some(verdict)) = (era.closed(), era.verdict()) else { return };
        let (mut past, ranks) = (lock(&self.past), &era.design().ranks);
        past.sum.subtract(ranks, closed);
        past.sum.add(ranks, &era.account_of(&verdict));
    }

    pub(super) fn count_reset(&self) {
        lock(&self.past).resets += 1;
    }

    /// The tally of `rank`.
    pub(super) fn tally(&self, rank: usize) -> Arc<Tally> {
        let mut past = lock(&self.past);
        while past.tallies.len() <= rank {
            past.tallies.push(Arc::default());
        }
        Arc::clone(&past.tallies[rank])
    }

    /// All that came to, `present` included, and how often the barrier was reset. Under the registry's lock.
    pub(super) fn sum(&self, present: &Era) -> (Sum, u64) {
        let mut past = lock(&self.past);
        let mut sum = past.sum.clone();
        sum.add(&present.design().ranks, &present.account());
        sum.raise(&past.told);
        past.told = sum.clone();
        (sum, past.resets)
    }

    /// The tallies of all ranks up to the highest that ever had a handle.
    pub(super) fn tallies(&self) -> Vec<Arc<Tally>> {
        lock(&self.past).tallies.clone()
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::barrier::Barrier;
    use crate::error::{Cause, Missing};

    /// Who of three has arrived at a trip that was broken when these had not, of so many.
    fn here(missing: &[usize], parties: usize) -> Vec<bool> {
        let era = Barrier::new(3).unwrap().control().era();
        let missing = missing.iter().map(|&rank| Missing { rank, thread: None, cpu: None }).collect();
        era.account_of(&Broken::by_rank(Cause::Reset, 0, parties, missing)).here
    }

    #[test]
    fn who_joined_behind_a_break_in_advance_has_not_arrived() {
        assert_eq!(here(&[1], 3), [true, false, true]);
        assert_eq!(here(&[0, 1, 2], 3), [false; 3]);
        assert_eq!(here(&[0, 1], 2), [false; 3], "nobody had, and one more is there since");
    }
}
