//! The ledger: what a barrier has been through, kept so that no party pays for it.
//!
//! Trips and arrivals need no counters: an arrival slot is a count of its party's trips already. The era that is present says
//! how far its slots have come since its first trip, and one that has ended says where it ended; so when an era retires, what
//! it came to is added up here, under the registry's lock, and that is all ([`Sum`]). An era that was broken by a verdict on
//! one of its own trips is one break, by the cause of the verdict. What cannot be read from the slots (how long waits were
//! passed, who came first and last) each party keeps in a [`Tally`] of its own, which stays with its rank.

use super::era::Era;
use crate::error::Cause;
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
    /// Breaks, by the kind of their cause ([`Cause::kind`]).
    pub(crate) breaks: BTreeMap<&'static str, u64>,
}

impl Sum {
    /// Adds what `era` has come to so far.
    pub(crate) fn add(&mut self, era: &Era) {
        let account = era.account();
        self.trips += account.trips;
        for (&rank, &here) in era.design().ranks.iter().zip(&account.here) {
            if self.arrivals.len() <= rank {
                self.arrivals.resize(rank + 1, 0);
            }
            self.arrivals[rank] += account.trips + u64::from(here);
        }
        if let Some(cause) = account.broken {
            *self.breaks.entry(cause.kind()).or_default() += 1;
        }
    }
}

/// What one era has come to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Account {
    pub(crate) trips: u64,
    /// Who has arrived at the trip behind those, by seat.
    pub(crate) here: Vec<bool>,
    /// Why that trip is broken, if it is.
    pub(crate) broken: Option<Cause>,
}

impl Era {
    /// What it has come to so far. An era that holds no trip, or was broken with the one before, has come to nothing.
    fn account(&self) -> Account {
        let ranks = &self.design().ranks;
        let nobody = vec![false; ranks.len()];
        if let Some(verdict) = self.verdict() {
            if is_beyond(self.first(), verdict.generation()) {
                return Account { trips: 0, here: nobody, broken: None };
            }
            let missing = verdict.missing();
            let here = ranks.iter().map(|&rank| missing.iter().all(|missing| missing.rank != rank)).collect();
            let trips = verdict.generation().wrapping_sub(self.first());
            return Account { trips, here, broken: Some(verdict.cause().clone()) };
        }
        let turn = self.turned();
        let census = self.census();
        match turn {
            Some(turn) if !is_beyond(turn, census.generation) => {
                Account { trips: turn.wrapping_sub(self.first()), here: nobody, broken: None }
            }
            _ => {
                let here = ranks.iter().map(|rank| !census.missing.contains(rank)).collect();
                Account { trips: census.generation.wrapping_sub(self.first()), here, broken: None }
            }
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
    resets: u64,
    tallies: Vec<Arc<Tally>>,
}

impl Ledger {
    pub(super) fn new() -> Self {
        Self { past: Mutex::new(Past::default()) }
    }

    /// Adds up eras that have retired. Under the registry's lock, so that nobody sees one twice or not at all.
    pub(super) fn close(&self, retired: &[Arc<Era>]) {
        if retired.is_empty() {
            return;
        }
        let mut past = lock(&self.past);
        retired.iter().for_each(|era| past.sum.add(era));
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
        let past = lock(&self.past);
        let mut sum = past.sum.clone();
        sum.add(present);
        (sum, past.resets)
    }

    /// The tallies of all ranks that ever had a handle.
    pub(super) fn tallies(&self) -> Vec<Arc<Tally>> {
        lock(&self.past).tallies.clone()
    }
}
