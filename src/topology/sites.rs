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
}
