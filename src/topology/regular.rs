//! Machines on paper: every package, node, LLC group and core like the others.

use std::error::Error;
use std::fmt;

use super::cpu_list::MAX_CPU_IDS;
use super::machine::{Cpu, Topology};

impl Topology {
    /// Makes a machine on paper, in which all packages are alike, and so are nodes, LLC groups and cores.
    ///
    /// For predictions about machines that one does not have, and for tests; `lstopo -i "pack:2 l3:2 core:4 pu:2"` is
    /// the like. CPUs are numbered as Linux does on x86: the first thread of every core, then the second of every core,
    /// and so on. It has no [distances](Self::distance): those are firmware's.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::topology::Topology;
    ///
    /// // Two packages, each one node with eight caches of eight cores with two threads.
    /// let machine = Topology::regular(2, 1, 8, 8, 2)?;
    /// assert_eq!(machine.to_string(), "2 packages, 2 NUMA nodes, 16 LLC groups, 128 cores, 256 CPUs: 0-255");
    /// assert_eq!(machine.cpu(128).map(|cpu| (cpu.core, cpu.smt)), Some((0, 1)));
    ///
    /// let error = Topology::regular(2, 1, 0, 8, 2).unwrap_err();
    /// assert_eq!(error.to_string(), "a machine needs at least 1 LLC group per node, not 0");
    /// # Ok::<(), phalanx::topology::RegularError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RegularError`] if a number is 0, or if their product is above [`MAX_CPU_IDS`].
    pub fn regular(
        packages: usize,
        nodes_per_package: usize,
        llcs_per_node: usize,
        cores_per_llc: usize,
        threads_per_core: usize,
    ) -> Result<Self, RegularError> {
        let numbers = [
            (packages, "package"),
            (nodes_per_package, "node per package"),
            (llcs_per_node, "LLC group per node"),
            (cores_per_llc, "core per LLC group"),
            (threads_per_core, "thread per core"),
        ];
        if let Some((_, what)) = numbers.into_iter().find(|(number, _)| *number == 0) {
            return Err(RegularError::Zero { what });
        }
        let cpus = numbers.into_iter().try_fold(1_usize, |product, (number, _)| product.checked_mul(number));
        let Some(cpus) = cpus.filter(|&cpus| cpus <= MAX_CPU_IDS) else {
            return Err(RegularError::TooLarge { limit: MAX_CPU_IDS });
        };
        let cores = cpus / threads_per_core;
        let cpu = |id| {
            let (smt, core) = (id / cores, id % cores);
            let llc = core / cores_per_llc;
            let node = llc / llcs_per_node;
            Cpu { id, package: node / nodes_per_package, node, llc, core, smt, kind: 0 }
        };
        Ok(Self::counted((0..cpus).map(cpu).collect()))
    }
}

/// Why there is no such machine, not even on paper.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RegularError {
    /// One of the numbers is 0.
    Zero {
        /// What there should be at least one of.
        what: &'static str,
    },
    /// There would be too many CPUs.
    TooLarge {
        /// The most that there may be, [`MAX_CPU_IDS`].
        limit: usize,
    },
}

impl fmt::Display for RegularError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Zero { what } => write!(f, "a machine needs at least 1 {what}, not 0"),
            Self::TooLarge { limit } => {
                write!(f, "a machine has at most {limit} CPUs, not the product of these numbers")
            }
        }
    }
}

impl Error for RegularError {}
