//! What holds of every plan, on every machine, under every mask; and of every root, however damaged.

use std::collections::{BTreeMap, BTreeSet};

use phalanx::topology::{Bind, Cpu, CpuSet, Level, Placement, Topology};

use crate::support::{Random, Root, SNAPSHOTS, check_numbering, listing, machine_of};

const LEVELS: [Level; 6] = [Level::Cpu, Level::Core, Level::Llc, Level::Node, Level::Package, Level::Machine];
pub(crate) const PLANS: [Bind; 4] = [Bind::Close, Bind::Spread, Bind::PerLlc, Bind::PerNode];

/// A machine that no vendor builds: groups of any size that need not nest, numbers with gaps, CPUs that are offline.
fn odd_machine(random: &mut Random) -> Topology {
    let root = Root::new();
    let ids: Vec<usize> = (0..64).filter(|_| random.below(3) == 0).chain([64]).collect();
    let mut divide = |most: usize| -> Vec<usize> {
        let groups = 1 + random.below(most);
        ids.iter().map(|_| random.below(groups)).collect()
    };
    let (packages, nodes, llcs, cores, kinds) = (divide(3), divide(4), divide(5), divide(12), divide(3));
    let members = |groups: &[usize], of: usize| -> String {
        let members = ids.iter().zip(groups).filter(|(_, group)| **group == groups[of]);
        members.map(|(id, _)| *id).collect::<CpuSet>().to_string()
    };
    for (index, id) in ids.iter().enumerate() {
        let cpu = format!("sys/devices/system/cpu/cpu{id}");
        root.put(&format!("{cpu}/topology/package_cpus_list"), members(&packages, index).as_bytes());
        root.put(&format!("{cpu}/topology/core_cpus_list"), members(&cores, index).as_bytes());
        root.put(&format!("{cpu}/cache/index3/level"), b"3");
        root.put(&format!("{cpu}/cache/index3/type"), b"Unified");
        root.put(&format!("{cpu}/cache/index3/shared_cpu_list"), members(&llcs, index).as_bytes());
        root.put(&format!("{cpu}/cpu_capacity"), (300 * (1 + kinds[index])).to_string().as_bytes());
        let node = format!("sys/devices/system/node/node{}", 3 * nodes[index]);
        root.put(&format!("{node}/cpulist"), members(&nodes, index).as_bytes());
    }
    let online = ids.iter().copied().filter(|&id| id == 64 || random.below(8) > 0).collect::<CpuSet>();
    root.put("sys/devices/system/cpu/online", online.to_string().as_bytes());
    root.topology()
}

fn regular_machine(random: &mut Random) -> Topology {
    let mut below = |limit| 1 + random.below(limit);
    Topology::regular(below(3), below(3), below(3), below(5), below(3)).unwrap()
}

fn some_of(machine: &Topology, random: &mut Random) -> CpuSet {
    let share = random.below(5);
    machine.cpus().iter().map(|cpu| cpu.id).filter(|_| random.below(4) >= share).collect()
}

#[test]
fn plans_on_machines_of_all_kinds() {
    let mut random = Random(4);
    for round in 0..90 {
        let machine = match round % 3 {
            0 => odd_machine(&mut random),
            1 => regular_machine(&mut random),
            _ => machine_of(SNAPSHOTS[round / 3 % SNAPSHOTS.len()]),
        };
        check_numbering(&machine);
        let mask = some_of(&machine, &mut random);
        for bind in PLANS {
            let most = 2 * mask.len() + 3;
            let Ok(plan) = machine.place(&bind, most, &mask) else {
                assert!(mask.is_empty(), "{bind} of {mask} on {machine}");
                continue;
            };
            let what = format!("{bind} of {mask} on {machine}");
            check_use(&plan, &mask, &what);
            check_order(&plan, &machine, &mask, &bind, &what);
            // A pure function, and a rank's place does not depend on how many there are.
            let parties = random.below(most + 1);
            let fewer = machine.place(&bind, parties, &mask).unwrap();
            assert!(fewer.cpus().eq(plan.cpus().take(parties)), "{what}: {parties} parties");
            assert_eq!(fewer, machine.clone().place(&bind.clone(), parties, &mask.clone()).unwrap());
            check_groups(&fewer, &what);
            // A plan as a list is that plan.
            let list = Bind::List(plan.cpus().take(mask.len()).flatten().collect());
            assert_eq!(machine.place(&list, most, &mask).unwrap(), plan, "{what}");
            // Leave some ranks to the scheduler.
            let holes: Placement =
                (0..parties).map(|rank| plan.cpu(rank).copied().filter(|_| random.below(3) > 0)).collect();
            check_groups(&holes, &what);
        }
    }
}

/// Only CPUs of the mask, and none k + 1 times before all k times.
pub(crate) fn check_use(plan: &Placement, mask: &CpuSet, what: &str) {
    let mut used: BTreeMap<usize, usize> = mask.iter().map(|cpu| (cpu, 0)).collect();
    for cpu in plan.cpus().flatten() {
        let least = *used.values().min().unwrap();
        let times = used.get_mut(&cpu).unwrap_or_else(|| panic!("{what}: cpu {cpu} is not in the mask"));
        assert_eq!(*times, least, "{what}: cpu {cpu} again, and others not yet");
        *times += 1;
    }
    assert!(plan.is_complete());
    assert_eq!(plan.most_on_one_cpu(), used.into_values().max().unwrap_or(0), "{what}");
}

/// Cores before siblings; capable cores first; groups in turn.
pub(crate) fn check_order(plan: &Placement, machine: &Topology, mask: &CpuSet, bind: &Bind, what: &str) {
    let all: Vec<Cpu> = machine.cpus().iter().copied().filter(|cpu| mask.contains(cpu.id)).collect();
    let cores: BTreeSet<usize> = all.iter().map(|cpu| cpu.core).collect();
    let first: Vec<Cpu> = (0..cores.len()).map(|rank| *plan.cpu(rank).unwrap()).collect();
    assert_eq!(first.iter().map(|cpu| cpu.core).collect::<BTreeSet<_>>(), cores, "{what}: siblings before cores");
    let level = match bind {
        Bind::PerLlc => Level::Llc,
        Bind::PerNode => Level::Node,
        _ => {
            assert!(first.is_sorted_by_key(|cpu| cpu.kind), "{what}: {plan:?}");
            return;
        }
    };
    let mut left: BTreeMap<usize, Vec<Cpu>> = BTreeMap::new();
    first.iter().for_each(|cpu| left.entry(cpu.group(level)).or_default().push(*cpu));
    assert!(left.values().all(|group| group.is_sorted_by_key(|cpu| cpu.kind)), "{what}: {plan:?}");
    let sizes: Vec<usize> = left.values().map(Vec::len).collect();
    let mut given: BTreeMap<usize, usize> = left.keys().map(|group| (*group, 0)).collect();
    for cpu in first {
        let round = given[&cpu.group(level)];
        let behind = given.values().zip(&sizes).any(|(given, size)| *given < round && given < size);
        assert!(!behind, "{what}: a group has its rank {round} before another has one less");
        *given.get_mut(&cpu.group(level)).unwrap() += 1;
    }
}

/// Every rank in one group of each level, with those it shares the group with and no others; nested levels nest.
pub(crate) fn check_groups(plan: &Placement, what: &str) {
    let ranks = plan.parties();
    for level in LEVELS {
        let groups = plan.groups(level);
        assert!(groups.iter().all(|group| group.is_sorted_by(|a, b| a < b) && !group.is_empty()), "{what}");
        let mut seen: Vec<usize> = groups.concat();
        seen.sort_unstable();
        assert!(seen.into_iter().eq(0..ranks), "{what}: {level:?} {groups:?}");
        let name =
            |rank: usize| if level == Level::Machine { Some(0) } else { plan.cpu(rank).map(|cpu| cpu.group(level)) };
        let names: Vec<BTreeSet<_>> =
            groups.iter().map(|group| group.iter().map(|&rank| name(rank)).collect()).collect();
        assert!(names.iter().all(|names| names.len() == 1), "{what}: {level:?} {groups:?}");
        assert_eq!(names.iter().flatten().collect::<BTreeSet<_>>().len(), groups.len(), "{what}: {level:?}");
        let homeless = names.iter().position(|names| names.contains(&None));
        assert!(homeless.is_none_or(|place| place + 1 == groups.len()), "{what}: {level:?} {groups:?}");
        let places: Vec<_> =
            groups.iter().filter_map(|group| group.iter().filter_map(|&rank| place(plan, rank)).min()).collect();
        assert!(places.is_sorted(), "{what}: {level:?} {groups:?}");
    }
    let nest = plan.nested_groups();
    assert_eq!(nest.last(), Some(&(Level::Machine, plan.groups(Level::Machine))), "{what}");
    for (level, groups) in &nest {
        assert_eq!(*groups, plan.groups(*level), "{what}");
        assert!(
            *level == Level::Machine || (1 < groups.len() && groups.len() < ranks),
            "{what}: {level:?} tells nothing"
        );
    }
    for pair in nest.windows(2) {
        let [(level, inner), (_, outer)] = pair else { unreachable!("windows of two") };
        assert!(inner.len() > outer.len(), "{what}: {level:?}");
        let mut home = vec![0; ranks];
        outer.iter().enumerate().for_each(|(index, group)| group.iter().for_each(|&rank| home[rank] = index));
        let within = |group: &Vec<usize>| group.iter().all(|&rank| home[rank] == home[group[0]]);
        assert!(inner.iter().all(within), "{what}: {level:?} {inner:?} in {outer:?}");
    }
}

fn place(plan: &Placement, rank: usize) -> Option<[usize; 5]> {
    plan.cpu(rank).map(|cpu| [cpu.package, cpu.node, cpu.llc, cpu.core, cpu.id])
}

#[test]
fn groups_that_cross_are_left_out() {
    // One memory for four packages: the node is the machine, and says nothing.
    let old = machine_of("16em64t-4s2c2t");
    let levels = |plan: &Placement| plan.nested_groups().iter().map(|(level, _)| *level).collect::<Vec<_>>();
    let all: CpuSet = "0-15".parse().unwrap();
    let plan = old.place(&Bind::Close, 16, &all).unwrap();
    assert_eq!(levels(&plan), [Level::Core, Level::Llc, Level::Machine]);
    assert_eq!(plan.to_string(), "16 ranks on 16 CPUs: 0-15; 4 LLC groups, 1 node, 4 packages");

    // A cache of two nodes: the node is further in. The package cuts through both and is left out.
    let root = Root::new();
    for cpu in 0..8 {
        let dir = format!("sys/devices/system/cpu/cpu{cpu}");
        root.put(&format!("{dir}/topology/physical_package_id"), if cpu % 2 == 0 { b"0" } else { b"1" });
        root.put(&format!("{dir}/cache/index3/level"), b"3");
        root.put(&format!("{dir}/cache/index3/type"), b"Unified");
        root.put(&format!("{dir}/cache/index3/shared_cpu_list"), if cpu < 4 { b"0-3" } else { b"4-7" });
    }
    for (node, cpus) in ["0-1", "2-3", "4-5", "6-7"].into_iter().enumerate() {
        root.put(&format!("sys/devices/system/node/node{node}/cpulist"), cpus.as_bytes());
    }
    let machine = root.topology();
    let order = Bind::List((0..8).collect());
    let plan = machine.place(&order, 8, &"0-7".parse().unwrap()).unwrap();
    let nest = plan.nested_groups();
    assert_eq!(nest[0], (Level::Node, vec![vec![0, 1], vec![2, 3], vec![4, 5], vec![6, 7]]));
    assert_eq!(nest[1], (Level::Llc, vec![vec![0, 1, 2, 3], vec![4, 5, 6, 7]]));
    assert_eq!(nest[2].0, Level::Machine);
    assert_eq!(nest.len(), 3);

    assert_eq!(Placement::anywhere(3).nested_groups(), [(Level::Machine, vec![vec![0, 1, 2]])]);
    assert_eq!(Placement::anywhere(0).nested_groups(), [(Level::Machine, Vec::<Vec<usize>>::new())]);
    assert_eq!(Placement::anywhere(1).to_string(), "1 rank, bound to no CPU");
    let partly: Placement = [None, machine.cpu(4).copied(), machine.cpu(4).copied()].into_iter().collect();
    assert_eq!(partly.to_string(), "3 ranks, 2 of them on 1 CPU: 4; 1 LLC group, 1 node, 1 package");
    assert_eq!((partly.most_on_one_cpu(), partly.is_complete(), partly.cpu(0), partly.cpu(3)), (2, false, None, None));
    assert_eq!(partly.groups(Level::Cpu), [vec![1, 2], vec![0]]);
}

/// Half of a machine's files missing, cut off, swapped, or full of something else.
fn damage(files: &[(String, Vec<u8>)], random: &mut Random) -> Root {
    const NUMBERS: [&str; 6] =
        ["-1", "0-65535", "65536", "4294967296", "18446744073709551616", "0-9223372036854775807,3"];
    let root = Root::new();
    let severity = 2 + random.below(30);
    for (path, content) in files {
        match random.below(severity) {
            0 => match random.below(5) {
                0 => {}
                1 => root.put(path, &content[..random.below(content.len() + 1)]),
                2 => root.put(path, &files[random.below(files.len())].1),
                3 => root.put(path, NUMBERS[random.below(NUMBERS.len())].as_bytes()),
                _ => {
                    let bytes: Vec<u8> = (0..random.below(40)).map(|_| random.below(256) as u8).collect();
                    root.put(path, &bytes);
                }
            },
            _ => root.put(path, content),
        }
    }
    root
}

#[test]
fn damaged_snapshots_are_no_panic_and_give_a_plan() {
    let mut random = Random(5);
    let snapshots =
        ["8em64t-2s4c-heterogeneous", "16amd64-8n2c-cpusets", "20em64t-hybrid-1p6c2t+2ca4co1t", "nvidiagpunumanodes"];
    for name in snapshots {
        let files = listing(name);
        for round in 0..8 {
            let root = damage(&files, &mut random);
            let allowed = root.allowed();
            let _ = root.quota();
            let Ok(machine) = Topology::from_root(&root.0) else {
                continue;
            };
            check_numbering(&machine);
            let all: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
            let mask = allowed.map(|set| set.intersection(&all)).filter(|set| !set.is_empty()).unwrap_or(all);
            for bind in PLANS {
                let what = format!("{name}, round {round}, {bind}");
                let plan = machine.place(&bind, mask.len() + 2, &mask).unwrap();
                check_use(&plan, &mask, &what);
                check_order(&plan, &machine, &mask, &bind, &what);
                check_groups(&plan, &what);
            }
        }
    }
}
