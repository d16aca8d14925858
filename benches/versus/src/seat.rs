//! What a peer must be to take part: one type per kind of barrier, so that its `wait` is inlined into the measured
//! loop.
//!
//! A trip of two parties takes some tens of nanoseconds; an indirect call per trip would be a tenth of that, and would
//! hide from the compiler what a user's loop shows it. So the dynamic dispatch is per *round*: [`Seat`] is the
//! object-safe face of a round, and [`Chair`] fills it in for every [`Crossing`], floor and phalanx alike, from the
//! same generic loops.

use crate::check::Check;
use crate::clock::{self, Tick, ns, stamp};
use crate::peer::work::chain;
use crate::shape::straggler::Lateness;
use crate::shape::{busy, imbalance, straggler};
use crate::usage::Usage;
use serde::{Deserialize, Serialize};
use std::sync::atomic::AtomicU64;
use std::time::Duration;

/// One party's end of a barrier.
pub trait Crossing: Send {
    /// Exactly one party per trip is told that it leads.
    const LEADS: bool;

    /// One trip; true for the leader. Must be `#[inline]`.
    fn wait(&mut self) -> bool;

    /// How many trips this party has made by the peer's own count, if it keeps one.
    fn counted(&self) -> Option<u64> {
        None
    }

    /// A trip that the round's checks look at. What is measured for comparison and meets nobody has to meet here.
    fn meet(&mut self) -> bool {
        self.wait()
    }

    /// What was wrong with the results of all trips so far; asked between two rounds.
    fn wrong(&self) -> Option<String> {
        None
    }
}

/// One party's part in a round of any shape.
pub trait Seat: Send {
    /// Trips as fast as they go: `opening` ones that are not timed, then `trips` that are.
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap;

    /// The same with so many steps of [`chain`] before each wait.
    fn phases(&mut self, opening: u64, trips: u64, steps: u64) -> Lap;

    /// Trips to which parties come late, as `lateness` has it.
    fn straggle(&mut self, rank: usize, lateness: &Lateness) -> Walk;

    /// Trips until rank 0 has seen so many ticks go by.
    fn until(&mut self, rank: usize, ticks: u64, last: &AtomicU64) -> Lap;

    /// Trips for which rank 1 works so long first.
    fn long_wait(&mut self, rank: usize, trips: u64, work: Duration) -> imbalance::Waits;

    /// Trips that check what the barrier promises.
    fn verified(&mut self, rank: usize, from: u64, trips: u64, check: &Check);

    /// Of a foreign peer: its threads stand still between the rounds, so that nobody has to wait until they sleep.
    fn frozen(&self) -> bool {
        false
    }
}

/// What one party saw of a round.
#[derive(Clone, Copy, Debug, Default, Serialize, Deserialize)]
pub struct Lap {
    pub ns: f64,
    pub trips: u64,
    /// Including the opening trips.
    pub usage: Usage,
    pub all_trips: u64,
}

/// What one party saw of a round in which each trip is timed.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Walk {
    pub seen: Vec<Passage>,
    pub usage: Usage,
}

/// When one party arrived and when it was released.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Passage {
    pub arrived: Tick,
    pub released: Tick,
}

/// The one implementation of [`Seat`] for barriers that our own threads cross.
///
/// On lines of its own: a party writes to its handle in each trip, and the handles of two parties, allocated one after
/// the other, would share a line. A program's handles lie on the stacks of its threads and do not.
#[repr(align(128))]
pub struct Chair<C> {
    crossing: C,
    /// Trips so far.
    made: u64,
}

impl<C: Crossing> Seat for Chair<C> {
    #[inline(never)]
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        let before = Usage::of_thread();
        for _ in 0..opening {
            self.crossing.wait();
        }
        let start = stamp();
        for _ in 0..trips {
            self.crossing.wait();
        }
        let took = ns(stamp() - start);
        self.made += opening + trips;
        Lap { ns: took, trips, usage: Usage::of_thread().since(before), all_trips: opening + trips }
    }

    #[inline(never)]
    fn phases(&mut self, opening: u64, trips: u64, steps: u64) -> Lap {
        let before = Usage::of_thread();
        for _ in 0..opening {
            chain(steps);
            self.crossing.wait();
        }
        let start = stamp();
        for _ in 0..trips {
            chain(steps);
            self.crossing.wait();
        }
        let took = ns(stamp() - start);
        self.made += opening + trips;
        Lap { ns: took, trips, usage: Usage::of_thread().since(before), all_trips: opening + trips }
    }

    #[inline(never)]
    fn straggle(&mut self, rank: usize, lateness: &Lateness) -> Walk {
        self.made += lateness.trips;
        let before = Usage::of_thread();
        let seen = straggler::passages(&mut self.crossing, rank, lateness);
        Walk { seen, usage: Usage::of_thread().since(before) }
    }

    #[inline(never)]
    fn until(&mut self, rank: usize, ticks: u64, last: &AtomicU64) -> Lap {
        let lap = busy::trips_until(&mut self.crossing, rank, ticks, last);
        self.made += lap.trips;
        lap
    }

    fn long_wait(&mut self, rank: usize, trips: u64, work: Duration) -> imbalance::Waits {
        self.made += trips;
        let before = Usage::of_thread();
        let waits = imbalance::waits(&mut self.crossing, rank, trips, work);
        imbalance::Waits { waits, usage: Usage::of_thread().since(before) }
    }

    fn verified(&mut self, rank: usize, from: u64, trips: u64, check: &Check) {
        (from..from + trips).for_each(|trip| check.trip(&mut self.crossing, rank, trip));
        self.made += trips;
        if let Some(counted) = self.crossing.counted()
            && counted != self.made
        {
            check.report(format!("rank {rank} made {} trips, and the peer counted {counted}", self.made));
        }
        if let Some(wrong) = self.crossing.wrong() {
            check.report(format!("rank {rank}: {wrong}"));
        }
    }
}

/// Spins so long, as work that takes time and shares nothing.
#[inline]
pub fn spin_for(ticks: u64) {
    let start = clock::stamp();
    while clock::stamp() - start < ticks {
        std::hint::spin_loop();
    }
}

/// What a row of the table is to the others.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// What the targets speak of: phalanx as it comes.
    Subject,
    /// Other settings of phalanx.
    Own,
    /// What no barrier can be faster than.
    Floor,
    /// Another barrier.
    Rival,
    /// For information only.
    Info,
}

/// A peer with its seats.
pub struct Entrant {
    pub card: Card,
    /// By instance, then by rank.
    pub seats: Vec<Vec<Box<dyn Seat>>>,
}

/// What is to be known about a peer.
#[derive(Clone)]
pub struct Card {
    pub name: String,
    pub role: Role,
    pub leads: bool,
    /// Its own runtime's threads cross, not ours: only rank 0 plays, while all of ours sleep.
    pub foreign: bool,
    /// Takes part in each so many-th round. Where rounds are of a given time, it also needs only such a part of the
    /// trips that they must have at least.
    pub every: usize,
}

impl Entrant {
    /// Builds `instances` barriers of a kind.
    ///
    /// More than one, because the cost of a hop depends on where in the last-level cache the line happens to lie; the
    /// rounds go through them in turn, so that no peer is measured by the luck of one address.
    pub fn new<C: Crossing + 'static>(
        name: impl Into<String>,
        role: Role,
        instances: usize,
        mut build: impl FnMut() -> Result<Vec<C>, String>,
    ) -> Result<Self, String> {
        let name = name.into();
        let table = |parties: Vec<C>| {
            parties.into_iter().map(|crossing| Box::new(Chair { crossing, made: 0 }) as Box<dyn Seat>).collect()
        };
        let seats = (0..instances)
            .map(|_| build().map(table).map_err(|why| format!("{name}: {why}")))
            .collect::<Result<_, _>>()?;
        Ok(Self { card: Card { name, role, leads: C::LEADS, foreign: false, every: 1 }, seats })
    }
}
