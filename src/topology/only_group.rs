//! The CPU limit of the only group that is to be seen, as in most containers.
//!
//! Nobody has to be asked then which group is ours, for which `/proc` would have to make up a folder. Of a file system of groups a folder
//! has one link for itself, one from its parent, and one from each group in it.
//!
//! This is part of the start of every program that has the preload, and what costs there is not the instructions but the code and the
//! memory that nobody has touched before. So the system calls are made in place, into a buffer on the stack, and neither std's files nor
//! the heap are needed (docs/results/2026-11-30-xeon-2cpu-preload/sleepers.md).

use rustix::fs::{OFlags, stat};
use rustix::path::Arg;

use super::quota::{limit_one, limit_two};
use crate::primitive::direct::File;

/// Where hierarchies are mounted usually, and the files of their topmost groups.
pub(super) struct Places<P> {
    /// Version 1 with the controller.
    pub(super) one: P,
    pub(super) quota: P,
    pub(super) period: P,
    /// Version 2.
    pub(super) two: P,
    pub(super) max: P,
}

pub(super) const HERE: Places<&str> = Places {
    one: "/sys/fs/cgroup/cpu",
    quota: "/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
    period: "/sys/fs/cgroup/cpu/cpu.cfs_period_us",
    two: "/sys/fs/cgroup",
    max: "/sys/fs/cgroup/cpu.max",
};

/// The limit of the topmost group, infinite if it has none; nothing if there are groups in it, or there is no such group.
pub(super) fn limit<P: Arg + Copy>(places: &Places<P>) -> Option<f64> {
    let (mut first, mut second) = ([0; LONGEST], [0; LONGEST]);
    if is_alone(places.one) {
        let limit = limit_one(text(places.quota, &mut first), || text(places.period, &mut second));
        if limit.is_some() {
            return limit;
        }
    }
    if is_alone(places.two) { limit_two(text(places.max, &mut first)?) } else { None }
}

fn is_alone(folder: impl Arg) -> bool {
    stat(folder).is_ok_and(|folder| folder.st_nlink <= 2)
}

/// A limit and its period have 41 digits at most.
const LONGEST: usize = 64;

/// What is in a file of the kernel's, which hands it out in one piece.
fn text(file: impl Arg + Copy, buffer: &mut [u8; LONGEST]) -> Option<&str> {
    // Should anything else be there, it keeps nobody waiting.
    let long = File::open(file, OFlags::NOCTTY | OFlags::NONBLOCK)?.read(&mut buffer[..])?;
    if long < LONGEST { std::str::from_utf8(&buffer[..long]).ok() } else { None }
}

#[cfg(all(test, not(any(miri, phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;
    use std::fs;
    use std::path::{Path, PathBuf};

    #[test]
    fn where_there_is_one_group_nobody_is_asked_which_is_ours() {
        let root = std::env::temp_dir().join(format!("phalanx-one-group-{}", std::process::id()));
        let put = |path: &str, text: &str| {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        };
        let Places { one, quota, period, two, max } = HERE;
        let below = |place: &str| root.join(place.strip_prefix('/').unwrap());
        let places: [PathBuf; 5] = [one, quota, period, two, max].map(below);
        let [one, quota, period, two, max] = places.each_ref().map(PathBuf::as_path);
        let limit = || limit::<&Path>(&Places { one, quota, period, two, max });
        let _ = fs::remove_dir_all(&root); // A killed run may have left it.
        assert_eq!(limit(), None, "there is none");
        put("sys/fs/cgroup/cpu.max", "max 100000\n");
        // Some file systems count folders otherwise, or not at all; those of groups do not.
        if is_alone(two) {
            assert_eq!(limit(), Some(f64::INFINITY));
            put("sys/fs/cgroup/cpu.max", &" ".repeat(LONGEST));
            assert_eq!(limit(), None, "longer than any of the kernel's");
            put("sys/fs/cgroup/cpu.max", "50000 100000\n");
            assert_eq!(limit(), Some(0.5));
            put("sys/fs/cgroup/cpu/cgroup.procs", "");
            assert_eq!(limit(), None, "a group in it, which may be ours");
            put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "-1\n");
            assert_eq!(limit(), Some(f64::INFINITY), "version 1 has the controller");
            put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "150000\n");
            assert_eq!(limit(), None, "and no period");
            put("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000\n");
            assert_eq!(limit(), Some(1.5));
            put("sys/fs/cgroup/cpu/a/cgroup.procs", "");
            assert_eq!(limit(), None);
        }
        fs::remove_dir_all(&root).unwrap();
    }
}
