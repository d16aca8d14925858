//! Against what others have published: a table of another implementation of the same rules, and measurements.

use super::shapes::*;
use super::*;

/// Classes of a machine without SMT.
fn classes(llc: f64, package: f64, machine: f64) -> Classes {
    Classes { smt: llc, llc, package, machine }
}

/// A machine of the table: its name, its CPUs, its classes, cores of a cache, caches of a package.
type Row = (&'static str, Vec<Cpu>, Classes, usize, usize);

fn machines() -> Vec<Row> {
    let row = |name, packages, llcs, cores, classes| (name, machine(packages, llcs, cores, 1), classes, cores, llcs);
    vec![
        row("2 threads of a CCX", 1, 1, 2, classes(25.0, 25.0, 25.0)),
        row("8 threads of a CCX", 1, 1, 8, classes(25.0, 25.0, 25.0)),
        row("16 threads, 7950X", 1, 2, 8, classes(16.0, 73.0, 73.0)),
        row("32 threads, Xeon 8358", 1, 1, 32, classes(51.0, 51.0, 51.0)),
        row("64 threads, Graviton3", 1, 1, 64, classes(46.0, 46.0, 46.0)),
        row("64 threads, EPYC 7763", 1, 8, 8, classes(25.0, 124.0, 304.0)),
        row("64 threads, 2 x Xeon 8358", 2, 1, 32, classes(51.0, 51.0, 111.0)),
        row("96 threads, EPYC 9654", 1, 12, 8, classes(27.0, 99.0, 192.0)),
        row("128 threads, 2 x EPYC 7763", 2, 8, 8, classes(25.0, 124.0, 304.0)),
        row("192 threads, 2 x EPYC 9654", 2, 12, 8, classes(27.0, 99.0, 192.0)),
        row("128 threads, 2 x EPYC 7742", 2, 16, 4, classes(25.0, 132.0, 267.0)),
        row("64 threads, Kunpeng 920", 2, 8, 4, classes(34.0, 36.0, 81.0)),
    ]
}

/// One of the barriers, for so many parties, cores of a cache, and caches of a package.
type Shape = fn(usize, usize, usize) -> Graph;

/// The columns, and by how much a cell may be off, in per cent (together, straggler). See the test below.
const COLUMNS: [(&str, Shape, [f64; 2]); 10] = [
    ("central", |n, _, _| central(n, false), [1.0, 1.0]),
    ("central, one line", |n, _, _| central(n, true), [1.0, 1.0]),
    ("flat flags, go", |n, _, _| flat(n), [1.0, 1.0]),
    ("MCS", |n, _, _| mcs(n), [2.0, 1.0]),
    ("4-ary, flag", |n, _, _| tree_and_flag(n), [1.0, 1.0]),
    ("hyper", |n, _, _| hyper(n), [4.0, 3.0]),
    ("dissemination", |n, _, _| dissemination(n, 1), [2.0, 11.0]),
    ("dissemination w=3", |n, _, _| dissemination(n, 3), [5.0, 8.0]),
    ("hierarchical", hierarchical, [1.0, 1.0]),
    ("leaders w=3", |n, size, _| leaders_disseminate(n, size, 3), [3.0, 3.0]),
];

/// together and straggler (the last rank is late), ns.
const PUBLISHED: [[(u32, u32); 10]; 12] = [
    [(56, 56), (58, 58), (56, 56), (56, 56), (56, 56), (56, 56), (28, 28), (28, 28), (56, 56), (56, 56)],
    [(224, 71), (294, 88), (78, 71), (140, 140), (102, 99), (126, 126), (84, 84), (70, 70), (78, 71), (78, 71)],
    [
        (361, 157),
        (575, 173),
        (240, 214),
        (246, 238),
        (241, 233),
        (224, 224),
        (183, 190),
        (209, 234),
        (204, 200),
        (128, 124),
    ],
    [
        (1728, 261),
        (3080, 312),
        (338, 261),
        (440, 435),
        (374, 369),
        (381, 381),
        (270, 270),
        (219, 219),
        (338, 261),
        (338, 261),
    ],
    [
        (3136, 383),
        (5827, 429),
        (526, 383),
        (459, 456),
        (486, 481),
        (371, 371),
        (294, 294),
        (224, 224),
        (526, 383),
        (526, 383),
    ],
    [
        (2485, 854),
        (4621, 880),
        (1295, 954),
        (861, 837),
        (1121, 1108),
        (689, 689),
        (552, 564),
        (548, 589),
        (444, 399),
        (402, 394),
    ],
    [
        (3516, 670),
        (6560, 721),
        (902, 730),
        (651, 640),
        (849, 838),
        (546, 546),
        (444, 444),
        (434, 440),
        (451, 375),
        (451, 375),
    ],
    [
        (3672, 1012),
        (6893, 1039),
        (1515, 1084),
        (854, 850),
        (1256, 1246),
        (722, 722),
        (561, 570),
        (544, 574),
        (437, 379),
        (371, 363),
    ],
    [
        (5249, 2962),
        (9957, 2987),
        (4213, 3241),
        (1472, 1437),
        (3455, 3424),
        (1303, 1303),
        (1039, 1051),
        (1136, 1210),
        (751, 706),
        (953, 1025),
    ],
    [
        (7509, 2939),
        (14279, 2966),
        (4280, 3104),
        (1288, 1264),
        (3357, 3338),
        (1019, 992),
        (858, 951),
        (836, 869),
        (632, 574),
        (806, 876),
    ],
    [
        (7067, 2780),
        (13480, 2805),
        (4009, 3022),
        (1669, 1636),
        (3346, 3320),
        (1298, 1298),
        (1081, 1108),
        (1067, 1120),
        (881, 786),
        (961, 966),
    ],
    [
        (2443, 483),
        (4505, 517),
        (656, 530),
        (468, 460),
        (614, 606),
        (392, 392),
        (322, 322),
        (317, 322),
        (279, 264),
        (323, 340),
    ],
];

/// A table of 120 cells by another program with the same rules and constants.
///
/// The classes are read off a table with rounded numbers, so 1 % is exact. Where it is more:
///
/// - MCS, dissemination, leaders: there a store keeps only the next store of the same burst waiting; here a store buffer
///   drains while its owner waits, and each store takes its own time to leave it. So a straggler that finds all flags
///   set, and runs through its rounds storing, pays for each (dissemination: up to 11 % more).
/// - hyper: which child is released first in a level is not in its description.
#[test]
fn the_published_table_is_met() {
    let mut scratch = Scratch::default();
    for ((name, cpus, classes, size, package), published) in machines().into_iter().zip(PUBLISHED) {
        if cfg!(miri) && cpus.len() > 8 {
            continue; // plain arithmetic, and minutes of it
        }
        let hops = Hops::from_cpus(&cpus, &classes);
        for ((column, shape, within), (together, straggler)) in COLUMNS.into_iter().zip(published) {
            let graph = shape(cpus.len(), size, package);
            let mut run = Run::new(&graph, &hops, &TABLE, &mut scratch).unwrap();
            let here = run.together(16);
            let here = [here, run.straggler(cpus.len() - 1, here)];
            for ((here, there), within) in here.into_iter().zip([together, straggler]).zip(within) {
                let off = (here / f64::from(there) - 1.0) * 100.0;
                println!("{name:28} {column:18} {there:6} {here:8.1} {off:+5.1} %");
                assert!(off.abs() <= within, "{name}, {column}: {here:.1} ns, published {there}, {off:+.1} %");
            }
        }
    }
}

/// What two ranks of a machine with two packages cost each other on average, when they come in random order.
fn random_order(parties: usize, near: f64, far: f64) -> Hops {
    let (same, other) = ((parties / 2 - 1) as f64, (parties / 2) as f64);
    Hops::uniform(parties, (same * near + other * far) / (same + other))
}

/// `hurdles` 1.0 on 2 x Xeon E5-2660 v3, from its README: counter and flag share a line. The transfers are guesses for
/// that machine (the reference's; a measured E5-2697 v3 has 30 to 47 ns within a package). alpha and rmw of the default
/// constants were read off these same numbers: what is tested is that one factor serves for 4, 8 and 16 threads.
#[test]
fn hurdles_as_published() {
    let mut scratch = Scratch::default();
    for (parties, measured) in [(4, 689.0), (8, 1380.0), (16, 2970.0)] {
        let graph = central(parties, true);
        let hops = random_order(parties, 50.0, 120.0);
        let mut predict = |constants| evaluate(&graph, &hops, constants, Effort::Full, &mut scratch).unwrap().together;
        let (bare, ours) = (predict(&TABLE), predict(&Constants::default()));
        println!(
            "{parties} threads: measured {measured} ns, alpha 1 {bare:.0}, default {ours:.0} ({:.2})",
            ours / measured
        );
        assert!((0.8..1.25).contains(&(ours / measured)), "{parties} threads: {ours:.0} ns, measured {measured}");
    }
}

/// GNU OpenMP's barrier (counter and generation on different lines) with 20 threads on 2 x 10 IvyBridge cores: 4172
/// cycles at 2.5 GHz, from the measurements of Smelt. The transfers are medians measured on 2 x Xeon E5-2620 v2, of the
/// same family with 6 cores: 50 and 138 ns. In which order the threads came is not known: from one package after the
/// other to random.
#[test]
fn gnu_openmp_as_published() {
    let measured = 4172.0 / 2.5;
    let mut scratch = Scratch::default();
    let graph = central(20, false);
    let ordered = Hops::from_cpus(&machine(2, 1, 10, 1), &classes(50.0, 50.0, 138.0));
    let random = random_order(20, 50.0, 138.0);
    for (constants, name) in [(&TABLE, "alpha 1"), (&Constants::default(), "default")] {
        let mut predict = |hops| evaluate(&graph, hops, constants, Effort::Full, &mut scratch).unwrap().together;
        let (least, most) = (predict(&ordered), predict(&random));
        println!("20 threads, {name}: measured {measured:.0} ns, predicted {least:.0} to {most:.0}");
        assert!(least <= measured && measured <= most, "{name}: {least:.0} to {most:.0} ns, measured {measured:.0}");
    }
}
