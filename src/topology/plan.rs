//! The plan: which rank goes to which CPU. A pure function of topology, policy and mask.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;

use super::bind::Bind;
use super::cpu_set::CpuSet;
use super::machine::{Cpu, Topology};

impl Topology {
    /// Chooses a CPU for each of `parties` ranks; `None` for a rank that is left to the scheduler.
    ///
    /// * [`Bind::None`]: every rank `None`.
    /// * [`Bind::Close`]: core after core of one LLC group, then the next group of the node, the next node, the next
    ///   package. OpenMP's `close` with `OMP_PLACES=cores`.
    /// * [`Bind::Spread`]: round-robin over packages, within each over its nodes, then LLC groups, then cores. Unlike
    ///   OpenMP's `spread`, adding a rank never moves the others.
    /// * [`Bind::List`]: the list, as it stands.
    ///
    /// `Close` and `Spread` give each rank a core of its own first, and come to SMT siblings only when the cores of the
    /// whole mask have run out: a party that spins takes execution slots from the sibling that still computes, and is
    /// then waiting for it. A core whose first thread the mask leaves out is a core like any other.
    ///
    /// With more parties than CPUs the plan starts over from its beginning, so that no CPU has two ranks more than
    /// another. Oversubscription is legal; what it costs is the wait policy's business.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Topology};
    ///
    /// let mask = "0-2".parse()?;
    /// let machine = Topology::flat(&mask);
    /// assert_eq!(machine.place(&Bind::Close, 4, &mask)?, [Some(0), Some(1), Some(2), Some(0)]);
    /// assert_eq!(machine.place(&Bind::List(vec![2, 0]), 2, &mask)?, [Some(2), Some(0)]);
    /// assert_eq!(machine.place(&Bind::None, 2, &mask)?, [None, None]);
    ///
    /// let error = machine.place(&Bind::List(vec![7]), 1, &mask).unwrap_err();
    /// assert_eq!(error.to_string(), "cpu 7 is not in the mask 0-2");
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`PlaceError::NotAllowed`] if a CPU of the list is not in `mask`, used or not; [`PlaceError::NoCpus`] if there
    /// is no CPU to choose from. Neither can happen for [`Bind::None`].
    pub fn place(&self, bind: &Bind, parties: usize, mask: &CpuSet) -> Result<Vec<Option<usize>>, PlaceError> {
        let order = match bind {
            Bind::None => return Ok(vec![None; parties]),
            Bind::Close => self.layers(mask).into_values().flat_map(close).collect(),
            Bind::Spread => self.layers(mask).into_values().flat_map(|layer| spread(layer, &LEVELS)).collect(),
            Bind::List(cpus) => match cpus.iter().find(|&&cpu| !mask.contains(cpu)) {
                Some(&cpu) => {
                    return Err(PlaceError::NotAllowed { cpu, mask: mask.clone() });
                }
                None => cpus.clone(),
            },
        };
        if order.is_empty() {
            return Err(PlaceError::NoCpus { mask: mask.clone() });
        }
        Ok(order.into_iter().cycle().take(parties).map(Some).collect())
    }

    /// The CPUs of the mask, the first of each core in layer 0, the second in layer 1, and so on.
    ///
    /// Not by [`Cpu::smt`]: if the mask leaves out a core's first thread, its second one is the first there is.
    fn layers(&self, mask: &CpuSet) -> BTreeMap<usize, Vec<Cpu>> {
        let mut threads = vec![0; self.cores()];
        let mut layers: BTreeMap<usize, Vec<Cpu>> = BTreeMap::new();
        for cpu in self.cpus().iter().filter(|cpu| mask.contains(cpu.id)) {
            layers.entry(threads[cpu.core]).or_default().push(*cpu);
            threads[cpu.core] += 1;
        }
        layers
    }
}

type Level = fn(&Cpu) -> usize;

/// From the outside in.
const LEVELS: [Level; 4] = [|cpu| cpu.package, |cpu| cpu.node, |cpu| cpu.llc, |cpu| cpu.core];

fn close(mut layer: Vec<Cpu>) -> Vec<usize> {
    layer.sort_by_key(|cpu| (LEVELS.map(|level| level(cpu)), cpu.id));
    layer.into_iter().map(|cpu| cpu.id).collect()
}

fn spread(layer: Vec<Cpu>, levels: &[Level]) -> Vec<usize> {
    let Some((level, inner)) = levels.split_first() else {
        return layer.into_iter().map(|cpu| cpu.id).collect();
    };
    let mut groups: BTreeMap<usize, Vec<Cpu>> = BTreeMap::new();
    for cpu in layer {
        groups.entry(level(&cpu)).or_default().push(cpu);
    }
    let groups: Vec<Vec<usize>> = groups.into_values().map(|group| spread(group, inner)).collect();
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
