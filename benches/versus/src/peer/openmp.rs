//! `#pragma omp barrier` of the OpenMP runtimes, crossed by their own threads.
//!
//! A runtime's barrier works only among the threads of its own team, so a round is one call of C (native/openmp.c): a
//! parallel region of two threads that pin themselves, cross, and take the time inside. While it runs our second thread
//! sleeps at the gate, and after it we wait until the pool thread sleeps.

use super::native::open;
use crate::check::Check;
use crate::place::Place;
use crate::seat::{Card, Entrant, Lap, Passage, Role, Seat};
use crate::shape::imbalance::Wait;
use crate::usage::Usage;
use std::ffi::c_int;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// What native/openmp.c fills in.
#[repr(C)]
#[derive(Default)]
struct Report {
    ns: i64,
    wrong: i64,
    team: i64,
}

type Cross = extern "C" fn(c_int, c_int, i64, i64, i64, &mut Report) -> c_int;

/// GCC's runtime.
pub fn libgomp(place: Place) -> Result<Entrant, String> {
    // Its pool thread sleeps after some milliseconds.
    enter("libgomp", place, 1, env!("VERSUS_GOMP"), env!("VERSUS_GOMP_WHY"))
}

/// LLVM's runtime.
pub fn libomp(place: Place) -> Result<Entrant, String> {
    // Its pool thread sleeps after 200 ms, so it plays only each eighth round.
    enter("libomp", place, 8, env!("VERSUS_LIBOMP"), env!("VERSUS_LIBOMP_WHY"))
}

/// Must be called before the caller is pinned: the runtime counts its CPUs when it is loaded.
fn enter(name: &str, place: Place, every: usize, path: &str, why_not: &str) -> Result<Entrant, String> {
    let library = open(name, path, why_not)?;
    // SAFETY: this is the signature in native/openmp.c.
    let cross = unsafe { *library.get::<Cross>(b"versus_openmp").map_err(|e| format!("{name}: {e}"))? };
    // The pool thread stays asleep in the runtime's code after the last round; it must not be unmapped.
    std::mem::forget(library);
    let seat = |_| Box::new(Team { cross, place }) as Box<dyn Seat>;
    let card = Card { name: name.into(), role: Role::Rival, leads: false, foreign: true, every };
    Ok(Entrant { card, seats: vec![(0..2).map(seat).collect()] })
}

struct Team {
    cross: Cross,
    place: Place,
}

impl Team {
    fn call(&self, opening: u64, trips: u64, verified: u64) -> Report {
        let [first, second] = self.place.cpus.map(|cpu| cpu as c_int);
        let mut report = Report::default();
        let error = (self.cross)(first, second, opening as i64, trips as i64, verified as i64, &mut report);
        assert!(error == 0 && report.team == 2, "OpenMP: error {error}, a team of {} threads", report.team);
        report
    }
}

impl Seat for Team {
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        let before = Usage::of_process();
        let report = self.call(opening, trips, 0);
        Lap { ns: report.ns as f64, trips, usage: Usage::of_process().since(before), all_trips: opening + trips }
    }

    fn verified(&mut self, _: usize, _: u64, trips: u64, check: &Check) {
        let wrong = self.call(0, 0, trips).wrong;
        if wrong != 0 {
            check.report(format!("{wrong} wrong slots in {trips} trips"));
        }
    }

    fn straggle(&mut self, _: usize, _: u64) -> Vec<Passage> {
        unreachable!("takes part in the first shape only")
    }

    fn until(&mut self, _: usize, _: u64, _: &AtomicU64) -> Lap {
        unreachable!("takes part in the first shape only")
    }

    fn long_wait(&mut self, _: usize, _: u64, _: Duration) -> Vec<Wait> {
        unreachable!("takes part in the first shape only")
    }
}
