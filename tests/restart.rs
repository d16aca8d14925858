//! A worker is restarted (C3, C5): one of a group panics in the middle of its work; the others are told who it was
//! instead of waiting for ever; somebody claims the rank again and resets; all go on, and not a step of work is lost or
//! done twice.

mod common;

use common::watch::{Step, panic_quietly};
use common::{Watch, few, patience, scaled, until, watched};
use phalanx::{Algorithm, Barrier, Broken, Cause, Party, ResetError, WaitPolicy};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::thread;

const WORKERS: usize = 4;
const STEPS: usize = 20;

/// What the workers share: for each step, how many have done it.
struct Work {
    done: [AtomicUsize; STEPS],
}

impl Work {
    fn new() -> Self {
        Self { done: [const { AtomicUsize::new(0) }; STEPS] }
    }

    /// One worker's way from step `from` on; the step that broke is where it stopped. The panicking worker falls before
    /// its share of step `falls_at`.
    fn go(
        &self,
        watch: &Watch,
        party: &mut Party,
        from: usize,
        falls_at: Option<usize>,
    ) -> Result<(), (usize, Broken)> {
        for step in from..STEPS {
            if falls_at == Some(step) {
                panic_quietly();
            }
            self.done[step].fetch_add(1, SeqCst);
            watch.mark(party.rank(), step as u64, Step::Waiting);
            match party.wait() {
                Ok(_) => assert_eq!(self.done[step].load(SeqCst), WORKERS, "step {step} was not done by all"),
                Err(broken) => {
                    self.done[step].fetch_sub(1, SeqCst); // it will be done again
                    return Err((step, broken));
                }
            }
        }
        Ok(())
    }
}

fn play(watch: &Watch, algorithm: Algorithm, policy: WaitPolicy, victim: usize, falls_at: usize) {
    let barrier = Barrier::builder(WORKERS).algorithm(algorithm).wait_policy(policy).build().unwrap();
    let shown = barrier.clone();
    watch.show(move || format!("{shown:?}"));
    let (work, told, back) = (&Work::new(), &AtomicUsize::new(0), &std::sync::Barrier::new(WORKERS));
    thread::scope(|scope| {
        for mut party in barrier.take_parties().unwrap() {
            let barrier = &barrier;
            scope.spawn(move || {
                let rank = party.rank();
                if rank == victim {
                    let fallen = catch_unwind(AssertUnwindSafe(move || work.go(watch, &mut party, 0, Some(falls_at))));
                    assert!(fallen.is_err());
                    until(|| told.load(SeqCst) == WORKERS - 1);
                    assert_eq!(barrier.reset(), Err(ResetError::Deserted { ranks: vec![victim] }), "nobody would come");
                    let mut restarted = barrier.claim(victim).unwrap();
                    let first = barrier.reset().unwrap();
                    assert_eq!(first, falls_at as u64 + 1, "the number after the broken trip");
                    back.wait();
                    work.go(watch, &mut restarted, falls_at, None).expect("whole again");
                } else {
                    let (step, broken) = work.go(watch, &mut party, 0, None).expect_err("one falls");
                    assert_eq!((step, broken.generation()), (falls_at, falls_at as u64));
                    assert_eq!(broken.cause(), &Cause::Panicked { rank: victim });
                    assert!(broken.missing().iter().any(|missing| missing.rank == victim), "{broken}");
                    assert_eq!(party.wait().unwrap_err(), broken, "until the reset, the same again");
                    told.fetch_add(1, SeqCst);
                    back.wait();
                    work.go(watch, &mut party, step, None).expect("whole again");
                }
            });
        }
    });
    watch.forget();
    assert!(work.done.iter().all(|done| done.load(SeqCst) == WORKERS));
}

#[test]
fn a_worker_panics_is_restarted_and_all_go_on() {
    watched("restart: panic", patience(), |watch| {
        for algorithm in few(Algorithm::NAMED) {
            for policy in few(WaitPolicy::ALL.into_iter().filter(|policy| *policy != WaitPolicy::Spin)) {
                for round in 0..scaled(6) {
                    play(watch, algorithm, policy, round % WORKERS, [0, 1, 7, STEPS - 1][round % 4]);
                }
            }
        }
    });
}

/// A restarted worker that comes before the reset is told why, and so knows that it is too early; a rank restarted
/// twice is still one party.
#[test]
fn a_worker_restarted_too_early_is_told_and_may_fall_again() {
    watched("restart: twice", patience(), |_| {
        for algorithm in few(Algorithm::NAMED) {
            let barrier = Barrier::builder(2).algorithm(algorithm).build().unwrap();
            let mut parties = barrier.take_parties().unwrap();
            drop(parties.pop());
            let mut restarted = barrier.claim(1).unwrap();
            let told = restarted.wait().unwrap_err();
            assert_eq!(told.cause(), &Cause::Dropped { rank: 1 });
            drop(restarted);
            assert!(barrier.reset().is_err());
            let mut again = barrier.claim(1).unwrap();
            assert_eq!(barrier.reset(), Ok(1));
            let mut survivor = parties.pop().unwrap();
            assert_eq!(survivor.wait().unwrap_err(), told, "it was not there, so it is told once");
            thread::scope(|scope| {
                let other = scope.spawn(move || again.wait().map(|trip| trip.generation()));
                assert_eq!(survivor.wait().map(|trip| trip.generation()), Ok(1));
                assert_eq!(other.join().unwrap(), Ok(1));
            });
        }
    });
}

/// An early return is a drop like any other: the `?` of one worker releases all the others.
#[test]
fn an_early_return_is_noticed_at_once() {
    watched("restart: early return", patience(), |watch| {
        for algorithm in few(Algorithm::NAMED) {
            let barrier = Barrier::builder(3).algorithm(algorithm).build().unwrap();
            let jobs = barrier.take_parties().unwrap().into_iter().map(|mut party| {
                let job = move || -> Result<(), Broken> {
                    for trip in 0.. {
                        if party.rank() == 2 && trip == 5 {
                            return Ok(());
                        }
                        watch.mark(party.rank(), trip, Step::Waiting);
                        let _ = party.wait()?;
                    }
                    Ok(())
                };
                Box::new(job) as common::watch::Job<'_, Result<(), Broken>>
            });
            let ends = watch.crew(jobs.collect());
            assert_eq!(ends[0], ends[1]);
            let broken = ends[0].clone().unwrap_err();
            assert_eq!((broken.generation(), broken.cause()), (5, &Cause::Dropped { rank: 2 }));
        }
    });
}
