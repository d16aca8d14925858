//! phalanx with work that belongs to the trip: an action, or something to do between arrival and wait.

use super::own::{self, Own};
use crate::gate::Line;
use crate::seat::{Crossing, spin_for};
use phalanx::{Algorithm, Broken, Party, Trip};
use std::hint::black_box;
use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// Computes so many dependent steps: the same time wherever it runs, without a look at a clock.
#[inline(never)]
pub fn chain(steps: u64) {
    let mut x = black_box(steps);
    for _ in 0..steps {
        x = x.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ (x >> 31);
    }
    black_box(x);
}

/// How many steps take about so long here.
pub fn steps_in(time: Duration) -> u64 {
    const STEPS: u64 = 20_000;
    let fastest = (0..20).map(|_| {
        let start = Instant::now();
        chain(STEPS);
        start.elapsed()
    });
    let fastest = fastest.min().expect("twenty are some").max(Duration::from_nanos(1));
    (STEPS as u128 * time.as_nanos() / fastest.as_nanos()) as u64
}

/// A party of a barrier whose action takes so many steps, and counts its runs.
pub struct Acting {
    inner: Own,
    /// By the rank that ran it: a root counts on its own line, so that no line travels for the sake of our books.
    runs: Arc<[Line<AtomicU64>]>,
}

/// All parties of one.
pub fn acting(parties: usize, algorithm: Algorithm, pinned: &[usize], steps: u64) -> Result<Vec<Acting>, String> {
    let runs: Arc<[Line<AtomicU64>]> = (0..parties).map(|_| Line::default()).collect();
    let counted = Arc::clone(&runs);
    let builder = own::builder(parties, algorithm, Some(pinned))?.action(move |trip| {
        let runs = &counted[trip.rank].0;
        runs.store(runs.load(Relaxed) + 1, Relaxed);
        if steps > 0 {
            chain(steps);
        }
    });
    let inner = own::claim(builder.build())?;
    Ok(inner.into_iter().map(|inner| Acting { inner, runs: Arc::clone(&runs) }).collect())
}

impl Crossing for Acting {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.inner.wait()
    }

    fn counted(&self) -> Option<u64> {
        self.inner.counted()
    }

    fn wrong(&self) -> Option<String> {
        // Between two rounds nobody has arrived at the next trip, so the action has run as often as this party crossed.
        let (runs, trips) = (self.runs.iter().map(|runs| runs.0.load(Relaxed)).sum::<u64>(), self.counted()?);
        (runs != trips).then(|| format!("the action has run {runs} times in {trips} trips"))
    }
}

/// The action alone, by each party for itself.
pub struct Alone {
    inner: Own,
    steps: u64,
}

pub fn alone(parties: usize, steps: u64) -> Result<Vec<Alone>, String> {
    Ok(own::default(parties)?.into_iter().map(|inner| Alone { inner, steps }).collect())
}

impl Crossing for Alone {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        chain(self.steps);
        false
    }

    fn meet(&mut self) -> bool {
        self.inner.wait()
    }
}

/// A party that meets nobody: what is left of a round without its barrier. The checked trips have one.
pub struct Nobody(Own);

pub fn nobody(parties: usize) -> Result<Vec<Nobody>, String> {
    Ok(own::default(parties)?.into_iter().map(Nobody).collect())
}

impl Crossing for Nobody {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        false
    }

    fn meet(&mut self) -> bool {
        self.0.wait()
    }
}

/// Where the work of a trip is done.
pub trait Order: Send + 'static {
    /// `None` if nobody is met.
    fn cross(party: &mut Party, work: impl FnOnce()) -> Option<Result<Trip, Broken>>;
}

/// Before the wait.
pub struct Before;
impl Order for Before {
    #[inline(always)]
    fn cross(party: &mut Party, work: impl FnOnce()) -> Option<Result<Trip, Broken>> {
        work();
        Some(party.wait())
    }
}

/// Between arrival and wait.
pub struct Between;
impl Order for Between {
    #[inline(always)]
    fn cross(party: &mut Party, work: impl FnOnce()) -> Option<Result<Trip, Broken>> {
        let arrival = party.arrive();
        work();
        Some(arrival.wait())
    }
}

/// And no barrier at all.
pub struct Unmet;
impl Order for Unmet {
    #[inline(always)]
    fn cross(_: &mut Party, work: impl FnOnce()) -> Option<Result<Trip, Broken>> {
        work();
        None
    }
}

/// One of two parties that are late in turn, by as long as the work takes that each has on every trip.
pub struct Worker<O> {
    inner: Own,
    trip: u64,
    rank: u64,
    ticks: u64,
    order: PhantomData<fn() -> O>,
}

pub fn workers<O: Order>(algorithm: Algorithm, pinned: &[usize], ticks: u64) -> Result<Vec<Worker<O>>, String> {
    let inner = own::algorithm(2, algorithm, Some(pinned))?.into_iter();
    Ok(inner.zip(0..).map(|(inner, rank)| Worker { inner, trip: 0, rank, ticks, order: PhantomData }).collect())
}

impl<O: Order> Crossing for Worker<O> {
    const LEADS: bool = true;

    #[inline(always)]
    fn wait(&mut self) -> bool {
        self.trip += 1;
        let ticks = self.ticks;
        if self.trip & 1 == self.rank {
            spin_for(ticks);
        }
        match O::cross(&mut self.inner.0, || spin_for(ticks)) {
            Some(Ok(trip)) => trip.is_leader(),
            Some(Err(broken)) => own::fail(&broken),
            None => false,
        }
    }

    fn meet(&mut self) -> bool {
        match O::cross(&mut self.inner.0, || {}) {
            Some(Ok(trip)) => trip.is_leader(),
            Some(Err(broken)) => own::fail(&broken),
            None => self.inner.wait(),
        }
    }
}
