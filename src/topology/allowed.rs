//! Which CPUs a process may use, as files tell it: for roots other than this machine's own.
//!
//! Sources: `proc_pid_status(5)` (`Cpus_allowed_list`), `cpuset(7)`, and the kernel's
//! `Documentation/admin-guide/cgroup-v2.rst` (`cpuset.cpus.effective`) and `cgroup-v1/cpusets.rst`.

use std::path::Path;

use super::cgroup::{Version, groups_of, hierarchies, lines_of_descent};
use super::cpu_set::CpuSet;
use super::sysfs::read;

/// Reads from the `proc` and `sys` below `root` which CPUs a process there may use, or `None` if nothing tells.
///
/// What [`startup_mask`](super::startup_mask) is to this machine, for a snapshot of another: the mask to give to
/// [`Topology::place`](super::Topology::place) with the topology of the same root. A batch system's or a container's
/// limit is in it. CPUs that are offline may be in it too; the topology does not have them, and no plan takes them.
///
/// # Examples
///
/// ```
/// use phalanx::topology::allowed_from_root;
///
/// if let Some(allowed) = allowed_from_root("/".as_ref()) {
///     println!("may run on CPUs {allowed}");
/// }
/// assert_eq!(allowed_from_root("/no/such/place".as_ref()), None);
/// ```
///
/// # Platform notes
///
/// The first that makes sense of: `Cpus_allowed_list` in `proc/self/status`, which has everything in it; the cpuset of
/// the control group that `proc/self/cgroup` or `proc/self/cpuset` names, in version 2 that of the nearest ancestor
/// that has one. `proc/self` is what the snapshot took for it: the tool that made it.
#[must_use]
pub fn allowed_from_root(root: &Path) -> Option<CpuSet> {
    from_status(&root.join("proc/self/status")).or_else(|| from_groups(root))
}

pub(super) fn from_status(path: &Path) -> Option<CpuSet> {
    let status = read(path)?;
    let list = status.lines().find_map(|line| line.strip_prefix("Cpus_allowed_list:"))?;
    list.parse().ok().filter(|set: &CpuSet| !set.is_empty())
}

fn from_groups(root: &Path) -> Option<CpuSet> {
    let hierarchies = hierarchies(root, "cpuset");
    let groups = read(&root.join("proc/self/cgroup"));
    let mut groups: Vec<(Version, &str)> = groups.iter().flat_map(|text| groups_of(text, "cpuset")).collect();
    let name = read(&root.join("proc/self/cpuset"));
    // The kernel's own answer to the question in which group the cpuset is, but not of which version.
    groups.extend(name.iter().flat_map(|name| [Version::One, Version::Two].map(|version| (version, name.as_str()))));
    let lines = groups.iter().flat_map(|(version, path)| lines_of_descent(&hierarchies, *version, path));
    let mut sets = lines.filter_map(|line| line.iter().find_map(|group| cpus_of(&root.join(group))));
    sets.next()
}

fn cpus_of(group: &Path) -> Option<CpuSet> {
    // Version 2; version 1, where a parent's limit is already in it; version 1 without its prefix, and `cpuset(7)`.
    let names = ["cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus", "cpus"];
    let mut sets = names.iter().filter_map(|name| read(&group.join(name))?.parse::<CpuSet>().ok());
    sets.find(|set| !set.is_empty())
}
