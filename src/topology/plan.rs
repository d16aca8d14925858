//! The plan: which rank goes to which CPU. A pure function of topology, policy and mask.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use super::bind::Bind;
use super::cpu_set::CpuSet;
use super::machine::{Cpu, Topology};
use super::placement::{Level, Placement, gather};
use crate::error::MAX_PARTIES;

impl Topology {
    /// Chooses a CPU for each of `parties` ranks.
    ///
    /// | policy | rank after rank | OpenMP, with `OMP_PLACES=cores` |
    /// |---|---|---|
    /// | [`Bind::None`] | no CPU | `false` |
    /// | [`Bind::Close`] | core after core of one LLC group, then the next group of the node, the next node, the next package | `close` |
    /// | [`Bind::Spread`] | packages in turn, within each its nodes in turn, then LLC groups, then cores | `spread`, but a further rank never moves the others |
    /// | [`Bind::PerLlc`] | LLC groups in turn, a core of each | |
    /// | [`Bind::PerNode`] | NUMA nodes in turn, a core of each | |
    /// | [`Bind::List`] | the list, as it stands | the list in `OMP_PLACES` |
    ///
    /// `PerLlc` and `PerNode` go through the groups in the order of the machine, so neighbours in rank are neighbours
    /// on it, and so that every group has one rank before any has two. `Spread` puts neighbours in rank on different
    /// packages, and where packages are unequal it gives a cache of the smaller one a second rank before a cache of
    /// the larger one has its first. Within a group `PerLlc` takes core after core as `Close` does; `PerNode` does too,
    /// so it may fill one cache of a node before it comes to the next.
    ///
    /// All but the list give each rank a core of its own first, and come to SMT siblings only when the cores of the
    /// whole mask have run out: a party that spins takes execution slots from the sibling that still computes, and is
    /// then waiting for it. A core whose first thread the mask leaves out is a core like any other. A group that has no
    /// core left is passed over.
    ///
    /// Capable cores come first, by [`Cpu::kind`]: `Close` and `Spread` take all P cores, then the E cores, then the
    /// siblings. `PerLlc` and `PerNode` take the P cores of a group before its E cores, and begin with the groups that
    /// have P cores. A barrier is as late as its slowest party, so whoever can should not mix them at all.
    ///
    /// With more parties than CPUs the plan starts over from its beginning, so that no CPU has two ranks more than
    /// another. Oversubscription is legal; what it costs is the wait policy's business.
    ///
    /// The same topology, policy and mask always give the same plan, and its ranks do not depend on `parties`: the plan
    /// for fewer is the beginning of the plan for more.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Topology};
    ///
    /// // Two packages of two LLC groups of two cores: CPUs 0-1, 2-3 | 4-5, 6-7.
    /// let machine = Topology::regular(2, 1, 2, 2, 1)?;
    /// let mask = "0-7".parse()?;
    /// let plan = |bind: Bind| machine.place(&bind, 4, &mask).map(|plan| plan.cpus().flatten().collect::<Vec<_>>());
    /// assert_eq!(plan(Bind::Close)?, [0, 1, 2, 3]);
    /// assert_eq!(plan(Bind::Spread)?, [0, 4, 2, 6]);
    /// assert_eq!(plan(Bind::PerLlc)?, [0, 2, 4, 6]);
    /// assert_eq!(plan(Bind::PerNode)?, [0, 4, 1, 5]);
    /// assert_eq!(plan(Bind::List(vec![5, 3]))?, [5, 3, 5, 3]);
    /// assert!(plan(Bind::None)?.is_empty());
    ///
    /// let error = machine.place(&Bind::List(vec![9]), 1, &mask).unwrap_err();
    /// assert_eq!(error.to_string(), "cpu 9 is not in the mask 0-7");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PlaceError::NotAllowed`] if a CPU of the list is not in `mask`, used or not, and [`PlaceError::Unknown`] if it
    /// is, but not in this topology; [`PlaceError::NoCpus`] if there is no CPU to choose from. None of them can happen
    /// for [`Bind::None`]. [`PlaceError::Parties`] if there are more than [`MAX_PARTIES`].
    pub fn place(&self, bind: &Bind, parties: usize, mask: &CpuSet) -> Result<Placement, PlaceError> {
        if parties > MAX_PARTIES {
            return Err(PlaceError::Parties { parties });
        }
        let order: Vec<Cpu> = match bind {
            Bind::None => return Ok(Placement::anywhere(parties)),
            Bind::Close => self.layers(mask).into_values().flatten().collect(),
            Bind::Spread => {
                let layers: Vec<Vec<Cpu>> = self.layers(mask).into_values().collect();
                let kinds = layers.iter().flat_map(|layer| layer.chunk_by(|a, b| a.kind == b.kind));
                kinds.flat_map(|kind| deal(kind, &[Level::Package, Level::Node, Level::Llc, Level::Core])).collect()
            }
            Bind::PerLlc => self.layers(mask).values().flat_map(|layer| deal(layer, &[Level::Llc])).collect(),
            Bind::PerNode => self.layers(mask).values().flat_map(|layer| deal(layer, &[Level::Node])).collect(),
            Bind::List(cpus) => cpus.iter().map(|&cpu| self.listed(cpu, mask)).collect::<Result<_, _>>()?,
        };
        if order.is_empty() {
            return Err(PlaceError::NoCpus { mask: mask.clone() });
        }
        Ok(order.into_iter().cycle().take(parties).map(Some).collect())
    }

    fn listed(&self, cpu: usize, mask: &CpuSet) -> Result<Cpu, PlaceError> {
        if !mask.contains(cpu) {
            return Err(PlaceError::NotAllowed { cpu, mask: mask.clone() });
        }
        self.cpu(cpu).copied().ok_or(PlaceError::Unknown { cpu })
    }

    /// The CPUs of the mask, the first of each core in layer 0, the second in layer 1, and so on; in each layer the
    /// capable ones first, and those in the order of the machine.
    ///
    /// Not by [`Cpu::smt`]: if the mask leaves out a core's first thread, its second one is the first there is.
    fn layers(&self, mask: &CpuSet) -> BTreeMap<usize, Vec<Cpu>> {
        let mut threads = vec![0; self.cores()];
        let mut layers: BTreeMap<usize, Vec<Cpu>> = BTreeMap::new();
        for cpu in self.cpus().iter().filter(|cpu| mask.contains(cpu.id)) {
            layers.entry(threads[cpu.core]).or_default().push(*cpu);
            threads[cpu.core] += 1;
        }
        layers.values_mut().for_each(|layer| layer.sort_by_key(|cpu| (cpu.kind, cpu.position())));
        layers
    }
}

/// Takes one CPU of each group in turn, groups in the order in which they first appear, and does the same within each
/// group for the levels further in.
fn deal(cpus: &[Cpu], levels: &[Level]) -> Vec<Cpu> {
    let Some((&level, inner)) = levels.split_first() else {
        return cpus.to_vec();
    };
    let groups = gather(cpus.iter().copied(), |cpu| cpu.group(level));
    let groups: Vec<Vec<Cpu>> = groups.iter().map(|group| deal(group, inner)).collect();
    let rounds = groups.iter().map(Vec::len).max().unwrap_or(0);
    (0..rounds).flat_map(|round| groups.iter().filter_map(move |group| group.get(round).copied())).collect()
}

/// Why ranks cannot be placed.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PlaceError {
    /// A CPU of the list is not in the mask.
    NotAllowed {
        /// The CPU.
        cpu: usize,
        /// The mask.
        mask: CpuSet,
    },
    /// A CPU of the list is in the mask, but not in the topology: it is offline, or described nowhere.
    Unknown {
        /// The CPU.
        cpu: usize,
    },
    /// More parties than a barrier can have, [`MAX_PARTIES`].
    Parties {
        /// The number asked for.
        parties: usize,
    },
    /// No CPU of the mask is known to the topology, or the list is empty.
    NoCpus {
        /// The mask.
        mask: CpuSet,
    },
}

impl fmt::Display for PlaceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NotAllowed { cpu, mask } => write!(f, "cpu {cpu} is not in the mask {mask}"),
            Self::Unknown { cpu } => {
                write!(f, "cpu {cpu} is not in the topology: it is offline, or there is no such CPU")
            }
            Self::Parties { parties } => write!(f, "at most {MAX_PARTIES} parties can be placed, not {parties}"),
            Self::NoCpus { mask } if mask.is_empty() => {
                f.write_str("the mask is empty: there is no CPU to place a rank on")
            }
            Self::NoCpus { mask } => {
                write!(f, "there is no CPU to place a rank on in the mask {mask}")
            }
        }
    }
}

impl Error for PlaceError {}
