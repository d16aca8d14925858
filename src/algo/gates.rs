//! Gates: go flags that one party opens for all others, with few readers each.
//!
//! One flag per group of at most 16 that share a cache: the first of them that reads it brings the line near, and
//! polling by more makes each one's read slower (LLVM's libomp, `openmp/runtime/src/kmp_barrier.h`, wants 16 readers per
//! go flag). Who opens them opens the farthest first, since their news has the longest way (libomp's reverse releases
//! "seem to beat the forward versions", `kmp_barrier.cpp`).

use super::relay::Course;
use super::tiers::{Separation, pieces};
use crate::fate::board::Spot;
use crate::topology::Sites;

/// Readers of one gate at most.
const READERS: usize = 16;

/// The gates of one barrier.
#[derive(Clone, Debug)]
pub(crate) struct Gates {
    gates: Box<[Spot]>,
    /// The gate of each rank.
    gate_of: Box<[u32]>,
    /// For an opener in each outermost group, all gates, farthest first.
    orders: Box<[Box<[Spot]>]>,
    /// The outermost group of each rank.
    outermost: Box<[u32]>,
}

impl Gates {
    /// Gates for all ranks, each on a line near its readers.
    pub(crate) fn new(course: &mut Course, sites: &Sites) -> Self {
        let apart = Separation::new(sites);
        let mut gate_of = vec![0; sites.parties()];
        let mut gates = Vec::new();
        let mut first_readers = Vec::new();
        for group in sites.levels().first().into_iter().flatten() {
            for readers in pieces(group, READERS) {
                readers.iter().for_each(|&rank| gate_of[rank] = gates.len() as u32);
                first_readers.push(readers[0]);
                gates.push(course.flag(readers[0]));
            }
        }
        let outermost: Box<[u32]> = (0..sites.parties()).map(|rank| apart.outermost_group(rank) as u32).collect();
        let groups = outermost.iter().max().map_or(0, |&last| last as usize + 1);
        let orders = (0..groups).map(|group| {
            let opener = outermost.iter().position(|&other| other as usize == group).unwrap_or(0);
            let mut order: Vec<usize> = (0..gates.len()).collect();
            // Stable, so that gates that are as far are opened from the last to the first.
            order.reverse();
            order.sort_by_key(|&gate| std::cmp::Reverse(apart.between(opener, first_readers[gate])));
            order.into_iter().map(|gate| gates[gate]).collect()
        });
        let orders = orders.collect();
        Self { gates: gates.into(), gate_of: gate_of.into(), orders, outermost }
    }

    /// The gate at which `rank` waits.
    pub(crate) fn of(&self, rank: usize) -> Spot {
        self.gates[self.gate_of[rank] as usize]
    }

    /// All gates in the order in which `opener` opens them.
    pub(crate) fn in_order_of(&self, opener: usize) -> &[Spot] {
        &self.orders[self.outermost[opener] as usize]
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::algo::tiers::tests::{machine, shapes};
    use std::collections::{BTreeMap, BTreeSet};

    #[test]
    fn few_readers_each_and_all_are_opened() {
        for (name, sites) in shapes() {
            let gates = Gates::new(&mut Course::new(&sites), &sites);
            let mut readers: BTreeMap<Spot, usize> = BTreeMap::new();
            for rank in 0..sites.parties() {
                *readers.entry(gates.of(rank)).or_default() += 1;
                let opened: BTreeSet<Spot> = gates.in_order_of(rank).iter().copied().collect();
                assert_eq!(opened.len(), gates.gates.len(), "{name}");
            }
            assert!(readers.values().all(|&readers| readers <= READERS), "{name}: {readers:?}");
        }
    }

    #[test]
    fn the_farthest_is_opened_first() {
        let sites = machine(2, 2, 4);
        let gates = Gates::new(&mut Course::new(&sites), &sites);
        let order = |opener| -> Vec<usize> {
            let spots = gates.in_order_of(opener);
            spots.iter().map(|spot| gates.gates.iter().position(|gate| gate == spot).unwrap()).collect()
        };
        assert_eq!(order(0), [3, 2, 1, 0]);
        assert_eq!(order(9)[..2], [1, 0]);
    }
}
