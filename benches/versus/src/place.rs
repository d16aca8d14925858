//! Which two CPUs, and how threads are put on them.
//!
//! Every shape but one uses the same two CPUs, also where there are more: the targets speak of two. Two different cores
//! are taken if the affinity mask offers them, because hyperthreads of one core share an L1 and would measure something
//! else.

use phalanx::topology::{Bind, Cpu, CpuSet as CpuMask, Placement, Topology};
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use std::collections::BTreeSet;
use std::fs;

/// The two CPUs of this run.
#[derive(Clone, Copy, Debug)]
pub struct Place {
    pub cpus: [usize; 2],
    /// Both are hyperthreads of one core.
    pub siblings: bool,
}

impl Place {
    /// The CPUs asked for, or the first two of the affinity mask that are not siblings.
    ///
    /// # Errors
    ///
    /// Fewer than two CPUs, or one asked for that the mask does not hold.
    pub fn choose(asked: Option<[usize; 2]>) -> Result<Self, String> {
        let allowed = allowed()?;
        let pair = match asked {
            Some([a, b]) if a == b => return Err(format!("--cpus {a},{b}: two different CPUs are needed")),
            Some(pair) => match pair.iter().find(|cpu| !allowed.contains(cpu)) {
                Some(cpu) => return Err(format!("--cpus: CPU {cpu} is not in the affinity mask {allowed:?}")),
                None => pair,
            },
            None => {
                let (&first, rest) = allowed.split_first().ok_or("the affinity mask is empty")?;
                let second = rest.iter().find(|&&cpu| !are_siblings(first, cpu)).or(rest.first());
                [first, *second.ok_or("only one CPU is to be had: nothing can be compared")?]
            }
        };
        Ok(Self { cpus: pair, siblings: are_siblings(pair[0], pair[1]) })
    }

    /// Restricts the calling thread, and those it will spawn, to the two CPUs.
    ///
    /// The barriers must be built under this mask and not by a pinned thread: phalanx reads it to learn whether CPUs
    /// are scarce.
    pub fn restrict(&self) {
        set(&self.cpus);
    }

    /// Pins the calling thread to the CPU of this rank.
    pub fn pin(&self, rank: usize) {
        set(&[self.cpus[rank % 2]]);
    }
}

/// Restricts the calling thread, and those it will spawn, to these CPUs.
pub fn restrict_to(cpus: &[usize]) {
    set(cpus);
}

/// A CPU of its own for each of so many ranks, neighbours close together, as phalanx places them.
///
/// # Errors
///
/// phalanx's own, or that it has put two ranks on one CPU.
pub fn close(parties: usize, allowed: &[usize]) -> Result<Vec<usize>, String> {
    let mask: CpuMask = allowed.iter().copied().collect();
    let plan = machine(allowed).place(&Bind::Close, parties, &mask).map_err(|e| e.to_string())?;
    let cpus: Vec<usize> = plan.cpus().flatten().collect();
    let distinct: BTreeSet<usize> = cpus.iter().copied().collect();
    if distinct.len() == parties { Ok(cpus) } else { Err(format!("{parties} ranks were placed on CPUs {cpus:?}")) }
}

/// Who sits where, for phalanx: rank r on the r-th of these CPUs.
///
/// # Errors
///
/// phalanx's own.
pub fn placement(cpus: &[usize]) -> Result<Placement, String> {
    let mask: CpuMask = cpus.iter().copied().collect();
    machine(cpus).place(&Bind::List(cpus.into()), cpus.len(), &mask).map_err(|e| e.to_string())
}

/// All of them lie behind one last-level cache.
pub fn one_llc(cpus: &[usize]) -> bool {
    groups(cpus, |cpu| cpu.llc) == 1
}

/// How these CPUs lie to each other.
pub fn describe(cpus: &[usize]) -> String {
    let (cores, llcs, packages) =
        (groups(cpus, |cpu| cpu.core), groups(cpus, |cpu| cpu.llc), groups(cpus, |cpu| cpu.package));
    format!("CPUs {cpus:?} in {cores} cores, {llcs} last-level caches, {packages} packages")
}

fn groups(cpus: &[usize], group: impl Fn(&Cpu) -> usize) -> usize {
    let machine = machine(cpus);
    cpus.iter().filter_map(|&cpu| machine.cpu(cpu)).map(group).collect::<BTreeSet<_>>().len()
}

/// The machine as phalanx sees it, and flat where it does not see these CPUs.
fn machine(cpus: &[usize]) -> Topology {
    let machine = Topology::detect();
    if cpus.iter().all(|&cpu| machine.cpu(cpu).is_some()) {
        return machine;
    }
    Topology::flat(&cpus.iter().copied().collect())
}

/// Pins the calling thread to one CPU by number.
pub fn pin_to(cpu: usize) {
    set(&[cpu]);
}

/// The CPUs in this process's affinity mask.
pub fn allowed() -> Result<Vec<usize>, String> {
    let mask = sched_getaffinity(None).map_err(|e| format!("sched_getaffinity: {e}"))?;
    Ok((0..CpuSet::MAX_CPU).filter(|&cpu| mask.is_set(cpu)).collect())
}

fn set(cpus: &[usize]) {
    let mut mask = CpuSet::new();
    cpus.iter().for_each(|&cpu| mask.set(cpu));
    sched_setaffinity(None, &mask).unwrap_or_else(|e| panic!("cannot pin to {cpus:?}: {e}"));
}

fn are_siblings(a: usize, b: usize) -> bool {
    let list = format!("/sys/devices/system/cpu/cpu{a}/topology/thread_siblings_list");
    fs::read_to_string(list).is_ok_and(|text| parse_list(&text).contains(&b))
}

/// The kernel's notation for CPU lists: `0-3,8,10-11`.
fn parse_list(text: &str) -> Vec<usize> {
    text.trim()
        .split(',')
        .filter_map(|part| {
            let (low, high) = part.split_once('-').unwrap_or((part, part));
            Some(low.parse().ok()?..=high.parse().ok()?)
        })
        .flatten()
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kernel_lists() {
        assert_eq!(parse_list("0-2,8\n"), [0, 1, 2, 8]);
        assert_eq!(parse_list("5"), [5]);
        assert!(parse_list("").is_empty());
    }

    #[test]
    fn the_same_cpu_twice_is_refused() {
        assert!(Place::choose(Some([0, 0])).unwrap_err().contains("two different"));
    }
}
