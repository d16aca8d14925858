//! The algorithms whose shape follows the machine, on machines that are not here: their parties are told that they sit
//! on sockets, chiplets, uneven groups, although they share the CPUs at hand. And large numbers of parties.

use super::common::{Watch, few, patience, scaled, watched};
use super::faults::rounds_of;
use super::properties::{build, cross_checked};
use super::subject::Family;
use phalanx::topology::{Bind, CpuSet, Placement, Topology};
use phalanx::{Algorithm, Barrier};

/// An algorithm on a machine on paper.
#[derive(Clone, Copy, Debug)]
struct Placed {
    algorithm: Algorithm,
    /// Packages, LLC groups per package, cores per group, threads per core.
    machine: [usize; 4],
    bind: &'static str,
}

impl Placed {
    fn placement(&self, parties: usize) -> Placement {
        let [packages, llcs, cores, threads] = self.machine;
        let machine = Topology::regular(packages, 1, llcs, cores, threads).unwrap();
        let mask: CpuSet = machine.cpus().iter().map(|cpu| cpu.id).collect();
        machine.place(&self.bind.parse::<Bind>().unwrap(), parties, &mask).unwrap()
    }
}

impl Family for Placed {
    type Control = Barrier;

    fn build(self, parties: usize, first: u64) -> Barrier {
        let builder = Barrier::builder(parties).algorithm(self.algorithm).placement(self.placement(parties));
        builder.first_generation(first).build().unwrap()
    }
}

/// The shapes: a name, the machine, how ranks are bound to it, how many.
const SHAPES: &[(&str, [usize; 4], &str, usize)] = &[
    ("2 sockets of 8 caches of 8 cores", [2, 8, 8, 1], "close", 128),
    ("4 sockets of 16 cores", [4, 1, 16, 1], "spread", 64),
    ("1 socket of 12 caches, 2 ranks on each", [1, 12, 8, 1], "per-llc", 24),
    ("3 uneven groups", [1, 3, 8, 1], "0-4,8,9,16", 8),
    ("1 party in a group", [2, 2, 4, 1], "0-8", 9),
    ("every party alone", [2, 4, 4, 1], "per-llc", 8),
    ("siblings", [1, 2, 4, 2], "close", 16),
    ("siblings of two threads, one core alone", [1, 1, 4, 2], "0-2,4-6,3", 7),
    ("more ranks than CPUs", [1, 2, 2, 1], "spread", 7),
    ("ranks in no order", [2, 2, 4, 1], "9,3,14,0,7,1,12,5,8", 9),
];

fn on_every_shape(name: &str, test: impl Fn(Placed, &Watch, usize)) {
    watched(name, patience(), |watch| {
        let small = |shape: &&(_, _, _, usize)| !cfg!(miri) || shape.3 <= 9;
        for &(_, machine, bind, parties) in few(SHAPES.iter().filter(small)) {
            for algorithm in few(Algorithm::NAMED) {
                test(Placed { algorithm, machine, bind }, watch, parties);
            }
        }
    });
}

#[test]
fn separation_on_every_shape() {
    on_every_shape("separation_on_every_shape", |placed, watch, parties| {
        let first = u64::MAX - 2;
        cross_checked(placed, watch, &build(placed, watch, parties, first), parties, first, scaled(3).max(2) as u64);
    });
}

#[test]
fn all_or_none_on_every_shape() {
    on_every_shape("all_or_none_on_every_shape", |placed, watch, parties| {
        // Of so many rounds some break and some complete, whatever the schedule.
        rounds_of(placed, watch, &[(parties, scaled(if parties > 16 { 12 } else { 24 }))]);
    });
}

/// Non powers of two, beyond what a word of flags, a line or a gate holds.
#[test]
fn up_to_130_parties() {
    watched("up_to_130_parties", patience(), |watch| {
        let anywhere = |algorithm| Placed { algorithm, machine: [1, 1, 256, 1], bind: "none" };
        for parties in few(if cfg!(miri) { [5, 6, 7, 9] } else { [17, 65, 100, 130] }) {
            for algorithm in few(Algorithm::NAMED) {
                let placed = anywhere(algorithm);
                cross_checked(placed, watch, &build(placed, watch, parties, 0), parties, 0, scaled(2).max(2) as u64);
            }
        }
    });
}

#[test]
fn every_algorithm_takes_a_placement_and_says_what_it_made_of_it() {
    let (machine, parties, known) = match cfg!(miri) {
        true => ([2, 2, 2, 1], 8, "8 ranks on 8 CPUs: 0-7; 4 LLC groups, 2 nodes, 2 packages"),
        false => ([2, 8, 8, 1], 128, "128 ranks on 128 CPUs: 0-127; 16 LLC groups, 2 nodes, 2 packages"),
    };
    let placed = Placed { algorithm: Algorithm::Hierarchical, machine, bind: "close" };
    for algorithm in few(Algorithm::NAMED) {
        let text = Placed { algorithm, ..placed }.build(parties, 0).explain().to_string();
        assert!(text.starts_with(&algorithm.to_string()), "{text}");
        assert!(text.contains(known), "{text}");
    }
}
