//! Tournament: rounds of pairs with winners known beforehand; the champion lets everybody go.
//!
//! Hensgen, Finkel and Manber, "Two algorithms for barrier synchronization", International Journal of Parallel
//! Programming 17(1), 1988; Mellor-Crummey and Scott, ACM Transactions on Computer Systems 9(1), 1991, section 3.4.
//! Differs from the papers in: epochs; a winner looks at the flags of all its opponents in one pass instead of round
//! after round, since it publishes nothing in between (the misses overlap, and the order in which they come does not
//! matter); one go flag per cache, for up to 16 parties, instead of one for all (HFM) or a tree back down (MCS).
//!
//! Cost per trip, n parties: up to two stores each; critical path ceil(log2 n) hops up and one hop down per gate; the
//! champion reads ceil(log2 n) lines. n + n/2 lines and the gates. No read-modify-write. Rooted: no, as the static tree.
//! Split phase: a busy winner holds up the rounds above it. Choose it to compare with: the static tree has fewer
//! levels.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | slot r | party r | r's winner, if r (odd) loses in round 0 | r has arrived |
//! | up r | party r, if even and not the champion | r's winner | r and all that lost to it have arrived |
//! | gate | the champion, 0 | up to 16 parties of one cache | all have arrived |
//!
//! # Protocol
//!
//! r is the place in the draw, counted along the machine. In round k those whose place is a multiple of 2^k meet: r
//! loses to r - 2^k if its bit k is set.
//!
//! 1. Await the flags of those who lose to this party: r + 2^k for all k below its lowest set bit, as far as they
//!    exist; publish up r.
//! 2. The champion publishes the gates, everybody else awaits its own.
//!
//! # Memory ordering and reuse
//!
//! As every course (`relay.rs`).

use super::gates::Gates;
use super::relay::Course;
use super::static_tree::release_by_gates;
use crate::fate::board::Spot;
use crate::topology::Sites;

/// The course of a tournament.
pub(crate) fn course(sites: &Sites) -> Course {
    let mut course = Course::new(sites);
    let ranks = sites.along();
    let parties = ranks.len();
    let mut flags: Vec<Spot> = ranks.iter().map(|&rank| course.slot(rank)).collect();
    for (place, &rank) in ranks.iter().enumerate().rev() {
        let rounds =
            (0..usize::BITS).map(|round| 1 << round).take_while(|&step| place & step == 0 && place + step < parties);
        let awaits: Vec<Spot> = rounds.map(|step: usize| flags[place + step]).collect();
        if awaits.is_empty() {
            continue;
        }
        let up = (place > 0).then(|| course.flag(rank));
        course.leg(rank, awaits, up.into_iter().collect());
        flags[place] = up.unwrap_or(flags[place]);
    }
    let gates = Gates::new(&mut course, sites);
    release_by_gates(&mut course, &gates, &ranks);
    course
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::tiers::tests::{shapes, tested};

    #[test]
    fn the_champion_lets_go_and_tells_nobody_else() {
        let sites = Sites::anywhere(3);
        let mut expected = Course::new(&sites);
        let gate = expected.flag(0);
        let losers = [1, 2].map(|rank| expected.slot(rank)).to_vec();
        expected.leg(0, losers, vec![gate]);
        [1, 2].into_iter().for_each(|rank| expected.leg(rank, vec![gate], Vec::new()));
        assert!(course(&sites).is_same_as(&expected));
    }

    #[test]
    fn everybody_waits_for_everybody() {
        for parties in tested((1..=40).chain([127, 128, 129])) {
            assert!(course(&Sites::anywhere(parties)).is_sound(), "{parties} parties");
        }
        for (name, sites) in shapes() {
            assert!(course(&sites).is_sound(), "{name}");
        }
    }
}
