//! The CPU quota of control groups, version 1 and 2.

use crate::support::Root;

const V2_MOUNT: &str = "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n";
const V1_MOUNT: &str = "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n\
                        33 31 0:30 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n";

#[test]
fn quota_of_version_2() {
    let root = Root::with(&[
        ("proc/self/cgroup", "0::/a/b/c\n"),
        ("proc/self/mountinfo", V2_MOUNT),
        ("sys/fs/cgroup/a/b/c/cpu.max", "max 100000\n"),
    ]);
    assert_eq!(root.quota(), None);
    root.put("sys/fs/cgroup/a/b/c/cpu.max", b"250000 100000\n");
    assert_eq!(root.quota(), Some(2.5));
    root.put("sys/fs/cgroup/a/b/cpu.max", b"400000 100000\n");
    assert_eq!(root.quota(), Some(2.5), "a looser parent changes nothing");
    root.put("sys/fs/cgroup/a/cpu.max", b"30000 20000\n");
    assert_eq!(root.quota(), Some(1.5), "a tighter ancestor rules");
    root.put("sys/fs/cgroup/a/other/cpu.max", b"1000 100000\n");
    assert_eq!(root.quota(), Some(1.5), "a neighbour is no ancestor");
    root.put("sys/fs/cgroup/cpu.max", b"50000 100000\n");
    assert_eq!(root.quota(), Some(0.5));
}

#[test]
fn quota_of_version_1() {
    let root = Root::with(&[
        ("proc/self/cgroup", "3:cpuset:/x\n2:cpu,cpuacct:/a/b\n1:name=systemd:/a\n0::/\n"),
        ("proc/self/mountinfo", V1_MOUNT),
        ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_period_us", "100000\n"),
    ]);
    assert_eq!(root.quota(), None);
    root.put("sys/fs/cgroup/cpu,cpuacct/a/b/cpu.cfs_quota_us", b"150000\n");
    assert_eq!(root.quota(), Some(1.5));
    root.put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", b"50000\n");
    assert_eq!(root.quota(), Some(1.5), "a quota without a period says nothing");
    root.put("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", b"200000\n");
    assert_eq!(root.quota(), Some(0.25));
}

#[test]
fn quota_where_both_versions_are_mounted() {
    let root = Root::with(&[
        ("proc/self/cgroup", "2:cpu:/a\n0::/b\n"),
        ("proc/self/mountinfo", &format!("{V1_MOUNT}41 31 0:38 / /sys/fs/cgroup/unified rw - cgroup2 none rw\n")),
        ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "300000"),
        ("sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000"),
    ]);
    assert_eq!(root.quota(), Some(3.0));
    root.put("sys/fs/cgroup/unified/b/cpu.max", b"200000 100000");
    assert_eq!(root.quota(), Some(3.0), "the controller is in one hierarchy at a time");
    root.put("proc/self/cgroup", b"2:memory:/a\n0::/b\n");
    assert_eq!(root.quota(), Some(2.0));
}

#[test]
fn quota_without_a_mount_table() {
    let root = Root::with(&[
        ("proc/self/cgroup", "0::/a/b\n"),
        ("sys/fs/cgroup/a/b/cgroup.controllers", "cpu memory\n"),
        ("sys/fs/cgroup/a/b/cpu.max", "250000 100000\n"),
        ("sys/fs/cgroup/a/cpu.max", "150000 100000\n"),
        ("sys/fs/cgroup/cpu.max", "max 100000\n"),
    ]);
    assert_eq!(root.quota(), Some(1.5));
    root.put("sys/fs/cgroup/cpu.max", b"50000 100000\n");
    assert_eq!(root.quota(), Some(0.5), "the mount point is an ancestor, too");
    // Nothing that is there without the file shows that it is the file system.
    root.put("proc/self/cgroup", b"0::/a\n");
    assert_eq!(root.quota(), None);
    for path in ["a/b", "/a/../a/b", "/../a/b"] {
        root.put("proc/self/cgroup", format!("0::{path}\n").as_bytes());
        assert_eq!(root.quota(), None, "{path}");
    }
    let root = Root::with(&[
        ("proc/self/cgroup", "4:cpu:/x\n0::/\n"),
        ("sys/fs/cgroup/cpu/x/cpu.cfs_quota_us", "-1\n"),
        ("sys/fs/cgroup/cpu/x/cpu.cfs_period_us", "100000\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
        ("sys/fs/cgroup/cpu.max", "100000 100000\n"),
    ]);
    assert_eq!(root.quota(), None);
    root.put("sys/fs/cgroup/cpu/cpu.cfs_quota_us", b"50000\n");
    root.put("sys/fs/cgroup/cpu/cpu.cfs_period_us", b"100000\n");
    assert_eq!(root.quota(), Some(0.5));
}

/// As the engines of containers do: the table says what the usual place shows.
#[test]
fn a_group_that_is_not_in_the_usual_place_is_looked_up() {
    let root = Root::with(&[
        ("proc/self/cgroup", "0::/docker/0a1b/inner\n"),
        ("proc/self/mountinfo", "30 23 0:26 /docker/0a1b /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n"),
        ("sys/fs/cgroup/cgroup.controllers", "cpu\n"),
        ("sys/fs/cgroup/inner/cgroup.controllers", "cpu\n"),
        ("sys/fs/cgroup/inner/cpu.max", "50000 100000\n"),
    ]);
    assert_eq!(root.quota(), Some(0.5));
}

#[test]
fn quota_in_a_container() {
    // The host's path of the group, of which only the group itself is mounted.
    let root = Root::with(&[
        ("proc/self/cgroup", "4:cpu,cpuacct:/docker/0a1b/inner\n"),
        ("proc/self/mountinfo", "32 31 0:29 /docker/0a1b /sys/fs/cgroup/cpu ro - cgroup cgroup rw,cpu,cpuacct\n"),
        ("sys/fs/cgroup/cpu/cpu.cfs_quota_us", "700000"),
        ("sys/fs/cgroup/cpu/cpu.cfs_period_us", "100000"),
        ("sys/fs/cgroup/cpu/inner/cpu.cfs_quota_us", "50000"),
        ("sys/fs/cgroup/cpu/inner/cpu.cfs_period_us", "100000"),
        ("sys/fs/cgroup/cpu/docker/0a1b/cpu.cfs_quota_us", "1000"),
        ("sys/fs/cgroup/cpu/docker/0a1b/cpu.cfs_period_us", "100000"),
    ]);
    assert_eq!(root.quota(), Some(0.5));
    // A path that the mount's root is no part of: the mount point itself is the best guess.
    root.put("proc/self/cgroup", b"4:cpu,cpuacct:/\n");
    assert_eq!(root.quota(), Some(7.0));
    // The group of a process that was moved out of the namespace: nothing that is visible is above it.
    let root = Root::with(&[
        ("proc/self/cgroup", "0::/../elsewhere\n"),
        ("proc/self/mountinfo", V2_MOUNT),
        ("sys/fs/cgroup/cpu.max", "100000 100000"),
    ]);
    assert_eq!(root.quota(), None);
}

#[test]
fn quota_with_other_mount_tables() {
    // No mountinfo: /proc/self/mounts, then /proc/mounts; a colon in the group's name, a space in the mount point's.
    let root = Root::with(&[
        ("proc/self/cgroup", "0::/a:b\n"),
        ("proc/mounts", "tmpfs /sys/fs tmpfs rw 0 0\nnone /my\\040groups cgroup2 rw 0 0\n"),
        ("my groups/a:b/cpu.max", "200000 100000"),
    ]);
    assert_eq!(root.quota(), Some(2.0));
    root.put("proc/self/mounts", b"none /other cgroup2 rw 0 0\n");
    assert_eq!(root.quota(), None);
    root.put("proc/self/mountinfo", b"30 23 0:26 / /my\\040groups rw - cgroup2 none rw\n");
    assert_eq!(root.quota(), Some(2.0));
}

#[test]
fn quota_that_makes_no_sense() {
    assert_eq!(Root::new().quota(), None);
    for text in ["", "max", "100000", "100000 0", "0 100000", "-5 100000", "x y", "100000 x", "99999999999999999999 1"]
    {
        let root = Root::with(&[
            ("proc/self/cgroup", "0::/\n"),
            ("proc/self/mountinfo", V2_MOUNT),
            ("sys/fs/cgroup/cpu.max", text),
        ]);
        assert_eq!(root.quota(), None, "{text:?}");
    }
    for (groups, mounts) in [
        ("", V2_MOUNT),
        ("0", V2_MOUNT),
        ("0:", V2_MOUNT),
        ("::::", V2_MOUNT),
        ("0::/", ""),
        ("0::/", "30 23 0:26 / /sys/fs/cgroup rw - \n - cgroup2\n30 - cgroup2 x rw\n"),
        ("0::/", "30 23 0:26 / \\9 rw - cgroup2 x rw\n30 23 0:26 / \\ rw - cgroup2 x rw\n"),
        ("0::/", "30 23 0:26 / \\\u{e9}\u{e9} rw - cgroup2 x rw\n"),
        ("1:cpu:/", V2_MOUNT),
    ] {
        let root = Root::with(&[
            ("proc/self/cgroup", groups),
            ("proc/self/mountinfo", mounts),
            ("sys/fs/cgroup/cpu.max", "100000 100000"),
        ]);
        assert_eq!(root.quota(), None, "{groups:?} {mounts:?}");
    }
}

/// Found by the fuzz target `cgroup`: the host's own limit was told for that of a snapshot.
#[test]
fn nothing_is_read_outside_the_root() {
    let outside = Root::with(&[("cpu.max", "100000 100000")]);
    let path = outside.0.to_str().unwrap();
    let up = "/..".repeat(outside.0.components().count() + 4);
    for (group, mount) in [
        // A root that is nothing at all makes the group's path one from the top.
        (path, "30 23 0:26  /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n".to_owned()),
        ("/", format!("30 23 0:26 / {up}{path} rw - cgroup2 cgroup2 rw\n")),
    ] {
        let root = Root::with(&[
            ("proc/self/cgroup", &format!("0::{group}\n")),
            ("proc/self/mountinfo", &mount),
            ("sys/fs/cgroup/x", ""),
        ]);
        assert_eq!(root.quota(), None, "{mount}");
    }
}

/// Found while the promise of the fuzz target `cgroup` was written: an escape is three digits.
#[test]
fn a_sign_is_no_digit_of_an_escape() {
    let root = Root::with(&[
        ("proc/self/cgroup", "0::/\n"),
        ("proc/self/mountinfo", "30 23 0:26 / /a\\+40b rw - cgroup2 cgroup2 rw\n"),
        ("a\\+40b/cpu.max", "200000 100000"),
    ]);
    assert_eq!(root.quota(), Some(2.0));
}
