//! `compat::Barrier` when things go wrong: as many callers as parties, or more, who are then served in batches; limits,
//! aborts, resets, actions that panic, and actions that wait at their own barrier.
//!
//! Callers have no handle and crossings no number, so what can be compared is this: crossings come in whole batches with
//! one leader and each arrival index once; of each broken trip there is one record, its cause is one that somebody
//! injected, and as many callers were told of it as it says had arrived.

use super::cell::Cell;
use super::plain::mix;
use super::pool::{Job, Pool, Step, Trouble, mark, panic_quietly, rng_of};
use super::rng::Rng;
use super::score::Score;
use super::storm::is_planned;
use phalanx::{Broken, Cause, compat};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::sync::{Arc, OnceLock, Weak};
use std::time::{Duration, Instant};

struct Round {
    barrier: Arc<compat::Barrier>,
    over: AtomicBool,
    begun: Instant,
    acts: bool,
}

/// What the action has been through.
#[derive(Default)]
struct Runs {
    count: AtomicU64,
    panics: AtomicU64,
    refused: AtomicU64,
    /// It was not refused what it must be.
    wrong: AtomicU64,
}

#[derive(Default)]
struct Book {
    /// Crossings by arrival index.
    crossed: Vec<u64>,
    led: u64,
    /// When it called, and what it was told.
    told: Vec<(u64, Broken)>,
    aborts: u64,
    resets: u64,
    limits: u64,
    faults: Vec<String>,
}

/// One round.
pub(crate) fn play(
    pool: &Pool,
    cell: &Cell,
    (seed, slice, _): (u64, Duration, usize),
    score: &mut Score,
) -> Result<(), Trouble> {
    let mut rng = Rng::new(seed);
    let parties = cell.parties;
    let callers = parties + if rng.once_in(3) && parties < 17 { 1 + rng.below(parties as u64) as usize } else { 0 };
    let acts = rng.once_in(2);
    let runs = Arc::new(Runs::default());
    let slot: Arc<OnceLock<Weak<compat::Barrier>>> = Arc::default();
    let first = super::storm::first_generation(&mut rng);
    let barrier = if acts {
        compat::Barrier::with_action(parties, act(&runs, &slot, seed))
    } else {
        compat::Barrier::new(parties)
    };
    let barrier = Arc::new(barrier.starting_at(first));
    let _ = slot.set(Arc::downgrade(&barrier));
    score.barriers_built += 1;
    score.rounds_over_a_wrap += u64::from(first != 0);
    let round = Arc::new(Round { barrier, over: AtomicBool::new(false), begun: Instant::now(), acts });
    let job = |place| {
        let round = Arc::clone(&round);
        Box::new(move || call(&round, place, rng_of(seed, place))) as Job<Book>
    };
    let end = || {
        round.over.store(true, Relaxed);
        round.barrier.abort("end");
    };
    let books = pool.play((0..callers).map(job).collect(), slice, end).map_err(|trouble| match trouble {
        Trouble::Hang(text) => {
            let barrier = &round.barrier;
            let (arrived, broken) = (barrier.arrived(), barrier.is_broken());
            Trouble::Hang(format!("{text}\n  {arrived} of {parties} have arrived, broken: {broken}"))
        }
        other => other,
    })?;
    judge(cell, &round, &runs, &books, score);
    Ok(())
}

fn act(runs: &Arc<Runs>, slot: &Arc<OnceLock<Weak<compat::Barrier>>>, seed: u64) -> impl FnMut() + Send + use<> {
    let (runs, slot) = (Arc::clone(runs), Arc::clone(slot));
    move || {
        let count = runs.count.fetch_add(1, Relaxed);
        match mix(count, seed) % 64 {
            0 => {
                runs.panics.fetch_add(1, Relaxed);
                panic_quietly();
            }
            1 => {
                let refusal = slot.get().and_then(Weak::upgrade).map(|barrier| barrier.try_wait());
                let told = refusal.and_then(Result::err);
                let refused = told.is_some_and(|told| matches!(told.cause(), Cause::Reentered { .. }));
                let counter = if refused { &runs.refused } else { &runs.wrong };
                counter.fetch_add(1, Relaxed);
            }
            _ => {}
        }
    }
}

fn call(round: &Round, place: usize, mut rng: Rng) -> Book {
    let barrier = &round.barrier;
    let parties = barrier.parties();
    let mut book = Book { crossed: vec![0; parties], ..Book::default() };
    let rare = 30 * parties as u64;
    for attempt in 0.. {
        if rng.once_in(rare) {
            barrier.abort(format!("{place}:{}", book.aborts));
            book.aborts += 1;
        }
        if rng.once_in(2 * rare) && !round.over.load(Relaxed) {
            barrier.reset();
            book.resets += 1;
        }
        if rng.once_in(rare / 4 + 1) {
            rng.dawdle();
        }
        mark(place, attempt, Step::Waiting);
        let called = round.begun.elapsed();
        let limit = rng.once_in(rare).then(|| Duration::from_micros(rng.below(200)));
        book.limits += u64::from(limit.is_some());
        let outcome = match limit {
            None => barrier.try_wait(),
            Some(limit) if rng.once_in(2) => barrier.wait_timeout(limit),
            Some(limit) => barrier.wait_deadline(round.begun + called + limit),
        };
        match outcome {
            Ok(crossing) => {
                book.crossed[crossing.index()] += 1;
                book.led += u64::from(crossing.is_leader());
                if crossing.is_leader() != (crossing.index() + 1 == parties) {
                    book.faults.push(format!("index {} leads: {}", crossing.index(), crossing.is_leader()));
                }
            }
            Err(broken) => {
                let stayed = (round.begun.elapsed() - called).as_nanos() as u64;
                if let (Cause::TimedOut { after, .. }, Some(_)) = (broken.cause(), limit) {
                    // By another's limit it may be told sooner.
                    if Some(*after) == limit && stayed < after.as_nanos() as u64 && parties == 1 {
                        book.faults.push(format!("early: {stayed} ns of {after:?}"));
                    }
                }
                if book.told.last().is_none_or(|(_, last)| *last != broken) {
                    book.told.push((called.as_nanos() as u64, broken));
                }
                if round.over.load(Relaxed) {
                    break;
                }
                barrier.reset();
                book.resets += 1;
            }
        }
    }
    book
}

fn judge(cell: &Cell, round: &Round, runs: &Runs, books: &[Book], score: &mut Score) {
    let parties = cell.parties;
    let mut wrong: Vec<String> = books.iter().flat_map(|book| book.faults.clone()).collect();
    let by_index = |index: usize| books.iter().map(|book| book.crossed[index]).sum::<u64>();
    let trips = by_index(0);
    let counts: Vec<u64> = (0..parties).map(by_index).collect();
    let led = books.iter().map(|book| book.led).sum::<u64>();
    if counts.iter().any(|count| *count != trips) || led != trips {
        wrong.push(format!("crossings by arrival index {counts:?}, {led} leaders"));
    }
    let mut records: BTreeMap<u64, (&Broken, usize)> = BTreeMap::new();
    for (_, broken) in books.iter().flat_map(|book| &book.told) {
        let (first, told) = records.entry(broken.generation()).or_insert((broken, 0));
        *told += 1;
        if *first != broken {
            wrong.push(format!("trip {} is mixed: {first:?} and {broken:?}", broken.generation()));
        }
    }
    let load = |word: &AtomicU64| word.load(Relaxed);
    let (mut by_cause, mut panicked): (BTreeMap<&str, u64>, u64) = (BTreeMap::new(), 0);
    for (broken, told) in records.values() {
        *by_cause.entry(broken.cause().kind()).or_default() += 1;
        let fine = match broken.cause() {
            Cause::TimedOut { rank, .. } => *rank < broken.arrived() && books.iter().any(|book| book.limits > 0),
            Cause::Reset => broken.arrived() > 0 && books.iter().any(|book| book.resets > 0),
            Cause::ActionPanicked { message } => {
                panicked += 1;
                round.acts && is_planned(message) && broken.arrived() == parties
            }
            Cause::Aborted { reason } => {
                let by = reason.split_once(':').and_then(|(who, number)| {
                    Some(books.get(who.parse::<usize>().ok()?)?.aborts > number.parse::<u64>().ok()?)
                });
                by.unwrap_or(reason == "end")
            }
            _ => false,
        };
        // Each of those who had arrived is told, and so is whoever comes before the reset.
        if !fine || *told < broken.arrived() || broken.arrived() > parties {
            wrong.push(format!("{told} callers were told {broken:?}, which does not fit what was done"));
        }
    }
    let (ran, refused) = (load(&runs.count), load(&runs.refused));
    if round.acts && (ran != trips + panicked || panicked != load(&runs.panics) || load(&runs.wrong) > 0) {
        let wrongly = load(&runs.wrong);
        wrong.push(format!("the action ran {ran} times on {trips} + {panicked} trips; let in {wrongly} times"));
    }
    for text in wrong.into_iter().take(5) {
        score.fault(format!("{cell}: {text}"));
    }
    score.cross(cell, trips);
    score.outcomes_compared += trips * parties as u64 + books.iter().map(|book| book.told.len() as u64).sum::<u64>();
    for (cause, count) in by_cause {
        score.break_by(cause, count);
    }
    if refused > 0 {
        score.break_by("reentered", refused);
    }
    score.action_runs += ran;
    score.resets += books.iter().map(|book| book.resets).sum::<u64>();
    score.inject("aborts", books.iter().map(|book| book.aborts).sum());
    score.inject("short limits", books.iter().map(|book| book.limits).sum());
    score.inject("actions that panic", load(&runs.panics));
    score.inject("actions that wait", refused);
}
