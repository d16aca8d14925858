//! Timed statistics: how long parties wait, how far apart they arrive, who comes late.
//!
//! On a trip that is looked at, each party reads the clock at its arrival, where it begins to wait if that is later, and when
//! it is let go: its *wait* goes into a histogram of its own. The moment of its arrival it writes down for the party that leads
//! the trip, which compares all of them: the *skew* from the first to the last, and how *late* each party was.
//!
//! # State
//!
//! | word | writer | reader | meaning |
//! |---|---|---|---|
//! | `stamps[g % 2]` of rank r | party r, before it arrives at trip g | who leads trip g | the trip, and when it arrived there (nanoseconds of `wait::nanos`) |
//! | `late` of rank r | who leads the trip, one leader after the other | a snapshot | how often it was compared, and how late it was |
//! | `waits` of rank r, a lock | party r, when it leaves | a snapshot | its waits |
//! | `skew`, a lock | who leads the trip | a snapshot | the skews |
//! | `desks`, a lock | who claims a rank | who leads the trip, a snapshot | the above, by rank |
//!
//! The locks are taken on trips that are looked at only, and wait for nobody but a snapshot that copies.
//!
//! # Memory ordering
//!
//! None of its own: stamps are relaxed, and the trip keeps writers and reader apart. A stamp is written before the arrival is
//! published; who leads has seen all arrivals of the trip before it leaves, and reads then. The same place is written again
//! for trip g + 2, by a party that has crossed g + 1; and that was not complete before the leader of g had arrived there, which
//! it does behind its reading. A place that nobody has written for this trip (the party came in on another thread's behalf, or
//! did not look) says so by the trip's number in it, and then the trip is not compared. Of a broken trip nobody reads anything:
//! it has no leader. Leaving parties arrive and read nothing; if one of them leads, that trip is not compared either. Leaders
//! add to `late` in the order of the trips, for the same reason; a snapshot may see an addition half done.

use super::eye::{Bystander, Leaving, Outcome, Sampling, Witness};
use super::histogram::Histogram;
use super::timing::{PartyTiming, Timing};
use crate::primitive::{Meter, now};
use crate::wait::nanos;
use crossbeam_utils::CachePadded;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Times one barrier.
#[derive(Debug)]
pub(crate) struct Timed {
    sampling: Sampling,
    /// By rank.
    desks: Mutex<Vec<Arc<Desk>>>,
    skew: Mutex<Histogram>,
}

/// What is written down of one rank.
#[derive(Debug, Default)]
struct Desk {
    arrivals: CachePadded<Arrivals>,
    waits: CachePadded<Mutex<Waits>>,
}

/// What a leader reads, and what it writes: one line to fetch.
#[derive(Debug, Default)]
struct Arrivals {
    stamps: [Stamp; 2],
    late: Late,
}

/// When a party arrived, and where.
#[derive(Debug, Default)]
struct Stamp {
    trip: Meter,
    /// Nanoseconds plus 1; 0 before the first.
    at: Meter,
}

impl Stamp {
    fn write(&self, generation: u64, at: u64) {
        self.at.set(at.saturating_add(1));
        self.trip.set(generation);
    }

    fn read(&self, generation: u64) -> Option<u64> {
        (self.trip.get() == generation).then(|| self.at.get())?.checked_sub(1)
    }
}

/// The waits of one rank.
#[derive(Debug, Default)]
struct Waits {
    histogram: Histogram,
    nanos: u64,
    span: Option<Span>,
}

/// From the first trip that was timed to the last.
#[derive(Clone, Copy, Debug)]
struct Span {
    first: u64,
    began: u64,
    last: u64,
    ended: u64,
}

#[derive(Debug, Default)]
struct Late {
    trips: Meter,
    nanos: Meter,
    most: Meter,
}

/// A panic while one of these was held is of the allocator, and has changed nothing.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Timed {
    pub(crate) fn new(sampling: Sampling) -> Self {
        Self { sampling, desks: Mutex::default(), skew: Mutex::default() }
    }

    /// What was timed so far.
    pub(crate) fn timing(&self) -> Timing {
        let desks = lock(&self.desks).clone();
        let party = |(rank, desk): (usize, &Arc<Desk>)| {
            let waits = lock(&desk.waits);
            let late = &desk.arrivals.late;
            let mut party = PartyTiming { rank, wait: waits.histogram.clone(), ..PartyTiming::default() };
            party.waited = Duration::from_nanos(waits.nanos);
            if let Some(span) = waits.span {
                party.span = Duration::from_nanos(span.ended.saturating_sub(span.began));
                party.span_trips = span.last.wrapping_sub(span.first).wrapping_add(1);
            }
            (party.compared, party.late) = (late.trips.get(), Duration::from_nanos(late.nanos.get()));
            party.latest = Duration::from_nanos(late.most.get());
            party
        };
        Timing { per_party: desks.iter().enumerate().map(party).collect(), skew: lock(&self.skew).clone() }
    }

    fn desk(&self, rank: usize) -> Arc<Desk> {
        let mut desks = lock(&self.desks);
        while desks.len() <= rank {
            desks.push(Arc::default());
        }
        Arc::clone(&desks[rank])
    }

    /// Compares the arrivals of these ranks at `generation`, on behalf of who leads it. Nothing if one of them is not known.
    fn compare(&self, generation: u64, ranks: &[usize]) {
        let desks = lock(&self.desks);
        let arrivals = |rank: &usize| desks.get(*rank).map(|desk| &*desk.arrivals);
        let arrived = |rank| arrivals(rank)?.stamps[place(generation)].read(generation);
        let (mut first, mut last) = (u64::MAX, 0);
        for rank in ranks {
            let Some(at) = arrived(rank) else { return };
            (first, last) = (first.min(at), last.max(at));
        }
        lock(&self.skew).record_nanos(last.saturating_sub(first), 1);
        for rank in ranks {
            if let (Some(Arrivals { late, .. }), Some(at)) = (arrivals(rank), arrived(rank)) {
                late.trips.add(1);
                late.nanos.add(at - first);
                late.most.set(late.most.get().max(at - first));
            }
        }
    }
}

fn place(generation: u64) -> usize {
    (generation & 1) as usize
}

impl Witness for Timed {
    fn sampling(&self) -> Sampling {
        self.sampling
    }

    fn bystander(self: Arc<Self>, rank: usize) -> Option<Box<dyn Bystander>> {
        let desk = self.desk(rank);
        Some(Box::new(Clerk { timed: self, desk, began: None }))
    }
}

/// Times one party.
#[derive(Debug)]
struct Clerk {
    timed: Arc<Timed>,
    desk: Arc<Desk>,
    began: Option<Began>,
}

/// A trip that is being timed.
#[derive(Clone, Copy, Debug)]
struct Began {
    generation: u64,
    arrived: u64,
    /// When it began to wait, if that was later.
    stayed: Option<u64>,
    /// When it was let go, if that was before the trip was decided.
    left: Option<u64>,
}

impl Bystander for Clerk {
    fn arrives(&mut self, generation: u64) {
        // Others may have the party look at more trips than this.
        self.began = None;
        if self.timed.sampling.takes(generation) {
            let arrived = nanos(now());
            self.desk.arrivals.stamps[place(generation)].write(generation, arrived);
            self.began = Some(Began { generation, arrived, stayed: None, left: None });
        }
    }

    fn stays(&mut self) {
        if let Some(began) = self.began.as_mut().filter(|began| began.stayed.is_none()) {
            began.stayed = Some(nanos(now()));
        }
    }

    fn released(&mut self) {
        if let Some(began) = &mut self.began {
            began.left = Some(nanos(now()));
        }
    }

    fn leaves(&mut self, leaving: &Leaving<'_>) {
        let Some(began) = self.began.take().filter(|began| began.generation == leaving.generation) else { return };
        let Outcome::Complete { leads } = leaving.outcome else { return };
        let left = began.left.unwrap_or_else(|| nanos(now()));
        {
            let waited = left.saturating_sub(began.stayed.unwrap_or(began.arrived));
            let mut waits = lock(&self.desk.waits);
            waits.histogram.record_nanos(waited, 1);
            waits.nanos = waits.nanos.saturating_add(waited);
            let start = Span { first: began.generation, began: began.arrived, last: began.generation, ended: left };
            let span = waits.span.get_or_insert(start);
            (span.last, span.ended) = (began.generation, left);
        }
        if leads {
            self.timed.compare(leaving.generation, leaving.ranks);
        }
    }
}

#[cfg(all(test, not(any(phalanx_loom, phalanx_shuttle))))]
mod tests {
    use super::*;

    fn clerk(timed: &Arc<Timed>, rank: usize) -> Box<dyn Bystander> {
        Arc::clone(timed).bystander(rank).unwrap()
    }

    fn leaving(generation: u64, rank: usize, ranks: &[usize], leads: bool) -> Leaving<'_> {
        Leaving { generation, rank, ranks, outcome: Outcome::Complete { leads } }
    }

    #[test]
    fn a_party_holds_less_than_64_kib_and_a_barrier_as_much_again() {
        let desk = Desk::default();
        let bytes = size_of::<Desk>() + size_of::<Clerk>() + lock(&desk.waits).histogram.bytes();
        println!("{bytes} bytes per party");
        assert!(bytes <= 64 << 10, "{bytes}");
        let timed = Timed::new(Sampling::ALL);
        let bytes = size_of::<Timed>() + lock(&timed.skew).bytes();
        assert!(bytes <= 64 << 10, "{bytes}");
    }

    #[test]
    fn a_trip_is_compared_only_if_all_have_written_down_when_they_came() {
        let timed = Arc::new(Timed::new(Sampling::ALL));
        let mut clerks = [clerk(&timed, 0), clerk(&timed, 3)];
        let both = [0, 3];
        for generation in [u64::MAX, 0, 1] {
            clerks[0].arrives(generation);
            // The other one arrives without a look at the middle one of these.
            if generation != 0 {
                clerks[1].arrives(generation);
            }
            clerks[0].leaves(&leaving(generation, 0, &both, true));
            clerks[1].leaves(&leaving(generation, 3, &both, false));
        }
        let timing = timed.timing();
        assert_eq!(timing.skew.count(), 2);
        let compared: Vec<u64> = timing.per_party.iter().map(|party| party.compared).collect();
        assert_eq!(compared, [2, 0, 0, 2]);
        let waits: Vec<u64> = timing.per_party.iter().map(|party| party.wait.count()).collect();
        assert_eq!(waits, [3, 0, 0, 2]);
        assert_eq!(timing.per_party[0].span_trips, 3);
    }

    #[test]
    fn a_stamp_of_another_trip_is_none() {
        let stamp = Stamp::default();
        assert_eq!((stamp.read(0), stamp.read(u64::MAX)), (None, None));
        stamp.write(u64::MAX, 7);
        assert_eq!((stamp.read(u64::MAX), stamp.read(1)), (Some(7), None));
    }

    #[test]
    fn a_trip_that_did_not_come_about_is_not_timed() {
        let timed = Arc::new(Timed::new(Sampling::ALL));
        let mut clerk = clerk(&timed, 0);
        clerk.arrives(4);
        clerk.leaves(&Leaving { outcome: Outcome::Moved, ..leaving(4, 0, &[0], false) });
        clerk.leaves(&leaving(4, 0, &[0], true));
        assert_eq!((timed.timing().party(0).unwrap().wait.count(), timed.timing().skew.count()), (0, 0));
    }
}
