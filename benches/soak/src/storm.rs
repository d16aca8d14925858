//! Parties that go round and round while everything happens to them: nobody keeps step but by the barrier under test. Each
//! writes down every outcome with the times around it, and the audit (`audit.rs`) compares all books behind the round.
//!
//! Whoever is told of a break resets the barrier if it is still broken by that break, and goes on; whoever gave its handle
//! up claims its rank again. When the slice is over nobody resets any more, and the barrier is aborted (or its token
//! cancelled) until all have been told of something.

use super::audit::{self, Book, Entry, Outcome};
use super::cell::Cell;
use super::plain::mix;
use super::pool::{Job, PLANNED, Pool, Step, Trouble, mark, panic_quietly, rng_of};
use super::profile::{Op, Profile};
use super::rng::Rng;
use super::score::Score;
use phalanx::{Barrier, Broken, CancelToken, Cause, Party, ResetError, Trip};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

/// A value on which the operators here panic.
pub(crate) const POISON: u64 = u64::MAX;

/// No barrier here has so many ranks.
const NOBODY: usize = 1000;

/// What is combined, and how: it neither commutes nor associates, so that only the right order gives the right result.
pub(crate) fn fold(a: u64, b: u64) -> u64 {
    mix(a, b) >> 1
}

fn operator(a: u64, b: u64) -> u64 {
    if a == POISON || b == POISON {
        panic_quietly();
    }
    fold(a, b)
}

/// Where the count of trips begins: half of the time so that it goes over a wrap of the whole word or of a part of it.
pub(crate) fn first_generation(rng: &mut Rng) -> u64 {
    let near = [u64::MAX, 1 << 63, 1 << 32, 1 << 31, 1 << 39];
    if rng.once_in(2) { 0 } else { near[rng.below(5) as usize].wrapping_sub(rng.below(200)) }
}

/// The hash of all runs of the action, and how many there were.
#[derive(Default)]
pub(crate) struct Runs {
    pub(crate) count: AtomicU64,
    pub(crate) hash: AtomicU64,
}

pub(crate) struct Round {
    pub(crate) cell: Cell,
    pub(crate) profile: Profile,
    pub(crate) barrier: Barrier,
    pub(crate) first: u64,
    pub(crate) runs: Arc<Runs>,
    /// Of the watchdog.
    reports: Arc<AtomicU64>,
    over: AtomicBool,
    begun: Instant,
}

impl Round {
    fn now(&self) -> u64 {
        self.begun.elapsed().as_nanos() as u64
    }
}

/// One round.
pub(crate) fn play(
    pool: &Pool,
    cell: &Cell,
    (seed, slice, _): (u64, Duration, usize),
    score: &mut Score,
) -> Result<(), Trouble> {
    let mut rng = Rng::new(seed);
    let profile = Profile::new(cell.kind, &mut rng, cell.parties);
    let slice = if profile.watchdog { slice.max(Duration::from_millis(40)) } else { slice };
    let first = first_generation(&mut rng);
    let (runs, reports, token) = (Arc::new(Runs::default()), Arc::new(AtomicU64::new(0)), CancelToken::new());
    let barrier = build(cell, &profile, first, (&runs, &reports, &token));
    score.barriers_built += 1;
    score.rounds_over_a_wrap += u64::from(first != 0);
    let parties = barrier.take_parties().expect("unclaimed");
    let (over, begun) = (AtomicBool::new(false), Instant::now());
    let round =
        Arc::new(Round { cell: *cell, profile, barrier, first, runs, reports: Arc::clone(&reports), over, begun });
    let mut jobs: Vec<Job<Book>> = Vec::new();
    for (rank, party) in parties.into_iter().enumerate() {
        let round = Arc::clone(&round);
        jobs.push(Box::new(move || Seat::new(&round, rank, party, rng_of(seed, rank)).go()));
    }
    if round.profile.outsider.is_some() {
        let round = Arc::clone(&round);
        jobs.push(Box::new(move || disturb(&round, rng_of(seed, cell_size(&round)))));
    }
    let ended = Arc::clone(&round);
    let mut mended = false;
    let end = || {
        ended.over.store(true, Relaxed);
        if ended.profile.cancels {
            token.cancel("end");
            mended |= ended.barrier.reset().is_ok();
        } else {
            ended.barrier.abort("end");
        }
    };
    let books = pool.play(jobs, slice, end).map_err(|trouble| match trouble {
        Trouble::Hang(text) => Trouble::Hang(format!("{text}\n  {:?}", round.barrier)),
        other => other,
    })?;
    if mended {
        score.fault(format!("{cell}: a reset mended what was cancelled"));
    }
    score.watchdog_reports += reports.load(Relaxed);
    audit::audit(&round, &books, score);
    Ok(())
}

fn cell_size(round: &Round) -> usize {
    round.cell.parties
}

fn build(
    cell: &Cell,
    profile: &Profile,
    first: u64,
    (runs, reports, token): (&Arc<Runs>, &Arc<AtomicU64>, &CancelToken),
) -> Barrier {
    let (algorithm, policy) = cell.algorithm.zip(cell.policy).expect("a storm has both");
    let mut builder = Barrier::builder(cell.parties).algorithm(algorithm).wait_policy(policy).first_generation(first);
    if let Some(limit) = profile.usual_limit {
        builder = builder.timeout(limit);
    }
    if profile.split >= 500 {
        builder = builder.split_phase();
    }
    if profile.cancels {
        builder = builder.cancel_on(token);
    }
    if profile.watchdog {
        let reports = Arc::clone(reports);
        builder = builder.watchdog(Duration::from_millis(1), move |report| {
            let count = reports.fetch_add(1, Relaxed);
            if count % 2 == 0 {
                report.break_trip("watchdog");
            }
        });
    }
    if let Some(panics) = profile.action {
        let runs = Arc::clone(runs);
        builder = builder.action(move |trip| {
            runs.count.fetch_add(1, Relaxed);
            runs.hash.fetch_add(mix(trip.generation, 3), Relaxed);
            if mix(trip.generation, first) % 1000 < panics {
                panic_quietly();
            }
        });
    }
    builder.build().expect("a barrier")
}

/// Somebody who is no party, until it is over.
fn disturb(round: &Round, mut rng: Rng) -> Book {
    let place = round.cell.parties;
    let (aborts, resets) = round.profile.outsider.expect("there is one");
    let mut book = Book::default();
    while !round.over.load(Relaxed) {
        mark(place, book.acts(), Step::Disturbing);
        match rng.below(10) {
            act if act < aborts => abort(round, place, &mut book),
            act if act < aborts + resets => reset(round, &mut book),
            _ => {
                round.barrier.wake_spuriously();
                book.wakes += 1;
            }
        }
        if rng.once_in(3) {
            rng.dawdle();
        } else {
            thread::sleep(Duration::from_micros(rng.below(200)));
        }
    }
    book
}

fn abort(round: &Round, place: usize, book: &mut Book) {
    let reason = format!("{place}:{}", book.aborts);
    book.aborts += 1;
    book.said.push(round.barrier.abort(reason));
}

fn reset(round: &Round, book: &mut Book) {
    book.resets_on_purpose += 1;
    if let Ok(_next) = round.barrier.reset() {
        book.resets += 1;
    }
}

/// One party, with its generator and its book.
struct Seat<'a> {
    round: &'a Round,
    rank: usize,
    party: Option<Party>,
    rng: Rng,
    book: Book,
    /// A thousandth of this many trips.
    scale: u64,
    handle: u32,
    attempt: u64,
}

/// What came of a try to cross.
type Answer = Result<(Outcome, u64, u64), Broken>;

impl<'a> Seat<'a> {
    fn new(round: &'a Round, rank: usize, party: Party, rng: Rng) -> Self {
        let scale = 1000 * round.cell.parties.max(2) as u64 / 2;
        Self { round, rank, party: Some(party), rng, book: Book::default(), scale, handle: 0, attempt: 0 }
    }

    fn likely(&mut self, weight: u64) -> bool {
        weight > 0 && self.rng.below(self.scale) < weight
    }

    fn go(mut self) -> Book {
        let over = || self.round.over.load(Relaxed);
        let profile = &self.round.profile;
        loop {
            self.attempt += 1;
            mark(self.rank, self.attempt, Step::Working);
            if self.likely(profile.drop) || self.likely(profile.panic) {
                self.desert();
                if over() {
                    break;
                }
                mark(self.rank, self.attempt, Step::Claiming);
                self.party = Some(self.round.barrier.claim(self.rank).expect("its handle was dropped"));
                self.book.claims += 1;
                self.handle += 1;
            }
            if self.likely(profile.abort) {
                abort(self.round, self.rank, &mut self.book);
            }
            if self.likely(profile.reset) && !over() {
                reset(self.round, &mut self.book);
            }
            if self.likely(profile.late) {
                self.book.late += 1;
                self.rng.dawdle();
                self.rng.dawdle();
            }
            if self.likely(profile.very_late) {
                self.book.late += 1;
                self.wait_for_a_report();
            }
            if let Some(told) = self.meet() {
                if over() {
                    break;
                }
                self.mend(&told);
            }
        }
        // Somebody may have reset the barrier just now, and be told of this.
        self.book.home = self.round.now();
        self.book
    }

    /// Stays away until the watchdog has said something, which takes it some looks at the threads.
    fn wait_for_a_report(&self) {
        let (before, begun) = (self.round.reports.load(Relaxed), Instant::now());
        while self.round.reports.load(Relaxed) == before && begun.elapsed() < Duration::from_millis(150) {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// Gives its handle up, one way or the other.
    fn desert(&mut self) {
        let (rank, profile) = (self.rank, &self.round.profile);
        let panics = self.rng.below(profile.drop + profile.panic) >= profile.drop;
        let cause = if panics { Cause::Panicked { rank } } else { Cause::Dropped { rank } };
        self.book.departures.push((cause, self.round.now()));
        let leaving = self.party.take();
        let _ = catch_unwind(AssertUnwindSafe(move || {
            let _dropped_by_the_panic = leaving;
            if panics {
                panic_quietly();
            }
        }));
        self.rng.dawdle();
    }

    /// Returns the barrier to service, unless somebody has.
    fn mend(&mut self, told: &Broken) {
        if self.round.barrier.broken().as_ref() == Some(told) {
            match self.round.barrier.reset() {
                Ok(_) => self.book.resets += 1,
                Err(ResetError::Deserted { .. }) => thread::yield_now(),
                Err(ResetError::Cancelled { .. }) => {}
                Err(other) => self.book.faults.push(format!("a reset was refused: {other}")),
            }
        }
    }

    /// Comes to one trip, and writes down what became of it.
    fn meet(&mut self) -> Option<Broken> {
        let profile = &self.round.profile;
        let usual = profile.usual_limit.map_or(u64::MAX, |limit| limit.as_nanos() as u64);
        let gives = mix(self.rank as u64, self.attempt) >> 1;
        mark(self.rank, self.attempt, Step::Waiting);
        let called = self.round.now();
        let (limit, answer) = if profile.op.is_some() {
            (usual, self.bring(gives))
        } else if self.likely(profile.limit) {
            let limit = Duration::from_micros(self.rng.below(200));
            self.book.limits += 1;
            let party = self.party.as_mut().expect("a handle");
            let outcome = if self.rng.once_in(2) {
                party.wait_timeout(limit)
            } else {
                party.wait_deadline(self.round.begun + Duration::from_nanos(called) + limit)
            };
            (limit.as_nanos() as u64, crossed(outcome))
        } else if self.likely(profile.split) {
            (usual, self.arrive_and_wait())
        } else {
            (usual, crossed(self.party.as_mut().expect("a handle").wait()))
        };
        let returned = self.round.now();
        let entry = |generation, outcome, got| {
            let (handle, gave) = (self.handle, if got == 0 { 0 } else { gives });
            Entry { generation, called, returned, limit, handle, outcome, gave, got }
        };
        match answer {
            Ok((outcome, generation, got)) => {
                let gave = self.book.gave.take().unwrap_or(gives);
                self.book.entries.push(Entry { gave, ..entry(generation, outcome, got) });
                None
            }
            Err(broken) => {
                self.book.gave = None;
                // The same break again, before the reset, is no news.
                if self.book.told.last() != Some(&broken) {
                    let told = entry(broken.generation(), Outcome::Told(self.book.told.len() as u32), 0);
                    self.book.entries.push(told);
                    self.book.told.push(broken.clone());
                }
                Some(broken)
            }
        }
    }

    fn arrive_and_wait(&mut self) -> Answer {
        let manner = self.rng.below(4);
        self.book.splits += 1;
        let mut arrival = self.party.as_mut().expect("a handle").arrive();
        self.rng.dawdle();
        if manner == 0 {
            return crossed(arrival.wait());
        }
        loop {
            let answer = match manner {
                1 => arrival.try_wait(),
                2 => arrival.wait_timeout(Duration::from_micros(20)),
                _ => arrival.wait_deadline(Instant::now() + Duration::from_micros(20)),
            };
            if let Some(answer) = answer.transpose() {
                if arrival.try_wait().transpose() != Some(answer.clone()) {
                    self.book.faults.push(format!("rank {}: an arrival asked twice gave two answers", self.rank));
                }
                return crossed(answer);
            }
            thread::yield_now();
        }
    }

    /// Crosses with a value; now and then with a wrong one, or with none.
    fn bring(&mut self, gives: u64) -> Answer {
        let profile = &self.round.profile;
        if self.likely(profile.mismatch) {
            self.book.mismatches += 1;
            return crossed(self.party.as_mut().expect("a handle").wait());
        }
        if self.likely(profile.stray) {
            self.book.strays += 1;
            let party = self.party.as_mut().expect("a handle");
            let got = party.broadcast(NOBODY, || gives)?;
            self.book.faults.push(format!("rank {} was given {got} by a rank that there is not", self.rank));
        }
        let poisoned = self.likely(profile.poison);
        let gives = if poisoned { POISON } else { gives };
        self.book.poisons += u64::from(poisoned);
        let lonely = profile.op == Some(Op::AllReduce) && self.likely(profile.lonely);
        self.book.lonely += u64::from(lonely);
        let rank = self.rank;
        let party = self.party.as_mut().expect("a handle");
        let got = match profile.op.expect("values ride") {
            Op::AllReduce if lonely => {
                let alone = |_: u64, _: u64| -> u64 { panic_quietly() };
                match catch_unwind(AssertUnwindSafe(|| party.all_reduce(gives, alone))) {
                    Ok(result) => result?,
                    Err(_) => {
                        self.book.gave = Some(gives);
                        return Ok((Outcome::Burst, party.generation().wrapping_sub(1), 0));
                    }
                }
            }
            Op::AllReduce => party.all_reduce(gives, operator)?,
            Op::Reduce(to) => {
                let got = party.reduce(to, gives, operator)?;
                if got.is_some() != (rank == to) {
                    self.book.faults.push(format!("rank {rank}: {got:?} of a reduction to rank {to}"));
                }
                got.unwrap_or(0)
            }
            Op::Broadcast(from) => party.broadcast(from, || gives)?,
            Op::Gather => party.all_gather(gives)?.into_iter().reduce(fold).unwrap_or(0),
            Op::Scan => party.exclusive_scan(7, gives, fold)?,
            Op::Cloned => {
                let sum = party.cloning().all_reduce(vec![gives], |mut left, right| {
                    if left.contains(&POISON) || right.contains(&POISON) {
                        panic_quietly();
                    }
                    left.extend(right);
                    left
                })?;
                sum.into_iter().reduce(fold).unwrap_or(0)
            }
            Op::Serial => party.serial(|| if gives == POISON { panic_quietly() } else { gives })?,
        };
        self.book.gave = Some(gives);
        Ok((Outcome::Served, party.generation().wrapping_sub(1), got))
    }
}

fn crossed(outcome: Result<Trip, Broken>) -> Answer {
    outcome.map(|trip| (Outcome::Crossed(trip.is_leader()), trip.generation(), 0))
}

/// What an action or an operator says that panicked because it was to.
pub(crate) fn is_planned(message: &str) -> bool {
    message == PLANNED
}
