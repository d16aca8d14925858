//! A barrier that lets somebody through early is very fast. So every round ends with trips that check the promise.
//!
//! Before such a trip each party writes the trip's number into its slot; after it, each looks at all slots. A party
//! that has not arrived still shows an older number. The accesses are relaxed atomics, so it is the barrier under test
//! alone that has to order them. Leaders are counted where the peer names one. These trips follow the timed ones on the
//! same barrier without a pause, so a trip lost or gained among those shows here as well; and where a peer counts trips
//! itself, its count must be ours.

use crate::gate::Line;
use crate::seat::Crossing;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};

/// By rank, the trip that the party has come to.
pub struct Slots(Vec<Line<AtomicU64>>);

impl Slots {
    pub fn new(parties: usize) -> Self {
        Self((0..parties).map(|_| Line::default()).collect())
    }

    /// Before a trip.
    pub fn write(&self, rank: usize, trip: u64) {
        self.0[rank].0.store(trip, Relaxed);
    }

    /// After it: who had not come.
    pub fn odd(&self, rank: usize, trip: u64) -> impl Iterator<Item = String> {
        let seen = self.0.iter().map(|slot| slot.0.load(Relaxed)).enumerate();
        // The other may have gone on to the next trip, but no further: that one needs us.
        let odd = seen.filter(move |&(_, seen)| seen != trip && seen != trip + 1);
        odd.map(move |(other, seen)| format!("rank {rank} left trip {trip} while rank {other} was at {seen}"))
    }
}

/// The slots of one crew, and what was found wrong.
pub struct Check {
    slots: Slots,
    leaders: AtomicU64,
    trips: AtomicU64,
    wrong: Mutex<Vec<String>>,
}

impl Check {
    pub fn new(parties: usize) -> Self {
        Self {
            slots: Slots::new(parties),
            leaders: AtomicU64::new(0),
            trips: AtomicU64::new(0),
            wrong: Mutex::default(),
        }
    }

    /// One trip of one party. Trips are numbered upwards from 1, without regard to the peer.
    pub fn trip<C: Crossing>(&self, crossing: &mut C, rank: usize, trip: u64) {
        self.slots.write(rank, trip);
        let leads = crossing.meet();
        self.slots.odd(rank, trip).for_each(|what| self.report(what));
        if leads {
            self.leaders.fetch_add(1, Relaxed);
        }
        if rank == 0 {
            self.trips.fetch_add(1, Relaxed);
        }
    }

    /// After a round, when nobody crosses: the leaders must be as many as the trips.
    pub fn close_round(&self, leads: bool) {
        let (leaders, trips) = (self.leaders.swap(0, Relaxed), self.trips.swap(0, Relaxed));
        if leads && leaders != trips {
            self.report(format!("{leaders} leaders in {trips} trips"));
        }
    }

    /// Something that was found wrong; only the first few are kept.
    pub fn report(&self, what: String) {
        let mut wrong = self.wrong.lock().expect("nobody panics while reporting");
        if wrong.len() < 5 {
            wrong.push(what);
        }
    }

    /// What was found wrong since the last call.
    pub fn take_wrong(&self) -> Vec<String> {
        std::mem::take(&mut self.wrong.lock().expect("nobody panics while reporting"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets everybody through at once, and calls each one the leader.
    struct Open;
    impl Crossing for Open {
        const LEADS: bool = true;
        fn wait(&mut self) -> bool {
            true
        }
    }

    #[test]
    fn an_open_door_is_found_out() {
        let check = Check::new(2);
        check.trip(&mut Open, 0, 1);
        assert_eq!(check.take_wrong(), ["rank 0 left trip 1 while rank 1 was at 0"]);
    }

    #[test]
    fn so_are_two_leaders() {
        let check = Check::new(2);
        check.trip(&mut Open, 0, 1);
        check.trip(&mut Open, 1, 1);
        check.take_wrong();
        check.close_round(true);
        assert_eq!(check.take_wrong(), ["2 leaders in 1 trips"]);
    }
}
