//! Where a barrier's parties sit, reduced to what the layout of its lines and the shape of its trees need.

use std::collections::BTreeMap;

use super::{Level, Placement};

/// The sites of all ranks.
#[derive(Clone, Debug)]
pub(crate) struct Sites {
    parties: usize,
    /// The core of each rank, numbered densely; empty if nothing is known.
    core_of: Vec<Option<usize>>,
    cores: usize,
    /// The home of each rank, as an index into `homes`; empty if there is one home only.
    home_of: Vec<u32>,
    /// A CPU of each NUMA node on which parties sit; one unknown home if nothing is known.
    homes: Vec<Option<usize>>,
    /// The ranks by group, from the inside out; each level a refinement of the next, the last one has one group.
    levels: Vec<Vec<Vec<usize>>>,
}

impl Sites {
    /// Nothing is known: the threads are wherever the scheduler puts them.
    pub(crate) fn anywhere(parties: usize) -> Self {
        let levels = vec![vec![(0..parties).collect()]];
        Self { parties, core_of: Vec::new(), cores: 0, home_of: Vec::new(), homes: vec![None], levels }
    }

    /// The sites of a placement; [`Sites::anywhere`] if it leaves a rank to the scheduler.
    pub(crate) fn of(placement: &Placement) -> Self {
        let parties = placement.parties();
        let Some(cpus) = (0..parties).map(|rank| placement.cpu(rank)).collect::<Option<Vec<_>>>() else {
            return Self::anywhere(parties);
        };
        let mut cores = BTreeMap::new();
        let mut nodes: BTreeMap<usize, (u32, usize)> = BTreeMap::new();
        let (mut core_of, mut home_of) = (Vec::with_capacity(parties), Vec::with_capacity(parties));
        for cpu in cpus {
            let next = cores.len();
            core_of.push(Some(*cores.entry(cpu.core).or_insert(next)));
            let next = nodes.len() as u32;
            home_of.push(nodes.entry(cpu.node).or_insert((next, cpu.id)).0);
        }
        let mut homes = vec![None; nodes.len()];
        nodes.values().for_each(|&(home, cpu)| homes[home as usize] = Some(cpu));
        if homes.len() == 1 {
            home_of.clear();
        }
        let nested = placement.nested_groups().into_iter();
        let levels = nested.filter(|(level, _)| !matches!(level, Level::Cpu | Level::Core)).map(|(_, groups)| groups);
        Self { parties, core_of, cores: cores.len(), home_of, homes, levels: levels.collect() }
    }

    /// Groups of parties that share a cache, on one machine.
    #[cfg(all(test, any(phalanx_loom, phalanx_shuttle)))]
    pub(crate) fn grouped(groups: &[&[usize]]) -> Self {
        let groups: Vec<Vec<usize>> = groups.iter().map(|group| group.to_vec()).collect();
        let all = groups.concat();
        Self { levels: vec![groups, vec![all.clone()]], ..Self::anywhere(all.len()) }
    }

    pub(crate) fn parties(&self) -> usize {
        self.parties
    }

    /// The core of `rank`, if known: `0..cores`.
    pub(crate) fn core(&self, rank: usize) -> Option<usize> {
        self.core_of.get(rank).copied().flatten()
    }

    pub(crate) fn cores(&self) -> usize {
        self.cores
    }

    /// The home of each rank as an index into [`Self::homes`]; empty if there is one only.
    pub(crate) fn home_of(&self) -> &[u32] {
        &self.home_of
    }

    /// A CPU of each home.
    pub(crate) fn homes(&self) -> &[Option<usize>] {
        &self.homes
    }

    /// The ranks by group, from the innermost cache that parties share to the machine. A core is no group here: its
    /// threads share a line instead.
    pub(crate) fn levels(&self) -> &[Vec<Vec<usize>>] {
        &self.levels
    }

    /// All ranks as the machine is numbered: group by group, neighbours side by side.
    pub(crate) fn along(&self) -> Vec<usize> {
        self.levels.first().map(|groups| groups.concat()).unwrap_or_default()
    }

    /// All ranks as cards are dealt: neighbours in the answer are as far apart as can be, and ranks of one group come
    /// at even distances.
    pub(crate) fn across(&self) -> Vec<usize> {
        deal(self.along(), &self.levels)
    }
}

/// Deals `ranks` to the groups of the outermost level, within each group to those of the next, and so on, and takes one
/// from each in turn.
fn deal(ranks: Vec<usize>, levels: &[Vec<Vec<usize>>]) -> Vec<usize> {
    let Some((outer, inner)) = levels.split_last() else {
        return ranks;
    };
    if outer.len() == 1 {
        return deal(ranks, inner);
    }
    let mut group_of = BTreeMap::new();
    for (number, group) in outer.iter().enumerate() {
        group_of.extend(group.iter().map(|&rank| (rank, number)));
    }
    let mut hands = vec![Vec::new(); outer.len()];
    ranks.iter().for_each(|rank| hands[group_of[rank]].push(*rank));
    let hands: Vec<Vec<usize>> = hands.into_iter().map(|hand| deal(hand, inner)).collect();
    let rounds = hands.iter().map(Vec::len).max().unwrap_or(0);
    (0..rounds).flat_map(|round| hands.iter().filter_map(move |hand| hand.get(round).copied())).collect()
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use crate::topology::{Bind, CpuSet, Topology};

    #[test]
    fn along_and_across_are_close_and_spread_whatever_the_ranks() {
        let machine = Topology::regular(2, 1, 2, 2, 1).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        for bind in [Bind::Close, Bind::Spread, Bind::List(vec![5, 3, 6, 0, 7, 1, 4, 2])] {
            let placement = machine.place(&bind, 8, &mask).unwrap();
            let sites = Sites::of(&placement);
            let cpus = |order: Vec<usize>| -> Vec<usize> {
                order.into_iter().map(|rank| placement.cpu(rank).unwrap().id).collect()
            };
            let llcs = |order| -> Vec<usize> { cpus(order).into_iter().map(|cpu| cpu / 2).collect() };
            assert_eq!(llcs(sites.along()), [0, 0, 1, 1, 2, 2, 3, 3], "{bind}");
            assert_eq!(llcs(sites.across()), [0, 2, 1, 3, 0, 2, 1, 3], "{bind}");
        }
    }

    #[test]
    fn where_nothing_is_known_ranks_are_in_order() {
        let sites = Sites::anywhere(3);
        assert_eq!((sites.along(), sites.across()), (vec![0, 1, 2], vec![0, 1, 2]));
    }
}
