//! Dissemination: in each round everybody hears from those a fixed distance away, and so from ever more.
//!
//! Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", International Journal of Parallel
//! Programming 17(1), 1988; with several messages per round: Hoefler, Mehlan, Mietke and Rehm, "Fast barrier
//! synchronization for InfiniBand", IPDPS 2006 (n-way dissemination, here radix = n + 1). Differs from the papers in:
//! a party publishes one flag per round, which its r - 1 hearers poll, instead of one flag for each hearer (a store to
//! one line instead of r - 1); epochs instead of parity and sense (Mellor-Crummey and Scott 1991, section 3.3, need two
//! sets of flags and flip the sense every second time); the flag of the first round is the slot; parties stand on the
//! circle as the machine has them, or dealt across it, and not in the order of their ranks.
//!
//! Cost per trip, n parties, radix r: ceil(log_r n) rounds, each one store and r - 1 overlapping reads per party;
//! critical path ceil(log_r n) hops; n lines per round. No read-modify-write. Rooted: no. Split phase: a party that is
//! busy between its arrival and its wait holds up those who hear from it, in every round but the first. Choose it for 5
//! to 64 parties at equal distances, each with a CPU.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | flag (r, 0), the slot | party r | r + j (j < radix), mod n | r has arrived |
//! | flag (r, k) | party r | r + j·radix^k, mod n | r, and the radix^k - 1 before it, have arrived |
//!
//! # Protocol
//!
//! Round k: await flag (r - j·radix^k, k) for j = 1 .. radix - 1; then publish flag (r, k + 1), unless it was the last
//! round, which is the first with radix^(k+1) >= n.
//!
//! r counts along the circle. On a machine of several caches, [`Circle::Along`] has short first rounds and a far last
//! one; [`Circle::Across`] has its far rounds first, and if the numbers of groups and of parties are powers of the
//! radix, nothing but near ones after them. The cost model says which is better where.
//!
//! After round k party r has heard, directly or not, from itself and the radix^(k+1) - 1 before it: from all, after the
//! last. Distances at which the circle closes on the party itself are left out.
//!
//! # Memory ordering and reuse
//!
//! As every course (`relay.rs`).

use super::relay::Course;
use crate::fate::board::Spot;
use crate::topology::Sites;

/// How the parties stand on the circle.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Circle {
    /// Neighbours on the machine are neighbours on the circle.
    Along,
    /// Neighbours on the circle are far apart on the machine.
    Across,
}

/// The course of dissemination with `radix` (at least 2).
pub(crate) fn course(sites: &Sites, radix: usize, circle: Circle) -> Course {
    let parties = sites.parties();
    let radix = radix.max(2);
    let mut course = Course::new(sites);
    let ranks = match circle {
        Circle::Along => sites.along(),
        Circle::Across => sites.across(),
    };
    let mut flags: Vec<Spot> = ranks.iter().map(|&rank| course.slot(rank)).collect();
    let mut reach = 1; // radix^k
    while reach < parties {
        let is_last = reach.saturating_mul(radix) >= parties;
        let next: Vec<Option<Spot>> = ranks.iter().map(|&rank| (!is_last).then(|| course.flag(rank))).collect();
        for (place, &rank) in ranks.iter().enumerate() {
            let distances = (1..radix).map(|j| j * reach).take_while(|&distance| distance < parties);
            let awaits = distances.map(|distance| flags[(place + parties - distance) % parties]).collect();
            course.leg(rank, awaits, next[place].into_iter().collect());
        }
        flags = next.into_iter().flatten().collect();
        reach = reach.saturating_mul(radix);
    }
    course
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::tiers::tests::{shapes, tested};

    #[test]
    fn everybody_awaits_those_before_it_on_the_circle() {
        let sites = Sites::anywhere(3);
        let mut expected = Course::new(&sites);
        let flags = [0, 1, 2].map(|rank| expected.flag(rank));
        for rank in 0..3 {
            let neighbour = expected.slot((rank + 2) % 3);
            expected.leg(rank, vec![neighbour], vec![flags[rank]]);
            expected.leg(rank, vec![flags[(rank + 1) % 3]], Vec::new());
        }
        assert!(course(&sites, 2, Circle::Along).is_same_as(&expected));
    }

    #[test]
    fn nobody_awaits_itself_and_one_alone_has_nothing_to_do() {
        for radix in [2, 3, 4] {
            let alone = Sites::anywhere(1);
            assert!(course(&alone, radix, Circle::Along).is_same_as(&Course::new(&alone)), "radix {radix}");
        }
        // One round in which the circle closes, and two.
        assert_eq!(course(&Sites::anywhere(2), 4, Circle::Along).reads(), 2);
        assert_eq!(course(&Sites::anywhere(4), 3, Circle::Along).reads(), 4 * (2 + 1));
    }

    #[test]
    fn everybody_hears_from_everybody() {
        for parties in tested((1..=66).chain([127, 128, 129])) {
            for radix in [2, 3, 4] {
                let course = course(&Sites::anywhere(parties), radix, Circle::Along);
                assert!(course.is_sound(), "{parties} parties, radix {radix}");
            }
        }
        for (name, sites) in shapes() {
            for circle in [Circle::Along, Circle::Across] {
                assert!(course(&sites, 4, circle).is_sound(), "{name}, {circle:?}");
            }
        }
    }
}
