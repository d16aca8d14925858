//! Rivals: threads that are no party and never wait, on CPUs that the parties have to share.
//!
//! Yielding is the cheapest way for parties to share a CPU with each other, and the dearest with a rival: each yield
//! hands over a whole time slice, while a scheduler lets a woken sleeper run at once. (Measured with one busy loop per
//! CPU, 4 to 64 parties on 2 CPUs: 2 ms a trip yielding, 4 to 240 µs sleeping.) A party whose yields take slices
//! (`pace.rs`) says so here, and for a number of trips nobody yields. The number doubles as long as trying again shows
//! the same, so that in the long run the trials cost nothing.
//!
//! The words are hints: all accesses are relaxed, and a lost update costs a trial.

use crate::primitive::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// Trips without yields, at first and at most.
const FIRST: u64 = 64;
const LONGEST: u64 = 1 << 13;

/// What the parties of one barrier know of their rivals.
#[derive(Debug)]
pub(super) struct Rivals {
    words: CachePadded<[AtomicU64; 2]>,
}

impl Rivals {
    constant_unless_modelled! {
        /// None so far.
        pub(super) fn new() -> Self {
            Self { words: CachePadded::new([AtomicU64::new(0), AtomicU64::new(0)]) }
        }
    }

    /// The first trip on which yielding is to be tried again.
    fn until(&self) -> &AtomicU64 {
        &self.words[0]
    }

    /// How many trips were last left out; 0 for none ever.
    fn span(&self) -> &AtomicU64 {
        &self.words[1]
    }

    /// Whether nobody should yield on trip `generation`.
    pub(super) fn are_there(&self, generation: u64) -> bool {
        let span = self.span().load(Ordering::Relaxed);
        let left = self.until().load(Ordering::Relaxed).wrapping_sub(generation);
        // Modulo 2^64, and no farther than a span: the count may wrap, and a barrier may begin anywhere.
        span > 0 && (1..=span + 1).contains(&left)
    }

    /// A party has met them on trip `generation`.
    pub(super) fn were_met(&self, generation: u64) {
        if self.are_there(generation) {
            return;
        }
        let span = self.span().load(Ordering::Relaxed);
        let since = generation.wrapping_sub(self.until().load(Ordering::Relaxed));
        // Soon after the last time they are the same ones.
        let again = span > 0 && since <= span.max(FIRST);
        let span = if again { (span * 2).min(LONGEST) } else { FIRST };
        self.span().store(span, Ordering::Relaxed);
        self.until().store(generation.wrapping_add(1 + span), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    /// The trips from `first` on during which nobody yields.
    fn pause(rivals: &Rivals, first: u64) -> u64 {
        (1..).take_while(|&trip| rivals.are_there(first.wrapping_add(trip))).count() as u64
    }

    #[test]
    fn pauses_double_while_they_stay_and_begin_small_when_they_come_back() {
        for first in [0, u64::MAX - 3, (1 << 63) - 3] {
            let rivals = Rivals::new();
            assert!(!rivals.are_there(first));
            let mut trip = first;
            for expected in [64, 128, 256, 512] {
                rivals.were_met(trip);
                rivals.were_met(trip);
                assert_eq!(pause(&rivals, trip), expected);
                trip = trip.wrapping_add(expected + 3);
            }
            trip = trip.wrapping_add(10_000);
            assert!(!rivals.are_there(trip));
            rivals.were_met(trip);
            assert_eq!(pause(&rivals, trip), 64);
        }
    }

    #[test]
    fn pauses_have_an_end() {
        let rivals = Rivals::new();
        let mut trip = 0;
        for _ in 0..20 {
            rivals.were_met(trip);
            trip += pause(&rivals, trip) + 1;
        }
        rivals.were_met(trip);
        assert_eq!(pause(&rivals, trip), LONGEST);
    }
}
