//! tokio's barrier as it is meant: crossed by tasks, which a runtime's workers take turns to run.
//!
//! There is a worker for each CPU, pinned to it, and a task for each party. Our own threads sleep while they run, but
//! for rank 0's, which starts the tasks, sleeps until they are done, and gives back what they saw; the clock is in rank
//! 0's task.
//!
//! It is another game. A task that waits is an entry in a list, and to switch from one to the next is a function that
//! returns and another that is called: no kernel, and more tasks than CPUs cost no more for that. All tasks of a trip
//! may well be run by one worker while the other sleeps, and then no line travels either. So in a crowd this may win
//! against every barrier of threads, and by as much as threads cost. What a program pays for it is that its parties must
//! be tasks: `wait` is a point where they let go of the worker and the only one, so a party that computes, as parties
//! between two trips do, holds the worker against all others that are queued behind it. The shapes with work and with
//! stragglers show that, and the row stays where it wins.
//!
//! CPU time is the process's, workers and all, for a worker is nobody's own.

use crate::check::{Check, Slots};
use crate::clock::{Tick, ns, stamp, ticks};
use crate::peer::work::chain;
use crate::place::pin_to;
use crate::seat::{Card, Entrant, Lap, Passage, Role, Seat, Walk, spin_for};
use crate::shape::imbalance::{Wait, Waits};
use crate::shape::straggler::Lateness;
use crate::usage::{Usage, thread_cpu};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed};
use std::thread;
use std::time::Duration;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::Barrier;

pub const NAME: &str = "tokio, tasks";

/// A task for each of these CPUs, a worker for each that is different.
///
/// # Errors
///
/// The runtime's, if it could not start its workers.
pub fn tokio(cpus: &[usize]) -> Result<Entrant, String> {
    let tasks = Tasks::new(cpus).map_err(|why| format!("{NAME}: {why}"))?;
    // Its leaders are counted here: the crew's books know only what our own threads were told.
    let card = Card { name: NAME.into(), role: Role::Rival, leads: false, foreign: true, every: 1 };
    // A seat for rank 0, since nobody else plays.
    Ok(Entrant { card, seats: vec![vec![Box::new(tasks)]] })
}

struct Tasks {
    runtime: Runtime,
    parties: usize,
    party: Party,
    /// Found in timed trips.
    wrong: Vec<String>,
}

/// What every task has.
#[derive(Clone)]
struct Party {
    barrier: Arc<Barrier>,
    slots: Arc<Slots>,
    /// The trip after which they stop, in rounds of a given time.
    last: Arc<AtomicU64>,
}

impl Tasks {
    fn new(cpus: &[usize]) -> Result<Self, String> {
        let distinct: Vec<usize> = cpus.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
        let (workers, started) = (distinct.len(), AtomicUsize::new(0));
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .on_thread_start(move || pin_to(distinct[started.fetch_add(1, Relaxed) % workers]))
            .build()
            .map_err(|e| e.to_string())?;
        let party = Party {
            barrier: Arc::new(Barrier::new(cpus.len())),
            slots: Arc::new(Slots::new(cpus.len())),
            last: Arc::new(AtomicU64::new(u64::MAX)),
        };
        Ok(Self { runtime, parties: cpus.len(), party, wrong: Vec::new() })
    }

    /// Runs a task per party to its end; what each found, by rank, and what all of it used.
    fn round<T, F>(&self, task: impl Fn(usize, Party) -> F) -> (Vec<T>, Usage)
    where
        T: Send + 'static,
        F: Future<Output = T> + Send + 'static,
    {
        let before = Usage::of_process();
        let found = self.runtime.block_on(async {
            let tasks: Vec<_> =
                (0..self.parties).map(|rank| self.runtime.spawn(task(rank, self.party.clone()))).collect();
            let mut found = Vec::with_capacity(tasks.len());
            for task in tasks {
                found.push(task.await.expect("a panic ends the process"));
            }
            found
        });
        // What a thread has used is not all in the process's books before it sleeps, and the workers look for more to
        // do before they do.
        thread::sleep(Duration::from_micros(200));
        (found, Usage::of_process().since(before))
    }
}

impl Seat for Tasks {
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        self.phases(opening, trips, 0)
    }

    fn phases(&mut self, opening: u64, trips: u64, steps: u64) -> Lap {
        let (took, usage) = self.round(|_, party| async move {
            let mut start = stamp();
            for trip in 0..opening + trips {
                if trip == opening {
                    start = stamp();
                }
                if steps > 0 {
                    chain(steps);
                }
                party.barrier.wait().await;
            }
            stamp() - start
        });
        Lap { ns: ns(took[0]), trips, usage, all_trips: opening + trips }
    }

    /// The last arrival and the last release of each trip, as if they were one party's.
    fn straggle(&mut self, _: usize, lateness: &Lateness) -> Walk {
        let lateness = *lateness;
        let (seen, usage) = self.round(|rank, party| async move {
            let mut seen = Vec::with_capacity(lateness.trips as usize);
            for trip in 0..lateness.trips {
                lateness.hold(rank, trip);
                let arrived = stamp();
                party.barrier.wait().await;
                seen.push(Passage { arrived, released: stamp() });
            }
            seen
        });
        let last = |trip: usize, time: fn(&Passage) -> Tick| {
            seen.iter().map(|party| time(&party[trip])).max().expect("there are parties")
        };
        let trips = 0..lateness.trips as usize;
        let seen =
            trips.map(|trip| Passage { arrived: last(trip, |p| p.arrived), released: last(trip, |p| p.released) });
        Walk { seen: seen.collect(), usage }
    }

    /// As `busy::trips_until`, with a mark of its own: tasks outlive what they could borrow.
    fn until(&mut self, _: usize, ticks: u64, _: &AtomicU64) -> Lap {
        self.party.last.store(u64::MAX, Relaxed);
        let (found, usage) = self.round(|rank, party| async move {
            let start = stamp();
            let mut trips = 0;
            loop {
                trips += 1;
                if rank == 0 && stamp() - start >= ticks {
                    party.last.store(trips, Relaxed);
                }
                party.barrier.wait().await;
                // Not `!=`: rank 0 may have announced the next trip already, before we look.
                if party.last.load(Relaxed) <= trips {
                    break (trips, stamp() - start);
                }
            }
        });
        let (trips, took) = found[0];
        if found.iter().any(|other| other.0 != trips) {
            self.wrong.push("the tasks disagree on the number of trips".into());
        }
        Lap { ns: ns(took), trips, usage, all_trips: trips }
    }

    /// What the workers used besides the work, over the trips: which of it the waiter burnt nobody can say, for it has
    /// no thread of its own.
    fn long_wait(&mut self, _: usize, trips: u64, work: Duration) -> Waits {
        let work = ticks(work);
        let (found, usage) = self.round(|rank, party| async move {
            let (mut seen, mut worked) = (Vec::with_capacity(trips as usize), 0);
            for _ in 0..trips {
                if rank == 1 {
                    let before = thread_cpu();
                    spin_for(work);
                    worked += thread_cpu() - before;
                }
                let arrived = stamp();
                party.barrier.wait().await;
                seen.push(Passage { arrived, released: stamp() });
            }
            (seen, worked)
        });
        let worked: u64 = found.iter().map(|(_, worked)| worked).sum();
        let cpu_ns = usage.cpu_ns.saturating_sub(worked) / trips.max(1);
        let wait = |trip: usize| {
            let arrived = found.iter().map(|(seen, _)| seen[trip].arrived).max().expect("there are parties");
            Wait { arrived, released: found[0].0[trip].released, cpu_ns }
        };
        Waits { waits: (0..trips as usize).map(wait).collect(), usage }
    }

    fn verified(&mut self, _: usize, from: u64, trips: u64, check: &Check) {
        let (found, _) = self.round(|rank, party| async move {
            let (mut odd, mut led) = (Vec::new(), 0);
            for trip in from..from + trips {
                party.slots.write(rank, trip);
                led += u64::from(party.barrier.wait().await.is_leader());
                odd.extend(party.slots.odd(rank, trip));
            }
            (odd, led)
        });
        let leaders: u64 = found.iter().map(|(_, led)| led).sum();
        if leaders != trips {
            check.report(format!("{leaders} leaders in {trips} trips"));
        }
        found.into_iter().flat_map(|(odd, _)| odd).for_each(|what| check.report(what));
        self.wrong.drain(..).for_each(|what| check.report(what));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::place::allowed;

    #[test]
    fn tasks_keep_the_promise_in_every_kind_of_round() {
        let allowed = allowed().unwrap();
        for parties in [2, 5] {
            let cpus: Vec<usize> = allowed.iter().copied().cycle().take(parties).collect();
            let mut tasks = Tasks::new(&cpus).unwrap();
            assert_eq!(tasks.back_to_back(3, 20).trips, 20);
            assert_eq!(tasks.phases(3, 20, 100).all_trips, 23);
            let walk = tasks.straggle(0, &Lateness::new([1, 0], 20));
            assert_eq!(walk.seen.len(), 20);
            assert!(walk.seen.iter().all(|trip| trip.released >= trip.arrived));
            let lap = tasks.until(0, ticks(Duration::from_millis(1)), &AtomicU64::new(0));
            assert!(lap.trips > 0 && lap.ns >= 1e6, "{lap:?}");
            let waits = tasks.long_wait(0, 3, Duration::from_millis(1)).waits;
            assert_eq!(waits.len(), 3);
            let check = Check::new(parties);
            tasks.verified(0, 1, 20, &check);
            assert_eq!(check.take_wrong(), [""; 0]);
        }
    }

    #[test]
    fn a_barrier_that_waits_for_one_of_two_is_found_out() {
        let mut tasks = Tasks::new(&allowed().unwrap()[..1]).unwrap();
        // One worker, which runs one task after the other: neither ever has to wait.
        tasks.parties = 2;
        tasks.party.slots = Arc::new(Slots::new(2));
        let check = Check::new(2);
        tasks.verified(0, 1, 3, &check);
        let wrong = check.take_wrong();
        assert_eq!(wrong[0], "6 leaders in 3 trips");
        assert!(wrong.iter().any(|what| what.contains("while rank")), "{wrong:?}");
    }
}
