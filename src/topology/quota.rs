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
    let root = Path::new("/");
    if told { limit_of_the_only_group(root).map_or_else(|| quota_from_root(root), finite) } else { None }
}

fn finite(cpus: f64) -> Option<f64> {
    cpus.is_finite().then_some(cpus)
}

/// The limit of the topmost group, if there is no other to be seen, as in most containers: then nobody has to be asked which of them is
/// ours, and `/proc` would have to make up a folder for the answer.
///
/// Of a file system of groups a folder has one link for itself, one from its parent, and one from each group in it.
fn limit_of_the_only_group(root: &Path) -> Option<f64> {
    [(Version::One, ONE), (Version::Two, TWO)].into_iter().find_map(|(version, point)| {
        let point = root.join(point);
        if link_count(&point)? > 2 { None } else { limit(version, &point) }
    })
}

#[cfg(unix)]
fn link_count(folder: &Path) -> Option<u64> {
    Some(std::os::unix::fs::MetadataExt::nlink(&std::fs::metadata(folder).ok()?))
}

#[cfg(not(unix))]
fn link_count(_: &Path) -> Option<u64> {
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
    let positive = |text: &str| text.trim().parse::<i64>().ok().filter(|&number| number > 0);
    // Unlimited is `max` in version 2, which is no number, and -1 in version 1.
    let limited = match version {
        Version::One => {
            let quota = positive(&read(&group.join(QUOTA))?);
            quota.zip(quota.and_then(|_| positive(&read(&group.join("cpu.cfs_period_us"))?)))
        }
        Version::Two => {
            let line = read(&group.join("cpu.max"))?;
            let mut fields = line.split_ascii_whitespace().map(positive);
            fields.next().flatten().zip(fields.next().flatten())
        }
    };
    Some(limited.map_or(f64::INFINITY, |(quota, period)| quota as f64 / period as f64))
}

#[cfg(all(test, target_os = "linux", not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn where_there_is_one_group_nobody_is_asked_which_is_ours() {
        let root = std::env::temp_dir().join(format!("phalanx-one-group-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let limit = || limit_of_the_only_group(&root);
        let _ = fs::remove_dir_all(&root); // A killed run may have left it.
        assert_eq!(limit(), None, "there is none");
        put("sys/fs/cgroup/cpu.max", "max 100000\n");
        // Some file systems count folders otherwise, or not at all; those of groups do not.
        if link_count(&root.join(TWO)) == Some(2) {
            assert_eq!(limit(), Some(f64::INFINITY));
            put("sys/fs/cgroup/cpu.max", "50000 100000\n");
            assert_eq!((limit(), limit().and_then(finite)), (Some(0.5), Some(0.5)));
            put("sys/fs/cgroup/cpu/cgroup.procs", "");
            assert_eq!(limit(), None, "a group in it, which may be ours");
            put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
            put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
            assert_eq!(limit(), Some(1.5), "version 1 has the controller");
            put("sys/fs/cgroup/cpu/a/cgroup.procs", "");
            assert_eq!(limit(), None);
        }
        fs::remove_dir_all(&root).unwrap();
    }

    #[test]
    fn the_short_way_says_what_the_long_one_says() {
        assert_eq!(quota(), quota_from_root(Path::new("/")));
    }
}
