//! Small machines with one oddity each, malformed input, and the machine that runs the test.

use std::collections::BTreeSet;

use phalanx::topology::{
    Bind, CpuSet, MAX_CPU_IDS, RegularError, Topology, TopologyError, available_cpus, quota, startup_mask,
};

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

/// A root with the CPUs `0..cpus`, and one file in the folder of each.
fn with_strengths(cpus: usize, file: &str, strength: impl Fn(usize) -> Option<&'static str>) -> Root {
    let root = Root::new();
    for cpu in 0..cpus {
        let dir = format!("sys/devices/system/cpu/cpu{cpu}");
        root.put(&format!("{dir}/topology/core_id"), cpu.to_string().as_bytes());
        if let Some(strength) = strength(cpu) {
            root.put(&format!("{dir}/{file}"), strength.as_bytes());
        }
    }
    root
}

fn kinds(root: &Root) -> Vec<usize> {
    let machine = root.topology();
    check_numbering(&machine);
    machine.cpus().iter().map(|cpu| cpu.kind).collect()
}

#[test]
fn kinds_by_strength() {
    // Little, middle and big, as phones have them; the big one of two is clocked a little higher.
    let capacities = ["250", "250", "860", "1000", "1024"];
    let phone = with_strengths(5, "cpu_capacity", |cpu| Some(capacities[cpu]));
    assert_eq!(kinds(&phone), [2, 2, 1, 0, 0]);
    // Frequencies only: a turbo for one core is no kind, twice the frequency is.
    let turbo = ["4700000", "5000000", "4800000", "2400000"];
    let root = with_strengths(4, "cpufreq/cpuinfo_max_freq", |cpu| Some(turbo[cpu]));
    assert_eq!(kinds(&root), [0, 0, 0, 1]);
    // Compared with the best of a kind, not with the next: a long chain of small steps is no one kind.
    let steps = ["1000", "950", "901", "860"];
    assert_eq!(kinds(&with_strengths(4, "cpufreq/base_frequency", |cpu| Some(steps[cpu]))), [0, 0, 0, 1]);
    // What one CPU does not say, no CPU is judged by.
    let root = with_strengths(3, "cpu_capacity", |cpu| ["1024", "100", "what?"].get(cpu).copied());
    assert_eq!(kinds(&root), [0, 0, 0]);
    for nonsense in ["0", "-5", "", "99999999999999999999"] {
        let root = with_strengths(2, "cpu_capacity", |cpu| Some([nonsense, "512"][cpu]));
        assert_eq!(kinds(&root), [0, 0], "{nonsense}");
    }
    let root = with_strengths(2, "cpu_capacity", |cpu| Some(["9223372036854775807", "1"][cpu]));
    assert_eq!(kinds(&root), [0, 1]);
}

#[test]
fn kinds_by_type_of_core() {
    let root = with_strengths(8, "cpufreq/base_frequency", |cpu| Some(if cpu < 6 { "1800000" } else { "700000" }));
    root.put("sys/devices/cpu_core/cpus", b"0-2\n");
    root.put("sys/devices/cpu_atom/cpus", b"3-7\n");
    assert_eq!(kinds(&root), [0, 0, 0, 1, 1, 1, 2, 2], "the type counts even where the frequency is the same");
    root.put("sys/devices/cpu_atom/cpus", b"3-5\n");
    root.put("sys/devices/cpu_lowpower/cpus", b"6\n");
    assert_eq!(kinds(&root), [0, 0, 0, 1, 1, 1, 2, 3], "a CPU of no unit comes last");
    root.put("sys/devices/cpu_core/cpus", b"0-2,x");
    root.put("sys/devices/cpu_atom/cpus", b"");
    root.put("sys/devices/cpu_lowpower/cpus", b"");
    assert_eq!(kinds(&root), [0, 0, 0, 0, 0, 0, 1, 1], "units that say nothing leave it to the frequency");
}

#[test]
fn distances_that_cannot_be_are_unknown() {
    let root = with_strengths(3, "unused", |_| None);
    // Node 2 has no CPU, and still a column.
    for (node, cpu) in [(0, "2"), (2, ""), (5, "0"), (9, "1")] {
        root.put(&format!("sys/devices/system/node/node{node}/cpulist"), cpu.as_bytes());
    }
    let distances = |rows: [&str; 4]| {
        for (node, row) in [0, 2, 5, 9].into_iter().zip(rows) {
            root.put(&format!("sys/devices/system/node/node{node}/distance"), row.as_bytes());
        }
        let machine = root.topology();
        check_numbering(&machine);
        [(0, 1), (0, 2), (1, 2), (0, 0)].map(|(a, b)| machine.distance(a, b))
    };
    // Cpu 0 is in node 5, which is node 0 here; 9 is 1 and 0 is 2.
    let sound = ["10 20 21 31\n", "20 10 20 20\n", "21 20 10 22\n", "31 20 22 10\n"];
    assert_eq!(distances(sound), [Some(22), Some(21), Some(31), Some(10)]);
    let [_, second, third, fourth] = sound;
    for broken in
        ["", "10 20 21", "10 20 21 31 40", "11 20 21 31", "10 20 9 31", "10 20 -21 31", "10 20 21 99999999999"]
    {
        assert_eq!(distances([broken, second, third, fourth]), [Some(22), None, None, Some(10)], "{broken}");
    }
    assert_eq!(distances(["10 20 40 31", second, third, fourth]), [Some(22), None, Some(31), Some(10)], "one way only");
    assert_eq!(distances(["", second, "", ""]), [None; 4]);
    assert_eq!(Topology::flat(&"0-1".parse().unwrap()).distance(0, 0), None);
}

#[test]
fn without_caches_a_group_ends_where_memory_does() {
    let root = with_strengths(4, "topology/physical_package_id", |_| Some("0"));
    root.put("sys/devices/system/node/node0/cpulist", b"0-1");
    root.put("sys/devices/system/node/node1/cpulist", b"2-3");
    assert_eq!(root.topology().to_string(), "1 package, 2 NUMA nodes, 2 LLC groups, 4 cores, 4 CPUs: 0-3");
}

#[test]
fn a_node_that_is_offline_is_none() {
    let root = with_strengths(4, "topology/physical_package_id", |cpu| Some(["0", "0", "1", "1"][cpu]));
    root.put("sys/devices/system/node/node1/cpulist", b"2-3");
    for cpu in [0, 1] {
        root.put(&format!("sys/devices/system/cpu/cpu{cpu}/node0/x"), b"");
    }
    root.put("sys/devices/system/node/online", b"0-1");
    assert_eq!(root.topology().nodes(), 2);
    root.put("sys/devices/system/node/online", b"1");
    assert_eq!(root.topology().to_string(), "2 packages, 1 NUMA node, 2 LLC groups, 4 cores, 4 CPUs: 0-3");
}

#[test]
fn machines_on_paper() {
    let machine = Topology::regular(2, 2, 3, 4, 2).unwrap();
    check_numbering(&machine);
    assert_eq!(machine.to_string(), "2 packages, 4 NUMA nodes, 12 LLC groups, 48 cores, 96 CPUs: 0-95");
    let cpu = machine.cpu(48 + 29).unwrap();
    assert_eq!((cpu.core, cpu.smt, cpu.llc, cpu.node, cpu.package), (29, 1, 7, 2, 1));
    assert_eq!((machine.kinds(), machine.distance(0, 0)), (1, None));
    assert_eq!(Topology::regular(1, 1, 1, 3, 1).unwrap(), Topology::flat(&"0-2".parse().unwrap()));
    assert_eq!(Topology::regular(1, 1, 1, MAX_CPU_IDS, 1).unwrap().cores(), MAX_CPU_IDS);
    for numbers in
        [[1, 1, 1, 1, MAX_CPU_IDS + 1], [2, 2, 2, 2, MAX_CPU_IDS / 15], [usize::MAX; 5], [1, usize::MAX, 2, 1, 1]]
    {
        let [packages, nodes, llcs, cores, threads] = numbers;
        let error = Topology::regular(packages, nodes, llcs, cores, threads).unwrap_err();
        assert_eq!(error, RegularError::TooLarge { limit: MAX_CPU_IDS });
        assert_eq!(error.to_string(), "a machine has at most 65536 CPUs, not the product of these numbers");
    }
    let without = |place: usize| {
        let mut numbers = [usize::MAX; 5];
        numbers[place] = 0;
        let [packages, nodes, llcs, cores, threads] = numbers;
        Topology::regular(packages, nodes, llcs, cores, threads).unwrap_err().to_string()
    };
    assert_eq!(without(0), "a machine needs at least 1 package, not 0");
    assert_eq!(without(1), "a machine needs at least 1 node per package, not 0");
    assert_eq!(without(3), "a machine needs at least 1 core per LLC group, not 0");
    assert_eq!(without(4), "a machine needs at least 1 thread per core, not 0");
}

#[test]
fn what_a_process_is_allowed() {
    let allowed = |files: &[(&str, &str)]| Root::with(files).allowed().map(|set| set.to_string());
    assert_eq!(allowed(&[]), None);
    assert_eq!(
        allowed(&[(
            "proc/self/status",
            "Name:\tx\nCpus_allowed:\tff\nCpus_allowed_list:\t0-3,8\nMems_allowed_list:\t0\n"
        )]),
        Some("0-3,8".into()),
    );
    let mounts = "33 25 0:29 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw";
    let version_2 = [
        ("proc/self/mountinfo", mounts),
        ("proc/self/cgroup", "0::/a/b/c\n"),
        // The controller is not switched on below `a`.
        ("sys/fs/cgroup/a/cpuset.cpus.effective", "4-7\n"),
        ("sys/fs/cgroup/cpuset.cpus.effective", "0-7\n"),
    ];
    assert_eq!(allowed(&version_2), Some("4-7".into()));
    // A status that says nothing is not believed, one that says something is.
    let with = |status: &'static str| [&version_2[..], &[("proc/self/status", status)]].concat();
    assert_eq!(allowed(&with("Cpus_allowed_list:\t\n")), Some("4-7".into()));
    assert_eq!(allowed(&with("Cpus_allowed_list:\tgarbage\n")), Some("4-7".into()));
    assert_eq!(allowed(&with("Cpus_allowed_list:\t5\n")), Some("5".into()));
    let both = [
        ("proc/self/mounts", "c /v1 cgroup rw,cpuset 0 0\nd /v1cpu cgroup rw,cpu 0 0\nu /v2 cgroup2 rw 0 0\n"),
        ("proc/self/cgroup", "4:cpu:/x\n3:cpuset:/job\n0::/user\n"),
        ("v1/job/cpuset.cpus", "2-3"),
        ("v1cpu/x/cpuset.cpus", "9"),
        ("v2/user/cgroup.procs", "1"),
    ];
    assert_eq!(allowed(&both), Some("2-3".into()), "both versions, the cpuset in version 1");
    let old = [
        ("proc/mounts", "none /dev/cpuset cpuset rw 0 0\n"),
        ("proc/self/cpuset", "/batch\n"),
        ("dev/cpuset/batch/cpus", "1-2"),
        ("dev/cpuset/cpus", "0-7"),
    ];
    assert_eq!(allowed(&old), Some("1-2".into()));
    let outside = [
        ("proc/mounts", "u /v2 cgroup2 rw 0 0\n"),
        ("proc/self/cgroup", "0::/../other\n"),
        ("v2/cpuset.cpus.effective", "0"),
    ];
    assert_eq!(allowed(&outside), None, "a group that this mount does not show");
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
        let _ = (root.quota(), root.allowed());
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

/// Whoever opens a pipe to read it waits for somebody to write. (Not under Miri: another process makes it.)
#[cfg(all(target_os = "linux", not(miri)))]
#[test]
fn a_pipe_in_the_place_of_a_file_keeps_nobody_waiting() {
    let root = Root::with(&[("sys/devices/system/cpu/cpu0/x", ""), ("proc/self/x", "")]);
    for name in ["sys/devices/system/cpu/online", "proc/self/status", "proc/self/cgroup"] {
        let made = std::process::Command::new("mkfifo").arg(root.0.join(name)).status();
        if !made.is_ok_and(|status| status.success()) {
            return; // a system without pipes that have names
        }
    }
    let (told, answer) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        // A second thread, so that a wait for ever is a failure.
        let _ = told.send((root.topology().cpus().len(), root.allowed(), root.quota()));
    });
    assert_eq!(answer.recv_timeout(std::time::Duration::from_secs(60)), Ok((1, None, None)));
}
