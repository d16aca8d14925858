//! Static tree: each parent gathers four children, the root lets everybody go.
//!
//! Mellor-Crummey and Scott, "Algorithms for scalable synchronization on shared-memory multiprocessors", ACM
//! Transactions on Computer Systems 9(1), 1991, section 3.5 (the tree with arrival fan-in 4 and wake-up fan-out 2; a
//! single flag for the wake-up is the paper's advice for machines with coherent caches). Differs from the paper in:
//! epochs, so that no parent writes its children's flags back; a line for each child's flag instead of four bytes of
//! one word (writers on four cores would queue for the line; the parent's misses overlap); the arrival flag of a leaf
//! is its slot; places in the tree are numbered along the machine; the wake-up flags are written by the parent on its own line, for its two children to poll.
//!
//! Cost per trip, n parties: up to two stores each (three with the wake tree; the root one for each gate); critical path
//! up to ceil(log4 n) hops up, then one hop down (go flags) or up to ceil(log2 n) (wake tree). n + n/4 lines, and the gates or n/2. No read-modify-write. Rooted: no, since
//! parties that give their CPU away may learn from the slots that all have arrived. Split phase: a busy party holds up
//! its parent. Choose it for many parties of one cache.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | slot r | party r | its parent, if r has no children | r has arrived |
//! | up r | party r, if it has children | its parent | r and all below it have arrived |
//! | gate | the root | up to 16 parties of one cache | all have arrived |
//! | go r (wake tree) | party r | 2r + 1, 2r + 2 | all have arrived |
//!
//! # Protocol
//!
//! r is the place in the tree, 0 the root.
//!
//! 1. Await the flags of the children 4r + 1 .. 4r + 4; publish up r. (The root publishes the gates or go 0 instead.)
//! 2. Await the own gate, or go of (r - 1) / 2; publish go r.
//!
//! # Memory ordering and reuse
//!
//! As every course (`relay.rs`).

use super::gates::Gates;
use super::relay::Course;
use super::select::Wake;
use crate::fate::board::Spot;
use crate::topology::Sites;

/// Children that a parent gathers, as in the paper, where four flags are the bytes of one word. Here their lines are read
/// side by side, and a fifth could be too; no other number was tried.
pub(crate) const FAN_IN: usize = 4;
const FAN_OUT: usize = 2;

/// The course of a tree in which a parent gathers `fan` children, with this way to wake.
pub(crate) fn course(sites: &Sites, wake: Wake, fan: usize) -> Course {
    let mut course = Course::new(sites);
    let ranks = sites.along();
    let parties = ranks.len();
    // Children come after their parents, so from the last to the first every child's flag is known before it is awaited.
    let mut flags: Vec<Spot> = ranks.iter().map(|&rank| course.slot(rank)).collect();
    for (place, &rank) in ranks.iter().enumerate().rev() {
        let children = children(place, fan.max(1), parties);
        if children.is_empty() {
            continue;
        }
        let awaits = flags[children].to_vec();
        let up = (place > 0).then(|| course.flag(rank));
        course.leg(rank, awaits, up.into_iter().collect());
        flags[place] = up.unwrap_or(flags[place]);
    }
    match wake {
        Wake::Flags => {
            let gates = Gates::new(&mut course, sites);
            release_by_gates(&mut course, &gates, &ranks);
        }
        Wake::Tree => {
            let go: Vec<Option<Spot>> = ranks
                .iter()
                .enumerate()
                .map(|(place, &rank)| (!children(place, FAN_OUT, parties).is_empty()).then(|| course.flag(rank)))
                .collect();
            for (place, &rank) in ranks.iter().enumerate() {
                let parent = place.checked_sub(1).and_then(|below| go[below / FAN_OUT]);
                course.leg(rank, parent.into_iter().collect(), go[place].into_iter().collect());
            }
        }
    }
    course
}

/// The last legs of a course in which the first of `ranks` is the first to know that all have arrived.
pub(crate) fn release_by_gates(course: &mut Course, gates: &Gates, ranks: &[usize]) {
    let Some((&root, others)) = ranks.split_first() else { return };
    if others.is_empty() {
        return;
    }
    course.leg(root, Vec::new(), gates.in_order_of(root).to_vec());
    for &rank in others {
        course.leg(rank, vec![gates.of(rank)], Vec::new());
    }
}

fn children(place: usize, fan: usize, parties: usize) -> std::ops::Range<usize> {
    let first = (place * fan + 1).min(parties);
    first..(first + fan).min(parties)
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::tiers::tests::{shapes, tested};

    #[test]
    fn a_parent_has_the_four_places_behind_those_of_the_parents_before_it() {
        let of = |place| children(place, FAN_IN, 10);
        assert_eq!([of(0), of(1), of(2), of(3)], [1..5, 5..9, 9..10, 10..10]);
    }

    #[test]
    fn the_root_lets_go_and_tells_nobody_else() {
        let sites = Sites::anywhere(3);
        let mut expected = Course::new(&sites);
        let go = expected.flag(0);
        let gathered = [1, 2].map(|rank| expected.slot(rank)).to_vec();
        expected.leg(0, gathered, vec![go]);
        [1, 2].into_iter().for_each(|rank| expected.leg(rank, vec![go], Vec::new()));
        for wake in [Wake::Flags, Wake::Tree] {
            assert!(course(&sites, wake, FAN_IN).is_same_as(&expected), "{wake:?}");
        }
    }

    #[test]
    fn everybody_waits_for_everybody() {
        for wake in [Wake::Flags, Wake::Tree] {
            for parties in tested((1..=40).chain([127, 128, 129])) {
                assert!(course(&Sites::anywhere(parties), wake, FAN_IN).is_sound(), "{parties} parties, {wake:?}");
            }
            for (name, sites) in shapes() {
                assert!(course(&sites, wake, 2).is_sound(), "{name}, {wake:?}");
            }
        }
    }
}
