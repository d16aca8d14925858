//! Loom models of how a call reaches the members of a team, and how their reports come back.
//!
//! The words are the shipped ones, near the wrap. What a caller and its members hand to each other is written and read with
//! relaxed accesses (and the call itself is loom's cell), so that a missing edge shows as a stale value or a race.

use super::dispatch::{Dispatch, FIRST};
use super::turnstile::Turnstile;
use crate::barrier::models::explore;
use crate::primitive::{AtomicU32, Fences, Ordering, Sole, relax};
use crate::wait::{Limit, Pace, Plan};
use loom::thread;
use std::sync::Arc;

/// A team without closures: a call is a number, and a member's work is to write what it saw.
struct Stage {
    dispatch: Dispatch<u32>,
    /// What the caller did before its calls.
    told: AtomicU32,
    /// By rank: what the member did.
    done: Vec<AtomicU32>,
}

impl Stage {
    fn new(members: usize, fences: Fences) -> Arc<Self> {
        let done = (0..members).map(|_| AtomicU32::new(0)).collect();
        Arc::new(Self { dispatch: Dispatch::new(members, fences), told: AtomicU32::new(0), done })
    }

    /// A member's part of a call.
    fn play(&self, rank: usize, call: u32) {
        assert_eq!(self.told.load(Ordering::Relaxed), call, "a member does not see what came before its call");
        self.done[rank].store(call, Ordering::Relaxed);
    }

    /// A worker's life.
    fn work(&self, rank: usize, sleeps: bool) {
        let mut pace = Pace::new(Plan::modelled(sleeps));
        let mut number = FIRST;
        while let Some(call) = self.dispatch.await_call(number, &mut pace, Limit::Never).unwrap() {
            self.play(rank, call);
            self.dispatch.report(number, rank);
            number = number.wrapping_add(1);
        }
    }

    /// `calls` calls and the end. With `joins` the caller is rank 0.
    #[allow(unsafe_code)]
    fn lead(&self, calls: u32, joins: bool, sleeps: bool) {
        let mut pace = Pace::new(Plan::modelled(sleeps));
        let mut number = FIRST;
        for call in 1..=calls {
            self.told.store(call, Ordering::Relaxed);
            // SAFETY: calls are numbered, and each is awaited below.
            unsafe { self.dispatch.call(number, Some(call)) };
            if joins {
                self.play(0, call);
                self.dispatch.report(number, 0);
            }
            self.dispatch.await_reports(number, &mut pace, Limit::Never).unwrap();
            for done in &self.done {
                assert_eq!(done.load(Ordering::Relaxed), call, "the caller does not see what a member did");
            }
            number = number.wrapping_add(1);
        }
        // SAFETY: as above.
        unsafe { self.dispatch.call(number, None) };
    }
}

fn is_run(bound: usize, members: usize, joins: bool, calls: u32, fences: Fences, sleeps: bool) {
    explore(bound, move || {
        let stage = Stage::new(members, fences);
        let workers: Vec<_> = (usize::from(joins)..members)
            .map(|rank| {
                let stage = Arc::clone(&stage);
                thread::spawn(move || stage.work(rank, sleeps))
            })
            .collect();
        stage.lead(calls, joins, sleeps);
        workers.into_iter().for_each(|worker| worker.join().unwrap());
    });
}

#[test]
fn team_of_two_is_run() {
    is_run(3, 2, true, 2, Fences::Asymmetric, false);
}

#[test]
fn team_of_three_is_run() {
    is_run(2, 3, true, 2, Fences::Asymmetric, false);
}

#[test]
fn team_of_two_sleeps() {
    is_run(3, 2, true, 2, Fences::Symmetric, true);
}

#[test]
fn team_of_three_sleeps() {
    is_run(2, 3, true, 1, Fences::Symmetric, true);
}

#[test]
fn team_of_three_sleeps_twice() {
    is_run(1, 3, true, 2, Fences::Symmetric, true);
}

#[test]
fn team_of_workers_sleeps_twice() {
    is_run(1, 2, false, 2, Fences::Symmetric, true);
}

#[test]
fn team_of_workers_is_run() {
    is_run(2, 2, false, 2, Fences::Asymmetric, false);
}

#[test]
fn team_of_workers_sleeps() {
    is_run(2, 2, false, 1, Fences::Symmetric, true);
}

/// The caller sleeps already when its two workers report: only the fence between a report and the look at the others' shows
/// one of them that all have reported. (With light fences that are full ones it would be needless, so these are not.)
#[test]
#[allow(unsafe_code)]
fn team_reports_to_a_sleeper() {
    explore(3, || {
        let stage = Stage::new(2, Fences::Asymmetric);
        // SAFETY: it is the first.
        unsafe { stage.dispatch.call(FIRST, Some(1)) };
        let sleeping = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || {
                let mut pace = Pace::new(Plan::modelled(true));
                stage.dispatch.await_reports(FIRST, &mut pace, Limit::Never).unwrap();
            })
        };
        let mut polls = 0;
        while !stage.dispatch.somebody_sleeps() {
            relax(polls);
            polls += 1;
        }
        let reporting = {
            let stage = Arc::clone(&stage);
            thread::spawn(move || stage.dispatch.report(FIRST, 1))
        };
        stage.dispatch.report(FIRST, 0);
        reporting.join().unwrap();
        sleeping.join().unwrap();
    });
}

/// Two threads want to run the same team: what one leaves in it the other finds, or is refused.
#[test]
#[allow(unsafe_code)]
fn team_lets_one_in_at_a_time() {
    explore(3, || {
        let team = Arc::new((Turnstile::new(), Sole::new(0)));
        let run = |token: u64| {
            let team = Arc::clone(&team);
            move || {
                let (turnstile, helm) = &*team;
                let entered = turnstile.enter(token);
                if entered.is_ok() {
                    // SAFETY: what the model is about.
                    unsafe { helm.with(|runs| *runs += 1) };
                    turnstile.exit();
                }
                entered
            }
        };
        let other = thread::spawn(run(2));
        let mine = run(1)();
        let others = other.join().unwrap();
        assert!(mine.is_ok() || mine == Err(2));
        assert!(others.is_ok() || others == Err(1));
        run(1)().unwrap();
        // SAFETY: all others are done.
        let runs = unsafe { team.1.with(|runs| *runs) };
        assert_eq!(runs, 1 + u32::from(mine.is_ok()) + u32::from(others.is_ok()));
    });
}
