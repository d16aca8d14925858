//! What a hop costs: between which CPUs, on which machine.

use super::matrix::LatencyMatrix;
use crate::topology::{Cpu, Topology};
use std::error::Error;
use std::fmt;

/// The time in nanoseconds that a cache line takes from one CPU to another, by how far apart they are.
///
/// The four steps in which `lstopo` draws a machine. One way, as core-to-core benchmarks measure it (half a round trip
/// of two threads that hand a word to and fro with compare-and-swap).
///
/// # Examples
///
/// ```
/// use phalanx::model::Classes;
///
/// let mine = Classes { package: 90.0, ..Classes::default() };
/// assert!(mine.llc < mine.package);
/// ```
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Classes {
    /// Between SMT siblings of one core.
    pub smt: f64,
    /// Between cores behind one last-level cache.
    pub llc: f64,
    /// Between last-level caches of one package.
    pub package: f64,
    /// Between packages.
    pub machine: f64,
}

/// The named machines are medians of contributed measurements (<https://github.com/KCORES/core-to-core-latency-plus> and
/// <https://github.com/nviennot/core-to-core-latency>, MIT licence). A step that a machine does not have, or that its
/// measurement does not show, repeats a neighbour; each says which.
impl Classes {
    /// Ryzen 9 7950X (Zen 4, two chiplets of 8 cores; one package, so `machine` repeats `package`).
    pub const RYZEN_7950X: Self = Self { smt: 5.0, llc: 16.0, package: 73.0, machine: 73.0 };
    /// 2 x EPYC 7742 (Zen 2, caches of 4 cores), lines homed on the socket that uses them.
    pub const EPYC_7742: Self = Self { smt: 8.0, llc: 25.0, package: 132.0, machine: 267.0 };
    /// 2 x EPYC 7763 (Zen 3, caches of 8 cores).
    pub const EPYC_7763: Self = Self { smt: 10.0, llc: 25.0, package: 124.0, machine: 304.0 };
    /// 2 x EPYC 9454 (Zen 4, caches of 6 cores), lines homed on the socket that uses them.
    pub const EPYC_9454: Self = Self { smt: 10.0, llc: 26.0, package: 103.0, machine: 198.0 };
    /// 2 x EPYC 9654 (Zen 4, caches of 8 cores); `smt` is that of the 9454.
    pub const EPYC_9654: Self = Self { smt: 10.0, llc: 27.0, package: 99.0, machine: 192.0 };
    /// 2 x Xeon 8358 (Ice Lake, one cache per package, so `package` repeats `llc`); `smt` is that of the 8375C.
    pub const XEON_8358: Self = Self { smt: 8.0, llc: 51.0, package: 51.0, machine: 111.0 };
    /// Graviton3 (64 Neoverse V1 cores, one cache, no SMT: `llc` all through).
    pub const GRAVITON3: Self = Self { smt: 46.0, llc: 46.0, package: 46.0, machine: 46.0 };

    /// The median of each class over the pairs of `topology` that `matrix` has; CPU n is row n.
    ///
    /// A class that no pair belongs to repeats the next nearer one, or the next further one if there is none.
    /// `None` if the matrix has no pair of this machine's CPUs.
    #[must_use]
    pub fn from_matrix(matrix: &LatencyMatrix, topology: &Topology) -> Option<Self> {
        Self::medians(matrix, topology.cpus())
    }

    pub(super) fn medians(matrix: &LatencyMatrix, cpus: &[Cpu]) -> Option<Self> {
        let mut found: [Vec<f64>; 4] = Default::default();
        for (index, a) in cpus.iter().enumerate() {
            for b in &cpus[..index] {
                if let Some(nanos) = matrix.get(a.id, b.id) {
                    found[Distance::of(a, b) as usize].push(nanos);
                }
            }
        }
        Self::filled(found.map(|mut nanos| {
            nanos.sort_unstable_by(f64::total_cmp);
            nanos.get(nanos.len() / 2).copied()
        }))
    }

    /// By [`Distance`]; what is missing repeats the next nearer one, or the next further one if there is none.
    pub(super) fn filled(mut found: [Option<f64>; 4]) -> Option<Self> {
        for class in 1..4 {
            found[class] = found[class].or(found[class - 1]);
        }
        for class in (0..3).rev() {
            found[class] = found[class].or(found[class + 1]);
        }
        let [smt, llc, package, machine] = found;
        Some(Self { smt: smt?, llc: llc?, package: package?, machine: machine? })
    }

    fn of(&self, distance: Distance) -> f64 {
        match distance {
            Distance::Smt => self.smt,
            Distance::Llc => self.llc,
            Distance::Package => self.package,
            Distance::Machine => self.machine,
        }
    }
}

/// [`Classes::EPYC_9454`], the newest machine of the table that was measured in all four: a guess for a machine that
/// nobody has measured, and about right in its ratios for most that have chiplets.
impl Default for Classes {
    fn default() -> Self {
        Self::EPYC_9454
    }
}

/// How far apart two CPUs are: one of the classes, in their order.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Distance {
    Smt,
    Llc,
    Package,
    Machine,
}

impl Distance {
    pub(super) const ALL: [Self; 4] = [Self::Smt, Self::Llc, Self::Package, Self::Machine];

    pub(super) fn of(a: &Cpu, b: &Cpu) -> Self {
        Self::between(&Seat::of(a), &Seat::of(b))
    }

    fn between(a: &Seat, b: &Seat) -> Self {
        if a.package != b.package {
            Self::Machine
        } else if a.llc != b.llc {
            Self::Package
        } else if a.core != b.core {
            Self::Llc
        } else {
            Self::Smt
        }
    }
}

/// Where a rank sits.
#[derive(Clone, Copy, Debug)]
struct Seat {
    core: u32,
    llc: u32,
    package: u32,
}

impl Seat {
    fn of(cpu: &Cpu) -> Self {
        Self { core: cpu.core as u32, llc: cpu.llc as u32, package: cpu.package as u32 }
    }
}

/// What a transfer costs between any two ranks of a barrier.
///
/// # Examples
///
/// ```
/// use phalanx::model::{Classes, Hops};
/// use phalanx::topology::Topology;
///
/// let machine = Topology::detect();
/// let hops = Hops::from_cpus(machine.cpus(), &Classes::default());
/// assert_eq!(hops.parties(), machine.cpus().len());
/// ```
#[derive(Clone, Debug)]
pub struct Hops {
    parties: usize,
    ways: Ways,
}

#[derive(Clone, Debug)]
enum Ways {
    Uniform(f64),
    Seats(Vec<Seat>, Classes),
    Cells(Vec<f32>),
}

impl Hops {
    /// Every pair equally far: `nanos` from any rank to any other.
    #[must_use]
    pub fn uniform(parties: usize, nanos: f64) -> Self {
        Self { parties, ways: Ways::Uniform(nanos) }
    }

    /// By class: rank r runs on `cpus[r]`.
    ///
    /// Two ranks on one CPU count as SMT siblings. The model says nothing about what it costs that they take turns.
    #[must_use]
    pub fn from_cpus(cpus: &[Cpu], classes: &Classes) -> Self {
        Self { parties: cpus.len(), ways: Ways::Seats(cpus.iter().map(Seat::of).collect(), *classes) }
    }

    /// By measurement: rank r runs on the CPU of row `cpus[r]`.
    ///
    /// # Errors
    ///
    /// If a CPU has no row, or two of them no cell.
    pub fn from_matrix(matrix: &LatencyMatrix, cpus: &[usize]) -> Result<Self, HopsError> {
        if let Some(&cpu) = cpus.iter().find(|&&cpu| cpu >= matrix.size()) {
            return Err(HopsError::NoRow { cpu, rows: matrix.size() });
        }
        let mut cells = Vec::with_capacity(cpus.len() * cpus.len());
        for &a in cpus {
            for &b in cpus {
                let nanos = if a == b { Some(0.0) } else { matrix.get(a, b) };
                cells.push(nanos.ok_or(HopsError::NoCell { from: a, to: b })? as f32);
            }
        }
        Ok(Self { parties: cpus.len(), ways: Ways::Cells(cells) })
    }

    /// The hops between these ranks alone; `None` if one of them is not known.
    pub(crate) fn of_ranks(&self, ranks: &[usize]) -> Option<Self> {
        if ranks.iter().any(|&rank| rank >= self.parties) {
            return None;
        }
        let ways = match &self.ways {
            Ways::Uniform(nanos) => Ways::Uniform(*nanos),
            Ways::Seats(seats, classes) => Ways::Seats(ranks.iter().map(|&rank| seats[rank]).collect(), *classes),
            Ways::Cells(_) => {
                let cells = ranks.iter().flat_map(|&a| ranks.iter().map(move |&b| (a, b)));
                Ways::Cells(cells.map(|(a, b)| self.transfer(a, b) as f32).collect())
            }
        };
        Some(Self { parties: ranks.len(), ways })
    }

    /// How many ranks there are.
    #[must_use]
    pub fn parties(&self) -> usize {
        self.parties
    }

    /// The time of one transfer from rank `a` to rank `b`, in nanoseconds; none at all from a rank to itself.
    ///
    /// # Panics
    ///
    /// If a rank is not below [`parties`](Self::parties).
    #[must_use]
    pub fn transfer(&self, a: usize, b: usize) -> f64 {
        assert!(a < self.parties && b < self.parties, "ranks {a} and {b} of {} parties", self.parties);
        if a == b {
            return 0.0;
        }
        match &self.ways {
            Ways::Uniform(nanos) => *nanos,
            Ways::Seats(seats, classes) => classes.of(Distance::between(&seats[a], &seats[b])),
            Ways::Cells(cells) => f64::from(cells[a * self.parties + b]),
        }
    }
}

/// Why a matrix does not say what hops cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HopsError {
    /// The CPU is beyond the last row.
    NoRow {
        /// The CPU.
        cpu: usize,
        /// How many rows there are.
        rows: usize,
    },
    /// The matrix has no value for this pair, in either direction.
    NoCell {
        /// One CPU.
        from: usize,
        /// The other.
        to: usize,
    },
}

impl fmt::Display for HopsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoRow { cpu, rows: 0 } => write!(f, "cpu {cpu} has no row in the latency matrix, which is empty"),
            Self::NoRow { cpu, rows } => {
                write!(f, "cpu {cpu} has no row in the latency matrix, whose last one is {}", rows - 1)
            }
            Self::NoCell { from, to } => write!(f, "the latency matrix has no value for cpus {from} and {to}"),
        }
    }
}

impl Error for HopsError {}

/// What the model multiplies a transfer with.
///
/// `alpha` scales everything that polls; the next three are parts of a hop, `alpha` times a transfer.
/// The defaults are read off published measurements, or guessed where there are none; each field says which.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constants {
    /// A hop (store, to a poller's load) in transfers (compare-and-swap ping-pong). A poller has to be invalidated
    /// before it can fetch, so it is between 1 and 2, or more.
    ///
    /// 1.3: the published latencies of the `hurdles` barrier are 1.25 to 1.38 times what the rules say with 1.
    pub alpha: f64,
    /// What each further remote store costs its writer, in hops.
    ///
    /// 0.28: sending (62 and 193 cycles) against receiving (221 and 693 cycles) in the measurements of Smelt on 2 x 10
    /// IvyBridge cores (<https://github.com/libsmelt/Simulator>).
    pub g_w: f64,
    /// What each further flag costs its reader when several arrive at once, in hops.
    ///
    /// 0.15: a guess; the reader's misses overlap.
    pub g_r: f64,
    /// How much later each further reader of one flag sees it, in hops.
    ///
    /// 0.1: a guess; the linear contention term of Ramos and Hoefler's model.
    pub c_b: f64,
    /// A read-modify-write that others queue for, in transfers from the previous owner of the line.
    ///
    /// 1.3: by the same measurements, nearly all of whose time goes into such a queue.
    pub rmw: f64,
    /// Instructions, in nanoseconds for each hop and each read-modify-write.
    ///
    /// 3: about ten dependent instructions at 3 GHz.
    pub overhead: f64,
}

impl Default for Constants {
    fn default() -> Self {
        Self { alpha: 1.3, g_w: 0.28, g_r: 0.15, c_b: 0.1, rmw: 1.3, overhead: 3.0 }
    }
}
