//! Real machines, against what `lstopo` says of the same snapshot.

use std::collections::BTreeSet;
use std::fs;

use phalanx::topology::{Bind, CpuSet};

use crate::support::{Groups, SNAPSHOTS, check_numbering, data, groups, machine_of, snapshot};

/// What `lstopo` printed, as sets of CPUs.
#[derive(Default)]
struct Lstopo {
    packages: Groups,
    nodes: Groups,
    llcs: Groups,
    cores: Groups,
    cpus: BTreeSet<usize>,
    disallowed: BTreeSet<usize>,
    /// The CPUs of each NUMA node, and the distances between them row after row, both in lstopo's order.
    distances: Vec<(BTreeSet<usize>, Vec<u32>)>,
    /// From the least efficient kind of core to the most.
    kinds: Vec<BTreeSet<usize>>,
}

struct Line {
    depth: usize,
    kind: String,
    cpus: BTreeSet<usize>,
}

/// Reads the indented tree at the top of an `lstopo` console output, whatever levels it has.
fn lstopo(name: &str) -> Lstopo {
    let text = fs::read_to_string(data(&format!("{name}.console"))).unwrap();
    let tree = text.lines().take_while(|line| !line.starts_with("depth "));
    let mut lines: Vec<Line> = Vec::new();
    let mut open: Vec<usize> = Vec::new();
    let mut answer = Lstopo::default();
    for line in tree {
        let depth = line.len() - line.trim_start().len();
        let line = line.trim_start();
        let kind = line.split([' ']).next().unwrap().to_owned();
        open.retain(|&above| lines[above].depth < depth);
        if kind == "NUMANode" {
            // Memory hangs beside what it serves: its CPUs are those of the box around it, which are yet to come.
            lines.push(Line { depth, kind, cpus: BTreeSet::new() });
            continue;
        }
        open.push(lines.len());
        lines.push(Line { depth, kind, cpus: BTreeSet::new() });
        if lines.last().unwrap().kind != "PU" {
            continue;
        }
        let (id, note) = line.split_once("P#").unwrap().1.split_once(')').unwrap();
        let id: usize = id.parse().unwrap();
        answer.cpus.insert(id);
        answer.disallowed.extend(note.contains("disallowed").then_some(id));
        for &above in &open {
            lines[above].cpus.insert(id);
        }
    }
    let parent = |index: usize| (0..index).rev().find(|&above| lines[above].depth < lines[index].depth).unwrap();
    for (index, line) in lines.iter().enumerate() {
        match line.kind.as_str() {
            "Package" => drop(answer.packages.insert(line.cpus.clone())),
            "Core" => drop(answer.cores.insert(line.cpus.clone())),
            "NUMANode" => drop(answer.nodes.insert(lines[parent(index)].cpus.clone())),
            _ => {}
        }
    }
    for cpu in &answer.cpus {
        let caches = lines.iter().filter(|line| line.cpus.contains(cpu)).filter_map(|line| {
            let level = line.kind.strip_prefix('L')?.strip_suffix("Cache")?;
            let level: u32 = level.trim_end_matches('d').parse().ok()?;
            Some((level, line))
        });
        let (_, last_level) = caches.max_by_key(|(level, _)| *level).unwrap();
        answer.llcs.insert(last_level.cpus.clone());
    }
    let nodes = (0..lines.len()).filter(|&index| lines[index].kind == "NUMANode").map(|node| &lines[parent(node)].cpus);
    let matrix = text.lines().skip_while(|line| !line.starts_with("Relative latency matrix")).skip(2);
    let rows = matrix.map(|row| row.split_whitespace().skip(1).map(|distance| distance.parse().unwrap()).collect());
    answer.distances = nodes.cloned().zip(rows).collect();
    let kinds = text.lines().filter(|line| line.starts_with("CPU kind #"));
    answer.kinds = kinds.map(|line| mask(line.split_once("cpuset ").unwrap().1)).collect();
    answer
}

/// hwloc's masks have `0x` before each word.
fn mask(text: &str) -> BTreeSet<usize> {
    CpuSet::from_hex_mask(&text.replace("0x", "")).unwrap().iter().collect()
}

#[test]
fn snapshots_agree_with_lstopo() {
    for name in SNAPSHOTS {
        if name == "32amd64-4s2n4c-cgroup2" {
            continue; // No lstopo answer came with it; see below.
        }
        let machine = machine_of(name);
        let expected = lstopo(name);
        check_numbering(&machine);
        assert_eq!(machine.cpus().iter().map(|cpu| cpu.id).collect::<BTreeSet<_>>(), expected.cpus, "{name}: CPUs");
        assert_eq!(groups(&machine, |cpu| cpu.package), expected.packages, "{name}: packages");
        assert_eq!(groups(&machine, |cpu| cpu.node), expected.nodes, "{name}: NUMA nodes");
        assert_eq!(groups(&machine, |cpu| cpu.llc), expected.llcs, "{name}: LLC groups");
        assert_eq!(groups(&machine, |cpu| cpu.core), expected.cores, "{name}: cores");
        for cpu in machine.cpus() {
            let siblings = expected.cores.iter().find(|core| core.contains(&cpu.id)).unwrap();
            let position = siblings.iter().position(|&id| id == cpu.id).unwrap();
            assert_eq!(cpu.smt, position, "{name}: SMT position of cpu {}", cpu.id);
            let stronger = expected.kinds.iter().rev().position(|kind| kind.contains(&cpu.id));
            assert_eq!(cpu.kind, stronger.unwrap_or(0), "{name}: kind of cpu {}", cpu.id);
        }
        let node_of = |cpus: &BTreeSet<usize>| machine.cpu(*cpus.first().unwrap()).unwrap().node;
        for (from, row) in &expected.distances {
            for (distance, (to, _)) in row.iter().zip(&expected.distances) {
                assert_eq!(machine.distance(node_of(from), node_of(to)), Some(*distance), "{name}: {from:?} to {to:?}");
            }
        }
    }
}

/// The counts by hand, so that a mistake in reading lstopo's answer cannot hide one in reading `/sys`.
#[test]
fn snapshots_have_the_right_counts() {
    let expected = [
        ("8em64t-2s4c-heterogeneous", "2 packages, 1 NUMA node, 5 LLC groups, 8 cores, 8 CPUs: 0-7"),
        ("16amd64-8n2c-cpusets", "8 packages, 8 NUMA nodes, 15 LLC groups, 15 cores, 15 CPUs: 0-3,5-15"),
        ("16em64t-4s2c2t-offlines", "4 packages, 1 NUMA node, 4 LLC groups, 7 cores, 12 CPUs: 0-1,3-4,6-12,15"),
        ("16em64t-4s2c2t", "4 packages, 1 NUMA node, 4 LLC groups, 8 cores, 16 CPUs: 0-15"),
        ("20em64t-hybrid-1p6c2t+2ca4co1t", "1 package, 1 NUMA node, 1 LLC group, 14 cores, 20 CPUs: 0-19"),
        ("32amd64-4s2n4c-cgroup2", "4 packages, 8 NUMA nodes, 8 LLC groups, 32 cores, 32 CPUs: 0-31"),
        ("64amd64-4s2n4ca2co", "4 packages, 8 NUMA nodes, 8 LLC groups, 64 cores, 64 CPUs: 0-63"),
        ("128arm-2pa2n8cluster4co", "2 packages, 4 NUMA nodes, 4 LLC groups, 128 cores, 128 CPUs: 0-127"),
        ("nvidiagpunumanodes", "2 packages, 2 NUMA nodes, 4 LLC groups, 8 cores, 32 CPUs: 0-15,88-103"),
    ];
    for (name, summary) in expected {
        assert_eq!(machine_of(name).to_string(), summary, "{name}");
    }
}

/// Eight CPUs per package, four per node and L3, 48 possible CPUs of which 16 are not there.
#[test]
fn the_snapshot_without_an_answer() {
    let root = snapshot("32amd64-4s2n4c-cgroup2");
    let machine = root.topology();
    check_numbering(&machine);
    for cpu in machine.cpus() {
        let expected = (cpu.id / 8, cpu.id / 4, cpu.id / 4, cpu.id, 0);
        assert_eq!((cpu.package, cpu.node, cpu.llc, cpu.core, cpu.smt), expected, "{cpu:?}");
    }
    assert_eq!(machine.distance(0, 1), Some(16));
    // Its control groups limit the set of CPUs, which is the mask's business, and not their time.
    assert_eq!(root.quota(), None);
}

/// What the process that made the snapshot was allowed to use, by the files that each machine had.
#[test]
fn snapshots_of_containers() {
    let expected = [
        // A control group of version 2, whose mount and name are in `mounts` and `cpuset`.
        ("32amd64-4s2n4c-cgroup2", Some("0-5")),
        // The filesystem `cpuset`, from before there were control groups. CPU 4 is in it, and offline.
        ("16amd64-8n2c-cpusets", Some("0-6,12-15")),
        // Version 1, with `cpuset.effective_cpus`.
        ("nvidiagpunumanodes", Some("0-87")),
        ("128arm-2pa2n8cluster4co", Some("0-127")),
        ("16em64t-4s2c2t", None),
    ];
    for (name, allowed) in expected {
        let root = snapshot(name);
        let found = root.allowed().map(|set| set.to_string());
        assert_eq!(found.as_deref(), allowed, "{name}");
        if name == "16amd64-8n2c-cpusets" {
            let lstopo = lstopo(name);
            let allowed: BTreeSet<usize> = root.allowed().unwrap().iter().collect();
            assert_eq!(&allowed & &lstopo.cpus, &lstopo.cpus - &lstopo.disallowed);
            let mask = root.allowed().unwrap();
            let plan = root.topology().place(&Bind::PerNode, 6, &mask).unwrap();
            assert!(plan.cpus().flatten().eq([0, 2, 5, 6, 12, 14]), "{plan}: the nodes with an allowed CPU");
        }
    }
}
