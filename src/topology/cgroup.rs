//! Control groups: which groups this process is in, and where their files can be seen.
//!
//! Sources: `cgroups(7)` (`/proc/self/cgroup`), `cpuset(7)` (the filesystem `cpuset`, older than control groups) and
//! `proc_pid_mountinfo(5)`.

use std::path::{Component, Path, PathBuf};

use super::sysfs::read;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Version {
    One,
    Two,
}

/// One mounted hierarchy: `root` is the group that is visible at `point`.
pub(super) struct Hierarchy {
    version: Version,
    root: String,
    point: String,
}

impl Hierarchy {
    /// The kernel writes both paths from the top and without detours. With any others a group's place, joined to the root of
    /// a snapshot, would be one of this machine.
    fn sound(self) -> Option<Self> {
        let leaves = |path: &str| Path::new(path).components().any(|part| part == Component::ParentDir);
        (self.root.starts_with('/') && !leaves(&self.point)).then_some(self)
    }
}

/// The mounted hierarchies that may limit what `controller` controls.
pub(super) fn hierarchies(root: &Path, controller: &str) -> Vec<Hierarchy> {
    if let Some(text) = read(&root.join("proc/self/mountinfo")) {
        return text.lines().filter_map(|line| from_mountinfo(line, controller)).collect();
    }
    let text = read(&root.join("proc/self/mounts")).or_else(|| read(&root.join("proc/mounts")));
    text.unwrap_or_default().lines().filter_map(|line| from_mounts(line, controller)).collect()
}

/// `36 35 98:0 /root /point opts [optional ...] - type source super-opts`
fn from_mountinfo(line: &str, controller: &str) -> Option<Hierarchy> {
    let (mount, filesystem) = line.split_once(" - ")?;
    let mut mount = mount.split(' ').skip(3);
    let (root, point) = (mount.next()?, mount.next()?);
    let mut filesystem = filesystem.split(' ');
    let version = version(filesystem.next()?, filesystem.nth(1)?, controller)?;
    Hierarchy { version, root: unescape(root), point: unescape(point) }.sound()
}

/// `source point type opts dump pass`: the root of the mount is not told, so it is taken to be the hierarchy's.
fn from_mounts(line: &str, controller: &str) -> Option<Hierarchy> {
    let mut fields = line.split(' ').skip(1);
    let point = fields.next()?;
    let version = version(fields.next()?, fields.next()?, controller)?;
    Hierarchy { version, root: "/".to_owned(), point: unescape(point) }.sound()
}

fn version(filesystem: &str, options: &str, controller: &str) -> Option<Version> {
    match filesystem {
        "cgroup2" => Some(Version::Two),
        "cgroup" if options.split(',').any(|option| option == controller) => Some(Version::One),
        "cpuset" if controller == "cpuset" => Some(Version::One),
        _ => None,
    }
}

/// The groups that a `/proc/self/cgroup` names for `controller`: version, and path from the hierarchy's root.
pub(super) fn groups_of<'a>(text: &'a str, controller: &str) -> impl Iterator<Item = (Version, &'a str)> {
    text.lines().filter_map(move |line| {
        // `hierarchy-ID:controller-list:path`; the path may itself contain colons.
        let mut fields = line.splitn(3, ':');
        let (id, controllers, path) = (fields.next()?, fields.next()?, fields.next()?);
        match (id, controllers) {
            ("0", "") => Some((Version::Two, path)),
            _ => controllers.split(',').any(|name| name == controller).then_some((Version::One, path)),
        }
    })
}

/// Where the files of the group `path` can be seen: for each mount the folder of the group, then those of its
/// ancestors, all relative to the root of the file system.
pub(super) fn lines_of_descent(hierarchies: &[Hierarchy], version: Version, path: &str) -> Vec<Vec<PathBuf>> {
    let places = places(hierarchies, version, path);
    let line = |(top, below): (&str, PathBuf)| {
        let top = Path::new(top.trim_start_matches('/'));
        below.ancestors().map(|group| top.join(group)).collect()
    };
    places.into_iter().map(line).collect()
}

/// For each mount the mount point, and the group's place below it.
fn places<'a>(hierarchies: &'a [Hierarchy], version: Version, path: &str) -> Vec<(&'a str, PathBuf)> {
    let ours = || hierarchies.iter().filter(|mount| mount.version == version);
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

/// Undoes the octal escapes (`\040` for a space) of the mount tables.
pub(super) fn unescape(field: &str) -> String {
    let mut out = String::with_capacity(field.len());
    let mut rest = field;
    while let Some((before, after)) = rest.split_once('\\') {
        out.push_str(before);
        // Digits only: the standard parser would take a sign as well.
        let octal = after.get(..3).filter(|octal| octal.bytes().all(|byte| byte.is_ascii_digit()));
        match octal.and_then(|octal| u8::from_str_radix(octal, 8).ok()) {
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
