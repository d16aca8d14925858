//! Plans under proptest: machines, masks and policies are drawn, and what fails is made small. What holds of every plan is
//! in `property.rs`; here also what OpenMP says of `close` and `spread`.

use phalanx::topology::{Bind, CpuSet, Level, Placement, Topology};
use proptest::prelude::*;

use crate::property::{PLANS, check_groups, check_order, check_use};
use crate::support::{Root, check_numbering};

/// A machine on paper: packages, nodes, LLC groups, cores, threads.
fn regular() -> impl Strategy<Value = ([usize; 5], Topology)> {
    [1..4_usize, 1..4, 1..4, 1..5, 1..4].prop_map(|numbers| {
        let [packages, nodes, llcs, cores, threads] = numbers;
        (numbers, Topology::regular(packages, nodes, llcs, cores, threads).unwrap())
    })
}

/// A machine that no vendor builds: groups of any size that need not nest, gaps in the numbers, kinds of cores.
fn odd() -> impl Strategy<Value = Topology> {
    prop::collection::btree_map(0..40_usize, [0..3_usize, 0..4, 0..5, 0..12, 0..3], 1..14).prop_map(|cpus| {
        let root = Root::new();
        let with = |what: usize, group: usize| -> String {
            let members = cpus.iter().filter(|(_, groups)| groups[what] == group);
            members.map(|(id, _)| *id).collect::<CpuSet>().to_string()
        };
        for (id, [package, node, llc, core, kind]) in &cpus {
            let cpu = format!("sys/devices/system/cpu/cpu{id}");
            root.put(&format!("{cpu}/topology/package_cpus_list"), with(0, *package).as_bytes());
            root.put(&format!("{cpu}/topology/core_cpus_list"), with(3, *core).as_bytes());
            root.put(&format!("{cpu}/cache/index3/level"), b"3");
            root.put(&format!("{cpu}/cache/index3/type"), b"Unified");
            root.put(&format!("{cpu}/cache/index3/shared_cpu_list"), with(2, *llc).as_bytes());
            root.put(&format!("{cpu}/cpu_capacity"), (300 * (1 + kind)).to_string().as_bytes());
            root.put(&format!("sys/devices/system/node/node{}/cpulist", 3 * node), with(1, *node).as_bytes());
        }
        root.topology()
    })
}

/// Some of the CPUs, and perhaps some that there are not.
fn mask_of(machine: &Topology, drawn: &[bool]) -> CpuSet {
    let ids = machine.cpus().iter().map(|cpu| cpu.id).chain([777, 1200]);
    ids.zip(drawn.iter().cycle()).filter(|(_, chosen)| **chosen).map(|(id, _)| id).collect()
}

fn check(machine: &Topology, mask: &CpuSet, parties: usize) {
    let here: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).filter(|&id| mask.contains(id)).collect();
    for bind in PLANS {
        let what = format!("{bind} of {mask} on {machine}");
        let Ok(plan) = machine.place(&bind, parties, mask) else {
            assert!(here.is_empty(), "{what}");
            continue;
        };
        assert_eq!(plan.parties(), parties, "{what}");
        check_use(&plan, &here, &what);
        check_groups(&plan, &what);
        let whole = machine.place(&bind, parties.max(here.len()), mask).unwrap();
        check_order(&whole, machine, &here, &bind, &what);
        assert!(plan.cpus().eq(whole.cpus().take(parties)), "{what}: a rank's place depends on how many there are");
        // No CPU twice while there are enough, and no core twice while there are enough of those.
        let cpus: Vec<usize> = plan.cpus().flatten().collect();
        let distinct: CpuSet = cpus.iter().copied().collect();
        assert_eq!(distinct.len(), parties.min(here.len()), "{what}: {cpus:?}");
    }
}

fn core_of(plan: &Placement, rank: usize) -> usize {
    plan.cpu(rank).unwrap().core
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(64) })]

    #[test]
    fn plans_on_drawn_machines(
        machine in odd(),
        drawn in prop::collection::vec(any::<bool>(), 1..20),
        parties in 0..40_usize,
    ) {
        check_numbering(&machine);
        check(&machine, &mask_of(&machine, &drawn), parties);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(256) })]

    #[test]
    fn plans_on_regular_machines(
        (_, machine) in regular(),
        drawn in prop::collection::vec(any::<bool>(), 1..60),
        parties in 0..80_usize,
    ) {
        check(&machine, &mask_of(&machine, &drawn), parties);
    }

    /// OpenMP 5.2, section 10.1.3, with a core for a place and no more threads than places: `close` puts consecutive threads
    /// on consecutive places.
    #[test]
    fn close_is_what_openmp_calls_close((numbers, machine) in regular(), share in 0.0..=1.0_f64) {
        let cores: usize = numbers[..4].iter().product();
        let threads = 1 + (share * (cores - 1) as f64) as usize;
        let all: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let plan = machine.place(&Bind::Close, threads, &all).unwrap();
        prop_assert!((0..threads).all(|rank| core_of(&plan, rank) == rank), "{}", plan);
    }

    /// And `spread` cuts the places into as many stretches as there are threads, alike up to one place, one thread in each.
    /// Ours never moves a rank for a further one, so it is the same where the threads come out even at some level: each
    /// package, node, cache or core has the same number of ranks. In between no group of a level has two ranks more than
    /// another within the same group further out.
    #[test]
    fn spread_is_what_openmp_calls_spread((numbers, machine) in regular(), share in 0.0..=1.0_f64) {
        let cores: usize = numbers[..4].iter().product();
        let all: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        let mut even = 1;
        for number in &numbers[..4] {
            even *= number;
            let plan = machine.place(&Bind::Spread, even, &all).unwrap();
            let mut stretches: Vec<usize> = (0..even).map(|rank| core_of(&plan, rank) / (cores / even)).collect();
            stretches.sort_unstable();
            prop_assert!(stretches.into_iter().eq(0..even), "{} threads: {}", even, plan);
        }
        let threads = 1 + (share * (cores - 1) as f64) as usize;
        let plan = machine.place(&Bind::Spread, threads, &all).unwrap();
        for (outer, inner) in [(Level::Machine, Level::Package), (Level::Package, Level::Node), (Level::Node, Level::Llc), (Level::Llc, Level::Core)] {
            let group = |cpu: &phalanx::topology::Cpu, level: Level| if level == Level::Machine { 0 } else { cpu.group(level) };
            let mut counts = std::collections::BTreeMap::new();
            machine.cpus().iter().for_each(|cpu| {
                counts.insert((group(cpu, outer), group(cpu, inner)), 0_usize);
            });
            for rank in 0..threads {
                let cpu = plan.cpu(rank).unwrap();
                *counts.get_mut(&(group(cpu, outer), group(cpu, inner))).unwrap() += 1;
            }
            for ((one, _), count) in &counts {
                let others = counts.iter().filter(|((other, _), _)| other == one);
                prop_assert!(others.map(|(_, other)| other.abs_diff(*count)).max() <= Some(1), "{:?} {}", inner, plan);
            }
        }
    }
}
