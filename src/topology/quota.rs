//! The CPU quota: how much processor time the control groups leave to this process.
//!
//! A container with `--cpus=1.5` still sees every CPU in its affinity mask; the limit is in the control group, as so
//! many microseconds per period. The kernel enforces it at every level of the tree on its own, so the tightest ancestor
//! rules.
//!
//! Sources: the kernel's `Documentation/admin-guide/cgroup-v2.rst` (`cpu.max`) and
//! `Documentation/scheduler/sched-bwc.rst` (`cpu.cfs_quota_us`, `cpu.cfs_period_us`).

use std::path::{Component, Path};

use super::cgroup::{Version, groups_of, hierarchies, lines_of_descent};
use super::sysfs::read;

/// Reads the CPU quota of this process in CPUs, or `None` if nothing limits it.
///
/// [`available_parallelism`](std::thread::available_parallelism) knows the quota too, but rounds it down to whole CPUs;
/// whoever decides how long to spin wants to know that it is 1.5. The files are read anew by every call (tens of
/// microseconds), because an operator may change a quota at any time.
///
/// # Examples
///
/// ```
/// match phalanx::topology::quota() {
///     Some(cpus) => println!("limited to {cpus} CPUs' worth of time"),
///     None => println!("no quota"),
/// }
/// ```
///
/// # Platform notes
///
/// Linux only, `None` elsewhere: control groups of version 1 and 2, mounted below `/sys/fs/cgroup` as usual, or wherever
/// `/proc/self/mountinfo` says. An ancestor above the root of a container's cgroup namespace cannot be seen, and neither can its quota. Where a
/// single group is to be seen, the process is taken to be in it.
#[must_use]
pub fn quota() -> Option<f64> {
    // Under Miri `/proc` is not that of the program.
    let told = cfg!(all(any(target_os = "linux", target_os = "android"), not(miri)));
    if told { limit_of_the_only_group().map_or_else(|| quota_from_root(Path::new("/")), finite) } else { None }
}

fn finite(cpus: f64) -> Option<f64> {
    cpus.is_finite().then_some(cpus)
}

/// `only_group.rs`, of this machine.
#[cfg(all(any(target_os = "linux", target_os = "android"), not(miri)))]
fn limit_of_the_only_group() -> Option<f64> {
    super::only_group::limit(&super::only_group::HERE)
}

#[cfg(not(all(any(target_os = "linux", target_os = "android"), not(miri))))]
fn limit_of_the_only_group() -> Option<f64> {
    None
}

/// Reads the quota as [`quota()`] does, from the `proc` and `sys` below `root`.
///
/// For snapshots of other machines, for a host's files mounted into a container, and for tests. Anything missing or
/// malformed (no `/proc/self/cgroup`, a period of 0) counts as no limit.
///
/// # Examples
///
/// ```
/// use phalanx::topology::quota_from_root;
///
/// assert_eq!(quota_from_root(std::path::Path::new("/no/such/place")), None);
/// ```
#[must_use]
pub fn quota_from_root(root: &Path) -> Option<f64> {
    let groups = read(&root.join("proc/self/cgroup"))?;
    let groups: Vec<_> = groups_of(&groups, "cpu").collect();
    // A controller is in one hierarchy at a time: where version 1 has it, the group of version 2 limits nothing.
    let first = groups.iter().any(|(version, _)| *version == Version::One);
    let groups = groups.into_iter().filter(|(version, _)| !first || *version == Version::One);
    let limits = groups.filter_map(|(version, path)| {
        usual_limit(root, version, path).or_else(|| {
            let lines = lines_of_descent(&hierarchies(root, "cpu"), version, path);
            lines.iter().flatten().filter_map(|group| limit(version, &root.join(group))).reduce(f64::min)
        })
    });
    limits.reduce(f64::min).and_then(finite)
}

/// The tightest limit of a group and its ancestors, if the group is found where the mount point usually is.
///
/// The mount table would say for certain, but costs more than all else here, the more the longer it is. (Deceived is who sees a part
/// of the hierarchy only, in which another group has the same path: groups are not named so.)
fn usual_limit(root: &Path, version: Version, path: &str) -> Option<f64> {
    let point = root.join(match version {
        Version::One => ONE,
        Version::Two => TWO,
    });
    let below = Path::new(path.strip_prefix('/')?);
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return None;
    }
    let group = point.join(below);
    let own = match version {
        Version::One => limit(version, &group)?,
        Version::Two => {
            read(&group.join("cgroup.controllers"))?;
            // No limit if its parent does not hand the controller on; and the topmost never has one.
            limit(version, &group).unwrap_or(f64::INFINITY)
        }
    };
    let above = below.ancestors().skip(1).filter_map(|group| limit(version, &point.join(group)));
    Some(above.fold(own, f64::min))
}

/// Where hierarchies are mounted usually: that of version 1 which has the controller, and version 2.
const ONE: &str = "sys/fs/cgroup/cpu";
const TWO: &str = "sys/fs/cgroup";

const QUOTA: &str = "cpu.cfs_quota_us";

/// The limit of one group: infinite if there is none, nothing if the group is not there.
fn limit(version: Version, group: &Path) -> Option<f64> {
    match version {
        Version::One => limit_one(read(&group.join(QUOTA)).as_deref(), || read(&group.join("cpu.cfs_period_us"))),
        Version::Two => limit_two(&read(&group.join("cpu.max"))?),
    }
}

/// The limit by what the files of version 1 say; nothing without the first.
pub(super) fn limit_one<T: AsRef<str>>(quota: Option<&str>, period: impl FnOnce() -> Option<T>) -> Option<f64> {
    // Unlimited is -1.
    let Some(quota) = positive(quota?) else { return Some(f64::INFINITY) };
    Some(positive(period()?.as_ref()).map_or(f64::INFINITY, |period| quota / period))
}

/// The limit by what the file of version 2 says.
pub(super) fn limit_two(line: &str) -> Option<f64> {
    let mut fields = line.split_ascii_whitespace().map(positive);
    // Unlimited is `max`, which is no number.
    let limited = fields.next().flatten().zip(fields.next().flatten());
    Some(limited.map_or(f64::INFINITY, |(quota, period)| quota / period))
}

fn positive(text: &str) -> Option<f64> {
    text.trim().parse::<i64>().ok().filter(|&number| number > 0).map(|number| number as f64)
}

#[cfg(all(test, target_os = "linux", not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    #[test]
    fn the_short_way_says_what_the_long_one_says() {
        assert_eq!(quota(), quota_from_root(Path::new("/")));
    }
}
