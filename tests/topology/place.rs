//! Binding policies, and the plans that come of them.

use std::collections::BTreeSet;

use phalanx::MAX_PARTIES;
use phalanx::topology::{Bind, Cpu, CpuSet, ParseBindError, PlaceError, Placement, Topology};

use crate::support::{CHILD, Random, SNAPSHOTS, child, machine_of};

#[test]
fn bind_words_and_lists() {
    let good = [
        ("none", Bind::None, "none"),
        (" Close\n", Bind::Close, "close"),
        ("SPREAD", Bind::Spread, "spread"),
        ("per-LLC", Bind::PerLlc, "per-llc"),
        ("per-node", Bind::PerNode, "per-node"),
        ("8,0-3", Bind::List(vec![8, 0, 1, 2, 3]), "8,0-3"),
        ("3,2,1", Bind::List(vec![3, 2, 1]), "3,2,1"),
        ("0-1,2", Bind::List(vec![0, 1, 2]), "0-2"),
    ];
    for (text, bind, printed) in good {
        assert_eq!(text.parse(), Ok(bind.clone()), "{text:?}");
        assert_eq!(bind.to_string(), printed);
        assert_eq!(printed.parse(), Ok(bind));
    }
    let message = |text: &str| text.parse::<Bind>().unwrap_err().to_string();
    assert_eq!(" ".parse::<Bind>(), Err(ParseBindError::Empty));
    assert_eq!(message("0-3,2"), "bad CPU list: `2` at column 5 names a CPU a second time");
    assert_eq!(message(" 0,99999"), "bad CPU list: `99999` at column 4 is beyond the largest CPU number, 65535");
    assert!(
        message("master")
            .starts_with("`master` is neither `none`, `close`, `spread`, `per-llc`, `per-node` nor a CPU list")
    );
    assert_eq!(Bind::default(), Bind::None);
}

#[test]
fn child_reads_bind() {
    if std::env::var_os(CHILD).is_some() {
        println!("bind is {} and {}", Bind::from_env(), Bind::from_env());
    }
}

// Starts processes, which Miri cannot.
#[cfg(not(miri))]
#[test]
fn bind_from_the_environment() {
    let cases = [
        (None, "none", false),
        (Some(""), "none", false),
        (Some("spread"), "spread", false),
        (Some("4,0-1"), "4,0-1", false),
        (Some("0,0"), "none", true),
        (Some("clsoe"), "none", true),
    ];
    for (value, bind, complains) in cases {
        let mut command = child("place::child_reads_bind");
        match value {
            Some(value) => command.env("PHALANX_BIND", value),
            None => command.env_remove("PHALANX_BIND"),
        };
        let output = command.output().unwrap();
        let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        assert!(out.contains(&format!("bind is {bind} and {bind}")), "{value:?}: {out}");
        assert_eq!(err.matches("PHALANX_BIND").count(), usize::from(complains), "{value:?}: {err}");
        if complains {
            assert!(err.contains(value.unwrap_or_default()), "{value:?}: {err}");
        }
    }
}

fn cpus(plan: Placement) -> Vec<usize> {
    plan.cpus().map(|cpu| cpu.unwrap()).collect()
}

fn all(machine: &Topology) -> CpuSet {
    machine.cpus().iter().map(|cpu| cpu.id).collect()
}

// Not under Miri: it reads snapshots of machines, which are files.
#[cfg(not(miri))]
#[test]
fn places_by_hand() {
    // Four packages of two cores of two threads; the package of cpu n is n % 4.
    let machine = machine_of("16em64t-4s2c2t");
    let mask = all(&machine);
    let place = |bind: &Bind, parties, mask: &CpuSet| cpus(machine.place(bind, parties, mask).unwrap());
    assert_eq!(
        place(&Bind::Close, 18, &mask),
        [0, 4, 1, 5, 2, 6, 3, 7, 8, 12, 9, 13, 10, 14, 11, 15, 0, 4],
        "cores of a package, packages in turn, then the siblings, then from the beginning",
    );
    assert_eq!(place(&Bind::Spread, 18, &mask), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 0, 1],);
    // The mask has the second threads of package 0, and all of package 1.
    let part: CpuSet = "8,12,1,5,9,13".parse().unwrap();
    assert_eq!(place(&Bind::Close, 6, &part), [8, 12, 1, 5, 9, 13]);
    assert_eq!(place(&Bind::Spread, 6, &part), [8, 1, 12, 5, 9, 13]);
    assert_eq!(place(&Bind::List(vec![13, 8]), 3, &part), [13, 8, 13]);

    // Two nodes, two LLC groups per package: packages first, then nodes, then cores.
    let machine = machine_of("64amd64-4s2n4ca2co");
    let plan = cpus(machine.place(&Bind::Spread, 12, &all(&machine)).unwrap());
    assert_eq!(plan, [0, 16, 32, 48, 8, 24, 40, 56, 1, 17, 33, 49]);

    let plan = cpus(machine.place(&Bind::PerLlc, 12, &all(&machine)).unwrap());
    assert_eq!(plan, [0, 8, 16, 24, 32, 40, 48, 56, 1, 9, 17, 25], "caches in the order of the machine");
    assert_eq!(plan, cpus(machine.place(&Bind::PerNode, 12, &all(&machine)).unwrap()));

    // Performance cores have siblings, efficiency cores have none: no sibling before every core is taken.
    let machine = machine_of("20em64t-hybrid-1p6c2t+2ca4co1t");
    let plan = cpus(machine.place(&Bind::Spread, 20, &all(&machine)).unwrap());
    assert_eq!(plan, [0, 2, 4, 6, 8, 10, 12, 13, 14, 15, 16, 17, 18, 19, 1, 3, 5, 7, 9, 11]);
}

#[test]
fn places_that_cannot_be() {
    let machine = Topology::flat(&"0-3".parse().unwrap());
    let mask: CpuSet = "0-1".parse().unwrap();
    // Even a CPU that no rank would come to: the list is wrong, and with one party more it would show.
    let error = machine.place(&Bind::List(vec![0, 3]), 1, &mask).unwrap_err();
    assert_eq!(error, PlaceError::NotAllowed { cpu: 3, mask: mask.clone() });
    assert_eq!(error.to_string(), "cpu 3 is not in the mask 0-1");
    let wider: CpuSet = "0-7".parse().unwrap();
    let error = machine.place(&Bind::List(vec![0, 5]), 1, &wider).unwrap_err();
    assert_eq!(error, PlaceError::Unknown { cpu: 5 });
    assert_eq!(error.to_string(), "cpu 5 is not in the topology: it is offline, or there is no such CPU");
    for parties in [MAX_PARTIES + 1, usize::MAX] {
        let error = machine.place(&Bind::None, parties, &mask).unwrap_err();
        assert_eq!(error.to_string(), format!("at most 65536 parties can be placed, not {parties}"));
    }
    let elsewhere: CpuSet = "8-9".parse().unwrap();
    for bind in [Bind::Close, Bind::Spread, Bind::PerLlc, Bind::PerNode, Bind::List(Vec::new())] {
        let error = machine.place(&bind, 2, &elsewhere).unwrap_err();
        assert_eq!(error.to_string(), "there is no CPU to place a rank on in the mask 8-9");
        let error = machine.place(&bind, 2, &CpuSet::new()).unwrap_err();
        assert_eq!(error.to_string(), "the mask is empty: there is no CPU to place a rank on");
    }
    assert_eq!(machine.place(&Bind::None, 2, &CpuSet::new()), Ok(Placement::anywhere(2)));
    assert_eq!(machine.place(&Bind::Close, 0, &mask), Ok(Placement::anywhere(0)));
}

/// What holds of every plan, over real machines and random masks.
// Writes trees of files, which Miri is kept from.
#[cfg(not(miri))]
#[test]
fn places_in_general() {
    let mut random = Random(3);
    for name in SNAPSHOTS {
        let machine = machine_of(name);
        for round in 0..12 {
            let mask: CpuSet = match round {
                0 => all(&machine),
                _ => all(&machine).iter().filter(|_| random.below(12) < round).collect(),
            };
            if mask.is_empty() {
                continue;
            }
            for bind in [Bind::Close, Bind::Spread, Bind::PerLlc, Bind::PerNode] {
                let plan = cpus(machine.place(&bind, 2 * mask.len() + 1, &mask).unwrap());
                check_plan(&machine, &mask, &bind, &plan);
                let parties = random.below(plan.len() + 1);
                let prefix = cpus(machine.place(&bind, parties, &mask).unwrap());
                assert_eq!(prefix, plan[..parties], "{name} {bind} {mask}: more parties move no rank");
            }
        }
    }
}

fn check_plan(machine: &Topology, mask: &CpuSet, bind: &Bind, plan: &[usize]) {
    let (first, again) = plan.split_at(mask.len());
    assert_eq!(first.iter().copied().collect::<CpuSet>(), *mask, "{bind}: every CPU once");
    assert_eq!(again[..mask.len()], *first, "{bind}: then from the beginning");

    let cpu = |id: &usize| machine.cpu(*id).unwrap();
    let cores: BTreeSet<usize> = mask.iter().map(|id| cpu(&id).core).collect();
    let one_each = &first[..cores.len()];
    let taken: BTreeSet<usize> = one_each.iter().map(|id| cpu(id).core).collect();
    assert_eq!(taken, cores, "{bind}: every core before any sibling");

    let levels: [fn(&Cpu) -> usize; 3] = [|cpu| cpu.package, |cpu| cpu.node, |cpu| cpu.llc];
    for level in levels {
        let visited: Vec<usize> = one_each.iter().map(|id| level(cpu(id))).collect();
        let groups: BTreeSet<usize> = visited.iter().copied().collect();
        // On all these machines a node spans one package, or all of them; then only packages are in order.
        let crossing = machine.nodes() < machine.packages();
        match bind {
            Bind::Close if !crossing => {
                let changes = visited.windows(2).filter(|pair| pair[0] != pair[1]).count();
                assert_eq!(changes + 1, groups.len(), "close: a group is left only when it is full: {visited:?}");
            }
            Bind::Spread => {
                let early: BTreeSet<usize> = visited[..groups.len()].iter().copied().collect();
                let packages: BTreeSet<usize> = one_each.iter().map(|id| cpu(id).package).collect();
                // Random masks leave packages with unequal numbers of groups; the outermost level is always met first.
                if groups.len() == packages.len() {
                    assert_eq!(early, groups, "spread: every group before any again: {visited:?}");
                }
            }
            _ => {}
        }
    }
}
