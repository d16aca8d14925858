//! The CPU quota: how much processor time the control groups leave to this process.
//!
//! A container with `--cpus=1.5` still sees every CPU in its affinity mask; the limit is in the control group, as so
//! many microseconds per period. The kernel enforces it at every level of the tree on its own, so the tightest ancestor
//! rules.
//!
//! Sources: the kernel's `Documentation/admin-guide/cgroup-v2.rst` (`cpu.max`) and
//! `Documentation/scheduler/sched-bwc.rst` (`cpu.cfs_quota_us`, `cpu.cfs_period_us`).

use std::path::{Component, Path, PathBuf};

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
/// `/proc/self/mountinfo` says. An ancestor above the root of a container's cgroup namespace cannot be seen, and neither can its quota.
#[must_use]
pub fn quota() -> Option<f64> {
    // Under Miri `/proc` is not that of the program.
    let told = cfg!(all(any(target_os = "linux", target_os = "android"), not(miri)));
    if told { quota_from_root(Path::new("/")) } else { None }
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
        let line = usual_line(root, version, path).unwrap_or_else(|| {
            let lines = lines_of_descent(&hierarchies(root, "cpu"), version, path);
            lines.into_iter().flatten().map(|group| root.join(group)).collect()
        });
        line.iter().filter_map(|group| limit(version, group)).reduce(f64::min)
    });
    limits.reduce(f64::min)
}

/// The folders of a group and its ancestors, if it is found where the mount point usually is.
///
/// The mount table would say for certain, but costs more than all else here, the more the longer it is. (Deceived is who sees a part
/// of the hierarchy only, in which another group has the same path: groups are not named so.)
fn usual_line(root: &Path, version: Version, path: &str) -> Option<Vec<PathBuf>> {
    let (point, witness) = match version {
        Version::One => ("sys/fs/cgroup/cpu", QUOTA),
        Version::Two => ("sys/fs/cgroup", "cgroup.controllers"),
    };
    let below = Path::new(path.strip_prefix('/')?);
    let plain = below.components().all(|part| matches!(part, Component::Normal(_)));
    let point = root.join(point);
    let there = plain && read(&point.join(below).join(witness)).is_some();
    there.then(|| below.ancestors().map(|group| point.join(group)).collect())
}

const QUOTA: &str = "cpu.cfs_quota_us";

fn limit(version: Version, group: &Path) -> Option<f64> {
    let positive = |text: &str| text.trim().parse::<i64>().ok().filter(|&number| number > 0);
    // Unlimited is `max` in version 2, which is no number, and -1 in version 1.
    let (quota, period) = match version {
        Version::One => (positive(&read(&group.join(QUOTA))?)?, positive(&read(&group.join("cpu.cfs_period_us"))?)?),
        Version::Two => {
            let line = read(&group.join("cpu.max"))?;
            let mut fields = line.split_ascii_whitespace();
            (positive(fields.next()?)?, positive(fields.next()?)?)
        }
    };
    Some(quota as f64 / period as f64)
}
