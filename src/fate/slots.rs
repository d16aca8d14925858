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
//! A slot is an epoch (`epoch.rs`): it only grows, and may wrap.
//!
//! # Layout
//!
//! Two parties share one line: the transfer that a writer needs anyway brings the other's epoch along. (Measured: 61 ns
//! per trip against 151 with a line each.) Those of an exchange have nothing else, and a pointer less to follow. All
//! others are on a board (`board.rs`): a line each, but for SMT siblings.

use super::board::{Board, Spot};
use super::epoch::{publish, reached};
use super::luggage::Luggage;
use crate::primitive::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::sync::Arc;

/// The epochs of two parties, in one line, and what the two bring along.
pub(crate) type Pair = CachePadded<Two>;

/// See [`Pair`].
#[derive(Debug)]
#[repr(C)]
pub(crate) struct Two {
    pub(crate) slots: [AtomicU64; 2],
    pub(crate) luggage: [Luggage; 2],
}

/// The slots of one era; cheap to clone, so that a party finds them by one pointer.
#[derive(Clone, Debug)]
pub(crate) enum Slots {
    Pair(Arc<Pair>),
    Many { board: Arc<Board>, spots: Arc<[Spot]>, luggage: Arc<[Spot]> },
}

impl Slots {
    /// Slots of two parties that will both arrive at `first` next.
    pub(crate) fn pair(first: u64) -> Self {
        let slots = [AtomicU64::new(first), AtomicU64::new(first)];
        Self::Pair(Arc::new(CachePadded::new(Two { slots, luggage: [Luggage::new(), Luggage::new()] })))
    }

    #[inline(always)]
    pub(crate) fn parties(&self) -> usize {
        match self {
            Self::Pair(_) => 2,
            Self::Many { spots, .. } => spots.len(),
        }
    }

    #[inline(always)]
    fn slot(&self, rank: usize) -> &AtomicU64 {
        match self {
            Self::Pair(pair) => &pair.slots[rank & 1],
            Self::Many { board, spots, .. } => board.at(spots[rank]),
        }
    }

    /// What `rank` brings along.
    #[inline(always)]
    pub(crate) fn luggage(&self, rank: usize) -> &Luggage {
        match self {
            Self::Pair(pair) => &pair.luggage[rank & 1],
            Self::Many { board, luggage, .. } => board.luggage(luggage[rank]),
        }
    }

    /// Publishes that `rank` has arrived at `generation`, with all that its thread did before.
    #[inline(always)]
    pub(crate) fn arrive(&self, rank: usize, generation: u64) {
        publish(self.slot(rank), generation);
    }

    /// Whether `rank` has arrived at `generation`, with all that its thread did before.
    pub(crate) fn has_arrived(&self, rank: usize, generation: u64) -> bool {
        reached(self.slot(rank), generation)
    }

    /// The generation that `rank` will arrive at next. Relaxed: only the party itself, or somebody who holds what
    /// orders it, asks.
    pub(crate) fn next_of(&self, rank: usize) -> u64 {
        self.slot(rank).load(Ordering::Relaxed)
    }

    /// Whether nobody, and whether everybody, has arrived at `generation` beside `rank`. What one party saw at one moment:
    /// two that arrive together may both have seen all, or both nobody.
    pub(crate) fn standing(&self, rank: usize, generation: u64) -> Standing {
        let mut standing = Standing { first: true, last: true };
        // Each begins with its neighbour, and ends as soon as it knows that it is neither: most look at a few lines.
        for other in (rank + 1..self.parties()).chain(0..rank) {
            let arrived = (self.next_of(other).wrapping_sub(generation) as i64) > 0;
            standing.first &= !arrived;
            standing.last &= arrived;
            if !standing.first && !standing.last {
                break;
            }
        }
        standing
    }

    /// Who has arrived where. Exact only behind a heavy fence that holds the parties' verdict up; a snapshot otherwise.
    pub(crate) fn census(&self) -> Census {
        let next: Vec<u64> = (0..self.parties())
            // [census] Acquire: pairs with the Release of `publish`; a breaker that finds the trip complete passes on
            // what it read.
            .map(|rank| self.slot(rank).load(Ordering::Acquire))
            .collect();
        Census::of(&next)
    }
}

/// A party's place in the order of arrivals, if it is one of the ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) first: bool,
    pub(crate) last: bool,
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
    fn the_first_and_the_last_to_come_know_it() {
        let standing = |next: [u64; 2]| {
            let slots = Slots::pair(4);
            (0..2).filter(|&rank| next[rank] == 5).for_each(|rank| slots.arrive(rank, 4));
            let Standing { first, last } = slots.standing(0, 4);
            (first, last, slots.has_arrived(0, 4), slots.has_arrived(1, 4))
        };
        assert_eq!(standing([5, 4]), (true, false, true, false));
        assert_eq!(standing([5, 5]), (false, true, true, true));
        let sites = crate::topology::Sites::anywhere(3);
        let mut layout = crate::fate::board::Layout::new(&sites);
        let spots = layout.slots(&sites);
        let board = Arc::new(Board::new(&layout, 4, false));
        let slots = Slots::Many { board, luggage: Arc::clone(&spots.clone().into()), spots: spots.into() };
        let standing = |rank| {
            let Standing { first, last } = slots.standing(rank, 4);
            (first, last)
        };
        assert_eq!((standing(0), slots.parties()), ((true, false), 3));
        slots.arrive(2, 4);
        assert_eq!([standing(0), standing(1), standing(2)], [(false, false), (false, false), (true, false)]);
        slots.arrive(1, 4);
        assert_eq!([standing(0), standing(1)], [(false, true), (false, false)]);
        assert_eq!([0, 1, 2].map(|rank| slots.next_of(rank)), [4, 5, 5]);
        slots.arrive(0, 4);
        assert_eq!(standing(1), (false, true));
    }

    #[test]
    fn two_bring_their_luggage_to_places_of_their_own() {
        let slots = Slots::pair(0);
        assert!(!std::ptr::eq(slots.luggage(0), slots.luggage(1)));
        let Slots::Pair(pair) = &slots else { unreachable!() };
        assert!(std::ptr::eq(slots.luggage(1), &raw const pair.luggage[1]));
        assert!(std::ptr::eq(slots.slot(1), &raw const pair.slots[1]));
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
    }
}
