//! The answer of a plan: which rank sits on which CPU, and which ranks therefore sit together.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::cpu_set::CpuSet;
use super::machine::{Cpu, plural};

/// A kind of group that CPUs, and the ranks on them, belong to.
///
/// The boxes of `lstopo`, from the inside out. They are not always nested: an LLC may span several NUMA nodes, and an
/// old machine with one memory has a node that spans all packages. [`Placement::nested_groups`] sorts that out.
///
/// # Examples
///
/// ```
/// use phalanx::topology::{Level, Topology};
///
/// let machine = Topology::regular(2, 1, 2, 4, 1)?;
/// let cpu = machine.cpu(13).unwrap();
/// assert_eq!((cpu.group(Level::Package), cpu.group(Level::Llc), cpu.group(Level::Core)), (1, 3, 13));
/// # Ok::<(), phalanx::topology::RegularError>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Level {
    /// One hardware thread.
    Cpu,
    /// The hardware threads of one core.
    Core,
    /// The CPUs behind one last-level cache.
    Llc,
    /// The CPUs of one NUMA node.
    Node,
    /// The CPUs of one package (socket).
    Package,
    /// All of them.
    Machine,
}

impl Cpu {
    /// Tells to which group of this level the CPU belongs: its id for [`Level::Cpu`], 0 for [`Level::Machine`].
    #[must_use]
    pub fn group(&self, level: Level) -> usize {
        match level {
            Level::Cpu => self.id,
            Level::Core => self.core,
            Level::Llc => self.llc,
            Level::Node => self.node,
            Level::Package => self.package,
            Level::Machine => 0,
        }
    }

    /// Where the CPU stands when a machine is walked through box by box, as `lstopo` draws it.
    pub(super) fn position(&self) -> [usize; 5] {
        [self.package, self.node, self.llc, self.core, self.id]
    }
}

/// Who sits where: for each rank its CPU, or none if the rank is left to the scheduler.
///
/// What `OMP_DISPLAY_AFFINITY` prints, as a value; [`Topology::place`](super::Topology::place) makes it. Nothing is
/// bound by it: each thread takes its own [`cpu`](Self::cpu) and pins itself.
///
/// # Examples
///
/// ```
/// use phalanx::topology::{Bind, Level, Topology};
///
/// let machine = Topology::regular(1, 1, 2, 4, 1)?;
/// let all = machine.cpus().iter().map(|cpu| cpu.id).collect();
/// let placement = machine.place(&Bind::Close, 6, &all)?;
/// assert_eq!(placement.cpu(5).map(|cpu| (cpu.id, cpu.llc)), Some((5, 1)));
/// assert_eq!(placement.groups(Level::Llc), [vec![0, 1, 2, 3], vec![4, 5]]);
/// assert_eq!(placement.to_string(), "6 ranks on 6 CPUs: 0-5; 2 LLC groups, 1 node, 1 package");
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Placement {
    cpus: Vec<Option<Cpu>>,
}

impl Placement {
    /// Leaves every rank to the scheduler, as [`Bind::None`](super::Bind::None) does.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::Placement;
    ///
    /// let placement = Placement::anywhere(3);
    /// assert_eq!(placement.cpu(2), None);
    /// assert_eq!(placement.to_string(), "3 ranks, bound to no CPU");
    /// ```
    ///
    /// # Panics
    ///
    /// If there is no memory for so many ranks, as `vec![None; parties]` does.
    #[must_use]
    pub fn anywhere(parties: usize) -> Self {
        Self { cpus: vec![None; parties] }
    }

    /// The places of these ranks alone; one that this placement does not know is left to the scheduler.
    pub(crate) fn of_ranks(&self, ranks: &[usize]) -> Self {
        Self { cpus: ranks.iter().map(|&rank| self.cpu(rank).copied()).collect() }
    }

    /// The number of ranks.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.cpus.len()
    }

    /// The CPU of `rank`; `None` if the rank is left to the scheduler, or if there is no such rank.
    #[must_use]
    pub fn cpu(&self, rank: usize) -> Option<&Cpu> {
        self.cpus.get(rank)?.as_ref()
    }

    /// Iterates over the CPU ids by rank.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Topology};
    ///
    /// let mask = "2-3".parse()?;
    /// let placement = Topology::flat(&mask).place(&Bind::Close, 3, &mask)?;
    /// assert!(placement.cpus().eq([Some(2), Some(3), Some(2)]));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn cpus(&self) -> impl ExactSizeIterator<Item = Option<usize>> + '_ {
        self.cpus.iter().map(|cpu| cpu.as_ref().map(|cpu| cpu.id))
    }

    /// Tells whether every rank has a CPU.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.cpus.iter().all(Option::is_some)
    }

    /// Counts the ranks on the CPU that has the most: above 1, parties that spin keep each other from arriving.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Topology};
    ///
    /// let mask = "0-3".parse()?;
    /// let placement = Topology::flat(&mask).place(&Bind::Spread, 5, &mask)?;
    /// assert_eq!(placement.most_on_one_cpu(), 2);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn most_on_one_cpu(&self) -> usize {
        let mut ranks: BTreeMap<usize, usize> = BTreeMap::new();
        self.cpus.iter().flatten().for_each(|cpu| *ranks.entry(cpu.id).or_default() += 1);
        ranks.into_values().max().unwrap_or(0)
    }

    /// Divides the ranks by the groups of one level.
    ///
    /// Ranks ascend within a group. Groups come in the order of the machine: by package, node, LLC and core of the
    /// first CPU in them, so neighbours in the answer are neighbours on the machine. Ranks without a CPU are a group of
    /// their own at the end, except that [`Level::Machine`] is one group of all ranks. No group is empty.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Level, Topology};
    ///
    /// let machine = Topology::regular(2, 1, 1, 2, 1)?;
    /// let placement = machine.place(&Bind::Spread, 4, &"0-3".parse()?)?;
    /// assert_eq!(placement.groups(Level::Package), [[0, 2], [1, 3]]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn groups(&self, level: Level) -> Vec<Vec<usize>> {
        let mut ranks: Vec<usize> = (0..self.parties()).collect();
        // Ranks without a CPU after all others.
        ranks.sort_by_key(|&rank| self.cpu(rank).map_or([usize::MAX; 5], Cpu::position));
        let name = |&rank: &usize| self.cpu(rank).map(|cpu| cpu.group(level)).filter(|_| level != Level::Machine);
        let mut groups = gather(ranks, name);
        groups.iter_mut().for_each(|group| group.sort_unstable());
        groups
    }

    /// Divides the ranks level by level, from the inside out, each level dividing the groups of the next.
    ///
    /// What a tree of gatherers is built from. Of core, LLC, node and package it leaves out each level that tells
    /// nothing new (one rank per group, or the same groups as the level inside it or as the machine) and each that cuts
    /// through the groups of one further in, as a NUMA node can through an LLC. The levels are sorted by what contains
    /// what on this machine, so a node inside an LLC comes before it. [`Level::Machine`] is always there, last, with
    /// all ranks in one group (none, if there are no ranks).
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::{Bind, Level, Topology};
    ///
    /// // Two packages of two LLC groups; each node is a package, so the node is left out.
    /// let machine = Topology::regular(2, 1, 2, 2, 1)?;
    /// let levels = machine.place(&Bind::Close, 8, &"0-7".parse()?)?.nested_groups();
    /// let levels: Vec<(Level, usize)> = levels.iter().map(|(level, groups)| (*level, groups.len())).collect();
    /// assert_eq!(levels, [(Level::Llc, 4), (Level::Node, 2), (Level::Machine, 1)]);
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn nested_groups(&self) -> Vec<(Level, Vec<Vec<usize>>)> {
        let mut nest: Vec<(Level, Division)> = Vec::new();
        for level in [Level::Core, Level::Llc, Level::Node, Level::Package] {
            let division = Division::new(self.groups(level), self.parties());
            let count = division.groups.len();
            if count <= 1 || count == self.parties() {
                continue;
            }
            // The finer divisions are those with more groups. One with as many would have to be the same.
            let at = nest.partition_point(|(_, other)| other.groups.len() > count);
            let inner = nest[..at].last().is_none_or(|(_, inner)| inner.divides(&division));
            let outer =
                nest[at..].first().is_none_or(|(_, outer)| outer.groups.len() < count && division.divides(outer));
            if inner && outer {
                nest.insert(at, (level, division));
            }
        }
        let machine = (Level::Machine, self.groups(Level::Machine));
        nest.into_iter().map(|(level, division)| (level, division.groups)).chain([machine]).collect()
    }
}

/// Puts together what has the same name; groups are in the order in which they first appear.
pub(super) fn gather<T, K: Ord>(items: impl IntoIterator<Item = T>, name: impl Fn(&T) -> K) -> Vec<Vec<T>> {
    let mut places: BTreeMap<K, usize> = BTreeMap::new();
    let mut groups: Vec<Vec<T>> = Vec::new();
    for item in items {
        let place = *places.entry(name(&item)).or_insert(groups.len());
        groups.resize_with(groups.len().max(place + 1), Vec::new);
        groups[place].push(item);
    }
    groups
}

/// Every rank in exactly one group.
struct Division {
    groups: Vec<Vec<usize>>,
    /// By rank.
    group_of: Vec<usize>,
}

impl Division {
    fn new(groups: Vec<Vec<usize>>, parties: usize) -> Self {
        let mut group_of = vec![0; parties];
        for (index, group) in groups.iter().enumerate() {
            group.iter().for_each(|&rank| group_of[rank] = index);
        }
        Self { groups, group_of }
    }

    /// Tells whether each of these groups lies in one group of `other`.
    fn divides(&self, other: &Self) -> bool {
        self.groups.iter().all(|group| group.iter().all(|&rank| other.group_of[rank] == other.group_of[group[0]]))
    }
}

/// A placement by hand: rank after rank, CPUs taken from a [`Topology`](super::Topology).
///
/// # Examples
///
/// ```
/// use phalanx::topology::{Placement, Topology};
///
/// let machine = Topology::flat(&"0-3".parse()?);
/// let placement: Placement = [machine.cpu(3).copied(), None].into_iter().collect();
/// assert!(!placement.is_complete());
/// # Ok::<(), phalanx::topology::ParseCpuListError>(())
/// ```
impl FromIterator<Option<Cpu>> for Placement {
    fn from_iter<I: IntoIterator<Item = Option<Cpu>>>(iter: I) -> Self {
        Self { cpus: iter.into_iter().collect() }
    }
}

impl fmt::Display for Placement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranks = self.parties();
        let placed: Vec<&Cpu> = self.cpus.iter().flatten().collect();
        write!(f, "{ranks} rank{}", plural(ranks))?;
        if placed.is_empty() {
            return f.write_str(", bound to no CPU");
        }
        if placed.len() < ranks {
            write!(f, ", {} of them", placed.len())?;
        }
        let cpus: CpuSet = placed.iter().map(|cpu| cpu.id).collect();
        write!(f, " on {} CPU{}: {cpus}", cpus.len(), plural(cpus.len()))?;
        let levels = [(Level::Llc, "LLC group"), (Level::Node, "node"), (Level::Package, "package")];
        for (index, (level, name)) in levels.into_iter().enumerate() {
            let count = placed.iter().map(|cpu| cpu.group(level)).collect::<BTreeSet<_>>().len();
            let comma = if index == 0 { "; " } else { ", " };
            write!(f, "{comma}{count} {name}{}", plural(count))?;
        }
        Ok(())
    }
}
