//! Nothing goes wrong: as many trips as fit into the slice. Each party stamps its cell before it arrives and looks at all
//! cells behind the trip (C1): another's stamp is the trip's own number or the next one's, since nobody can be two ahead.
//! It counts its trips, checks their numbers, and adds up a hash of all trips and of those that it led; behind the round all
//! parties' sums must agree, and the leaders' hashes must add up to the trips': then each trip had one leader (C7).

use super::cell::Cell;
use super::pool::{Job, Pool, Step, Trouble, mark};
use super::rng::Rng;
use super::score::Score;
use phalanx::{Barrier, Broken, Party, compat, topology};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::time::{Duration, Instant};

/// A number that looks like any other.
pub(crate) fn mix(a: u64, b: u64) -> u64 {
    let mixed = (a ^ b.rotate_left(32)).wrapping_add(0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (mixed ^ (mixed >> 29)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

/// Whoever can cross: the number of the trip, whether it led it, and its place in it where there is one.
trait Seat {
    fn cross(&mut self) -> Result<(u64, bool, u64), Broken>;
}

impl Seat for Party {
    #[inline]
    fn cross(&mut self) -> Result<(u64, bool, u64), Broken> {
        self.wait().map(|trip| (trip.generation(), trip.is_leader(), 0))
    }
}

/// Without a handle: it counts for itself.
struct Caller(Arc<compat::Barrier>, u64);

impl Seat for Caller {
    #[inline]
    fn cross(&mut self) -> Result<(u64, bool, u64), Broken> {
        let result = self.0.try_wait()?;
        self.1 += 1;
        Ok((self.1 - 1, result.is_leader(), result.index() as u64))
    }
}

struct Shared {
    cells: Vec<AtomicU64>,
    /// Cells lie so far apart.
    stride: usize,
    /// Somebody wants it to end.
    over: AtomicBool,
    /// The last trip, counted from the first. Written before its writer arrives at it, so all know it behind it.
    last: AtomicU64,
}

#[derive(Default)]
struct Book {
    trips: u64,
    all: u64,
    led: u64,
    places: u64,
    longest: u64,
    fault: Option<String>,
}

/// Trips between two looks at the clock, where a trip is much shorter than such a look would be worth.
const BATCH: u64 = 16;

fn go(seat: &mut impl Seat, shared: &Shared, rank: usize, parties: usize, first: u64) -> Book {
    let mut book = Book::default();
    let batch = if parties <= 2 { BATCH } else { 1 };
    let (mut before, mut number) = (Instant::now(), 0);
    loop {
        if rank == 0 && (number % batch == 0) && shared.over.load(Relaxed) && shared.last.load(Relaxed) == u64::MAX {
            shared.last.store(number, Relaxed);
        }
        shared.cells[rank * shared.stride].store(number + 1, Relaxed);
        if number % batch == 0 {
            mark(rank, number, Step::Waiting);
        }
        let (generation, leads, place) = match seat.cross() {
            Ok(crossed) => crossed,
            Err(broken) => {
                book.fault = Some(format!("rank {rank}, trip {number}: {broken}, though nobody did that"));
                shared.over.store(true, Relaxed);
                return book;
            }
        };
        for (other, cell) in shared.cells.iter().step_by(shared.stride).enumerate() {
            let stamp = cell.load(Relaxed);
            if stamp != number + 1 && stamp != number + 2 && book.fault.is_none() {
                book.fault =
                    Some(format!("rank {rank} behind trip {number} sees rank {other} ahead or behind: {stamp}"));
            }
        }
        if generation != first.wrapping_add(number) && book.fault.is_none() {
            book.fault = Some(format!("rank {rank} crossed trip {generation}, not {first} + {number}"));
        }
        let hash = mix(number, 1);
        book.all = book.all.wrapping_add(hash);
        book.led = book.led.wrapping_add(if leads { hash } else { 0 });
        book.places = book.places.wrapping_add(mix(number, place));
        number += 1;
        if number % batch == 0 {
            let now = Instant::now();
            book.longest = book.longest.max((now - before).as_nanos() as u64);
            before = now;
        }
        if shared.last.load(Relaxed) < number {
            book.trips = number;
            return book;
        }
    }
}

/// One round.
pub(crate) fn play(
    pool: &Pool,
    cell: &Cell,
    (seed, slice, cpus): (u64, Duration, usize),
    score: &mut Score,
) -> Result<(), Trouble> {
    let mut rng = Rng::new(seed);
    let parties = cell.parties;
    let stride = if parties == 2 { 1 } else { 16 };
    let shared = Arc::new(Shared {
        cells: (0..parties * stride).map(|_| AtomicU64::new(0)).collect(),
        stride,
        over: AtomicBool::new(false),
        last: AtomicU64::new(u64::MAX),
    });
    // Where each has a CPU, the scheduler mostly leaves it there; the rest of the time it is left to it.
    let pinned = parties <= cpus && !rng.once_in(4);
    let list: Vec<usize> = topology::startup_mask().iter().collect();
    let cpu_of = move |rank: usize| pinned.then(|| list[rank % list.len()]);
    let mut jobs: Vec<Job<Book>> = Vec::new();
    let mut show: Box<dyn Fn() -> String> = Box::new(String::new);
    score.barriers_built += 1;
    if let Some((algorithm, policy)) = cell.algorithm.zip(cell.policy) {
        let first = super::storm::first_generation(&mut rng);
        score.rounds_over_a_wrap += u64::from(first != 0);
        let builder = Barrier::builder(parties).algorithm(algorithm).wait_policy(policy).first_generation(first);
        let barrier = builder.build().expect("a barrier");
        for (rank, mut party) in barrier.take_parties().expect("unclaimed").into_iter().enumerate() {
            let (shared, cpu) = (Arc::clone(&shared), cpu_of(rank));
            jobs.push(Box::new(move || {
                let _pinned = cpu.and_then(|cpu| topology::pin_current(cpu).ok());
                go(&mut party, &shared, rank, parties, first)
            }));
        }
        show = Box::new(move || format!("{barrier:?}"));
    } else {
        let barrier = Arc::new(compat::Barrier::new(parties));
        for rank in 0..parties {
            let (shared, mut caller, cpu) = (Arc::clone(&shared), Caller(Arc::clone(&barrier), 0), cpu_of(rank));
            jobs.push(Box::new(move || {
                let _pinned = cpu.and_then(|cpu| topology::pin_current(cpu).ok());
                go(&mut caller, &shared, rank, parties, 0)
            }));
        }
    }
    let books = pool.play(jobs, slice, || shared.over.store(true, Relaxed)).map_err(|trouble| match trouble {
        Trouble::Hang(text) => Trouble::Hang(format!("{text}\n  {}", show())),
        other => other,
    })?;
    judge(cell, &books, cpus, score);
    Ok(())
}

fn judge(cell: &Cell, books: &[Book], cpus: usize, score: &mut Score) {
    let (parties, first) = (cell.parties as u64, &books[0]);
    let mut wrong: Vec<String> = books.iter().filter_map(|book| book.fault.clone()).collect();
    if books.iter().any(|book| (book.trips, book.all) != (first.trips, first.all)) {
        let counts: Vec<u64> = books.iter().map(|book| book.trips).collect();
        wrong.push(format!("the parties have not crossed the same trips: {counts:?}"));
    }
    let led = books.iter().fold(0_u64, |sum, book| sum.wrapping_add(book.led));
    if led != first.all && wrong.is_empty() {
        wrong.push(format!("not one leader on each of {} trips", first.trips));
    }
    if cell.algorithm.is_none() && wrong.is_empty() {
        let places = books.iter().fold(0_u64, |sum, book| sum.wrapping_add(book.places));
        let every = |trip: u64| (0..parties).fold(0_u64, |sum, place| sum.wrapping_add(mix(trip, place)));
        if places != (0..first.trips).fold(0_u64, |sum, trip| sum.wrapping_add(every(trip))) {
            wrong.push("not each arrival index once on each trip".into());
        }
    }
    for text in wrong {
        score.fault(format!("{cell}: {text}"));
    }
    score.cross(cell, first.trips);
    // For each party and trip: its number, whether it was led, and every other's stamp.
    score.outcomes_compared += first.trips * parties;
    let longest = books.iter().map(|book| book.longest).max().unwrap_or(0);
    score.waited(cell, longest, cpus);
}
