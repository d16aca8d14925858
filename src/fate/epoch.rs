//! Epochs: words that only grow. All but the gates of the combining tree have one writer; a gate is written by the last
//! party of a trip, and no two trips are open at once.
//!
//! An epoch of `g + 1` or more says that something has happened for trip `g`. It grows by one per trip at most, and who
//! asks is never more than one trip apart from who writes, so differences are taken modulo 2^64 and read as signed: the
//! count may wrap. Nothing is ever reset, so no second set of words, no sense and no parity is needed.
//!
//! # Memory ordering
//!
//! `publish` → `reached`, `reached_to_own` or `all_reached`: release store; acquire load, the load of a compare and swap,
//! or relaxed loads and one acquire fence. Whoever sees an epoch sees everything that its writer did or had seen before it published.

use super::board::{Board, Spot};
use crate::primitive::{AtomicU64, FENCED, Ordering, fence};

/// Publishes that it has happened for trip `generation`, with all that this thread did and saw before.
#[inline(always)]
pub(crate) fn publish(epoch: &AtomicU64, generation: u64) {
    // [publish] Release: pairs with the Acquire of `reached` and `reached_to_own`, the fences of `all_reached` and `Muster`, and the Acquire
    // of `census`; carries everything that this party did before it arrived, and everything that it has seen since.
    epoch.store(generation.wrapping_add(1), Ordering::Release);
}

/// Whether it has happened for trip `generation`.
#[inline(always)]
pub(crate) fn reached(epoch: &AtomicU64, generation: u64) -> bool {
    // [reached] Acquire: pairs with the Release of `publish`.
    is_beyond(epoch.load(Ordering::Acquire), generation)
}

/// [`reached`], asked by a thread that will write to the same line next: a look that takes the line over for writing.
///
/// A plain look shares the line, so that the next store has to ask for it once more: two transactions where one would do.
/// Where [`owning_looks`](crate::primitive::owning_looks) says so this one is cheaper. It is a compare and swap that always
/// fails, so that the word has one writer all the same: whoever asks has passed the trip before, and so has the writer,
/// which therefore shows `generation` at least.
#[inline(always)]
pub(crate) fn reached_to_own(epoch: &AtomicU64, generation: u64) -> bool {
    let never = generation.wrapping_sub(1);
    // [own] Acquire: pairs with the Release of `publish`.
    let next = match epoch.compare_exchange(never, never, Ordering::Relaxed, Ordering::Acquire) {
        Ok(next) | Err(next) => next,
    };
    is_beyond(next, generation)
}

/// Whether it has happened for trip `generation` at all of these: one pass without branches, so that the misses
/// overlap.
#[inline(always)]
pub(crate) fn all_reached<'a>(epochs: impl IntoIterator<Item = &'a AtomicU64>, generation: u64) -> bool {
    let mut all = true;
    for epoch in epochs {
        // FENCED: relaxed; the fence below acquires, once for all.
        all &= is_beyond(epoch.load(FENCED), generation);
    }
    if all {
        // [scan] Acquire: with the loads above pairs with the Release of every `publish` that they read.
        fence(Ordering::Acquire);
    }
    all
}

/// A scan that remembers how far it has come, so that asking again costs one line and not all.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Muster {
    generation: u64,
    seen: usize,
}

impl Muster {
    /// Whether all of `spots` have reached trip `generation`. The spots must be the same each time.
    pub(crate) fn is_complete(&mut self, board: &Board, spots: &[Spot], generation: u64) -> bool {
        if self.generation != generation {
            *self = Self { generation, seen: 0 };
        }
        while let Some(&spot) = spots.get(self.seen) {
            // FENCED: relaxed; the fence below acquires, once for all.
            if !is_beyond(board.at(spot).load(FENCED), generation) {
                return false;
            }
            self.seen += 1;
        }
        // [muster] Acquire: with the loads above, those of earlier calls included, pairs with the Release of every
        // `publish` that they read.
        fence(Ordering::Acquire);
        true
    }
}

/// An epoch of `next` says that it has happened for `generation`.
#[inline(always)]
fn is_beyond(next: u64, generation: u64) -> bool {
    (next.wrapping_sub(generation) as i64) > 0
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::fate::board::Layout;
    use crate::topology::Sites;

    fn three(first: u64) -> (Board, Vec<Spot>) {
        let mut layout = Layout::new(&Sites::anywhere(3));
        let spots = (0..3).map(|rank| layout.line(rank)).collect();
        (Board::new(&layout, first, true), spots)
    }

    #[test]
    fn epochs_may_wrap_b15() {
        let (board, spots) = three(u64::MAX);
        let words = || spots.iter().map(|&spot| board.at(spot));
        assert!(!all_reached(words(), u64::MAX));
        spots.iter().for_each(|&spot| publish(board.at(spot), u64::MAX));
        assert!(all_reached(words(), u64::MAX) && !all_reached(words(), 0));
        assert!(reached(board.at(spots[1]), u64::MAX) && !reached(board.at(spots[1]), 0));
    }

    #[test]
    fn a_muster_goes_on_where_it_stopped_and_starts_again_with_each_trip() {
        let (board, spots) = three(0);
        let mut muster = Muster::default();
        publish(board.at(spots[0]), 0);
        publish(board.at(spots[2]), 0);
        assert!(!muster.is_complete(&board, &spots, 0));
        assert_eq!(muster.seen, 1);
        publish(board.at(spots[1]), 0);
        assert!(muster.is_complete(&board, &spots, 0));
        assert!(!muster.is_complete(&board, &spots, 1));
        assert_eq!(muster.seen, 0);
    }
}
