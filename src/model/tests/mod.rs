use super::evaluate::Run;
use super::*;
use crate::topology::Cpu;

mod exact;
mod properties;
mod published;
mod shapes;

/// The constants of the published table.
const TABLE: Constants = Constants { alpha: 1.0, g_w: 0.28, g_r: 0.15, c_b: 0.1, rmw: 1.0, overhead: 3.0 };

/// A machine of `packages` packages, each of `llcs` caches of `cores` cores of `smt` threads; CPUs in that order.
fn machine(packages: usize, llcs: usize, cores: usize, smt: usize) -> Vec<Cpu> {
    (0..packages * llcs * cores * smt)
        .map(|id| {
            let core = id / smt;
            let llc = core / cores;
            let package = llc / llcs;
            Cpu { id, package, node: package, llc, core, smt: id % smt, kind: 0 }
        })
        .collect()
}
