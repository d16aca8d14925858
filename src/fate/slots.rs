//! Arrival slots: one epoch per party, written by that party alone.
//!
//! One mechanism, three uses: in flag-based algorithms a slot is the signal itself, it says who is missing, and it
//! decides a disputed trip.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | slot `r` | party `r`, by a plain release store | all | the generation that party `r` will arrive at next; `g + 1` says that it has arrived at trip `g` |
//!
//! Epochs only grow, by one per trip, and two parties are never more than one apart, so differences are taken modulo
//! 2^64 and read as signed: the counter may wrap.
//!
//! # Layout
//!
//! Two parties share one line: the transfer that a writer needs anyway brings the other's epoch along. (Measured: 61 ns
//! per trip against 151 with a line each.) Three or more have a line each: writers that share a line would queue for it.

use crate::primitive::{AtomicU64, Ordering, fence};
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// The epochs of two parties, in one line.
pub(crate) type Pair = CachePadded<[AtomicU64; 2]>;

/// The slots of one era; cheap to clone, so that a party finds them by one pointer.
#[derive(Clone, Debug)]
pub(crate) enum Slots {
    Pair(Arc<Pair>),
    Many(Arc<[CachePadded<AtomicU64>]>),
}

impl Slots {
    /// Slots of parties that will all arrive at `first` next.
    pub(crate) fn new(parties: usize, first: u64) -> Self {
        let slot = || AtomicU64::new(first);
        if parties == 2 {
            Self::Pair(Arc::new(CachePadded::new([slot(), slot()])))
        } else {
            Self::Many((0..parties).map(|_| CachePadded::new(slot())).collect())
        }
    }

    #[inline(always)]
    pub(crate) fn parties(&self) -> usize {
        match self {
            Self::Pair(_) => 2,
            Self::Many(slots) => slots.len(),
        }
    }

    #[inline(always)]
    fn slot(&self, rank: usize) -> &AtomicU64 {
        match self {
            Self::Pair(pair) => &pair[rank & 1],
            Self::Many(slots) => &slots[rank],
        }
    }

    /// Publishes that `rank` has arrived at `generation`, with all that its thread did before.
    #[inline(always)]
    pub(crate) fn arrive(&self, rank: usize, generation: u64) {
        arrive(self.slot(rank), generation);
    }

    /// The generation that `rank` will arrive at next. Relaxed: only the party itself, or somebody who holds what
    /// orders it, asks.
    pub(crate) fn next_of(&self, rank: usize) -> u64 {
        self.slot(rank).load(Ordering::Relaxed)
    }

    /// Who has arrived where. Exact only behind a heavy fence that holds the parties' verdict up; a snapshot otherwise.
    pub(crate) fn census(&self) -> Census {
        let next: Vec<u64> = (0..self.parties())
            // [census] Acquire: pairs with the Release of `arrive`; a breaker that finds the trip complete passes on
            // what it read.
            .map(|rank| self.slot(rank).load(Ordering::Acquire))
            .collect();
        Census::of(&next)
    }
}

/// Publishes in the own slot that its party has arrived at `generation`, with all that its thread did before.
#[inline(always)]
pub(crate) fn arrive(slot: &AtomicU64, generation: u64) {
    // [arrive] Release: pairs with the Acquire of `peer_arrived`, the fence of `all_arrived` and the Acquire of
    // `census`; carries everything that this party did before it arrived.
    slot.store(generation.wrapping_add(1), Ordering::Release);
}

/// Whether the party of one other slot has arrived at `generation`.
#[inline(always)]
pub(crate) fn peer_arrived(slot: &AtomicU64, generation: u64) -> bool {
    // [peer] Acquire: pairs with the Release of `arrive`; what the peer did before it arrived is visible from here.
    has_arrived(slot.load(Ordering::Acquire), generation)
}

/// Whether the parties of all slots have arrived at `generation`: one pass without branches, so that the misses
/// overlap.
#[inline(always)]
pub(crate) fn all_arrived(slots: &[CachePadded<AtomicU64>], generation: u64) -> bool {
    let mut all = true;
    for slot in slots {
        // Relaxed: the fence below acquires, once for all slots.
        all &= has_arrived(slot.load(Ordering::Relaxed), generation);
    }
    if all {
        // [scan] Acquire: with the loads above pairs with the Release of every `arrive` that they read.
        fence(Ordering::Acquire);
    }
    all
}

/// A slot with epoch `next` has arrived at `generation`: `next` is beyond it.
#[inline(always)]
fn has_arrived(next: u64, generation: u64) -> bool {
    (next.wrapping_sub(generation) as i64) > 0
}

/// The trip that is not complete, and who has not arrived at it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Census {
    /// The first trip that somebody has not arrived at.
    pub(crate) generation: u64,
    /// Who has not, ascending. Never empty: a trip at which all have arrived is complete, and the next one is meant.
    pub(crate) missing: Vec<usize>,
    /// How many have.
    pub(crate) arrived: usize,
}

impl Census {
    fn of(next: &[u64]) -> Self {
        let origin = next.first().copied().unwrap_or(0);
        let lowest = next.iter().map(|epoch| epoch.wrapping_sub(origin) as i64).min().unwrap_or(0);
        let generation = origin.wrapping_add(lowest as u64);
        let missing: Vec<usize> =
            next.iter().enumerate().filter(|(_, epoch)| **epoch == generation).map(|(rank, _)| rank).collect();
        let arrived = next.len() - missing.len();
        Self { generation, missing, arrived }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_census_names_the_trip_and_who_is_missing() {
        let census = Census::of(&[5, 6, 5, 6]);
        assert_eq!(census, Census { generation: 5, missing: vec![0, 2], arrived: 2 });
    }

    #[test]
    fn a_complete_trip_is_the_next_one_with_nobody_there() {
        let census = Census::of(&[6, 6]);
        assert_eq!(census, Census { generation: 6, missing: vec![0, 1], arrived: 0 });
    }

    #[test]
    fn epochs_may_wrap_b15() {
        let census = Census::of(&[0, u64::MAX, 0]);
        assert_eq!(census, Census { generation: u64::MAX, missing: vec![1], arrived: 2 });
        let Slots::Many(slots) = Slots::new(3, u64::MAX) else { panic!("three parties have a line each") };
        slots.iter().for_each(|slot| arrive(slot, u64::MAX));
        assert!(all_arrived(&slots, u64::MAX) && !all_arrived(&slots, 0));
    }
}
