//! Kinds of cores: which are the big ones of a hybrid machine, and which the small ones.
//!
//! Sources: the kernel's `Documentation/admin-guide/perf/` and `tools/perf/Documentation/intel-hybrid.txt` (the units
//! `cpu_core` and `cpu_atom` and their `cpus`), `Documentation/ABI/testing/sysfs-devices-system-cpu` (`cpu_capacity`),
//! `Documentation/admin-guide/pm/intel_pstate.rst` (`base_frequency`) and `cpufreq.rst` (`cpuinfo_max_freq`).

use std::cmp::Reverse;
use std::path::Path;

use super::cpu_set::CpuSet;
use super::sysfs::{cpu_dir, number, read};

/// The performance counters of a hybrid Intel machine, which come in one unit per type of core; the strongest first.
const UNITS: [&str; 3] = ["cpu_core", "cpu_atom", "cpu_lowpower"];

/// What says how strong a CPU is; the first that all CPUs have.
const STRENGTHS: [&str; 3] = ["cpu_capacity", "cpufreq/base_frequency", "cpufreq/cpuinfo_max_freq"];

/// The kind of each of the CPUs `ids`: 0 is the strongest, and no number is left out.
///
/// The type of core decides, then the strength. Less than a tenth below the strongest of a kind is still that kind:
/// cores of one make that a turbo favours differ by a few per cent. (hwloc draws the line at a tenth as well.)
pub(super) fn kinds(root: &Path, ids: &[usize]) -> Vec<usize> {
    let types = types(root, ids);
    let strengths = STRENGTHS.into_iter().find_map(|file| strengths(root, ids, file)).unwrap_or(vec![0; ids.len()]);
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by_key(|&index| (types[index], Reverse(strengths[index])));
    let mut kinds = vec![0; ids.len()];
    let mut kind = 0;
    let mut top = order.first().copied();
    for index in order {
        // Divided rather than multiplied: any positive number may stand in the files.
        let alike = |top: usize| types[top] == types[index] && strengths[index] >= strengths[top] - strengths[top] / 10;
        if !top.is_some_and(alike) {
            top = Some(index);
            kind += 1;
        }
        kinds[index] = kind;
    }
    kinds
}

/// The type of each CPU's core, as a place in [`UNITS`]; CPUs of no unit come last.
fn types(root: &Path, ids: &[usize]) -> Vec<usize> {
    let units = UNITS.map(|unit| {
        let text = read(&root.join("sys/devices").join(unit).join("cpus"));
        text.and_then(|text| text.parse::<CpuSet>().ok()).unwrap_or_default()
    });
    ids.iter().map(|&id| units.iter().position(|unit| unit.contains(id)).unwrap_or(UNITS.len())).collect()
}

fn strengths(root: &Path, ids: &[usize], file: &str) -> Option<Vec<i64>> {
    let strength =
        |&id: &usize| number(&cpu_dir(root).join(format!("cpu{id}")).join(file)).filter(|&number| number > 0);
    ids.iter().map(strength).collect()
}
