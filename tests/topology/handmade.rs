//! Small machines with one oddity each, malformed input, and the machine that runs the test.

use std::collections::BTreeSet;

use phalanx::topology::{Bind, CpuSet, Topology, TopologyError, available_cpus, quota, startup_mask};

use crate::support::{Groups, Random, Root, check_numbering, groups, listing};

#[test]
fn offline_cpus_are_left_out_and_numbers_may_have_gaps() {
    let root = Root::with(&[
        ("sys/devices/system/cpu/online", "0-1,4-9\n"),
        ("sys/devices/system/cpu/cpu0/topology/physical_package_id", "7"),
        ("sys/devices/system/cpu/cpu1/topology/physical_package_id", "3"),
        ("sys/devices/system/cpu/cpu1/online", "0\n\0"),
        ("sys/devices/system/cpu/cpu2/online", "1"),
        ("sys/devices/system/cpu/cpu9/topology/physical_package_id", "3"),
        ("sys/devices/system/cpu/cpu200/topology/physical_package_id", "3"),
        ("sys/devices/system/cpu/cpufreq/policy0/affected_cpus", "0"),
        ("sys/devices/system/cpu/cpuidle/current_driver", "none"),
    ]);
    let machine = root.topology();
    check_numbering(&machine);
    assert_eq!(machine.to_string(), "2 packages, 1 NUMA node, 2 LLC groups, 2 cores, 2 CPUs: 0,9");
    assert_eq!(machine.cpu(9).map(|cpu| (cpu.package, cpu.node, cpu.llc)), Some((1, 0, 1)));
    assert_eq!(machine.cpu(1), None);
}

#[test]
fn core_ids_that_repeat_are_not_one_core() {
    let mut files = Vec::new();
    for cpu in 0..8 {
        let topology = format!("sys/devices/system/cpu/cpu{cpu}/topology");
        files.push((format!("{topology}/core_id"), "0".to_owned()));
        files.push((format!("{topology}/cluster_id"), (cpu / 2 % 2).to_string()));
        files.push((format!("{topology}/physical_package_id"), (cpu / 4).to_string()));
    }
    let files: Vec<(&str, &str)> = files.iter().map(|(path, text)| (path.as_str(), text.as_str())).collect();
    let machine = Root::with(&files).topology();
    check_numbering(&machine);
    assert_eq!(machine.to_string(), "2 packages, 1 NUMA node, 2 LLC groups, 4 cores, 8 CPUs: 0-7");
    assert_eq!(machine.cpu(3).map(|cpu| (cpu.core, cpu.smt)), Some((1, 1)));
}

#[test]
fn the_last_level_may_differ_from_cpu_to_cpu() {
    let root = Root::with(&[
        ("sys/devices/system/cpu/cpu0/cache/index0/level", "3"),
        ("sys/devices/system/cpu/cpu0/cache/index0/type", "Unified"),
        ("sys/devices/system/cpu/cpu0/cache/index0/shared_cpu_list", "0-1"),
        // A higher level of instructions is not a place where data meet.
        ("sys/devices/system/cpu/cpu0/cache/index1/level", "4"),
        ("sys/devices/system/cpu/cpu0/cache/index1/type", "Instruction"),
        ("sys/devices/system/cpu/cpu0/cache/index1/shared_cpu_list", "0-3"),
        ("sys/devices/system/cpu/cpu1/cache/index10/level", "3"),
        ("sys/devices/system/cpu/cpu1/cache/index10/type", "Unified"),
        ("sys/devices/system/cpu/cpu1/cache/index10/shared_cpu_map", "00000003"),
        ("sys/devices/system/cpu/cpu2/cache/index2/level", "2"),
        ("sys/devices/system/cpu/cpu2/cache/index2/type", "Data"),
        ("sys/devices/system/cpu/cpu2/cache/index2/shared_cpu_map", "00000000,0000000c"),
        ("sys/devices/system/cpu/cpu3/cache/index2/level", "2"),
        ("sys/devices/system/cpu/cpu3/cache/index2/type", "Unified"),
        ("sys/devices/system/cpu/cpu3/cache/index2/shared_cpu_list", "2-3"),
        // This one says that it is not shared by the CPU that it belongs to, so it says nothing.
        ("sys/devices/system/cpu/cpu4/cache/index0/level", "3"),
        ("sys/devices/system/cpu/cpu4/cache/index0/type", "Unified"),
        ("sys/devices/system/cpu/cpu4/cache/index0/shared_cpu_list", "0-3"),
    ]);
    let machine = root.topology();
    check_numbering(&machine);
    let llcs: Vec<usize> = machine.cpus().iter().map(|cpu| cpu.llc).collect();
    assert_eq!(llcs, [0, 0, 1, 1, 2]);
}

#[test]
fn nodes_from_masks_and_names_of_entries() {
    let root = Root::with(&[
        ("sys/devices/system/cpu/cpu0/topology/core_id", "0"),
        ("sys/devices/system/cpu/cpu1/topology/core_id", "1"),
        ("sys/devices/system/cpu/cpu2/topology/core_id", "2"),
        ("sys/devices/system/cpu/cpu3/topology/core_id", "3"),
        ("sys/devices/system/node/node1/cpu0/x", ""),
        ("sys/devices/system/node/node0/cpu1/x", ""),
        ("sys/devices/system/cpu/cpu2/node5/x", ""),
        ("sys/devices/system/node/node7/distance", "10"),
        ("sys/devices/system/cpu/cpu4/topology/core_id", "4"),
        ("sys/devices/system/node/node9/cpumap", "00000000,00000010"),
    ]);
    let machine = root.topology();
    check_numbering(&machine);
    let nodes: Vec<usize> = machine.cpus().iter().map(|cpu| cpu.node).collect();
    // Cpu 3 is claimed by nobody and joins the lowest node, which is numbered by its lowest CPU.
    assert_eq!(nodes, [0, 1, 2, 1, 3]);
    assert_eq!(machine.nodes(), 4);
}

#[cfg(unix)]
#[test]
fn nodes_from_symbolic_links() {
    let root = Root::with(&[
        ("sys/devices/system/cpu/cpu0/topology/core_id", "0"),
        ("sys/devices/system/cpu/cpu1/topology/core_id", "1"),
        ("sys/devices/system/node/node0/distance", "10 20"),
        ("sys/devices/system/node/node1/distance", "20 10"),
    ]);
    let link = |to: &str, at: &str| std::os::unix::fs::symlink(to, root.0.join("sys/devices/system").join(at)).unwrap();
    link("../../cpu/cpu1", "node/node1/cpu1");
    link("../../node/node0", "cpu/cpu0/node0");
    let machine = root.topology();
    assert_eq!(groups(&machine, |cpu| cpu.node), Groups::from([BTreeSet::from([0]), BTreeSet::from([1])]));
}

#[test]
fn no_sys_is_an_error_and_flat_is_the_fallback() {
    let root = Root::new();
    let missing = Topology::from_root(&root.0).unwrap_err();
    assert!(matches!(&missing, TopologyError::Unreadable { path, .. } if path.ends_with("sys/devices/system/cpu")));
    assert!(std::error::Error::source(&missing).is_some());
    root.put("sys/devices/system/cpu/online", b"0-3");
    assert!(matches!(Topology::from_root(&root.0), Err(TopologyError::NoCpus { .. })));
    root.put("sys/devices/system/cpu/cpu0/online", b"0");
    assert!(matches!(Topology::from_root(&root.0), Err(TopologyError::NoCpus { .. })));

    let flat = Topology::flat(&"2,5-6".parse().unwrap());
    check_numbering(&flat);
    assert_eq!(flat.to_string(), "1 package, 1 NUMA node, 1 LLC group, 3 cores, 3 CPUs: 2,5-6");
    let nothing = Topology::flat(&CpuSet::new());
    check_numbering(&nothing);
    assert_eq!(nothing.to_string(), "0 packages, 0 NUMA nodes, 0 LLC groups, 0 cores, 0 CPUs");
}

#[test]
fn cpus_that_say_nothing_are_a_flat_machine() {
    let root = Root::with(&[
        ("sys/devices/system/cpu/cpu0/x", ""),
        ("sys/devices/system/cpu/cpu1/x", ""),
        ("sys/devices/system/cpu/cpu2/x", ""),
    ]);
    assert_eq!(root.topology(), Topology::flat(&"0-2".parse().unwrap()));
}

#[test]
fn this_machine() {
    let machine = Topology::detect();
    check_numbering(&machine);
    assert!(startup_mask().iter().any(|cpu| machine.cpu(cpu).is_some()));
    assert!((1..=startup_mask().len()).contains(&available_cpus()));
    if let Some(cpus) = quota() {
        assert!(cpus > 0.0);
        assert!(available_cpus() as f64 <= cpus.max(1.0));
    }
}

const GARBAGE: [&[u8]; 14] = [
    b"",
    b"\0\0\0",
    b"\n",
    b"garbage",
    b"-1",
    b"0-",
    b"-",
    b",,,",
    b"0-99999999999999999999999",
    b"0-65535",
    b"4294967295",
    b"ffffffff,ffffffff,ffffffff,ffffffff,ffffffff,ffffffff",
    b"\xff\xfe0-3",
    b"18446744073709551616",
];

#[test]
fn garbage_in_every_file() {
    let mut files = listing("20em64t-hybrid-1p6c2t+2ca4co1t");
    // Four CPUs are as good as twenty here, and quicker to write.
    let kept = ["/cpu0/", "/cpu1/", "/cpu12/", "/cpu13/"];
    files.retain(|(path, _)| !path.contains("/cpu/cpu") || kept.iter().any(|cpu| path.contains(cpu)));
    for garbage in GARBAGE {
        let root = Root::new();
        for (path, _) in &files {
            root.put(path, garbage);
        }
        // An `online` that lists other CPUs only leaves none; anything else is passed over.
        if let Ok(machine) = Topology::from_root(&root.0) {
            check_numbering(&machine);
        }
        let _ = root.quota();
    }
    let root = Root::new();
    for (path, _) in &files {
        root.put(&format!("{path}/a folder instead"), b"");
    }
    assert_eq!(root.topology().cpus().len(), 4);
}

#[test]
fn garbage_here_and_there() {
    let mut files = listing("16em64t-4s2c2t");
    files.retain(|(path, _)| !path.contains("/cpu1"));
    let mut random = Random(1);
    for _ in 0..15 {
        let root = Root::new();
        for (path, content) in &files {
            match random.below(8) {
                0 => {}
                1 => root.put(path, GARBAGE[random.below(GARBAGE.len())]),
                2 => root.put(path, &files[random.below(files.len())].1),
                3 => root.put(path, &content[..random.below(content.len() + 1)]),
                _ => root.put(path, content),
            }
        }
        let Ok(machine) = Topology::from_root(&root.0) else {
            continue;
        };
        check_numbering(&machine);
        for bind in [Bind::Close, Bind::Spread] {
            let mask = machine.cpus().iter().map(|cpu| cpu.id).collect();
            let plan = machine.place(&bind, machine.cpus().len(), &mask).unwrap();
            assert_eq!(plan.cpus().flatten().collect::<CpuSet>(), mask);
        }
    }
}

#[cfg(not(any(target_os = "linux", target_os = "android")))]
#[test]
fn elsewhere_there_is_an_answer_too() {
    use phalanx::topology::{PinError, current_cpu, current_mask, pin_current};
    assert_eq!(pin_current(0).unwrap_err(), PinError::Unsupported);
    assert_eq!((current_mask(), current_cpu(), quota()), (None, None, None));
    assert_eq!(Topology::detect(), Topology::flat(startup_mask()));
}
