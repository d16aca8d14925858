//! The CPU quota: how much processor time the control groups leave to this process.
//!
//! A container with `--cpus=1.5` still sees every CPU in its affinity mask; the limit is in the control group, as so
//! many microseconds per period. The kernel enforces it at every level of the tree on its own, so the tightest ancestor
//! rules.
//!
//! Sources: the kernel's `Documentation/admin-guide/cgroup-v2.rst` (`cpu.max`), `Documentation/scheduler/sched-bwc.rst`
//! (`cpu.cfs_quota_us`, `cpu.cfs_period_us`), `cgroups(7)` (`/proc/self/cgroup`) and `proc_pid_mountinfo(5)`.

use std::path::{Component, Path, PathBuf};

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
/// Linux only, `None` elsewhere: control groups of version 1 and 2, mounted wherever `/proc/self/mountinfo` says. An
/// ancestor above the root of a container's cgroup namespace cannot be seen, and neither can its quota.
#[must_use]
pub fn quota() -> Option<f64> {
    if cfg!(any(target_os = "linux", target_os = "android")) { quota_from_root(Path::new("/")) } else { None }
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
    let mounts = mounts(root);
    let mut tightest: Option<f64> = None;
    for line in groups.lines() {
        // `hierarchy-ID:controller-list:path`; the path may itself contain colons.
        let mut fields = line.splitn(3, ':');
        let (Some(id), Some(controllers), Some(path)) = (fields.next(), fields.next(), fields.next()) else {
            continue;
        };
        let version = match (id, controllers) {
            ("0", "") => Version::Two,
            _ if controllers.split(',').any(|name| name == "cpu") => Version::One,
            _ => continue,
        };
        for (top, below) in places(&mounts, version, path) {
            let top = root.join(top.trim_start_matches('/'));
            for group in below.ancestors() {
                if let Some(limit) = version.limit(&top.join(group)) {
                    tightest = Some(tightest.map_or(limit, |known| known.min(limit)));
                }
            }
        }
    }
    tightest
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Version {
    One,
    Two,
}

impl Version {
    fn limit(self, group: &Path) -> Option<f64> {
        let (quota, period) = match self {
            Self::One => (read(&group.join("cpu.cfs_quota_us"))?, read(&group.join("cpu.cfs_period_us"))?),
            Self::Two => {
                let line = read(&group.join("cpu.max"))?;
                let mut fields = line.split_ascii_whitespace();
                (fields.next()?.to_owned(), fields.next()?.to_owned())
            }
        };
        // Unlimited is `max` in version 2, which is no number, and -1 in version 1.
        let quota = quota.trim().parse::<i64>().ok().filter(|&quota| quota > 0)?;
        let period = period.trim().parse::<i64>().ok().filter(|&period| period > 0)?;
        Some(quota as f64 / period as f64)
    }
}

/// One mounted hierarchy: `root` is the group that is visible at `point`.
struct Mount {
    version: Version,
    root: String,
    point: String,
}

fn mounts(root: &Path) -> Vec<Mount> {
    if let Some(text) = read(&root.join("proc/self/mountinfo")) {
        return text.lines().filter_map(from_mountinfo).collect();
    }
    let text = read(&root.join("proc/self/mounts")).or_else(|| read(&root.join("proc/mounts")));
    text.unwrap_or_default().lines().filter_map(from_mounts).collect()
}

/// `36 35 98:0 /root /point opts [optional ...] - type source super-opts`
fn from_mountinfo(line: &str) -> Option<Mount> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let version = version(filesystem.next()?, filesystem.nth(1)?)?;
    Some(Mount { version, root: unescape(root), point: unescape(point) })
}

/// `source point type opts dump pass`: the root of the mount is not told, so it is taken to be the hierarchy's.
fn from_mounts(line: &str) -> Option<Mount> {
    let mut fields = line.split(' ').skip(1);
    let point = fields.next()?;
    let version = version(fields.next()?, fields.next()?)?;
    Some(Mount { version, root: "/".to_owned(), point: unescape(point) })
}

fn version(filesystem: &str, options: &str) -> Option<Version> {
    match filesystem {
        "cgroup2" => Some(Version::Two),
        "cgroup" if options.split(',').any(|option| option == "cpu") => Some(Version::One),
        _ => None,
    }
}

/// Undoes the octal escapes (`\040` for a space) of the mount tables.
fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        match after.get(..3).and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
            // Only the separators are escaped, all of them ASCII.
            Some(byte) if byte.is_ascii() => {
                out.push(char::from(byte));
                rest = &after[3..];
            }
            _ => {
                out.push('\\');
                rest = after;
            }
        }
    }
    out.push_str(rest);
    out
}

/// Where the group `path` can be seen: for each mount the mount point, and the group's place below it.
fn places<'a>(mounts: &'a [Mount], version: Version, path: &str) -> Vec<(&'a str, PathBuf)> {
    let ours = || mounts.iter().filter(|mount| mount.version == version);
    let below: Vec<_> = ours()
        .filter_map(|mount| Some((mount.point.as_str(), Path::new(path).strip_prefix(&mount.root).ok()?.to_owned())))
        .collect();
    if below.is_empty() {
        // A container whose cgroup files were mounted from outside its namespace: the top of such a mount is the
        // container's own group, which is the best that can be known.
        return ours().map(|mount| (mount.point.as_str(), PathBuf::new())).collect();
    }
    // `..` stands for a group outside the namespace: nothing below this mount is an ancestor of ours.
    below.into_iter().filter(|(_, group)| !group.components().any(|part| part == Component::ParentDir)).collect()
}
