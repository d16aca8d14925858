//! The threads of one row: started once, pinned, and asleep between two samples.
//!
//! A sample goes through all barriers of the row. On each one there are trips to get together and warm up, then those
//! that are timed, then some that check the promise: each party writes the number of the trip into its slot before, and
//! looks at all slots after, with relaxed accesses that only the barrier orders. After each sample the books must
//! balance: every party has made the same number of trips, as has its own generation count where there is one, and
//! there were as many leaders as trips.

use super::fail;
use super::meet::Meet;
use crossbeam_utils::CachePadded;
use phalanx::topology::pin_current;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::{JoinHandle, spawn};
use std::time::Duration;

/// Trips before those that are timed: the crew has just been woken, and a party that lost its CPU avoids spinning for a
/// while.
const WARM: u64 = 24;

/// Trips after those that are timed, with a check each.
const CHECKED: u64 = 4;

/// Without a single trip by anybody for so long, it hangs. (With trips it is only slow: spinners starve on a machine where others compute.)
const PATIENCE: Duration = Duration::from_secs(60);

/// One party's part in a sample: so many trips, timed.
pub(crate) type Run<C, R> = fn(&mut Seat<C>, Turn) -> R;

/// Who makes how many trips.
#[derive(Clone, Copy)]
pub(crate) struct Turn {
    pub(crate) rank: usize,
    pub(crate) trips: u64,
}

/// A party's place at a barrier, with its books.
pub(crate) struct Seat<C> {
    meet: C,
    made: Made,
    leads: u64,
}

/// Trips that one party has made at one barrier: on a line of its own, so that whoever looks for a hang disturbs nobody.
type Made = Arc<CachePadded<AtomicU64>>;

impl<C: Meet> Seat<C> {
    #[inline(always)]
    pub(crate) fn wait(&mut self) {
        // No read-modify-write: there is one writer.
        self.made.store(self.made.load(Relaxed) + 1, Relaxed);
        self.leads += u64::from(self.meet.wait());
    }
}

/// What one party hands in after a sample.
struct Report<R> {
    rank: usize,
    /// Trips made and led at each barrier, since it was built.
    books: Vec<(u64, u64)>,
    parts: Vec<R>,
}

/// The threads of a row; dropping it sends them home.
pub(crate) struct Crew<R> {
    orders: Vec<Sender<u64>>,
    reports: Receiver<Report<R>>,
    threads: Vec<JoinHandle<()>>,
    /// By barrier and then by rank.
    made: Vec<Vec<Made>>,
    /// Trips that each barrier must have seen.
    due: Vec<u64>,
    /// Each trip has a leader.
    led: bool,
}

impl<R: Send + 'static> Crew<R> {
    /// Starts a thread for each place, with its party of each barrier.
    pub(crate) fn new<C: Meet>(places: &[Option<usize>], barriers: Vec<Vec<C>>, run: Run<C, R>) -> Self {
        let due = vec![0; barriers.len()];
        let made: Vec<Vec<Made>> = barriers.iter().map(|_| places.iter().map(|_| Made::default()).collect()).collect();
        let mut seats: Vec<Vec<Seat<C>>> = places.iter().map(|_| Vec::new()).collect();
        for (parties, made) in barriers.into_iter().zip(&made) {
            for ((seats, meet), made) in seats.iter_mut().zip(parties).zip(made) {
                seats.push(Seat { meet, made: Arc::clone(made), leads: 0 });
            }
        }
        let slots: Arc<[CachePadded<AtomicU64>]> = places.iter().map(|_| CachePadded::default()).collect();
        let (reporter, reports) = channel();
        let mut crew = Self { orders: Vec::new(), reports, threads: Vec::new(), made, due, led: C::LEADS };
        for (rank, (seats, &place)) in seats.into_iter().zip(places).enumerate() {
            let (order, orders) = channel();
            let (reporter, slots) = (reporter.clone(), Arc::clone(&slots));
            crew.orders.push(order);
            let mut member = Member { rank, seats, slots, checked: 0 };
            crew.threads.push(spawn(move || {
                let _pinned = place.map(|cpu| pin_current(cpu).unwrap_or_else(|why| fail(why)));
                while let Ok(trips) = orders.recv() {
                    // Nobody listens any more only if the bench is at its end.
                    _ = reporter.send(member.sample(trips, run));
                }
            }));
        }
        crew
    }

    /// One sample of `trips` in all; what each party's `run` gave, by rank and then by barrier.
    pub(crate) fn round(&mut self, trips: u64) -> Vec<Vec<R>> {
        for order in &self.orders {
            order.send(trips).unwrap_or_else(|_| fail("a party has left"));
        }
        let mut reports: Vec<Report<R>> = self.orders.iter().map(|_| self.next_report()).collect();
        reports.sort_unstable_by_key(|report| report.rank);
        let barriers = self.due.len();
        for (barrier, due) in self.due.iter_mut().enumerate() {
            *due += in_all(share(trips, barrier, barriers));
            audit(&reports, barrier, *due, self.led).unwrap_or_else(|wrong| fail(wrong));
        }
        reports.into_iter().map(|report| report.parts).collect()
    }

    fn next_report(&self) -> Report<R> {
        let mut before = self.progress();
        loop {
            if let Ok(report) = self.reports.recv_timeout(PATIENCE) {
                return report;
            }
            let now = self.progress();
            if now == before {
                fail(format!("no trip for {PATIENCE:?}: it hangs; trips by barrier and rank: {now:?}"));
            }
            before = now;
        }
    }

    fn progress(&self) -> Vec<Vec<u64>> {
        self.made.iter().map(|ranks| ranks.iter().map(|made| made.load(Relaxed)).collect()).collect()
    }
}

impl<R> Drop for Crew<R> {
    fn drop(&mut self) {
        self.orders.clear();
        for thread in self.threads.drain(..) {
            // Whoever panicked has said so.
            _ = thread.join();
        }
    }
}

/// One thread's side.
struct Member<C> {
    rank: usize,
    seats: Vec<Seat<C>>,
    slots: Arc<[CachePadded<AtomicU64>]>,
    /// The number of the last checked trip; the same in all members.
    checked: u64,
}

impl<C: Meet> Member<C> {
    fn sample<R>(&mut self, trips: u64, run: Run<C, R>) -> Report<R> {
        let Self { rank, seats, slots, checked } = self;
        let (rank, barriers) = (*rank, seats.len());
        let mut parts = Vec::with_capacity(barriers);
        for (barrier, seat) in seats.iter_mut().enumerate() {
            let trips = share(trips, barrier, barriers);
            if trips == 0 {
                continue;
            }
            (0..WARM).for_each(|_| seat.wait());
            parts.push(run(seat, Turn { rank, trips }));
            for _ in 0..CHECKED {
                *checked += 1;
                slots[rank].store(*checked, Relaxed);
                seat.wait();
                look(slots, rank, *checked);
            }
            let (made, counted) = (seat.made.load(Relaxed), seat.meet.generation());
            if counted.is_some_and(|counted| counted != made) {
                fail(format!("rank {rank} has made {made} trips, and its generation is {counted:?}"));
            }
        }
        let books = seats.iter().map(|seat| (seat.made.load(Relaxed), seat.leads)).collect();
        Report { rank, books, parts }
    }
}

/// After a checked trip: every other party has arrived at it. It may have gone on to the next one, but no further: that
/// one needs us.
fn look(slots: &[CachePadded<AtomicU64>], rank: usize, trip: u64) {
    for (other, slot) in slots.iter().enumerate() {
        let seen = slot.load(Relaxed);
        if seen != trip && seen != trip + 1 {
            fail(format!("rank {rank} left checked trip {trip} while rank {other} was at {seen}"));
        }
    }
}

/// Whether all parties agree with each other and with us on the trips of a barrier.
fn audit<R>(reports: &[Report<R>], barrier: usize, due: u64, led: bool) -> Result<(), String> {
    for Report { rank, books, .. } in reports {
        let made = books[barrier].0;
        if made != due {
            return Err(format!("rank {rank} has made {made} trips of {due}"));
        }
    }
    let leaders: u64 = reports.iter().map(|report| report.books[barrier].1).sum();
    if led && leaders != due { Err(format!("{leaders} leaders in {due} trips")) } else { Ok(()) }
}

/// This barrier's part of the timed trips of a sample.
fn share(trips: u64, barrier: usize, barriers: usize) -> u64 {
    let (barrier, barriers) = (barrier as u64, barriers as u64);
    trips / barriers + u64::from(barrier < trips % barriers)
}

/// With the trips before and after; a barrier without timed trips sits the sample out.
fn in_all(timed: u64) -> u64 {
    if timed == 0 { 0 } else { WARM + timed + CHECKED }
}
