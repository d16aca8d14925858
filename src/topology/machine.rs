//! What the machine looks like: every CPU with its package, NUMA node, LLC group, core and SMT position.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use super::affinity::startup_mask;
use super::cpu_set::CpuSet;
use super::distance::Distances;
use super::sysfs::{self, Raw};

/// One CPU (hardware thread) and the groups that it belongs to.
///
/// `lstopo` calls it a PU and shows the groups as boxes; here they are numbers. Groups are numbered from 0 without
/// gaps, in the order of the lowest CPU id in each, whatever the firmware calls them. So `a.llc == b.llc` answers "does
/// a line travel between these two without leaving a cache?", and a group number is an index into an array.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub struct Cpu {
    /// The operating system's number, the one to pin to. May have gaps.
    pub id: usize,
    /// Package (socket).
    pub package: usize,
    /// NUMA node.
    pub node: usize,
    /// Group of CPUs behind one last-level cache: the highest level that holds data.
    pub llc: usize,
    /// Core, numbered over the whole machine.
    pub core: usize,
    /// Position among the online CPUs of the same core: 0 for the first, 1 for its SMT sibling.
    pub smt: usize,
    /// Kind of core: 0 for the most capable, 1 for the next. All are 0 unless the machine is hybrid.
    pub kind: usize,
}

/// The CPUs of a machine and how they are grouped.
///
/// A small `lstopo`: what placing threads and predicting the cost of a cache-line transfer needs, and no more. It shows
/// the machine, every online CPU of it; what this process may use of it is [`startup_mask`].
///
/// # Examples
///
/// ```
/// use phalanx::topology::Topology;
///
/// let machine = Topology::detect();
/// println!("{machine}"); // 1 package, 1 NUMA node, 2 LLC groups, 8 cores, 16 CPUs: 0-15
/// for cpu in machine.cpus().iter().filter(|cpu| cpu.llc == 0 && cpu.smt == 0) {
///     println!("cpu {} is the first thread of core {}", cpu.id, cpu.core);
/// }
/// # assert!(machine.packages() <= machine.cores() && machine.cores() <= machine.cpus().len());
/// ```
///
/// # Platform notes
///
/// Read from `/sys` on Linux. Elsewhere, and where `/sys` is missing or useless, [`Topology::flat`] stands in.
/// A virtual machine shows what its hypervisor chose to show, which may be flat as well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Topology {
    cpus: Vec<Cpu>,
    packages: usize,
    nodes: usize,
    llcs: usize,
    cores: usize,
    kinds: usize,
    /// A row per node, empty where nothing is known; no rows if there is nothing at all.
    distances: Vec<Vec<Option<u32>>>,
}

impl Topology {
    /// Reads this machine's topology; never fails.
    ///
    /// The flat fallback is taken if `/sys` cannot be read, or describes none of the CPUs that this process may use.
    /// Nothing is cached: one call opens a dozen files per CPU, so keep the answer.
    ///
    /// # Examples
    ///
    /// ```
    /// let machine = phalanx::topology::Topology::detect();
    /// assert!(machine.cores() >= 1);
    /// ```
    #[must_use]
    pub fn detect() -> Self {
        let mask = startup_mask();
        // Under Miri `/sys` is not that of the program.
        if cfg!(all(any(target_os = "linux", target_os = "android"), not(miri))) {
            if let Ok(machine) = Self::from_root(Path::new("/")) {
                if machine.cpus.iter().any(|cpu| mask.contains(cpu.id)) {
                    return machine;
                }
            }
        }
        Self::flat(mask)
    }

    /// Reads the topology that `root/sys/devices/system` describes.
    ///
    /// For a snapshot of another machine, or a host's `/sys` mounted into a container. Malformed files are passed over:
    ///
    /// | what | read from (first that makes sense) | if there is none |
    /// |---|---|---|
    /// | CPUs | `cpu/cpu*`, less what `cpu/online` or `cpuN/online` leaves out | error |
    /// | package | `topology/package_cpus`, its older name `core_siblings`, `physical_package_id` | one package |
    /// | NUMA node | `node/node*/cpulist`, `cpumap`, the links `nodeN/cpuM` and, if `node/online` has the node, `cpuM/nodeN` | one node for all: without NUMA the kernel has one memory |
    /// | LLC group | `cache/index*` of the highest level and type `Unified` or `Data`, its `shared_cpu_list` or `shared_cpu_map` | what package and node have in common |
    /// | core | `topology/core_cpus`, its older name `thread_siblings`, `core_id` with package, die and cluster | a core of its own |
    /// | kind of core | `/sys/devices/cpu_core/cpus`, `cpu_atom`, `cpu_lowpower`; within these `cpu_capacity`, `cpufreq/base_frequency`, `cpufreq/cpuinfo_max_freq`, a difference of a tenth or more | one kind |
    /// | distance | `node/node*/distance`, if both directions agree | unknown |
    ///
    /// Siblings with different `core_id` are separate cores, as `lstopo` has it (AMD family 15h on old kernels).
    /// Nodes without CPUs are not counted.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::Topology;
    ///
    /// let error = Topology::from_root("/no/such/place".as_ref()).unwrap_err();
    /// assert!(error.to_string().contains("/no/such/place/sys/devices/system/cpu"));
    /// ```
    ///
    /// # Errors
    ///
    /// [`TopologyError`] if the directory of CPUs cannot be read or has no online CPU in it.
    pub fn from_root(root: &Path) -> Result<Self, TopologyError> {
        let raw = sysfs::cpus(root).map_err(|(path, source)| TopologyError::Unreadable { path, source })?;
        if raw.is_empty() {
            return Err(TopologyError::NoCpus { path: sysfs::cpu_dir(root) });
        }
        Ok(Self::from_raw(&raw, &Distances::read(root)))
    }

    /// Makes a topology without structure: each CPU of `mask` a core of its own, in one package, node and LLC group.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::Topology;
    ///
    /// let machine = Topology::flat(&"4,6-7".parse()?);
    /// assert_eq!((machine.packages(), machine.llcs(), machine.cores()), (1, 1, 3));
    /// assert_eq!(machine.cpus()[0].id, 4);
    /// # Ok::<(), phalanx::topology::ParseCpuListError>(())
    /// ```
    #[must_use]
    pub fn flat(mask: &CpuSet) -> Self {
        let cpu = |(core, id)| Cpu { id, package: 0, node: 0, llc: 0, core, smt: 0, kind: 0 };
        Self::counted(mask.iter().enumerate().map(cpu).collect())
    }

    /// Counts the groups of CPUs that are numbered already.
    pub(super) fn counted(cpus: Vec<Cpu>) -> Self {
        let count = |of: fn(&Cpu) -> usize| cpus.iter().map(|cpu| of(cpu) + 1).max().unwrap_or(0);
        Self {
            packages: count(|cpu| cpu.package),
            nodes: count(|cpu| cpu.node),
            llcs: count(|cpu| cpu.llc),
            cores: count(|cpu| cpu.core),
            kinds: count(|cpu| cpu.kind),
            distances: Vec::new(),
            cpus,
        }
    }

    fn from_raw(raw: &[Raw], distances: &Distances) -> Self {
        // A CPU that no node claims joins the lowest one rather than making up a node of its own.
        let home = raw.iter().filter_map(|cpu| cpu.node).min();
        let mut packages = Numbering::default();
        let mut nodes = Numbering::default();
        let mut llcs = Numbering::default();
        let mut cores = Numbering::default();
        let mut threads: Vec<usize> = Vec::new();
        let cpus = raw.iter().map(|cpu| {
            let core = cores.number(cpu.core);
            threads.resize(threads.len().max(core + 1), 0);
            let smt = threads[core];
            threads[core] += 1;
            Cpu {
                id: cpu.id,
                package: packages.number(cpu.package),
                node: nodes.number(cpu.node.or(home)),
                llc: llcs.number(cpu.llc),
                core,
                smt,
                kind: cpu.kind,
            }
        });
        let mut machine = Self::counted(cpus.collect());
        let names = nodes.names();
        // Rows that files do not fill are not made: a root may claim any number of nodes.
        let row = |a: &Option<usize>| match a.filter(|&a| distances.tell_of(a)) {
            Some(a) => names.iter().map(|b| distances.between(a, (*b)?)).collect(),
            None => Vec::new(),
        };
        machine.distances = names.iter().map(row).collect();
        if machine.distances.iter().flatten().all(Option::is_none) {
            machine.distances.clear(); // as on a machine without firmware's word
        }
        machine
    }

    /// The online CPUs, sorted by id.
    #[must_use]
    pub fn cpus(&self) -> &[Cpu] {
        &self.cpus
    }

    /// Looks up the CPU with the number `id`.
    #[must_use]
    pub fn cpu(&self, id: usize) -> Option<&Cpu> {
        self.cpus.binary_search_by_key(&id, |cpu| cpu.id).ok().map(|index| &self.cpus[index])
    }

    /// The number of packages.
    #[must_use]
    pub fn packages(&self) -> usize {
        self.packages
    }

    /// The number of NUMA nodes that have CPUs.
    #[must_use]
    pub fn nodes(&self) -> usize {
        self.nodes
    }

    /// The number of LLC groups.
    #[must_use]
    pub fn llcs(&self) -> usize {
        self.llcs
    }

    /// The number of cores.
    #[must_use]
    pub fn cores(&self) -> usize {
        self.cores
    }

    /// The number of kinds of cores: 1, or more on a hybrid machine (Intel's P and E cores, Arm's big and little ones).
    #[must_use]
    pub fn kinds(&self) -> usize {
        self.kinds
    }

    /// The distance between two NUMA nodes as firmware tells it: 10 within a node, 20 where memory takes twice as long.
    ///
    /// The numbers of `numactl --hardware`, by [`Cpu::node`]. Firmware means them as relative latencies of memory, and
    /// often enough makes them up; they rank pairs of nodes, and say little about the cost of a cache-line transfer.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::Topology;
    ///
    /// let machine = Topology::detect();
    /// let far = (0..machine.nodes()).max_by_key(|&node| machine.distance(0, node));
    /// println!("the node farthest from node 0 is {far:?}");
    /// assert_eq!(machine.distance(machine.nodes(), 0), None);
    /// ```
    ///
    /// # Platform notes
    ///
    /// `/sys/devices/system/node/nodeN/distance` on Linux. `None` where there is no such file, for a node that there is
    /// not, and for a pair on which the two nodes do not agree; nodes without CPUs have no number here.
    #[must_use]
    pub fn distance(&self, node_a: usize, node_b: usize) -> Option<u32> {
        self.distances.get(node_a)?.get(node_b).copied().flatten()
    }
}

/// Gives out 0, 1, 2, … to names in the order in which they come.
struct Numbering<K>(BTreeMap<K, usize>);

impl<K> Default for Numbering<K> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<K: Ord> Numbering<K> {
    fn number(&mut self, name: K) -> usize {
        let next = self.0.len();
        *self.0.entry(name).or_insert(next)
    }

    /// The names, in the order of their numbers.
    fn names(self) -> Vec<K> {
        let mut names: Vec<(K, usize)> = self.0.into_iter().collect();
        names.sort_by_key(|(_, number)| *number);
        names.into_iter().map(|(name, _)| name).collect()
    }
}

pub(super) fn plural(count: usize) -> &'static str {
    if count == 1 { "" } else { "s" }
}

impl fmt::Display for Topology {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let counts = [
            (self.packages, "package"),
            (self.nodes, "NUMA node"),
            (self.llcs, "LLC group"),
            (self.cores, "core"),
            (self.cpus.len(), "CPU"),
        ];
        for (index, (count, name)) in counts.into_iter().enumerate() {
            let comma = if index == 0 { "" } else { ", " };
            write!(f, "{comma}{count} {name}{}", plural(count))?;
        }
        let ids: CpuSet = self.cpus.iter().map(|cpu| cpu.id).collect();
        if ids.is_empty() { Ok(()) } else { write!(f, ": {ids}") }
    }
}

/// Why there is no topology to read below a root.
#[derive(Debug)]
#[non_exhaustive]
pub enum TopologyError {
    /// The directory of CPUs could not be read.
    Unreadable {
        /// The directory.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The directory of CPUs has no online CPU in it.
    NoCpus {
        /// The directory.
        path: PathBuf,
    },
}

impl fmt::Display for TopologyError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unreadable { path, source } => {
                write!(f, "cannot read {}: {source}", path.display())
            }
            Self::NoCpus { path } => write!(f, "no online CPU in {}", path.display()),
        }
    }
}

impl Error for TopologyError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Unreadable { source, .. } => Some(source),
            Self::NoCpus { .. } => None,
        }
    }
}
