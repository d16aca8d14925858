//! Rivals: threads that are no party and never wait, on CPUs that the parties have to share.
//!
//! Yielding is the cheapest way for parties to share a CPU with each other, and the dearest with a rival: each yield
//! hands over a whole time slice, while a scheduler lets a woken sleeper run at once. (Measured with one busy process per
//! CPU, 4 to 64 parties on 2 CPUs: 2 ms a trip yielding, 35 to 170 µs sleeping; docs/results.) Who meets a yield that takes a slice
//! says so here. Once is an accident, since everything else on the machine needs a CPU now and then; on three trips in a
//! row it is a rival, and for a number of trips nobody yields. Then yielding is tried again, and one slow yield is
//! enough to stop it for twice as long; so in the long run the trials cost nothing.
//!
//! The words are hints: all accesses are relaxed, and a lost update costs a trial.

use crate::primitive::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;

/// Trips in a row with a slow yield that show a rival.
const ACCIDENTS: u64 = 3;

/// Trips after a pause for which one slow yield is enough.
const TRIAL: u64 = 16;

/// Trips without yields, at first and at most.
const FIRST: u64 = 64;
const LONGEST: u64 = 1 << 13;

/// What the parties of one barrier know of their rivals.
#[derive(Debug)]
pub(super) struct Rivals {
    words: CachePadded<[AtomicU64; 4]>,
}

impl Rivals {
    constant_unless_modelled! {
        /// None so far.
        pub(super) fn new() -> Self {
            let word = AtomicU64::new;
            Self { words: CachePadded::new([word(0), word(0), word(0), word(0)]) }
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

    /// The last trip with a slow yield, and how many there have been in a row.
    fn last_slow(&self) -> &AtomicU64 {
        &self.words[2]
    }

    fn in_a_row(&self) -> &AtomicU64 {
        &self.words[3]
    }

    /// Whether nobody should yield on trip `generation`.
    pub(super) fn are_there(&self, generation: u64) -> bool {
        let span = self.span().load(Ordering::Relaxed);
        let left = self.until().load(Ordering::Relaxed).wrapping_sub(generation);
        // Modulo 2^64, and no farther than a span: the count may wrap, and a barrier may begin anywhere.
        span > 0 && (1..=span + 1).contains(&left)
    }

    /// A yield on trip `generation` was slow.
    pub(super) fn slow_yield(&self, generation: u64) {
        if self.are_there(generation) {
            return;
        }
        let span = self.span().load(Ordering::Relaxed);
        let since = generation.wrapping_sub(self.until().load(Ordering::Relaxed));
        let on_trial = span > 0 && since < TRIAL;
        let so_far = self.in_a_row().load(Ordering::Relaxed);
        let in_a_row = match generation.wrapping_sub(self.last_slow().load(Ordering::Relaxed)) {
            0 if so_far > 0 => return, // another party's word for the same slice
            1 => so_far + 1,
            _ => 1,
        };
        self.last_slow().store(generation, Ordering::Relaxed);
        self.in_a_row().store(in_a_row, Ordering::Relaxed);
        if in_a_row < ACCIDENTS && !on_trial {
            return;
        }
        let span = if on_trial { (span * 2).min(LONGEST) } else { FIRST };
        self.in_a_row().store(0, Ordering::Relaxed);
        self.span().store(span, Ordering::Relaxed);
        self.until().store(generation.wrapping_add(1 + span), Ordering::Relaxed);
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    /// The trips behind `trip` on which nobody yields.
    fn pause(rivals: &Rivals, trip: u64) -> u64 {
        (1..).take_while(|&more| rivals.are_there(trip.wrapping_add(more))).count() as u64
    }

    #[test]
    fn pauses_double_while_they_stay_and_begin_small_when_they_come_back() {
        for first in [0, u64::MAX - 3, (1 << 63) - 3] {
            let rivals = Rivals::new();
            let mut trip = first;
            for expected in [0, 0, FIRST] {
                // Each slice is noticed by several parties.
                (0..5).for_each(|_| rivals.slow_yield(trip));
                assert_eq!(pause(&rivals, trip), expected);
                assert_eq!(rivals.are_there(trip), expected > 0, "for those who are still at this trip");
                trip = trip.wrapping_add(1);
            }
            trip = trip.wrapping_add(FIRST);
            for expected in [2 * FIRST, 4 * FIRST, 8 * FIRST] {
                rivals.slow_yield(trip);
                assert_eq!(pause(&rivals, trip), expected);
                trip = trip.wrapping_add(expected + 3);
            }
            trip = trip.wrapping_add(10_000);
            for expected in [0, 0, FIRST] {
                rivals.slow_yield(trip);
                assert_eq!(pause(&rivals, trip), expected, "they had gone");
                trip = trip.wrapping_add(1);
            }
        }
    }

    #[test]
    fn accidents_are_forgotten() {
        let rivals = Rivals::new();
        for trip in (0..1000).filter(|trip| trip % 10 < 2) {
            rivals.slow_yield(trip);
            assert_eq!(pause(&rivals, trip), 0);
        }
    }

    #[test]
    fn there_are_none_at_first_wherever_the_count_begins() {
        for trip in [0, 1, u64::MAX - 1, u64::MAX] {
            assert!(!Rivals::new().are_there(trip));
        }
    }

    #[test]
    fn a_trial_ends() {
        for (late, expected) in [(TRIAL - 1, 2 * FIRST), (TRIAL, 0)] {
            let rivals = Rivals::new();
            (0..ACCIDENTS).for_each(|trip| rivals.slow_yield(trip));
            let again = rivals.until().load(Ordering::Relaxed);
            rivals.slow_yield(again + late);
            assert_eq!(pause(&rivals, again + late), expected);
        }
    }

    #[test]
    fn pauses_have_an_end() {
        let rivals = Rivals::new();
        let mut trip = 0;
        for _ in 0..12 {
            rivals.slow_yield(trip);
            trip += pause(&rivals, trip) + 1;
        }
        rivals.slow_yield(trip);
        assert_eq!(pause(&rivals, trip), LONGEST);
    }
}
