//! The classes and `alpha` of the machine at hand, measured between a few pairs of its CPUs (`pair` says how).
//!
//! The other constants stay as they are. `g_w`, `c_b` and `rmw` need three CPUs or more to be seen, `g_r` also clocks
//! in step to be told apart from them, and a measurement of a few milliseconds has nowhere been held against a long
//! one. The benchmarks of this project have such probes (`benches/versus`).

use super::machine::{Classes, Constants, Distance};
use crate::topology::{Cpu, CpuSet, PinError, Topology};
use std::error::Error;
use std::time::Duration;
use std::{fmt, io};

mod pair;
#[cfg(all(test, not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests;

/// What a transfer costs between the CPUs at hand, and what a hop costs in transfers.
///
/// A short core-to-core benchmark: for each distance class that the CPUs offer it takes one or two pairs instead of
/// all, and a millisecond or two. Only [`measure`](Self::measure) makes one; no barrier measures by itself.
///
/// # Examples
///
/// ```
/// use phalanx::Algorithm;
/// use phalanx::model::{Hops, Local};
/// use phalanx::topology::{Bind, Topology, startup_mask};
///
/// let machine = Topology::detect();
/// let placement = machine.place(&Bind::Close, startup_mask().len(), startup_mask())?;
/// match Local::measure(&machine, startup_mask()) {
///     Ok(local) => {
///         println!("{local}");
///         let cpus: Vec<_> = (0..placement.parties()).filter_map(|rank| placement.cpu(rank).copied()).collect();
///         let hops = Hops::from_cpus(&cpus, &local.classes);
///         let trip = Algorithm::Auto.predict(&placement, &hops, &local.constants).ok_or("no ranks")?;
///         println!("a trip should take {:.0} ns", trip.together); // and `Builder::hops` takes the hops
///     }
///     Err(error) => println!("the defaults will have to do: {error}"),
/// }
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Local {
    /// One way, the median of the pairs of each class; a class that the CPUs do not offer repeats the next nearer one,
    /// or the next further one if there is none.
    pub classes: Classes,
    /// The defaults, but for [`alpha`](Constants::alpha): the median over all pairs of a hop in transfers.
    ///
    /// Both were measured with their instructions, and a prediction adds [`overhead`](Constants::overhead) once more.
    pub constants: Constants,
    pairs: Vec<Pair>,
}

/// One measured pair; times in nanoseconds, one way.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Pair {
    cpus: [usize; 2],
    distance: Distance,
    transfer: f64,
    hop: f64,
}

impl Local {
    /// Measures between CPUs of `topology`, which must be this machine's, that are in `mask`.
    ///
    /// Like core-to-core benchmarks, on two threads of its own at a time, pinned to one CPU each; the caller is not
    /// moved. A pair takes a millisecond or two, and is given up after 10 ms, or when its threads next run after that;
    /// there are at most two pairs to a class. The CPUs should be idle meanwhile: other work on them ends in an error
    /// or in a worse answer. Measure in an optimised build.
    ///
    /// # Examples
    ///
    /// ```
    /// use phalanx::model::{Local, MeasureError};
    /// use phalanx::topology::{Topology, startup_mask};
    ///
    /// match Local::measure(&Topology::detect(), startup_mask()) {
    ///     Ok(local) => assert!(local.classes.llc > 0.0 && local.constants.alpha > 0.0),
    ///     Err(MeasureError::TooFew { cpus }) => assert!(cpus.len() < 2),
    ///     Err(error) => println!("{error}"), // no pinning here, or no CPU idle enough
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// If there are not two such CPUs, one cannot be pinned to, no thread can be started, or a pair is so busy that it
    /// does not get enough rounds done.
    ///
    /// # Platform notes
    ///
    /// Works where [`pin_current`](crate::topology::pin_current) does, on Linux. On a virtual machine the classes are
    /// what the hypervisor shows, and a pair of virtual CPUs may be anywhere. The lines are made by one of the two
    /// threads once it is pinned; whether they are homed on its node is up to the allocator.
    pub fn measure(topology: &Topology, mask: &CpuSet) -> Result<Self, MeasureError> {
        let cpus: Vec<Cpu> = topology.cpus().iter().filter(|cpu| mask.contains(cpu.id)).copied().collect();
        let pairs: Result<Vec<Pair>, MeasureError> =
            representatives(&cpus).into_iter().map(|(distance, cpus)| Pair::measure(distance, cpus)).collect();
        Self::of(pairs?).ok_or_else(|| MeasureError::TooFew { cpus: cpus.iter().map(|cpu| cpu.id).collect() })
    }

    fn of(pairs: Vec<Pair>) -> Option<Self> {
        let class = |distance| median(pairs.iter().filter(|pair| pair.distance == distance).map(|pair| pair.transfer));
        let classes = Classes::filled(Distance::ALL.map(class))?;
        let alpha = median(pairs.iter().map(|pair| pair.hop / pair.transfer))?;
        Some(Self { classes, constants: Constants { alpha, ..Constants::default() }, pairs })
    }
}

/// The pairs of a class, what was worked out from them, and what was not.
impl fmt::Display for Local {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for Pair { cpus: [a, b], distance, transfer, hop } in &self.pairs {
            writeln!(f, "cpus {a} and {b}, {}: {transfer:.1} ns a transfer, {hop:.1} ns a hop", name(*distance))?;
        }
        let missing = |distance: &Distance| self.pairs.iter().all(|pair| pair.distance != *distance);
        let missing: Vec<&str> = Distance::ALL.into_iter().filter(missing).map(name).collect();
        if !missing.is_empty() {
            writeln!(f, "no pair, so as the nearest class: {}", missing.join("; "))?;
        }
        let Constants { alpha, g_w, g_r, c_b, rmw, overhead } = self.constants;
        write!(f, "alpha {alpha:.2}; not measured: g_w {g_w}, g_r {g_r}, c_b {c_b}, rmw {rmw}, overhead {overhead} ns")
    }
}

fn name(distance: Distance) -> &'static str {
    match distance {
        Distance::Smt => "SMT siblings",
        Distance::Llc => "one cache",
        Distance::Package => "two caches of a package",
        Distance::Machine => "two packages",
    }
}

/// Why nothing was measured.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum MeasureError {
    /// The machine and the mask have fewer than two CPUs in common.
    TooFew {
        /// Those that they have in common.
        cpus: CpuSet,
    },
    /// A thread could not be pinned to one of the CPUs.
    Pin {
        /// The CPU.
        cpu: usize,
        /// Why not.
        source: PinError,
    },
    /// The system gave no thread.
    Thread {
        /// What it said.
        kind: io::ErrorKind,
    },
    /// Two CPUs were too busy with other work to run both threads at once for long enough.
    Busy {
        /// The CPUs.
        cpus: [usize; 2],
        /// How many rounds came to an end.
        rounds: usize,
        /// How many would have been enough.
        needed: usize,
        /// In which time.
        limit: Duration,
    },
}

impl fmt::Display for MeasureError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooFew { cpus } if cpus.is_empty() => {
                f.write_str("a transfer needs two CPUs, and the mask has none of this machine's")
            }
            Self::TooFew { cpus } => write!(f, "a transfer needs two CPUs, and the mask has only cpu {cpus}"),
            Self::Pin { cpu, source } => write!(f, "no transfer can be measured on cpu {cpu}: {source}"),
            Self::Thread { kind } => write!(f, "no thread could be started to measure with: {kind}"),
            Self::Busy { cpus: [a, b], rounds, needed, limit } => {
                write!(
                    f,
                    "cpus {a} and {b} are too busy to measure: {rounds} rounds in {limit:?}, and {needed} are needed"
                )
            }
        }
    }
}

impl Error for MeasureError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        match self {
            Self::Pin { source, .. } => Some(source),
            _ => None,
        }
    }
}

/// The first and the last pair of each class: on a hybrid machine one of either kind of core, elsewhere a second look.
fn representatives(cpus: &[Cpu]) -> Vec<(Distance, [usize; 2])> {
    let mut found: [Option<([usize; 2], [usize; 2])>; 4] = [None; 4];
    for (index, a) in cpus.iter().enumerate() {
        for b in &cpus[index + 1..] {
            let pair = [a.id, b.id];
            found[Distance::of(a, b) as usize].get_or_insert((pair, pair)).1 = pair;
        }
    }
    let of_class = |(distance, (first, last))| {
        let second = (first != last).then_some((distance, last));
        [Some((distance, first)), second].into_iter().flatten()
    };
    let classes = Distance::ALL.into_iter().zip(found);
    classes.filter_map(|(distance, pairs)| Some((distance, pairs?))).flat_map(of_class).collect()
}

/// The mean of the middle two of an even number; `None` of none.
fn median(values: impl Iterator<Item = f64>) -> Option<f64> {
    let mut values: Vec<f64> = values.collect();
    values.sort_unstable_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 0 { f64::midpoint(values[middle - 1], upper) } else { upper })
}
