//! Who had the CPUs meanwhile: the hypervisor, other processes, or we ourselves.
//!
//! The first question about a surprising number. A run that shared its CPUs with a compiler is not worth a second look.

use crate::usage::{children_cpu, process_cpu};
use std::fs;
use std::time::Instant;

/// A moment from which shares are counted.
pub struct Since {
    cpus: Vec<usize>,
    at: Instant,
    ours: u64,
    ticks: Ticks,
}

/// Shares of the time of all these CPUs, in percent.
pub struct Shares {
    pub stolen: f64,
    pub others: f64,
}

impl Since {
    pub fn now(cpus: &[usize]) -> Self {
        let ours = process_cpu() + children_cpu();
        Self { cpus: cpus.into(), at: Instant::now(), ours, ticks: Ticks::of(cpus) }
    }

    /// From then until now. Child processes of ours that have ended are ours.
    pub fn shares(&self) -> Shares {
        let now = Self::now(&self.cpus);
        let all = (now.ticks.all - self.ticks.all).max(1) as f64;
        let part = |ticks: u64| 100.0 * ticks as f64 / all;
        let span = self.cpus.len() as f64 * (now.at - self.at).as_nanos() as f64;
        let ours = 100.0 * (now.ours - self.ours) as f64 / span;
        let busy = part(now.ticks.busy - self.ticks.busy);
        Shares { stolen: part(now.ticks.stolen - self.ticks.stolen), others: (busy - ours).max(0.0) }
    }
}

/// The CPUs' time as `/proc/stat` counts it, in its own unit.
#[derive(Clone, Copy, Default)]
struct Ticks {
    all: u64,
    busy: u64,
    stolen: u64,
}

impl Ticks {
    fn of(cpus: &[usize]) -> Self {
        let text = fs::read_to_string("/proc/stat").unwrap_or_default();
        let ours = |line: &&str| cpus.iter().any(|cpu| line.starts_with(&format!("cpu{cpu} ")));
        text.lines().filter(ours).fold(Self::default(), |sum, line| sum.plus(line))
    }

    fn plus(self, line: &str) -> Self {
        // cpuN user nice system idle iowait irq softirq steal; the guests' times after them are in user already.
        let times: Vec<u64> = line.split(' ').skip(1).take(8).filter_map(|word| word.parse().ok()).collect();
        let [user, nice, system, idle, iowait, irq, softirq, steal] = times[..] else { return self };
        let busy = user + nice + system + irq + softirq;
        Self { all: self.all + busy + idle + iowait + steal, busy: self.busy + busy, stolen: self.stolen + steal }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_of_proc_stat() {
        let ticks = Ticks::default().plus("cpu0 10 1 5 100 2 1 1 7 0 0");
        assert_eq!((ticks.all, ticks.busy, ticks.stolen), (127, 18, 7));
        assert_eq!(Ticks::default().plus("cpu0 too short").all, 0);
    }
}
