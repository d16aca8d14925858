//! How a loop is shared out: a part for each member from the start, or piece by piece to whoever is free.

use crate::primitive::{AtomicU64, Ordering};
use crossbeam_utils::CachePadded;
use std::ops::Range;

/// The part of `range` that belongs to member `index` of `members`: contiguous, in the order of the ranks, no two differ by
/// more than one, the larger ones first.
pub(super) fn part(range: Range<usize>, index: usize, members: usize) -> Range<usize> {
    let (each, more) = (range.len() / members, range.len() % members);
    let start = range.start + index * each + index.min(more);
    start..start + each + usize::from(index < more)
}

/// [`part`] in whole granules, counted from the start of the range; the last one may be cut short.
pub(super) fn part_of_granules(range: Range<usize>, granule: usize, index: usize, members: usize) -> Range<usize> {
    let granule = granule.max(1);
    let granules = part(0..range.len().div_ceil(granule), index, members);
    let at = |granules: usize| range.start + granules.saturating_mul(granule).min(range.len());
    at(granules.start)..at(granules.end)
}

/// The loop that is being given out piece by piece.
///
/// One word: `{ number: which dynamic loop of this run, in the upper half; pieces: how many of it have been given out }`.
/// A member that comes to a loop of a higher number starts it; it does so only when the one before has been given out
/// to the end, since it has been through that. One that finds a higher number is late: all of its own loop is gone.
#[derive(Debug)]
pub(super) struct Tally(CachePadded<AtomicU64>);

const PIECES: u64 = u32::MAX as u64;

impl Tally {
    pub(super) fn new() -> Self {
        Self(CachePadded::new(AtomicU64::new(0)))
    }

    /// Before a run, whose loops are numbered from 1.
    pub(super) fn clear(&self) {
        // Relaxed: the call carries it to the members.
        self.0.store(0, Ordering::Relaxed);
    }

    /// The next piece of loop `number`, which has `pieces`.
    pub(super) fn take(&self, number: u32, pieces: usize) -> Option<usize> {
        let mut seen = self.0.load(Ordering::Relaxed);
        loop {
            // Loops may be more than can be counted, but members are never so far apart.
            let behind = number.wrapping_sub((seen >> 32) as u32) as i32;
            let next = if behind > 0 { u64::from(number) << 32 } else { seen };
            let piece = (next & PIECES) as usize;
            if behind < 0 || piece >= pieces {
                return None;
            }
            // Relaxed: nothing travels but the number of the piece. What members do to their pieces meets at a barrier.
            match self.0.compare_exchange_weak(seen, next + 1, Ordering::Relaxed, Ordering::Relaxed) {
                Ok(_) => return Some(piece),
                Err(now) => seen = now,
            }
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn parts_are_contiguous_balanced_and_complete() {
        for len in 0..70 {
            for members in 1..=9 {
                let parts: Vec<_> = (0..members).map(|index| part(5..5 + len, index, members)).collect();
                assert_eq!((parts[0].start, parts[members - 1].end), (5, 5 + len));
                assert!(parts.windows(2).all(|two| two[0].end == two[1].start && two[0].len() >= two[1].len()));
                assert!(parts[0].len() - parts[members - 1].len() <= 1);
            }
        }
    }

    #[test]
    fn granules_are_whole_but_for_the_last() {
        for (len, granule, members) in [(0, 8, 3), (7, 8, 2), (64, 8, 3), (65, 8, 3), (1000, 16, 7), (10, 0, 3)] {
            let parts: Vec<_> =
                (0..members).map(|index| part_of_granules(3..3 + len, granule, index, members)).collect();
            assert_eq!((parts[0].start, parts[members - 1].end), (3, 3 + len));
            assert!(parts.windows(2).all(|two| two[0].end == two[1].start));
            let whole = |part: &Range<usize>| (part.end - 3) % granule.max(1) == 0 || part.end == 3 + len;
            assert!(parts.iter().all(whole), "{parts:?}");
        }
    }

    #[test]
    fn every_piece_is_given_out_once_and_late_comers_get_none() {
        let tally = Tally::new();
        assert_eq!((tally.take(1, 2), tally.take(1, 2), tally.take(1, 2)), (Some(0), Some(1), None));
        assert_eq!(tally.take(2, 1), Some(0));
        assert_eq!((tally.take(1, 2), tally.take(2, 1), tally.take(3, 0)), (None, None, None));
        assert_eq!(tally.take(4, 1), Some(0));
        tally.clear();
        assert_eq!(tally.take(1, 1), Some(0));
        // A run with more loops than can be counted.
        let far = Tally(CachePadded::new(AtomicU64::new(u64::from(u32::MAX - 1) << 32)));
        assert_eq!((far.take(u32::MAX, 1), far.take(u32::MAX, 1)), (Some(0), None));
        assert_eq!((far.take(0, 2), far.take(u32::MAX, 1), far.take(0, 2)), (Some(0), None, Some(1)));
        assert_eq!(far.take(1, 1), Some(0));
    }
}
