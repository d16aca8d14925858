//! Reading `/sys/devices/system/{cpu,node}`: which CPUs there are, and what each says about its neighbours.
//!
//! Nothing here trusts a file: what is missing, unreadable or makes no sense is passed over for the next best source.
//! Files and their meaning: the kernel's `Documentation/ABI/stable/sysfs-devices-system-cpu` (topology),
//! `Documentation/ABI/testing/sysfs-devices-system-cpu` (cache, online), `Documentation/ABI/stable/sysfs-devices-node`.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use super::cpu_list::MAX_CPU_IDS;
use super::cpu_set::CpuSet;
use super::kind::kinds;

/// What one CPU says of itself. Two CPUs share a group exactly if they give the same name to it.
pub(super) struct Raw {
    pub(super) id: usize,
    pub(super) package: PackageName,
    pub(super) node: Option<usize>,
    pub(super) llc: LlcName,
    pub(super) core: CoreName,
    pub(super) kind: usize,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum PackageName {
    /// Lowest CPU of the package.
    First(usize),
    /// `physical_package_id`.
    Id(i64),
    Unknown,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum LlcName {
    /// Level, and lowest CPU behind this cache.
    Cache(u32, usize),
    /// No cache is described: what the CPU's package and node have in common stands in for it.
    None(PackageName, Option<usize>),
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum CoreName {
    /// Lowest sibling, and `core_id`, which alone repeats in every package (and, on some machines, die or cluster).
    Siblings(usize, Option<i64>),
    /// Package, `die_id`, `cluster_id`, `core_id`.
    Ids(PackageName, Option<i64>, Option<i64>, i64),
    Alone(usize),
}

/// Describes every CPU that is online, sorted by id; empty if there is none.
pub(super) fn cpus(root: &Path) -> Result<Vec<Raw>, (PathBuf, io::Error)> {
    let cpu_dir = cpu_dir(root);
    let present = numbered(&cpu_dir, "cpu").map_err(|error| (cpu_dir.clone(), error))?;
    let online = set(&cpu_dir, "online").filter(|online| !online.is_empty());
    let is_online = |id: usize| {
        let off = read(&cpu_dir.join(format!("cpu{id}/online"))).is_some_and(|text| text == "0");
        !off && online.as_ref().is_none_or(|set| set.contains(id))
    };
    let ids: Vec<usize> = present.into_iter().filter(|&id| is_online(id)).collect();
    let nodes = nodes(&root.join("sys/devices/system/node"), &ids);
    let kinds = kinds(root, &ids);
    Ok(ids.into_iter().zip(kinds).map(|(id, kind)| describe(&cpu_dir, &nodes, id, kind)).collect())
}

pub(super) fn cpu_dir(root: &Path) -> PathBuf {
    root.join("sys/devices/system/cpu")
}

fn describe(cpu_dir: &Path, nodes: &Nodes, id: usize, kind: usize) -> Raw {
    let dir = cpu_dir.join(format!("cpu{id}"));
    let topology = dir.join("topology");
    let package = package(&topology, id);
    let core = core(&topology, package, id);
    let node = nodes.home.get(&id).copied();
    // A node without a list of its CPUs is still linked from each of them; one that is offline may be, too.
    let linked = || numbered(&dir, "node").ok()?.into_iter().find(|&node| nodes.is_online(node));
    let node = node.or_else(linked);
    let llc = llc(&dir, id).unwrap_or(LlcName::None(package, node));
    Raw { id, package, node, llc, core, kind }
}

fn package(topology: &Path, id: usize) -> PackageName {
    // `core_siblings` is the older name of `package_cpus`. The set comes first because ids may be -1 on machines whose
    // firmware gives none.
    let names = ["package_cpus_list", "package_cpus", "core_siblings_list", "core_siblings"];
    let set = neighbours(topology, &names, id).map(PackageName::First);
    set.or_else(|| number(&topology.join("physical_package_id")).map(PackageName::Id)).unwrap_or(PackageName::Unknown)
}

fn core(topology: &Path, package: PackageName, id: usize) -> CoreName {
    let names = ["core_cpus_list", "core_cpus", "thread_siblings_list", "thread_siblings"];
    let core_id = number(&topology.join("core_id"));
    match (neighbours(topology, &names, id), core_id) {
        // AMD family 15h: old kernels list the two cores of a module as thread siblings, although each has
        // integer units and a core_id of its own. hwloc splits them in the same way.
        (Some(first), core_id) => CoreName::Siblings(first, core_id),
        (None, Some(core_id)) => {
            CoreName::Ids(package, number(&topology.join("die_id")), number(&topology.join("cluster_id")), core_id)
        }
        (None, None) => CoreName::Alone(id),
    }
}

/// The highest level of data cache that says which CPUs share it.
fn llc(cpu: &Path, id: usize) -> Option<LlcName> {
    let cache = cpu.join("cache");
    let indices = numbered(&cache, "index").unwrap_or_default();
    let caches = indices.into_iter().filter_map(|index| {
        let dir = cache.join(format!("index{index}"));
        let holds_data = read(&dir.join("type")).is_some_and(|kind| kind == "Unified" || kind == "Data");
        let level = number(&dir.join("level")).and_then(|level| u32::try_from(level).ok());
        let first = neighbours(&dir, &["shared_cpu_list", "shared_cpu_map"], id);
        holds_data.then_some(LlcName::Cache(level?, first?))
    });
    caches.max()
}

struct Nodes {
    /// The node of each CPU that is in the list of one; the lowest of several.
    home: BTreeMap<usize, usize>,
    online: Option<CpuSet>,
}

impl Nodes {
    fn is_online(&self, node: usize) -> bool {
        self.online.as_ref().is_none_or(|online| online.contains(node))
    }
}

fn nodes(dir: &Path, ids: &[usize]) -> Nodes {
    let mut home = BTreeMap::new();
    // One set at a time: a few letters may claim all CPUs there can be, for any number of nodes.
    for node in numbered(dir, "node").unwrap_or_default() {
        let dir = dir.join(format!("node{node}"));
        let listed = ["cpulist", "cpumap"].into_iter().find_map(|name| set(&dir, name));
        let cpus = listed.unwrap_or_else(|| numbered(&dir, "cpu").unwrap_or_default().into_iter().collect());
        for &id in ids.iter().filter(|&&id| cpus.contains(id)) {
            home.entry(id).or_insert(node);
        }
    }
    Nodes { home, online: set(dir, "online").filter(|online| !online.is_empty()) }
}

/// The lowest CPU of the first of these sets that can be read and has `id` in it, as every true answer must.
fn neighbours(dir: &Path, names: &[&str], id: usize) -> Option<usize> {
    let mut sets = names.iter().filter_map(|name| set(dir, name));
    sets.find(|set| set.contains(id))?.first()
}

fn set(dir: &Path, name: &str) -> Option<CpuSet> {
    let text = read(&dir.join(name))?;
    if name.ends_with("list") || name == "online" { text.parse().ok() } else { CpuSet::from_hex_mask(&text).ok() }
}

pub(super) fn number(path: &Path) -> Option<i64> {
    read(path)?.parse().ok()
}

pub(super) fn number_list(path: &Path) -> Option<Vec<u32>> {
    read(path)?.split_ascii_whitespace().map(|number| number.parse().ok()).collect()
}

/// The numbers N of the entries `<prefix>N` of a directory.
pub(super) fn numbered(dir: &Path, prefix: &str) -> io::Result<BTreeSet<usize>> {
    let mut found = BTreeSet::new();
    for name in names(dir)? {
        let digits = name.to_str().and_then(|name| name.strip_prefix(prefix));
        let digits = digits.filter(|digits| digits.bytes().all(|byte| byte.is_ascii_digit()));
        let number = digits.and_then(|digits| digits.parse::<usize>().ok());
        found.extend(number.filter(|&number| number < MAX_CPU_IDS));
    }
    Ok(found)
}

/// A small file's text without the blanks around it and the zero byte that some kernels end a list with.
pub(super) fn read(path: &Path) -> Option<String> {
    /// The longest honest file here is a mount table; the bound is for a root that is not what it claims to be.
    const LONGEST: usize = 1 << 24;
    let bytes = content(path, LONGEST)?;
    let text = String::from_utf8_lossy(&bytes);
    Some(text.trim_matches(|c: char| c.is_whitespace() || c == '\0').to_owned())
}

/// The beginning of a file.
fn content(path: &Path, most: usize) -> Option<Vec<u8>> {
    #[cfg(any(test, phalanx_fuzz))]
    if let Some(content) = crate::fuzzing::tree::content(path) {
        return content;
    }
    // A snapshot may have anything in the place of a file, and opening a pipe waits for whoever writes to it. The kernel's own files are
    // files or folders, and to ask of each of them takes as long as to read it.
    if !is_the_kernels(path) && !fs::metadata(path).ok()?.is_file() {
        return None;
    }
    // The first wait of a `compat::Barrier` reads what CPUs there are, so not by std's files, which are cancellation points.
    crate::primitive::direct::content(path, most)
}

/// Whether the kernel makes what is there: files of this machine, not of a snapshot, of which `/proc` shows the roots, too.
fn is_the_kernels(path: &Path) -> bool {
    let straight = || path.components().all(|part| part != Component::ParentDir);
    let ours = path.parent() == Some(Path::new("/proc/self")) || path.starts_with("/sys/fs/cgroup");
    cfg!(target_os = "linux") && ours && straight()
}

/// The names of a directory's entries.
fn names(dir: &Path) -> io::Result<Vec<OsString>> {
    #[cfg(any(test, phalanx_fuzz))]
    if let Some(names) = crate::fuzzing::tree::names(dir) {
        return names;
    }
    fs::read_dir(dir)?.map(|entry| Ok(entry?.file_name())).collect()
}
