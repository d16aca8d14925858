//! Random schedules of the barrier for callers without a handle: batches, limits, aborts, resets, an action that panics. See
//! `explore_shuttle.rs` for how.
//!
//! A caller does not know its batch, so what is compared are the books of all: each complete batch gives each index once, so
//! that each index has been given as often as any other; the action has run once for each; and the callers of a broken batch
//! have all been told (C2). Where there are no more callers than parties, each one's data is read by all others (C1).

use super::Barrier;
use super::batches::Batches;
use crate::error::{Broken, Cause};
use crate::explore_shuttle::Ending::{self, Cut, Whole};
use crate::explore_shuttle::{dawdle, explore_alone};
use crate::primitive::steps::STEP;
use crate::wait::Plan;
use shuttle::rand::{Rng, thread_rng};
use shuttle::thread;
use std::panic::resume_unwind;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex};

/// What one call was told.
type Outcome = Result<usize, Broken>;

/// Runs of the action, and the one that panics.
#[derive(Debug)]
struct Runs {
    made: AtomicU32,
    fails: u32,
}

fn barrier(parties: usize, runs: &Arc<Runs>) -> Arc<Barrier> {
    let act = {
        let runs = Arc::clone(runs);
        move || {
            dawdle(4);
            if runs.made.fetch_add(1, Ordering::Relaxed) + 1 == runs.fails {
                // Not `panic!`, which would print a message for each execution.
                resume_unwind(Box::new("shuttle"));
            }
        }
    };
    // Near the wrap of the batch number (C6).
    let batches = Batches::new(parties, u64::MAX).with_plan(Plan::modelled(thread_rng().gen_bool(0.5)));
    Arc::new(Barrier { batches, ..Barrier::with_action(parties, act) })
}

#[derive(Clone, Copy)]
struct Scene {
    /// One call in so many has a limit.
    impatient: Option<u32>,
    aborts: bool,
    /// Whatever is broken is reset, and so is what is not; told callers come again.
    resets: bool,
    fails: bool,
    /// There may be more callers than parties.
    more: bool,
}

const PLAIN: Scene = Scene { impatient: None, aborts: false, resets: false, fails: false, more: true };

fn play(scene: Scene) -> Ending {
    let parties: usize = thread_rng().gen_range(if scene.more { 2..=6 } else { 8..=16 });
    let callers: usize = if scene.more { thread_rng().gen_range(8..=16) } else { parties };
    let batches = thread_rng().gen_range(2..=4) * callers.div_ceil(parties);
    let fails = if scene.fails { thread_rng().gen_range(1..=batches as u32) } else { 0 };
    let runs = Arc::new(Runs { made: AtomicU32::new(0), fails });
    let barrier = barrier(parties, &runs);
    // Whoever takes a ticket calls once; told of a break, it puts it back, if there will be a reset. As many tickets as
    // places, so nobody waits for a batch that cannot be full. (At most one caller leaves for each ticket that is held.)
    let tickets = Arc::new(Mutex::new(batches * parties));
    let data: Arc<[AtomicU32]> = (0..callers).map(|_| AtomicU32::new(0)).collect();
    let done = Arc::new(AtomicU32::new(0));
    let threads: Vec<_> = (0..callers)
        .map(|who| {
            let (barrier, tickets, data, done) =
                (Arc::clone(&barrier), Arc::clone(&tickets), Arc::clone(&data), Arc::clone(&done));
            thread::spawn(move || {
                let book = call(&barrier, &tickets, &data, who, scene);
                done.fetch_add(1, Ordering::Relaxed);
                book
            })
        })
        .collect();
    thread::yield_now();
    meddle(&barrier, &done, callers, scene);
    let books: Vec<Vec<Outcome>> = threads.into_iter().map(|caller| caller.join().unwrap()).collect();
    check(&books, parties, &runs, (!scene.aborts && scene.impatient.is_none() && !scene.fails).then_some(batches))
}

/// A caller's life.
fn call(barrier: &Barrier, tickets: &Mutex<usize>, data: &[AtomicU32], who: usize, scene: Scene) -> Vec<Outcome> {
    let mut book = Vec::new();
    loop {
        {
            let mut left = tickets.lock().unwrap();
            match left.checked_sub(1) {
                None => return book,
                Some(fewer) => *left = fewer,
            }
        }
        // Where nobody is told of a break, and all call as often, the n-th call of each is of the n-th batch.
        let in_step = !scene.more && !scene.resets;
        let trip = book.len() as u32 + 1;
        data[who].store(trip, Ordering::Relaxed);
        let outcome = match scene.impatient {
            Some(one_in) if thread_rng().gen_ratio(1, one_in) => {
                barrier.wait_timeout(STEP * thread_rng().gen_range(0..=2))
            }
            _ => barrier.try_wait(),
        };
        if outcome.is_ok() && in_step {
            for (other, datum) in data.iter().enumerate() {
                let seen = datum.load(Ordering::Relaxed);
                assert!((trip..=trip + 1).contains(&seen), "{who} sees {seen} of {other} after batch {trip}");
            }
        }
        let broken = outcome.is_err();
        book.push(outcome.map(|result| {
            assert_eq!(result.is_leader(), result.index() + 1 == barrier.parties());
            result.index()
        }));
        if broken && !scene.resets {
            return book;
        }
        if broken {
            *tickets.lock().unwrap() += 1;
            thread::yield_now();
        }
    }
}

/// What somebody does from outside.
fn meddle(barrier: &Barrier, done: &AtomicU32, callers: usize, scene: Scene) {
    let mut acts = thread_rng().gen_range(0..=3);
    if scene.resets {
        while (done.load(Ordering::Relaxed) as usize) < callers {
            dawdle(6 * callers);
            if barrier.is_broken() {
                barrier.reset();
            } else if acts > 0 {
                acts -= 1;
                match thread_rng().gen_range(0..3) {
                    0 => barrier.wake_spuriously(),
                    1 if scene.aborts => drop(barrier.abort("shuttle")),
                    _ => barrier.reset(),
                }
            }
            thread::yield_now();
        }
        return;
    }
    for _ in 0..acts {
        dawdle(3 * callers);
        barrier.wake_spuriously();
    }
    if scene.aborts {
        dawdle(6 * callers);
        barrier.abort("shuttle");
    }
}

/// `complete` is how many batches there have to be, where that is known.
fn check(books: &[Vec<Outcome>], parties: usize, runs: &Runs, complete: Option<usize>) -> Ending {
    let mut given = vec![0; parties];
    let mut records: Vec<(&Broken, usize)> = Vec::new();
    for outcome in books.iter().flatten() {
        match outcome {
            Ok(index) => given[*index] += 1,
            Err(broken) => match records.iter_mut().find(|(record, _)| *record == broken) {
                Some((_, told)) => *told += 1,
                None => records.push((broken, 1)),
            },
        }
    }
    assert!(given.iter().all(|times| *times == given[0]), "mixed: {given:?} of {books:?}");
    for (record, told) in &records {
        assert!(*told >= record.arrived(), "not all were told: {record} {told} times of {books:?}");
    }
    let failed = records.iter().any(|(record, _)| matches!(record.cause(), Cause::ActionPanicked { .. }));
    let made = runs.made.load(Ordering::Relaxed) as usize;
    assert_eq!(made, given[0] + usize::from(failed), "runs of the action: {books:?}");
    assert!(complete.is_none_or(|batches| batches == given[0]), "{given:?} of {books:?}");
    if records.is_empty() { Whole } else { Cut }
}

#[test]
fn compat_serves_callers() {
    explore_alone(4_000, &[Whole], || play(PLAIN));
}

#[test]
fn compat_serves_a_crowd() {
    explore_alone(4_000, &[Whole], || play(Scene { more: false, ..PLAIN }));
}

#[test]
fn compat_callers_are_impatient() {
    explore_alone(4_000, &[Whole, Cut], || play(Scene { impatient: Some(30), ..PLAIN }));
}

#[test]
fn compat_crowd_is_impatient_and_aborted() {
    explore_alone(4_000, &[Whole, Cut], || play(Scene { impatient: Some(60), aborts: true, more: false, ..PLAIN }));
}

#[test]
fn compat_callers_are_aborted() {
    explore_alone(4_000, &[Whole, Cut], || play(Scene { aborts: true, ..PLAIN }));
}

#[test]
fn compat_callers_are_reset() {
    explore_alone(8_000, &[Whole, Cut], || play(Scene { resets: true, ..PLAIN }));
}

#[test]
fn compat_action_panics_once() {
    explore_alone(4_000, &[Cut], || play(Scene { fails: true, ..PLAIN }));
}

#[test]
fn compat_meets_everything() {
    let scene = Scene { impatient: Some(40), aborts: true, resets: true, fails: true, more: true };
    explore_alone(8_000, &[Cut], move || play(scene));
}
