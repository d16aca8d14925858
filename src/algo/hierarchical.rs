//! Hierarchical: gather within each cache, exchange between the leaders, one go flag per cache.
//!
//! Rodchenko, Nisbet, Pop and Luján, "Effective barrier synchronization on Intel Xeon Phi coprocessor", Euro-Par 2015
//! (a counter within the group, dissemination between groups, a local release); single-writer flags at every level:
//! XHC of Open MPI (`ompi/mca/coll/xhc`); private lines and one step of broadcast: Ramos and Hoefler, "Cache line aware
//! algorithm design for cache-coherent architectures", IEEE Transactions on Parallel and Distributed Systems 27(10),
//! 2016. Differs from these in: flags instead of counters within the group; as many levels as the machine has (cache,
//! node, package, machine); the leaders of the outermost level exchange all to all; epochs.
//!
//! Cost per trip on S packages of X caches: up to two stores per party, more for leaders; critical path one hop within
//! the cache and one within the package up, one across the machine, and the same down again: 2 h1 + 2 h2 + h3, and a
//! read gap for each further member. No read-modify-write. Rooted: no. Split phase: a busy leader holds up its group.
//! Choose it for several caches or several packages.
//!
//! # State
//!
//! | word | writer | readers | meaning |
//! |---|---|---|---|
//! | slot r | party r | the leader of its group | r has arrived |
//! | up (g) | the leader of group g | the leader of the group around it; on the last level, all leaders of it | all of g have arrived |
//! | gate (g) | the leader of group g | the others of g: at most `fan` - 1 | all have arrived |
//!
//! # Protocol
//!
//! 1. For each group that this party leads, from the inside out: await the flags of its members; publish up.
//! 2. A leader of the outermost level awaits up of all the others there; everybody else awaits the gate of the
//!    innermost group that it does not lead.
//! 3. Publish the gates of the groups that this party leads, from the outside in: the farthest first.
//!
//! Groups are those of the machine, cut into even pieces of at most `fan` (`tiers.rs`). Where the parties share one
//! cache, or nothing is known of where they sit, there is one leader at the end and no exchange.
//!
//! # Memory ordering and reuse
//!
//! As every course (`relay.rs`).

use super::relay::Course;
use super::tiers::tiers;
use crate::fate::board::Spot;
use crate::topology::Sites;

/// The course through groups of at most `fan` (at least 2).
pub(crate) fn course(sites: &Sites, fan: usize) -> Course {
    let mut course = Course::new(sites);
    let parties = sites.parties();
    let (tiers, top) = tiers(sites, fan, false);
    // The flag that speaks for a rank and all whom it has gathered.
    let mut flags: Vec<Spot> = (0..parties).map(|rank| course.slot(rank)).collect();
    let mut gate_of: Vec<Option<Spot>> = vec![None; parties];
    let mut opens: Vec<Vec<Spot>> = vec![Vec::new(); parties];
    let mut groups = tiers.iter().flatten().peekable();
    while let Some(group) = groups.next() {
        let (leader, members) = (group[0], &group[1..]);
        let awaits = members.iter().map(|&rank| flags[rank]).collect();
        // Nobody asks for the flag of a leader of all.
        let is_root = top.len() == 1 && groups.peek().is_none();
        let up = (!is_root).then(|| course.flag(leader));
        course.leg(leader, awaits, up.into_iter().collect());
        flags[leader] = up.unwrap_or(flags[leader]);
        let gate = course.flag(members[0]);
        opens[leader].push(gate);
        members.iter().for_each(|&rank| gate_of[rank] = Some(gate));
    }
    for (rank, opens) in opens.into_iter().enumerate() {
        let awaits: Vec<Spot> = match gate_of[rank] {
            Some(gate) => vec![gate],
            None => top.iter().filter(|&&other| other != rank).map(|&other| flags[other]).collect(),
        };
        if awaits.is_empty() && opens.is_empty() {
            continue;
        }
        course.leg(rank, awaits, opens.into_iter().rev().collect());
    }
    course
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::tiers::tests::{shapes, tested};

    #[test]
    fn everybody_waits_for_everybody() {
        for fan in [2, 4, 8, 16] {
            for parties in tested((1..=40).chain([127, 128, 129, 300])) {
                assert!(course(&Sites::anywhere(parties), fan).is_sound(), "{parties} parties, fan {fan}");
            }
            for (name, sites) in shapes() {
                assert!(course(&sites, fan).is_sound(), "{name}, fan {fan}");
            }
        }
    }
}
