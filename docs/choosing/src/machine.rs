//! The machines: six with a table of measured latencies, three by class.

use phalanx::model::{Classes, Hops, LatencyMatrix};
use phalanx::topology::{Bind, CpuSet, Placement, Topology};
use std::fs;
use std::path::Path;

/// What the program can end with.
pub type Fallible<T> = Result<T, Box<dyn std::error::Error>>;

/// A machine on paper.
pub struct Machine {
    pub name: &'static str,
    /// Its plot's file name, without ending.
    pub file: &'static str,
    /// What it is made of, in words.
    pub what: &'static str,
    /// Whether there is a table of it.
    pub is_measured: bool,
    topology: Topology,
    mask: CpuSet,
    source: Source,
}

enum Source {
    /// A table whose rows are the CPUs.
    Table(LatencyMatrix),
    Classes(Classes),
}

impl Machine {
    /// The first threads of all cores come before any second one.
    pub fn cores(&self) -> usize {
        self.mask.iter().filter(|&cpu| self.topology.cpu(cpu).is_some_and(|cpu| cpu.smt == 0)).count()
    }

    pub fn shape(&self) -> &Topology {
        &self.topology
    }

    pub fn cpus(&self) -> usize {
        self.mask.len()
    }

    pub fn place(&self, bind: &Bind, parties: usize) -> Fallible<Placement> {
        Ok(self.topology.place(bind, parties, &self.mask)?)
    }

    /// What a hop costs between the ranks of a placement.
    pub fn hops(&self, placement: &Placement) -> Fallible<Hops> {
        Ok(match &self.source {
            Source::Table(matrix) => Hops::from_matrix(matrix, &placement.cpus().flatten().collect::<Vec<_>>())?,
            Source::Classes(classes) => by_class(placement, classes),
        })
    }

    /// What `Auto` takes a hop for if nobody tells it.
    pub fn guess(&self, placement: &Placement) -> Hops {
        by_class(placement, &Classes::default())
    }

    /// The medians of the table, or the classes themselves.
    pub fn classes(&self) -> Option<Classes> {
        match &self.source {
            Source::Table(matrix) => Classes::from_matrix(matrix, &self.topology),
            Source::Classes(classes) => Some(*classes),
        }
    }
}

/// The table with row and column `row(n)` in place n.
fn reorder(matrix: &LatencyMatrix, row: fn(usize) -> usize) -> Fallible<LatencyMatrix> {
    let cell = |i: usize, j: usize| matrix.get(row(i), row(j)).map(|nanos| nanos.to_string()).unwrap_or_default();
    let line = |i: usize| (0..matrix.size()).map(|j| cell(i, j)).collect::<Vec<_>>().join(",");
    Ok((0..matrix.size()).map(line).collect::<Vec<_>>().join("\n").parse()?)
}

fn by_class(placement: &Placement, classes: &Classes) -> Hops {
    let cpus: Vec<_> = (0..placement.parties()).filter_map(|rank| placement.cpu(rank).copied()).collect();
    Hops::from_cpus(&cpus, classes)
}

/// Packages, caches of a package, cores of a cache, threads of a core.
type Shape = [usize; 4];

fn regular([packages, llcs, cores, threads]: Shape) -> Fallible<Topology> {
    Ok(Topology::regular(packages, 1, llcs, cores, threads)?)
}

fn same(cpu: usize) -> usize {
    cpu
}

/// All of them; the tables are read below `root`. Which row is which stands in `tests/data/latency/README.md`.
pub fn all(root: &Path) -> Fallible<Vec<Machine>> {
    let table = |name, file, what, shape, cpus: fn(usize) -> bool, row| -> Fallible<Machine> {
        let path = root.join("tests/data/latency").join(file).with_extension("csv");
        let text = fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
        let topology = regular(shape)?;
        let mask = topology.cpus().iter().map(|cpu| cpu.id).filter(|&cpu| cpus(cpu)).collect();
        let source = Source::Table(reorder(&text.parse()?, row)?);
        Ok(Machine { name, file, what, is_measured: true, topology, mask, source })
    };
    let paper = |name, file, what, shape, classes| -> Fallible<Machine> {
        let topology = regular(shape)?;
        let mask = topology.cpus().iter().map(|cpu| cpu.id).collect();
        Ok(Machine { name, file, what, is_measured: false, topology, mask, source: Source::Classes(classes) })
    };
    Ok(vec![
        table(
            "2 x EPYC 7763",
            "2x-amd-epyc-7763",
            "2 packages of 8 caches of 8 cores, SMT",
            [2, 8, 8, 2],
            |_| true,
            same,
        )?,
        table(
            "2 x EPYC 7302",
            "2x-amd-epyc-7302",
            "2 packages of 8 caches of 2 cores, SMT",
            [2, 8, 2, 2],
            |_| true,
            // Packages swapped: Close begins with the one in which the line of the measurement was at home.
            |cpu| cpu ^ 16,
        )?,
        table("2 x Xeon 8358", "2x-intel-xeon-8358", "2 packages of 32 cores, no SMT", [2, 1, 32, 1], |_| true, same)?,
        table(
            "Ryzen 9 7950X",
            "amd-ryzen-7950x",
            "2 caches of 8 cores, SMT",
            [1, 2, 8, 2],
            |_| true,
            |cpu| cpu % 16 * 2 + cpu / 16,
        )?,
        table("Graviton3", "aws-graviton3", "64 cores, one cache, no SMT", [1, 1, 64, 1], |_| true, same)?,
        // Cores 0 to 7 are P cores with two threads, 8 to 15 E cores with one: the CPUs from 24 on do not exist.
        table(
            "Core i9-12900K",
            "intel-i9-12900k",
            "8 P cores with SMT, then 8 E cores, one cache",
            [1, 1, 16, 2],
            |cpu| cpu < 24,
            |cpu| if (8..16).contains(&cpu) { cpu + 8 } else { cpu % 16 * 2 + cpu / 16 },
        )?,
        paper(
            "2 x EPYC 9654",
            "2x-amd-epyc-9654",
            "2 packages of 12 caches of 8 cores, SMT",
            [2, 12, 8, 2],
            Classes::EPYC_9654,
        )?,
        paper(
            "2 x EPYC 9454",
            "2x-amd-epyc-9454",
            "2 packages of 8 caches of 6 cores, SMT",
            [2, 8, 6, 2],
            Classes::EPYC_9454,
        )?,
        paper(
            "2 x EPYC 7742",
            "2x-amd-epyc-7742",
            "2 packages of 16 caches of 4 cores, SMT",
            [2, 16, 4, 2],
            Classes::EPYC_7742,
        )?,
    ])
}
