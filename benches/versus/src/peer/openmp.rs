//! Barriers of runtimes whose own threads or processes cross: OpenMP's `barrier` and `reduction`, MPI's `MPI_Barrier` and
//! `MPI_Allreduce`.
//!
//! Such a barrier works only within its own team, so a round is one call of C (native/rounds.h): the parties pin
//! themselves, cross, and take the time inside. With OpenMP the call makes the whole team, with MPI each rank calls for
//! itself. What is timed, and what each party does between its trips, is as in [`Chair`](crate::seat::Chair): clock,
//! delays and work are our own functions, which C calls.
//!
//! A [`Team`] is played in a process of its own, see [`remote`](super::remote).

use super::object::{Mpi, OpenMp, Order, Report, What};
use super::regions::Regions;
use super::shared::Shared;
use super::work;
use crate::check::Check;
use crate::clock::{self, ns, ticks};
use crate::seat::{Lap, Passage, Seat, Walk, spin_for};
use crate::shape::imbalance::{Wait, Waits};
use crate::shape::straggler::Lateness;
use crate::usage::{Usage, thread_cpu};
use std::ffi::{c_int, c_void};
use std::ptr;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// Enough for threads that sleep, or were stopped, to be awake and on their CPUs.
const OPENING: u64 = 16;

/// Who crosses.
#[derive(Clone, Copy)]
pub enum Runtime {
    OpenMp(OpenMp),
    /// The rank of this process.
    Mpi(Mpi, c_int),
}

pub struct Team {
    runtime: Runtime,
    /// What a trip is: [`What::Trips`] or [`What::Reduce`].
    what: What,
    /// By party; a negative one is anywhere.
    cpus: Vec<c_int>,
    shared: Shared,
    /// Results of timed trips that were wrong.
    wrong: i64,
}

/// Who is held up, for how long.
enum Hold<'a> {
    Nobody,
    Late(&'a Lateness),
    /// Rank 1 works for so many ticks.
    Work(u64),
}

impl Team {
    pub fn new(runtime: Runtime, what: What, cpus: Vec<c_int>, shared: Shared) -> Self {
        Self { runtime, what, cpus, shared, wrong: 0 }
    }

    /// The processes that the parties are, found out by a first round.
    pub fn processes(&mut self) -> Vec<i64> {
        let order = Order { verified: 1, ..self.order(What::Trips) };
        self.play(order, &Hold::Nobody).iter().map(|report| report.pid).collect()
    }

    /// Parallel regions instead of trips, with so many members on these CPUs.
    pub fn regions(&mut self, cpus: &[c_int], regions: Regions) -> Result<Lap, String> {
        assert!(cpus.len() <= self.cpus.len(), "there is room for {} members", self.cpus.len());
        let order = Order {
            parties: cpus.len() as i32,
            cpus: cpus.as_ptr(),
            opening: regions.opening as i64,
            trips: regions.timed as i64,
            idle: regions.idle.as_nanos() as i64,
            ..self.order(What::Fork)
        };
        let found = self.play(order, &Hold::Nobody)[0];
        if found.wrong == 0 {
            Ok(lap(&[found]))
        } else {
            Err(format!("{} members have not run each time", found.wrong))
        }
    }

    /// Nothing to do yet.
    fn order(&self, what: What) -> Order {
        extern "C" fn stamp() -> u64 {
            clock::stamp()
        }
        extern "C" fn chain(steps: u64) {
            work::chain(steps);
        }
        extern "C" fn hold(hold: *const c_void, rank: c_int, trip: i64) {
            // SAFETY: `play` puts its own `Hold` here, which outlives the call of C.
            match unsafe { &*hold.cast::<Hold<'_>>() } {
                Hold::Late(lateness) => lateness.hold(rank as usize, trip as u64),
                Hold::Work(ticks) if rank == 1 => spin_for(*ticks),
                Hold::Work(_) | Hold::Nobody => {}
            }
        }
        Order {
            what,
            parties: self.cpus.len() as i32,
            cpus: self.cpus.as_ptr(),
            opening: 0,
            trips: 0,
            verified: 0,
            steps: 0,
            ticks: 0,
            idle: 0,
            slots: self.shared.slots(),
            seen: self.shared.seen(),
            stamp,
            cpu: None,
            chain,
            hold,
            context: ptr::null(),
        }
    }

    /// The reports of all parties.
    fn play(&mut self, order: Order, hold: &Hold<'_>) -> Vec<Report> {
        let parties = order.parties as usize;
        if order.what == What::Late {
            let words = 3 * parties * order.trips as usize;
            assert!(words <= Shared::room(), "{} trips of {parties} parties are too many to be kept", order.trips);
        }
        let order = Order { context: ptr::from_ref(hold).cast(), ..order };
        let out = self.shared.reports();
        let first = match self.runtime {
            Runtime::OpenMp(_) => true,
            Runtime::Mpi(_, rank) => rank == 0,
        };
        // The slots count upwards in each round, from nothing.
        for slot in (0..=parties).filter(|_| first) {
            // SAFETY: there is a slot per party and one more; nobody plays now, and the other ranks have yet to be told.
            unsafe { (*self.shared.slots().add(slot)).0 = 0 };
        }
        // SAFETY: `order` has a CPU, a slot and a report for each party, and room for the passages; `hold` outlives the call.
        let failed = unsafe {
            match self.runtime {
                Runtime::OpenMp(play) => play(&raw const order, out),
                Runtime::Mpi(mpi, rank) => (mpi.play)(rank, &raw const order, out),
            }
        };
        // SAFETY: all parties have written their reports before the call returns.
        let reports: Vec<Report> = unsafe { (0..parties).map(|party| *out.add(party)).collect() };
        assert!(failed == 0, "{failed} parties are missing or could not be pinned, in a team of {}", reports[0].team);
        reports
    }

    fn trips(&mut self, opening: u64, trips: u64, steps: u64) -> Lap {
        let order = Order { opening: opening as i64, trips: trips as i64, steps, ..self.order(self.what) };
        let reports = self.play(order, &Hold::Nobody);
        self.wrong += wrong(&reports);
        lap(&reports)
    }

    /// By trip, each party's arrival, release and CPU time.
    fn seen(&self, trips: usize) -> impl Iterator<Item = Vec<[u64; 3]>> {
        (0..trips).map(move |trip| {
            let of = |party: usize| {
                // SAFETY: the round wrote three words for each trip of each party, and has ended.
                std::array::from_fn(|word| unsafe { *self.shared.seen().add(3 * (party * trips + trip) + word) })
            };
            (0..self.cpus.len()).map(of).collect()
        })
    }
}

fn wrong(reports: &[Report]) -> i64 {
    reports.iter().map(|report| report.wrong).sum()
}

/// Of all parties together.
fn usage(reports: &[Report]) -> Usage {
    let of = |report: &Report| Usage {
        cpu_ns: report.cpu_ns as u64,
        voluntary: report.voluntary as u64,
        involuntary: report.involuntary as u64,
    };
    reports.iter().map(of).fold(Usage::default(), Usage::plus)
}

/// By the clock of party 0. What was used belongs to the timed trips alone.
fn lap(reports: &[Report]) -> Lap {
    let trips = reports[0].trips as u64;
    Lap { ns: ns(reports[0].ticks), trips, usage: usage(reports), all_trips: trips }
}

/// The last of all parties.
fn last(party: &[[u64; 3]], word: usize) -> u64 {
    party.iter().map(|seen| seen[word]).max().expect("there are parties")
}

impl Seat for Team {
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        self.trips(opening, trips, 0)
    }

    fn phases(&mut self, opening: u64, trips: u64, steps: u64) -> Lap {
        self.trips(opening, trips, steps)
    }

    /// The last arrival and the last release of each trip, as if they were one party's.
    fn straggle(&mut self, _: usize, lateness: &Lateness) -> Walk {
        let order = Order { opening: OPENING as i64, trips: lateness.trips as i64, ..self.order(What::Late) };
        let usage = usage(&self.play(order, &Hold::Late(lateness)));
        let seen = self.seen(lateness.trips as usize);
        let seen = seen.map(|party| Passage { arrived: last(&party, 0), released: last(&party, 1) }).collect();
        Walk { seen, usage }
    }

    fn until(&mut self, _: usize, ticks: u64, _: &AtomicU64) -> Lap {
        let order = Order { opening: 1, ticks, ..self.order(What::Until) };
        let reports = self.play(order, &Hold::Nobody);
        let disagree = reports.iter().any(|report| report.trips != reports[0].trips);
        self.wrong += i64::from(disagree);
        lap(&reports)
    }

    /// The waiter's release and CPU time beside the last arrival, as if they were one party's.
    fn long_wait(&mut self, _: usize, trips: u64, work: Duration) -> Waits {
        extern "C" fn cpu() -> u64 {
            thread_cpu()
        }
        let order = Order { opening: 1, trips: trips as i64, cpu: Some(cpu), ..self.order(What::Late) };
        let usage = usage(&self.play(order, &Hold::Work(ticks(work))));
        let seen = self.seen(trips as usize);
        let waits = seen.map(|party| Wait { arrived: last(&party, 0), released: party[0][1], cpu_ns: party[0][2] });
        Waits { waits: waits.collect(), usage }
    }

    fn verified(&mut self, _: usize, _: u64, trips: u64, check: &Check) {
        let order = Order { verified: trips as i64, ..self.order(self.what) };
        let wrong = wrong(&self.play(order, &Hold::Nobody)) + std::mem::take(&mut self.wrong);
        if wrong != 0 {
            check.report(format!("{wrong} wrong slots or results"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::peer::object;

    /// A team of libgomp's in this process, where there is one.
    fn team(what: What, parties: usize) -> Option<Team> {
        let play = object::libgomp().inspect_err(|why| println!("skipped: {why}")).ok()?;
        Some(Team::new(Runtime::OpenMp(play), what, vec![-1; parties], Shared::private(parties).unwrap()))
    }

    fn found(team: &mut Team) -> Vec<String> {
        let check = Check::new(1);
        team.verified(0, 1, 20, &check);
        check.take_wrong()
    }

    #[test]
    fn all_kinds_of_rounds() {
        let Some(mut team) = team(What::Trips, 3) else { return };
        assert_eq!(team.processes(), [i64::from(std::process::id()); 3]);
        let lap = team.back_to_back(5, 100);
        assert!(lap.ns > 0.0 && lap.trips == 100 && lap.usage.cpu_ns > 0, "{lap:?}");
        let steps = work::steps_in(Duration::from_micros(100));
        let worked = team.phases(5, 20, steps);
        assert!(worked.ns > 20.0 * 50_000.0, "twenty times 100 \u{b5}s of work in {} ns", worked.ns);
        let walk = team.straggle(0, &Lateness::new([1, 0], 30));
        assert!(walk.seen.len() == 30 && walk.seen.iter().all(|trip| trip.released > trip.arrived));
        let long = team.until(0, ticks(Duration::from_millis(20)), &AtomicU64::new(0));
        assert!(long.trips > 0 && long.ns >= 19e6, "{long:?}");
        let waits = team.long_wait(0, 3, Duration::from_millis(2));
        assert!(waits.waits.len() == 3 && waits.waits.iter().all(|wait| wait.released > wait.arrived));
        assert!(found(&mut team).is_empty());
    }

    #[test]
    fn sums_and_regions() {
        let Some(mut team) = team(What::Reduce, 3) else { return };
        assert_eq!(team.back_to_back(5, 2000).trips, 2000);
        assert!(found(&mut team).is_empty());
        for idle in [Duration::ZERO, Duration::from_millis(1)] {
            let lap = team.regions(&[-1, -1], Regions { opening: 3, timed: 10, idle }).unwrap();
            assert!(lap.trips == 10 && lap.ns > 0.0, "{lap:?}");
        }
    }

    #[test]
    fn wrong_results_of_timed_trips_are_reported_with_the_next_check() {
        let Some(mut team) = team(What::Trips, 2) else { return };
        team.wrong = 3;
        assert_eq!(found(&mut team), ["3 wrong slots or results"]);
        assert!(found(&mut team).is_empty());
    }
}
