//! What a cost model of barriers needs to know, taken from the same CPUs in the same rounds: single transfers, and what
//! each further reader, writer or flag adds to one.
//!
//! A probe takes its seats like a barrier, but only the ranks that it needs do anything. A hop is half of a ping-pong,
//! in which the clocks' offset cancels. The gaps are the slopes over `k` of four exchanges that begin at an appointed
//! time, a little later each: reading the appointed time on all CPUs needs clocks in step, and what they are off is in
//! each value alike, so that it is in the slope only by the accident of which CPU the largest `k` added.

use super::floor::{Bare, Exchange, Flags, exchange};
use crate::check::Check;
use crate::clock::{ns, stamp, ticks};
use crate::gate::Line;
use crate::seat::{Card, Crossing, Entrant, Lap, Passage, Role, Seat, Walk};
use crate::shape::imbalance::Waits;
use crate::shape::straggler::Lateness;
use crate::stats::median;
use crate::usage::Usage;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering, fence};
use std::time::Duration;

/// From one appointed time to the next: longer than any of these exchanges takes.
const PERIOD: Duration = Duration::from_micros(3);

/// The exchange of two flags between rank 0 and a partner, while all others are elsewhere: one trip is one hop.
pub fn hop<F: Flags + 'static>(name: String, parties: usize, partner: usize, instances: usize) -> Entrant {
    let table = || {
        let [first, second] = <[_; 2]>::try_from(exchange::<F, Bare>()).unwrap_or_else(|_| unreachable!("two parties"));
        let mut seats: Vec<Box<dyn Seat>> =
            (0..parties).map(|_| Box::new(Hop::<Exchange<F, Bare>>(None)) as _).collect();
        seats[0] = Box::new(Hop(Some(first)));
        seats[partner] = Box::new(Hop(Some(second)));
        seats
    };
    entrant(name, instances, table)
}

fn entrant(name: String, instances: usize, table: impl Fn() -> Vec<Box<dyn Seat>>) -> Entrant {
    let card = Card { name, role: Role::Info, leads: false, foreign: false, every: 1 };
    Entrant { card, seats: (0..instances).map(|_| table()).collect() }
}

#[repr(align(128))]
struct Hop<C>(Option<C>);

impl<C: Crossing> Seat for Hop<C> {
    #[inline(never)]
    fn back_to_back(&mut self, opening: u64, trips: u64) -> Lap {
        let Some(crossing) = &mut self.0 else { return Lap::default() };
        for _ in 0..opening {
            crossing.wait();
        }
        let start = stamp();
        for _ in 0..trips {
            crossing.wait();
        }
        Lap { ns: ns(stamp() - start), trips, usage: Usage::default(), all_trips: opening + trips }
    }

    fn straggle(&mut self, _: usize, _: &Lateness) -> Walk {
        Walk::default()
    }

    fn phases(&mut self, _: u64, _: u64, _: u64) -> Lap {
        unreachable!("takes no part in this shape")
    }

    fn verified(&mut self, _: usize, _: u64, _: u64, _: &Check) {}

    fn until(&mut self, _: usize, _: u64, _: &AtomicU64) -> Lap {
        unreachable!("takes no part in this shape")
    }

    fn long_wait(&mut self, _: usize, _: u64, _: Duration) -> Waits {
        unreachable!("takes no part in this shape")
    }
}

/// What is done `k` times over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Gap {
    /// `k` ranks each set a flag of their own; rank 0 has seen them all.
    Read,
    /// Rank 0 sets `k` flags, one after the other; the last of `k` ranks has seen its own.
    Write,
    /// Rank 0 sets one flag; the last of `k` ranks has seen it.
    Broadcast,
    /// `k` ranks each add to one counter; the last has the answer.
    Rmw,
}

impl Gap {
    pub const ALL: [Self; 4] = [Self::Read, Self::Write, Self::Broadcast, Self::Rmw];

    /// The name of a probe of this kind.
    pub fn name(self, k: usize) -> String {
        match self {
            Self::Read => format!("read, k = {k}: one reader, k flags set at once by k"),
            Self::Write => format!("write, k = {k}: one writer, k flags, the last of k pollers"),
            Self::Broadcast => format!("broadcast, k = {k}: one writer, one flag, the last of k pollers"),
            Self::Rmw => format!("add, k = {k}: k add to one counter at once, the last"),
        }
    }

    /// How many times over it is done among so many parties.
    pub fn widths(self, parties: usize) -> Vec<usize> {
        let most = if self == Self::Rmw { parties } else { parties - 1 };
        [1, 2, 4, 8].into_iter().filter(|&k| k < most).chain([most]).collect()
    }

    /// The ranks that take part are those below.
    fn crew(self, k: usize) -> usize {
        if self == Self::Rmw { k } else { k + 1 }
    }

    /// The rank is one of those whose act begins the exchange.
    fn acts(self, rank: usize) -> bool {
        match self {
            Self::Read => rank != 0,
            Self::Write | Self::Broadcast => rank == 0,
            Self::Rmw => true,
        }
    }

    /// From the first act to the last effect, in nanoseconds: the median of a round.
    ///
    /// Where several act at once, from the mean of their clocks' last looks: the last of many looks later than the last
    /// of few, and the slope would hide the difference.
    pub fn value(self, seen: &[Walk]) -> f64 {
        let seen = seen.iter().map(|walk| &walk.seen);
        let part: Vec<(usize, &Vec<Passage>)> = seen.enumerate().filter(|(_, of)| !of.is_empty()).collect();
        let actors = part.iter().filter(|(rank, _)| self.acts(*rank)).count() as f64;
        let times = part.iter().map(|(_, of)| of.len()).min().unwrap_or(0);
        let tick = ns(1 << 20) / f64::from(1 << 20);
        median((0..times).map(|time| {
            let first = part.iter().map(|(_, of)| of[time].arrived).min().unwrap_or(0);
            let since = |at: u64| at.wrapping_sub(first).cast_signed() as f64;
            let acts = part.iter().filter(|(rank, _)| self.acts(*rank)).map(|(_, of)| since(of[time].arrived));
            let mean = acts.sum::<f64>() / actors;
            let last = part.iter().map(|(_, of)| since(of[time].released)).fold(f64::MIN, f64::max);
            (last - mean) * tick
        }))
    }
}

/// The exchange `k` times over among the first of `parties`.
pub fn gap(kind: Gap, k: usize, parties: usize, instances: usize) -> Entrant {
    let table = || {
        let lines = Arc::new(Lines::new(parties));
        (0..parties)
            .map(|rank| {
                let probe = Probe { kind, k, rank, lines: lines.clone(), time: 0, rounds: 0, seen: Vec::new() };
                Box::new(probe) as Box<dyn Seat>
            })
            .collect()
    };
    entrant(kind.name(k), instances, table)
}

struct Lines {
    /// How often somebody has come to a round.
    come: Line<AtomicU64>,
    /// When the round at hand begins.
    start: Line<AtomicU64>,
    /// By rank.
    flags: Vec<Line<AtomicU64>>,
    shared: Line<AtomicU64>,
}

impl Lines {
    fn new(parties: usize) -> Self {
        let flags = (0..parties).map(|_| Line::default()).collect();
        Self { come: Line::default(), start: Line::default(), flags, shared: Line::default() }
    }
}

#[repr(align(128))]
struct Probe {
    kind: Gap,
    k: usize,
    rank: usize,
    lines: Arc<Lines>,
    /// How many times it has been done.
    time: u64,
    rounds: u64,
    seen: Vec<Passage>,
}

impl Probe {
    /// Waits for the others of this round, and for nothing else; the tick at which it begins.
    fn meet(&mut self, crew: u64) -> u64 {
        let Lines { come, start, .. } = &*self.lines;
        self.rounds += 1;
        let before = start.0.load(Ordering::Relaxed);
        come.0.fetch_add(1, Ordering::AcqRel);
        if self.rank == 0 {
            while come.0.load(Ordering::Acquire) < crew * self.rounds {
                std::hint::spin_loop();
            }
            let begin = stamp() + ticks(PERIOD);
            start.0.store(begin, Ordering::Release);
            return begin;
        }
        // Rank 0 cannot have set it before we had come, and it never sets the same twice.
        loop {
            match start.0.load(Ordering::Acquire) {
                begin if begin != before => return begin,
                _ => std::hint::spin_loop(),
            }
        }
    }

    /// One party's part in one exchange that begins `at`.
    #[inline(always)]
    fn once(&self, at: u64) -> Passage {
        let (Lines { flags, shared, .. }, time) = (&*self.lines, self.time);
        let poll = |flag: &AtomicU64| while flag.load(Ordering::Acquire) < time {};
        let mut arrived = at;
        if self.kind.acts(self.rank) {
            arrived = stamp();
            while arrived < at {
                arrived = stamp();
            }
        }
        match (self.kind, self.rank) {
            (Gap::Read, 0) => {
                let open = |flag: &Line<AtomicU64>| u64::from(flag.0.load(Ordering::Relaxed) < time);
                // All of them in each look, so that the misses overlap.
                while flags[1..=self.k].iter().map(open).sum::<u64>() != 0 {}
                fence(Ordering::Acquire);
            }
            (Gap::Read, rank) => flags[rank].0.store(time, Ordering::Release),
            (Gap::Write, 0) => flags[1..=self.k].iter().for_each(|flag| flag.0.store(time, Ordering::Release)),
            (Gap::Write, rank) => poll(&flags[rank].0),
            (Gap::Broadcast, 0) => shared.0.store(time, Ordering::Release),
            (Gap::Broadcast, _) => poll(&shared.0),
            (Gap::Rmw, _) => {
                shared.0.fetch_add(1, Ordering::AcqRel);
            }
        }
        let effect = !self.kind.acts(self.rank) || self.kind == Gap::Rmw;
        Passage { arrived, released: if effect { stamp() } else { arrived } }
    }
}

impl Seat for Probe {
    /// The exchange so many times; what was seen is to be had from [`Seat::straggle`].
    #[inline(never)]
    fn back_to_back(&mut self, _: u64, trips: u64) -> Lap {
        let crew = self.kind.crew(self.k);
        if self.rank < crew {
            self.seen = Vec::with_capacity(trips as usize);
            let begin = self.meet(crew as u64);
            let period = ticks(PERIOD);
            for i in 0..trips {
                self.time += 1;
                let passage = self.once(begin + i * period);
                self.seen.push(passage);
            }
        }
        Lap { trips, ..Lap::default() }
    }

    fn straggle(&mut self, _: usize, _: &Lateness) -> Walk {
        Walk { seen: std::mem::take(&mut self.seen), usage: Usage::default() }
    }

    fn phases(&mut self, _: u64, _: u64, _: u64) -> Lap {
        unreachable!("takes no part in this shape")
    }

    fn verified(&mut self, _: usize, _: u64, _: u64, _: &Check) {}

    fn until(&mut self, _: usize, _: u64, _: &AtomicU64) -> Lap {
        unreachable!("takes no part in this shape")
    }

    fn long_wait(&mut self, _: usize, _: u64, _: Duration) -> Waits {
        unreachable!("takes no part in this shape")
    }
}
