//! Latency tables: six measured ones, every kind of bad one, and mutilated ones.
#![cfg_attr(miri, allow(dead_code, unused_imports))] // Miri runs a part

use std::fs;
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};

use phalanx::model::{Classes, Hops, HopsError, LatencyFault, LatencyMatrix};
use phalanx::topology::Topology;
use proptest::prelude::*;

fn file(name: &str) -> String {
    if cfg!(miri) {
        return include_str!("data/latency/intel-i9-12900k.csv").to_owned();
    }
    let path = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/data/latency").join(name);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn matrix(name: &str) -> LatencyMatrix {
    file(name).parse().unwrap_or_else(|error| panic!("{name}: {error}"))
}

/// Core, LLC and package of each row, as `tests/data/latency/README.md` says.
type Rows = fn(usize) -> (usize, usize, usize);

const MACHINES: [(&str, usize, Rows, [f64; 4], &str); 6] = [
    (
        "2x-amd-epyc-7302.csv",
        64,
        |row| (row % 32, row % 32 / 2, row % 32 / 16),
        [8.4, 25.4, 209.7, 230.3],
        "64 CPUs, 2016 pairs: 8.4 to 249.2 ns, median 227.3 ns",
    ),
    (
        "2x-amd-epyc-7763.csv",
        256,
        |row| (row % 128, row % 128 / 8, row % 128 / 64),
        [10.2, 25.0, 124.2, 303.6],
        "256 CPUs, 32640 pairs: 10.2 to 337.3 ns, median 289.5 ns",
    ),
    (
        "2x-intel-xeon-8358.csv",
        64,
        |row| (row, row / 32, row / 32),
        [51.1, 51.1, 51.1, 110.9],
        "64 CPUs, 2016 pairs: 41.0 to 124.8 ns, median 99.1 ns",
    ),
    (
        "amd-ryzen-7950x.csv",
        32,
        |row| (row / 2, row / 16, 0),
        [5.3, 15.7, 72.7, 72.7],
        "32 CPUs, 496 pairs: 5.0 to 73.0 ns, median 67.7 ns",
    ),
    (
        "aws-graviton3.csv",
        64,
        |row| (row, 0, 0),
        [46.4, 46.4, 46.4, 46.4],
        "64 CPUs, 2016 pairs: 29.6 to 56.8 ns, median 46.4 ns",
    ),
    (
        "intel-i9-12900k.csv",
        24,
        |row| (if row < 16 { row / 2 } else { row - 8 }, 0, 0),
        [4.3, 37.2, 37.2, 37.2],
        "24 CPUs, 276 pairs: 4.3 to 50.7 ns, median 37.1 ns",
    ),
];

// Reads files, which Miri is kept from; safe code of one thread.
#[cfg(not(miri))]
#[test]
fn measured_tables_are_read() {
    for (name, size, _, _, summary) in MACHINES {
        let matrix = matrix(name);
        assert_eq!(matrix.size(), size, "{name}");
        assert_eq!(matrix.to_string(), summary, "{name}");
        for i in 0..size {
            assert_eq!(matrix.get(i, i), None, "{name}: {i}");
            for j in 0..i {
                assert!(matrix.get(i, j).is_some(), "{name}: {i}, {j}");
                assert_eq!(matrix.get(i, j), matrix.get(j, i), "{name}: {i}, {j}");
            }
        }
        assert_eq!(matrix.get(0, size), None);
    }
    assert_eq!(matrix("2x-amd-epyc-7302.csv").get(1, 0), Some(f64::from(25.130_718_f32)));
}

/// A topology with these rows, by way of the files in which Linux would show it.
#[cfg(not(miri))]
fn topology(size: usize, rows: Rows) -> Topology {
    static NEXT: AtomicUsize = AtomicUsize::new(0);
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    let root = std::env::temp_dir().join(format!("phalanx-latency-{}-{number}", std::process::id()));
    for cpu in 0..size {
        let (core, llc, package) = rows(cpu);
        let same = |of: fn((usize, usize, usize)) -> usize, value| {
            let same: Vec<String> =
                (0..size).filter(|&other| of(rows(other)) == value).map(|cpu| cpu.to_string()).collect();
            same.join(",")
        };
        let dir = root.join(format!("sys/devices/system/cpu/cpu{cpu}"));
        for (file, text) in [
            ("topology/core_cpus_list", same(|row| row.0, core)),
            ("topology/physical_package_id", package.to_string()),
            ("cache/index3/level", "3".to_owned()),
            ("cache/index3/type", "Unified".to_owned()),
            ("cache/index3/shared_cpu_list", same(|row| row.1, llc)),
        ] {
            let path = dir.join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
    }
    let topology = Topology::from_root(&root);
    fs::remove_dir_all(&root).unwrap();
    topology.unwrap()
}

// Writes a tree of files.
#[cfg(not(miri))]
#[test]
fn classes_are_medians_of_what_was_measured() {
    for (name, size, rows, medians, _) in MACHINES {
        let machine = topology(size, rows);
        let Classes { smt, llc, package, machine } = Classes::from_matrix(&matrix(name), &machine).unwrap();
        for (here, expected) in [smt, llc, package, machine].into_iter().zip(medians) {
            assert!((here - expected).abs() < 0.06, "{name}: {here} and {expected} ns");
        }
    }
}

/// The constants were written down from the same measurements, rounded.
#[test]
fn named_machines_are_what_was_measured() {
    let near = |name: &str, constant: f64, measured: f64| {
        assert!((constant - measured).abs() <= 0.75, "{name}: {constant} ns, measured {measured}");
    };
    for (name, classes) in [
        ("2x-amd-epyc-7763.csv", Classes::EPYC_7763),
        ("amd-ryzen-7950x.csv", Classes::RYZEN_7950X),
        ("2x-intel-xeon-8358.csv", Classes { smt: 51.0, ..Classes::XEON_8358 }),
        ("aws-graviton3.csv", Classes::GRAVITON3),
    ] {
        let (_, _, _, [smt, llc, package, machine], _) = MACHINES.into_iter().find(|row| row.0 == name).unwrap();
        near(name, classes.smt, smt);
        near(name, classes.llc, llc);
        near(name, classes.package, package);
        near(name, classes.machine, machine);
    }
}

// Writes a tree of files.
#[cfg(not(miri))]
#[test]
fn hops_by_measurement_and_by_class() {
    let (name, size, rows, _, _) = MACHINES[0];
    let (matrix, machine) = (matrix(name), topology(size, rows));
    let classes = Classes::from_matrix(&matrix, &machine).unwrap();
    let ranks = [0, 32, 1, 2, 16];
    let by_cell = Hops::from_matrix(&matrix, &ranks).unwrap();
    let cpus: Vec<_> = ranks.iter().map(|&id| *machine.cpu(id).unwrap()).collect();
    let by_class = Hops::from_cpus(&cpus, &classes);
    assert_eq!((by_cell.parties(), by_class.parties()), (5, 5));
    for (to, class) in [(1, classes.smt), (2, classes.llc), (3, classes.package), (4, classes.machine)] {
        assert_eq!(by_class.transfer(0, to), class);
        assert_eq!(by_class.transfer(to, 0), class);
        assert_eq!(Some(by_cell.transfer(0, to)), matrix.get(ranks[0], ranks[to]));
    }
    assert_eq!((by_class.transfer(3, 3), by_cell.transfer(3, 3)), (0.0, 0.0));
    assert_eq!(Hops::uniform(3, 40.0).transfer(0, 2), 40.0);
}

#[test]
fn hops_that_were_not_measured() {
    let matrix: LatencyMatrix = ",,\n20,,\n,30,\n".parse().unwrap();
    assert!(Hops::from_matrix(&matrix, &[0, 1]).is_ok());
    let error = Hops::from_matrix(&matrix, &[0, 7]).unwrap_err();
    assert_eq!(error, HopsError::NoRow { cpu: 7, rows: 3 });
    assert_eq!(error.to_string(), "cpu 7 has no row in the latency matrix, whose last one is 2");
    let error = Hops::from_matrix(&matrix, &[2, 1, 0]).unwrap_err();
    assert_eq!(error, HopsError::NoCell { from: 2, to: 0 });
    assert_eq!(error.to_string(), "the latency matrix has no value for cpus 2 and 0");
}

#[test]
fn all_ways_of_writing_the_same_table() {
    let expected: LatencyMatrix = ",,\n25.5,,\n110,112.5,\n".parse().unwrap();
    for text in [
        ",,\r\n25.5,,\r\n110,112.5,\r\n",
        "\n25.5\n110,112.5",
        "\n25.5,\n110,112.5,\n\n\n",
        ",,,\n2.55e1,,,\n1.1E2,112.5,,\n",
        "\u{feff} , , \n +25.50 ,\t, \n110.0 , 112.5 , \n",
    ] {
        assert_eq!(text.parse(), Ok(expected.clone()), "{text:?}");
    }
    let full: LatencyMatrix = "0,25\n26,0\n".parse().unwrap();
    assert_eq!((full.get(0, 1), full.get(1, 0), full.get(0, 0)), (Some(25.0), Some(26.0), Some(0.0)));
    assert_eq!("7".parse::<LatencyMatrix>().unwrap().to_string(), "1 CPU, 0 pairs");
    assert_eq!(",\n7,".parse::<LatencyMatrix>().unwrap().to_string(), "2 CPUs, 1 pair: 7.0 to 7.0 ns, median 7.0 ns");
}

#[test]
fn bad_tables_are_refused_with_a_reason() {
    let long = "x".repeat(100);
    let many = ",\n".repeat(LatencyMatrix::MAX_ROWS + 1);
    let cases = [
        ("", 1, 1, LatencyFault::Empty, "a latency table needs at least one row"),
        (" \r\n \n", 1, 1, LatencyFault::Empty, "a latency table needs at least one row"),
        ("cpu0,cpu1\n,\n1,\n", 1, 1, LatencyFault::NotANumber, "line 1, column 1: `cpu0` is not a number"),
        (",\n1;5,\n", 2, 1, LatencyFault::NotANumber, "line 2, column 1: `1;5` is not a number"),
        (&long, 1, 1, LatencyFault::NotANumber, "line 1, column 1: `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx` is not a number"),
        (",\nnan,\n", 2, 1, LatencyFault::NotFinite, "line 2, column 1: `nan` is not a finite number"),
        (",1e999\n,\n", 1, 2, LatencyFault::NotFinite, "line 1, column 2: `1e999` is not a finite number"),
        (",\n-0.5,\n", 2, 1, LatencyFault::Negative, "line 2, column 1: `-0.5` is below 0 ns"),
        (",\n1000001,\n", 2, 1, LatencyFault::TooLarge, "line 2, column 1: `1000001` is above 1000000 ns"),
        (
            ",\n1,2,3\n",
            2,
            3,
            LatencyFault::TooLong { rows: 2 },
            "line 2, column 3: `3` is one value too many in a table of 2 rows",
        ),
        (
            "0,1,2\n1,0\n2,1,0\n,,\n",
            1,
            3,
            LatencyFault::TooShort { rows: 4 },
            "line 1 ends after 3 cells, beyond the diagonal but short of its 4",
        ),
        (&many, 4097, 1, LatencyFault::TooManyRows, "line 4097: a latency table has at most 4096 rows"),
    ];
    for (text, line, column, fault, message) in cases {
        let error = text.parse::<LatencyMatrix>().unwrap_err();
        assert_eq!((error.line(), error.column(), error.fault()), (line, column, fault), "{error}");
        assert_eq!(error.to_string(), message);
        assert!(error.value().chars().count() <= 32);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Cut, overwrite and double parts of a good file: either a table of the size of its lines, or an error that names a
    /// line of the text.
    #[test]
    fn mutilated_tables_never_panic(
        at in 0.0..1.0_f64,
        cut in 0..200_usize,
        with in "[-+0-9eE.,;\r\n a\u{0}é]{0,12}",
        twice in any::<bool>(),
    ) {
        let text = file("intel-i9-12900k.csv");
        let from = (at * text.len() as f64) as usize;
        let to = (from + cut).min(text.len());
        let tail = if twice { &text[from..] } else { &text[to..] };
        let text = format!("{}{with}{tail}", &text[..from]);
        match text.parse::<LatencyMatrix>() {
            Ok(matrix) => {
                prop_assert_eq!(matrix.size(), text.trim_end().lines().count());
                for i in 0..matrix.size() {
                    for j in 0..matrix.size() {
                        let nanos = matrix.get(i, j).unwrap_or(0.0);
                        prop_assert!((0.0..=LatencyMatrix::MAX_NANOS).contains(&nanos));
                    }
                }
            }
            Err(error) => {
                prop_assert!((1..=text.lines().count().max(1)).contains(&error.line()), "{error}");
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn any_text_is_a_table_or_an_error(text in "\\PC{0,80}|[0-9,.\n]{0,80}") {
        if let Err(error) = text.parse::<LatencyMatrix>() {
            prop_assert!(!error.to_string().is_empty());
        }
    }
}
