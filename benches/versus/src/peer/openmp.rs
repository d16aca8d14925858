//! `#pragma omp barrier` of the OpenMP runtimes, and their `reduction`, crossed by their own threads.
//!
//! A runtime's barrier works only among the threads of its own team, so a round is one call of C (native/openmp.c): a
//! parallel region whose threads pin themselves, cross, and take the time inside. While it runs our own threads but one
//! sleep at the gate, and after it we wait until the pool's threads sleep.

use super::object::{self, Clock, Cross, OpenMp, Report};
use crate::check::Check;
use crate::clock::stamp;
use crate::seat::{Card, Entrant, Lap, Passage, Role, Seat, Walk};
use crate::shape::imbalance::Waits;
use crate::shape::straggler::Lateness;
use crate::usage::Usage;
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// GCC's runtime.
pub fn libgomp(cpus: &[usize]) -> Result<Entrant, String> {
    // Its pool threads sleep after some milliseconds.
    enter("libgomp", cpus, 1, object::libgomp(), |runtime| runtime.cross)
}

/// LLVM's runtime.
pub fn libomp(cpus: &[usize]) -> Result<Entrant, String> {
    // Its pool threads sleep after 200 ms, so it plays only each eighth round.
    enter("libomp", cpus, 8, object::libomp(), |runtime| runtime.cross)
}

/// The same two with a sum in place of the bare barrier.
pub fn reductions(cpus: &[usize]) -> [Result<Entrant, String>; 2] {
    let reduce = |runtime: &OpenMp| runtime.reduce;
    [
        enter("libgomp reduction", cpus, 1, object::libgomp(), reduce),
        enter("libomp reduction", cpus, 8, object::libomp(), reduce),
    ]
}

/// Must be called before the caller is pinned: the runtime counts its CPUs when it is loaded.
fn enter(
    name: &str,
    cpus: &[usize],
    every: usize,
    runtime: Result<OpenMp, String>,
    cross: fn(&OpenMp) -> Cross,
) -> Result<Entrant, String> {
    let runtime = runtime.map_err(|why| format!("{name}: {why}"))?;
    let numbers: Vec<c_int> = cpus.iter().map(|&cpu| cpu as c_int).collect();
    let seat = |_| Box::new(Team { runtime, cross: cross(&runtime), cpus: numbers.clone(), wrong: 0 }) as Box<dyn Seat>;
    let card = Card { name: name.into(), role: Role::Rival, leads: false, foreign: true, every };
    Ok(Entrant { card, seats: vec![cpus.iter().map(seat).collect()] })
}

struct Team {
    runtime: OpenMp,
    /// What it does on a trip.
    cross: Cross,
    cpus: Vec<c_int>,
    /// Results of timed trips that were wrong.
    wrong: i64,
}

impl Team {
    fn call(&self, opening: u64, trips: u64, verified: u64) -> Report {
        let mut report = Report::default();
        let (cpus, parties) = (self.cpus.as_ptr(), self.parties());
        // SAFETY: `cpus` has as many numbers as there are parties; `report` is valid for writes.
        let error =
            unsafe { (self.cross)(cpus, parties, opening as i64, trips as i64, verified as i64, &raw mut report) };
        let team = report.team;
        assert!(error == 0 && team == i64::from(parties), "OpenMP: error {error}, a team of {team} threads");
        report
    }

    fn parties(&self) -> c_int {
        self.cpus.len() as c_int
    }
}

impl Seat for Team {
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        let before = Usage::of_process();
        let report = self.call(opening, trips, 0);
        self.wrong += report.wrong;
        Lap { ns: report.ns as f64, trips, usage: Usage::of_process().since(before), all_trips: opening + trips }
    }

    /// The last arrival and the last release of each trip, as if they were one party's.
    fn straggle(&mut self, _: usize, lateness: &Lateness) -> Walk {
        let before = Usage::of_process();
        extern "C" fn now() -> u64 {
            stamp()
        }
        extern "C" fn hold(lateness: *const c_void, rank: c_int, trip: i64) {
            // SAFETY: the caller's `lateness` below, which outlives the call of C.
            unsafe { &*lateness.cast::<Lateness>() }.hold(rank as usize, trip as u64);
        }
        let trips = lateness.trips as usize;
        let mut seen = vec![0; 2 * trips * self.cpus.len()];
        let clock = Clock { stamp: now, hold, context: ptr::from_ref(lateness).cast() };
        let (cpus, parties) = (self.cpus.as_ptr(), self.parties());
        // SAFETY: `cpus` has as many numbers as there are parties, `seen` two places for each trip of each.
        let error =
            unsafe { (self.runtime.late)(cpus, parties, lateness.trips as i64, &raw const clock, seen.as_mut_ptr()) };
        assert!(error == 0, "OpenMP: error {error}");
        let last = |trip: usize, which: usize| {
            (0..self.cpus.len()).map(|rank| seen[2 * (rank * trips + trip) + which]).max().expect("there are parties")
        };
        let usage = Usage::of_process().since(before);
        let seen = (0..trips).map(|trip| Passage { arrived: last(trip, 0), released: last(trip, 1) }).collect();
        Walk { seen, usage }
    }

    fn verified(&mut self, _: usize, _: u64, trips: u64, check: &Check) {
        let wrong = self.call(0, 0, trips).wrong + std::mem::take(&mut self.wrong);
        if wrong != 0 {
            check.report(format!("{wrong} wrong slots or results"));
        }
    }

    fn phases(&mut self, _: u64, _: u64, _: u64) -> Lap {
        unreachable!("takes no part in this shape")
    }

    fn until(&mut self, _: usize, _: u64, _: &AtomicU64) -> Lap {
        unreachable!("takes no part in this shape")
    }

    fn long_wait(&mut self, _: usize, _: u64, _: Duration) -> Waits {
        unreachable!("takes no part in this shape")
    }
}
